/** What the first process asks of Linux, the same on every architecture. */

/** Error numbers of execve (Linux uapi/asm-generic/errno-base.h). */
export const errno = { ENOENT: 2, ENOEXEC: 8, ENOTDIR: 20 } as const;

export const directoryMode = 0o755;
/** How a script is opened, which anyone may execute (uapi/asm-generic/fcntl.h: O_WRONLY, O_CREAT, O_TRUNC). */
export const scriptFile = { flags: 0o1 | 0o100 | 0o1000, mode: 0o755 } as const;
export const SIGKILL = 9;
export const SIGCHLD = 17;
/** The current directory, as base of relative paths (Linux uapi/linux/fcntl.h). */
export const AT_FDCWD = -100;
/** With argument 1: waits until all output to a terminal was sent (uapi/asm-generic/ioctls.h). */
export const TCSBRK = 0x5409;

/**
 * Exit codes of shells for a command that cannot be executed, and for one that is not found (POSIX Shell Command
 * Language, 2.8.2).
 */
export const shellStatus = { cannotRun: 126, notFound: 127 } as const;

/** The power-off call (Linux uapi/linux/reboot.h), and what marks its other registers. */
export const powerOff = {
  magic1: 0xfee1dead,
  magic2: 0x28121969,
  command: 0x4321fedc,
  /** In the fifth argument: marks the sixth as the command's wait status. */
  tag: 0x444f_4d55_434d_4431n,
} as const;
