/** How the releases whose behaviour can be chosen name themselves. */
import type { XenRelease } from '../abi/index.js';

export type { XenRelease };

/** The release as Xen answers it: major << 16 | minor. */
export function releaseNumber(release: XenRelease): number {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major * 2 ** 16 + minor;
}

/** What follows the number: the point release whose sources the answers here follow. */
export const extraVersion: Readonly<Record<XenRelease, string>> = { '4.17': '.7', '4.18': '.6' };
