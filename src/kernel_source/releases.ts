/** The releases of Debian that are meant where none is named. Others must be named. */

/** The releases whose kernels are listed, oldest first. */
export const usualReleases: readonly string[] = ['bullseye', 'bookworm', 'trixie', 'forky', 'sid'];

/** The release of the default kernel, and of the user space of kernels that are not from an archive. */
export const defaultRelease = 'bookworm';
