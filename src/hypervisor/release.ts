/** The releases whose behaviour can be chosen, by number. */
import type { XenRelease } from './domain.js';

/** The release as Xen answers it: major << 16 | minor. */
export function releaseNumber(release: XenRelease): number {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major * 2 ** 16 + minor;
}
