/** What the images of all architectures share. */
import { textAt } from './byte_streams.js';

/** Maximum size of an unpacked kernel in bytes. */
export const imageLimit = 1 << 29;

/** The text by which a kernel names its version and its build. */
export interface LinuxBanner {
  /** Where "Linux version" stands, in bytes from the start of the image. */
  readonly offset: number;
  /** What follows it, such as `6.1.0-56-arm64`. */
  readonly version: string;
}

/** The banner of a kernel; null if there is none. */
export function linuxBannerIn(bytes: Uint8Array): LinuxBanner | null {
  const words = Uint8Array.from('Linux version ', (character) => character.charCodeAt(0));
  const first = words[0] ?? 0;
  for (let i = bytes.indexOf(first); i >= 0; i = bytes.indexOf(first, i + 1)) {
    if (!words.every((byte, k) => bytes[i + k] === byte)) continue;
    const version = /^[0-9][^\s\0%]*/.exec(textAt(bytes, i + words.length, 96))?.[0];
    if (version !== undefined) return { offset: i, version };
  }
  return null;
}

/** The version in a kernel's banner; null if there is none. */
export function linuxVersionIn(bytes: Uint8Array): string | null {
  return linuxBannerIn(bytes)?.version ?? null;
}
