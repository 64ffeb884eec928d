/**
 * Kernels of a few instructions in a valid arm64 Image (Linux Documentation/arm64/booting.rst), for tests that must be
 * fast and need no network. The words are A64 (Arm DDI 0487, C6.2).
 */

const headerBytes = 64;

/** MOVZ Xd, #value, LSL #(16 * half). */
export const movz = (register: number, value: number, half = 0): number =>
  0xd280_0000 + (half << 21) + (value << 5) + register;
/** MOVK Xd, #value, LSL #(16 * half). */
export const movk = (register: number, value: number, half = 0): number =>
  movz(register, value, half) + 0x2000_0000;
/** HVC #immediate. */
export const hvc = (immediate: number): number => 0xd400_0002 + (immediate << 5);
/** B, `words` words forward. */
export const branch = (words: number): number => (0x1400_0000 | (words & 0x3ff_ffff)) >>> 0;
/** BR Xn. */
export const branchTo = (register: number): number => 0xd61f_0000 + (register << 5);
/** ADR Xd, `bytes` bytes forward. */
export const adr = (register: number, bytes: number): number =>
  (0x1000_0000 | ((bytes & 3) << 29) | (((bytes >> 2) & 0x7_ffff) << 5) | register) >>> 0;
/** STRB Wt, [Xn]. */
export const storeByte = (value: number, address: number): number => 0x3900_0000 + (address << 5) + value;

/** Xen's tag for hypercalls (public/arch-arm.h). */
const xen = hvc(0xea1);
/** PSCI SYSTEM_OFF (Arm DEN0022). */
export const powerOff: readonly number[] = [movz(0, 0x8400, 1), movk(0, 8), hvc(0)];
export const spin: readonly number[] = [branch(0)];

/** Makes hypercall `number` with small integers as arguments. */
export function hypercall(number: number, ...args: readonly number[]): number[] {
  return [...args.map((value, register) => movz(register, value)), movz(16, number), xen];
}

/** Sends `text` to the UART (Xen public/arch-arm.h, GUEST_PL011_BASE). */
export function say(text: string): number[] {
  const letters = Array.from(text, (letter) => [movz(2, letter.charCodeAt(0)), storeByte(2, 1)]);
  return [movz(1, 0x2200, 1), ...letters.flat()];
}

/** Little-endian, 4 KiB pages, loadable anywhere (Linux Documentation/arm64/booting.rst). */
const imageFlags = 0b1010n;

export interface ImageOptions {
  /** Data after the code. */
  readonly data?: Uint8Array;
  readonly imageBytes?: number;
}

/** An Image that starts with a branch over its header to `words`. */
export function image(words: readonly number[], options: ImageOptions = {}): Uint8Array {
  const { data = new Uint8Array(), imageBytes = 0x1_0000 } = options;
  const bytes = new Uint8Array(headerBytes + 4 * words.length + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, branch(headerBytes / 4), true);
  view.setBigUint64(16, BigInt(imageBytes), true);
  view.setBigUint64(24, imageFlags, true);
  bytes.set(Buffer.from('ARMd'), 56);
  words.forEach((word, i) => view.setUint32(headerBytes + 4 * i, word, true));
  bytes.set(data, headerBytes + 4 * words.length);
  return bytes;
}
