/** Random x86-64 instructions: the bytes of an encoding with random operands and prefixes. */
import { x86_64 } from '../../src/isa/index.js';
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

/** Random bytes of the one- and two-byte maps. */
export function drawAnything(dice: Dice, mode: x86_64.Mode): Uint8Array {
  const escape = dice.below(2) === 0 ? [0x0f] : [];
  return Uint8Array.from([...drawPrefixes(dice, mode), ...escape, ...randomBytes(dice)]).slice(0, 15);
}
