/**
 * Where random byte strings are instructions, and how long these are, by this decoder and by iced-x86, which was written from the
 * manuals, too.
 */
import { CpuidFeature, Decoder, DecoderError, DecoderOptions, Instruction } from 'iced-x86';
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { Dice } from './a64_draw.js';
import { drawAnything, drawBytes, encodings } from './x86_draw.js';

const own = x86_64.makeDecoder(x86_64.x86);
const modes = [64, 32, 16] as const;

/** What iced-x86 calls the features whose instructions are defined here. */
const defined: ReadonlySet<number> = new Set([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL8086_ONLY,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CMOV,
  CpuidFeature.CMPXCHG16B,
  CpuidFeature.CPUID,
  CpuidFeature.CX8,
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
  CpuidFeature.FSGSBASE,
  CpuidFeature.FXSR,
  CpuidFeature.INVPCID,
  CpuidFeature.MMX,
  CpuidFeature.MSR,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.PAUSE,
  CpuidFeature.POPCNT,
  CpuidFeature.PREFETCHW,
  CpuidFeature.RDPMC,
  CpuidFeature.RDTSCP,
  CpuidFeature.SMAP,
  CpuidFeature.SMM,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.SSE3,
  CpuidFeature.SSE4_1,
  CpuidFeature.SSE4_2,
  CpuidFeature.SSSE3,
  CpuidFeature.SYSCALL,
  CpuidFeature.TSC,
  CpuidFeature.XSAVE,
  CpuidFeature.XSAVEOPT,
]);

interface Length {
  readonly length: number;
  /** Numbers of {@link CpuidFeature}. */
  readonly features: readonly number[];
}

/** What iced-x86 says of the instruction at the start of some bytes; null if there is none. */
class Iced {
  readonly #instruction = new Instruction();

  lengthOf(bytes: Uint8Array, mode: x86_64.Mode): Length | null {
    const decoder = new Decoder(mode, bytes, DecoderOptions.AMD);
    decoder.decodeOut(this.#instruction);
    const isNone = decoder.lastError !== DecoderError.None;
    decoder.free();
    if (isNone) return null;
    const { length } = this.#instruction;
    return { length, features: [...this.#instruction.cpuidFeatures()] };
  }

  free(): void {
    this.#instruction.free();
  }
}

/** Where iced-x86 has what AMD's CPUs do not, or what they do not advertise here, under a feature that is defined. */
const known: readonly ((fields: x86_64.Fields) => boolean)[] = [
  // UD0 has a ModRM byte here, as on Intel's CPUs. That can be seen only where the next page is not mapped.
  ({ map, opcode }) => map === 1 && opcode === 0xff,
  // PREFETCH of a register: #UD on an EPYC.
  ({ map, opcode, mod }) => map === 1 && opcode === 0x0d && mod === 3,
  // Other opcodes of FCOM, FXCH and FSTP, and those of the 287 (docs/state.md).
  ({ map, opcode, mod }) => map === 0 && opcode >= 0xd8 && opcode <= 0xdf && mod === 3,
  // SALC, which no manual describes.
  ({ map, opcode }) => map === 0 && opcode === 0xd6,
  // CR8 by LOCK MOV, which has a feature of its own on AMD's CPUs.
  ({ map, opcode, lock }) => map === 1 && (opcode === 0x20 || opcode === 0x22) && lock === 1,
];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** In one line; null where both say the same. */
function difference(bytes: Uint8Array, mode: x86_64.Mode, theirs: Length | null): string | null {
  const found = own.decode(bytes, mode);
  const isDefined = theirs?.features.every((feature) => defined.has(feature)) === true;
  if (found.kind === 'instruction' ? found.fields.length === theirs?.length : !isDefined) return null;
  const fields = found.kind === 'instruction' || found.kind === 'undefined' ? found.fields : null;
  if (fields !== null && known.some((holds) => holds(fields))) return null;
  const mine =
    found.kind === 'instruction' ? `${found.instruction.name}, ${found.fields.length}` : found.kind;
  return `${mode}-bit code, ${hex(bytes)}: ${mine}; iced-x86: ${theirs?.length ?? 'none'}`;
}

/** What differs of `count` random byte strings, in all three modes, and how many of them are instructions. */
export function compareLengths(
  count: number,
  seed: number,
): { readonly differ: readonly string[]; readonly instructions: number } {
  const dice = new Dice(seed);
  const iced = new Iced();
  const differ: string[] = [];
  let instructions = 0;
  for (let index = 0; index < count; index += 1) {
    const mode = dice.pick(modes);
    const bytes =
      dice.below(2) === 0 ? drawAnything(dice, mode) : drawBytes(dice.pick(encodings), dice, mode);
    const theirs = iced.lengthOf(bytes, mode);
    if (theirs !== null) instructions += 1;
    const found = difference(bytes, mode, theirs);
    if (found !== null) differ.push(found);
  }
  iced.free();
  return { differ, instructions };
}
