/** Random x86-64 instructions: the bytes of an encoding with random operands and prefixes. */
import * as x86_64 from '../../src/isa/x86_64/index.js';
import type { Dice } from './a64_draw.js';

/** All encodings that are defined, each once. */
export const encodings: readonly x86_64.Encoding[] = [...new Set(x86_64.x86.map(({ encoding }) => encoding))];

const otherPrefixes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
const mandatory = { any: [], NP: [], 66: [0x66], F2: [0xf2], F3: [0xf3] } as const;
const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]] as const;

/** 32 random bytes, with interesting ones more often. */
function randomBytes(dice: Dice): number[] {
  return Array.from({ length: 32 }, () =>
    dice.below(4) === 0 ? dice.pick([0, 1, 0x7f, 0x80, 0xff]) : dice.below(256),
  );
}

/** A prefix of each kind now and then. */
function drawPrefixes(dice: Dice, mode: x86_64.Mode): number[] {
  const prefixes = [...(dice.below(3) === 0 ? [0x66] : []), ...(dice.below(8) === 0 ? [0x67] : [])];
  while (dice.below(4) === 0) prefixes.push(dice.pick(otherPrefixes));
  const rex = mode === 64 && dice.below(2) === 0 ? [0x40 | dice.below(16)] : [];
  return [...prefixes, ...rex];
}

/** Bytes that begin with `encoding`, as far as its prefixes, opcode and ModRM byte go. */
export function drawBytes({ opcode, only }: x86_64.Encoding, dice: Dice, mode: x86_64.Mode): Uint8Array {
  const rest = randomBytes(dice);
  let [modrm = 0] = rest;
  if (opcode.modrm >= 0) ({ modrm } = opcode);
  if (opcode.digit >= 0) modrm = (modrm & 0xc7) | (opcode.digit << 3);
  if (only === 'r') modrm |= 0xc0;
  if (opcode.hasModrm) rest[0] = modrm;
  const byte = opcode.byte + (opcode.hasRegister ? dice.below(8) : 0);
  const prefixes = [...mandatory[opcode.prefix], ...drawPrefixes(dice, mode)];
  return Uint8Array.from([...prefixes, ...(escapes[opcode.map] ?? []), byte, ...rest]).slice(0, 15);
}

/** Random bytes of all maps. */
export function drawAnything(dice: Dice, mode: x86_64.Mode): Uint8Array {
  const escape = dice.pick([[], [0x0f], [0x0f], [], [0x0f, 0x38], [0x0f, 0x3a]]);
  return Uint8Array.from([...drawPrefixes(dice, mode), ...escape, ...randomBytes(dice)]).slice(0, 15);
}

/** The offset of a displacement of 4 bytes, or null, behind the ModRM byte at `at`. */
function displacementAt(bytes: Uint8Array, at: number): number | null {
  const [modrm = 0, sib = 0] = bytes.slice(at);
  const [mod, rm] = [modrm >> 6, modrm & 7];
  if (mod === 3) return null;
  const hasSib = rm === 4;
  const isWhole = mod === 2 || (mod === 0 && (rm === 5 || (hasSib && (sib & 7) === 5)));
  return isWhole ? at + (hasSib ? 2 : 1) : null;
}

/**
 * As `drawBytes` in 64-bit code (default) or 32-bit code, but without FS, and with displacements of 32 bits that mostly reach the memory at `memory`,
 * from the instruction at `pc` or from registers that point there.
 */
export function drawReachable(
  encoding: x86_64.Encoding,
  dice: Dice,
  memory: bigint,
  pc: bigint,
  mode: 32 | 64 = 64,
): Uint8Array {
  const bytes = drawBytes(encoding, dice, mode).map((byte, at) => (at < 4 && byte === 0x64 ? 0x65 : byte));
  const parsed = x86_64.parse(bytes, mode);
  if (parsed.kind !== 'parsed' || !encoding.opcode.hasModrm) return bytes;
  const { base, index, length } = parsed.fields;
  const { zero, nextInstruction } = x86_64.registerFile;
  const opcodeAt = bytes.indexOf(parsed.fields.opcode);
  const at = displacementAt(bytes, opcodeAt + 1);
  if (at === null || at + 4 > bytes.length) return bytes;
  const offset = 0x8000 + dice.below(4096) - 2048;
  const from =
    base === nextInstruction
      ? memory - pc - BigInt(length)
      : base === zero && index === zero
        ? memory
        : -0x8000n;
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(at, Number(from) + offset, true);
  return bytes;
}
