/**
 * The releases of Xen whose behaviour can be chosen. They differ in answers and not in layouts: the headers are the same in
 * all of them but for additions.
 */
export const xenReleases = ['4.17', '4.18'] as const;

/** One of {@link xenReleases}. */
export type XenRelease = (typeof xenReleases)[number];

/** The release of a guest for which none is chosen: that of Debian 12, and of the reference guest. */
export const defaultXenRelease: XenRelease = '4.17';
