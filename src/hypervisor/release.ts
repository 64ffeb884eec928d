/** How the releases whose behaviour can be chosen name themselves. */
import type { XenRelease } from '../abi/index.js';

export type { XenRelease };

/** The release as Xen answers it: major << 16 | minor. */
export function releaseNumber(release: XenRelease): number {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major * 2 ** 16 + minor;
}

/**
 * Whether a local APIC shows its errors only after a write to the error status register: from 4.18.5 and 4.19.2 on (Xen
 * arch/x86/hvm/vlapic.c, vlapic_reg_write). The answers of 4.18 are those of a later point release.
 */
export function latchesApicErrors(release: XenRelease): boolean {
  return release !== '4.17';
}

/** What follows the number: the point release whose sources the answers here follow. */
export const extraVersion: Readonly<Record<XenRelease, string>> = { '4.17': '.7', '4.18': '.6' };

/** The whole version, such as `4.17.7`. */
export function versionText(release: XenRelease): string {
  return `${release}${extraVersion[release]}`;
}
