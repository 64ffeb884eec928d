/** Random A64 words and random register states to run them from, all derived from a seed. */
import type { A64Instruction, Mode } from '../../src/isa/index.js';
import { memoryBytes, memoryStart, stateBytes, stateOffsets } from './a64_layout.js';

/** A PRNG of 32-bit numbers (SplitMix32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  word(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bits64(): bigint {
    return (BigInt(this.word()) << 32n) | BigInt(this.word());
  }
}

/** A word of `definition` with random fields and random ignored bits; null if eight draws gave no allocated word. */
export function drawWord(definition: A64Instruction, dice: Dice, mode: Mode): number | null {
  const { pattern } = definition;
  for (let tries = 0; tries < 8; tries += 1) {
    const word = ((dice.word() & ~pattern.mask) | pattern.value) >>> 0;
    if (definition.decodes(word, mode)) return word;
  }
  return null;
}

const edges64 = [
  0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn,
  0x7fffffffffffffffn, 0x8000000000000000n, 0xffffffffffffffffn, 0xffffffff80000000n,
]; // prettier-ignore

function drawGeneral(dice: Dice): bigint {
  const kind = dice.below(16);
  // The middle of the memory, so that offsets stay inside.
  if (kind < 6) return memoryStart + BigInt(memoryBytes / 2 + 16 * (dice.below(512) - 256));
  if (kind < 7) return memoryStart + BigInt(memoryBytes / 2 + dice.below(8192) - 4096);
  if (kind < 10) return BigInt(dice.below(512));
  if (kind < 12) return dice.pick(edges64);
  if (kind < 13) return BigInt(dice.word());
  return dice.bits64();
}

/** Interesting single-precision numbers: zeros, ones, infinities, NaNs of both kinds, subnormals, limits, integers. */
const singles = [
  0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001,
  0xffa00000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x00800001, 0x7f7fffff, 0xff7fffff, 0x3f000000,
  0x3fc00000, 0xc0200000, 0x4b000001, 0x4effffff, 0x4f000000, 0x4f800000, 0x5f000000, 0xdf000000, 0x5f800000,
  0x33800000, 0x34000000, 0x3f7fffff, 0x40490fdb, 0x477fe000, 0x477ff000, 0x38800000, 0x387fffff, 0x33000000,
]; // prettier-ignore

const doubles = [
  0x0000000000000000n, 0x8000000000000000n, 0x3ff0000000000000n, 0xbff0000000000000n, 0x7ff0000000000000n,
  0xfff0000000000000n, 0x7ff8000000000000n, 0xfff8000000000001n, 0x7ff0000000000001n, 0xfff4000000000000n,
  0x0000000000000001n, 0x8000000000000001n, 0x000fffffffffffffn, 0x0010000000000000n, 0x7fefffffffffffffn,
  0xffefffffffffffffn, 0x3fe0000000000000n, 0x3ff8000000000000n, 0xc004000000000000n, 0x41dfffffffc00000n,
  0x41e0000000000000n, 0x41f0000000000000n, 0x43e0000000000000n, 0x43f0000000000000n, 0xc3e0000000000000n,
  0x47efffffe0000000n, 0x47effffff0000000n, 0x3810000000000000n, 0x380fffffffffffffn, 0x36a0000000000000n,
  0x3690000000000000n, 0x40effc0000000000n, 0x3f10000000000000n, 0x3cb0000000000000n, 0x433fffffffffffffn,
]; // prettier-ignore

const halves = [
  0x0000, 0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0xfd00, 0x0001, 0x8001, 0x03ff, 0x0400,
  0x7bff, 0xfbff, 0x3800, 0x6400,
]; // prettier-ignore

/** A 64-bit number built from lanes that are interesting for one kind of instruction. */
function drawLanes(dice: Dice): bigint {
  const two = (draw: () => number): bigint => (BigInt(draw() >>> 0) << 32n) | BigInt(draw() >>> 0);
  const pair = (draw: () => number): number => ((draw() << 16) | draw()) >>> 0;
  switch (dice.below(10)) {
    case 0:
    case 1:
      return two(() => dice.pick(singles));
    case 2:
      return dice.pick(doubles);
    case 3:
      return two(() => pair(() => dice.pick(halves)));
    case 4:
      return two(() => dice.pick([0x80000000, 0x7fffffff, 0, 0xffffffff, 1]));
    case 5:
      return two(() => pair(() => dice.pick([0x8000, 0x7fff, 0xffff, 0, 1, 0x80ff])));
    case 6:
      return two(() =>
        pair(() => (dice.pick([0x80, 0x7f, 0xff, 0, 1]) << 8) | dice.pick([0x80, 0x7f, 0, 5])),
      );
    case 7:
      // Ordinary numbers, near one in either precision.
      if (dice.below(2) === 0) return two(() => (0x3f000000 + (dice.word() & 0x81ffffff)) >>> 0);
      return 0x3fe0000000000000n + (dice.bits64() & 0x803fffffffffffffn);
    case 8:
      return two(() => dice.word() & 0x1f1f1f1f);
    default:
      return dice.bits64();
  }
}

function drawFloatControl(dice: Dice): bigint {
  if (dice.below(2) === 0) return 0n;
  return BigInt(dice.word() & 0x07c00000);
}

/** Writes a random state at `at`; see a64_layout.ts. */
function drawState(view: DataView, at: number, dice: Dice): void {
  const put = (offset: number, value: bigint): void =>
    view.setBigUint64(at + offset, BigInt.asUintN(64, value), true);
  for (let register = 0; register < 31; register += 1) put(8 * register, drawGeneral(dice));
  put(stateOffsets.sp, memoryStart + BigInt(memoryBytes / 2 + 16 * (dice.below(64) - 32)));
  put(stateOffsets.nzcv, BigInt(dice.below(16)) << 28n);
  put(stateOffsets.fpcr, drawFloatControl(dice));
  put(stateOffsets.fpsr, dice.below(3) === 0 ? BigInt(dice.word() & 0x0800009f) : 0n);
  for (let half = 0; half < 64; half += 1) put(stateOffsets.v + 8 * half, drawLanes(dice));
}

/** `count` states, one after the other. */
export function drawStates(count: number, dice: Dice): Uint8Array {
  const bytes = new Uint8Array(count * stateBytes);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index += 1) drawState(view, index * stateBytes, dice);
  return bytes;
}
