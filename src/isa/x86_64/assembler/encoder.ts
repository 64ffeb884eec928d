/** From text to bytes: parses an instruction's operands and encodes them, the reverse of parser.ts. */
import type { FieldValues } from '../../instruction.js';
import { suffixesIn } from '../encoding.js';
import type { Form, X86Instruction } from '../encoding.js';
import type { ImmediateKind } from '../opcode.js';
import { registerFile } from '../registers.js';
import type { Mode } from '../registers.js';

/** What operands were found to be: fields of parser.ts, and what only encoding needs. */
interface Operands {
  readonly reg?: number;
  readonly rm?: number;
  /** The register in the opcode. */
  readonly opcodeRegister?: number;
  /** 1 if there is an operand in memory. */
  readonly memory?: number;
  readonly addressBits?: number;
  readonly segment?: number;
  readonly base?: number;
  readonly index?: number;
  readonly scale?: number;
  readonly displacement?: number;
  readonly immediate?: number;
  readonly high?: number;
  readonly second?: number;
  /** The target of a branch. */
  readonly target?: number;
  /** 1 if a register needs a REX prefix, or forbids it. */
  readonly rex?: number;
  readonly noRex?: number;
}

/** How to encode: for code of `mode`. With `wide`, a displacement beside a base has 32 bits whatever its value. */
export interface Wanted {
  readonly mode: Mode;
  readonly wide: boolean;
  /** Whether it has a LOCK prefix. */
  readonly lock: boolean;
}

/** Parses `source` as this instruction in `mode`; null if the text does not match. */
export function parseOperands(instruction: X86Instruction, source: string, mode: Mode): Operands | null {
  let rest = source;
  let fields: FieldValues = {};
  for (const piece of suffixesIn(instruction, mode).split(/(\{\w+\})/)) {
    const operand = piece.startsWith('{') ? instruction.operands[piece.slice(1, -1)] : undefined;
    if (operand === undefined) {
      if (!rest.startsWith(piece)) return null;
      rest = rest.slice(piece.length);
      continue;
    }
    const parsed = operand.parse(rest, 0n);
    if (parsed === null) return null;
    fields = { ...fields, ...parsed.fields };
    rest = parsed.rest;
  }
  return rest === '' ? fields : null;
}

const littleEndian = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, at) => Number((BigInt(value) >> BigInt(8 * at)) & 0xffn));

const fits = (value: number, bytes: number): boolean =>
  value >= -(2 ** (8 * bytes - 1)) && value < 2 ** (8 * bytes - 1);

const isLow = (number: number, of: number): boolean => (number & 7) === of;

/** The ModRM byte without a base, or relative to the next instruction, with its displacement. */
function encodeBaseless(operands: Operands, middle: number, sib: number, mode: Mode): number[] | null {
  const { zero, nextInstruction } = registerFile;
  const { base = zero, index = zero, displacement = 0 } = operands;
  const whole = littleEndian(displacement, 4);
  if (base === nextInstruction) return mode === 64 && index === zero ? [middle | 5, ...whole] : null;
  return mode === 32 && index === zero ? [middle | 5, ...whole] : [middle | 4, sib | 5, ...whole];
}

/** ModRM.mod in its place, and the number of bytes of a displacement. */
function displacementSize(displacement: number, base: number, wide: boolean): readonly [number, number] {
  if (wide || !fits(displacement, 1)) return [0x80, 4];
  // RBP and R13 always have one.
  return displacement === 0 && !isLow(base, 5) ? [0, 0] : [0x40, 1];
}

/** ModRM, SIB and displacement of an address; null if it cannot be encoded. With `wide`, a displacement has 32 bits. */
function encodeAddress(operands: Operands, middle: number, { mode, wide }: Wanted): number[] | null {
  const { zero, nextInstruction } = registerFile;
  const { base = zero, index = zero, scale = 0, displacement = 0 } = operands;
  const isWithin = displacement >= -(2 ** 31) && displacement < 2 ** (mode === 64 ? 31 : 32);
  if (mode === 16 || index === 4 || !isWithin) return null;
  const sib = (scale << 6) | ((index === zero ? 4 : index & 7) << 3);
  if (base === zero || base === nextInstruction) return encodeBaseless(operands, middle, sib, mode);
  const [mod, bytes] = displacementSize(displacement, base, wide);
  const hasSib = index !== zero || isLow(base, 4);
  const address = hasSib ? [4 | mod | middle, sib | (base & 7)] : [mod | middle | (base & 7)];
  return [...address, ...littleEndian(displacement, bytes)];
}

function encodeModrm(
  { encoding, form }: X86Instruction,
  operands: Operands,
  wanted: Wanted,
): number[] | null {
  const { hasModrm, modrm, digit } = encoding.opcode;
  if (!hasModrm) return [];
  if (modrm >= 0) return [modrm];
  const middle = (digit >= 0 ? digit : (operands.reg ?? 0) & 7) << 3;
  return form.memory ? encodeAddress(operands, middle, wanted) : [0xc0 | middle | ((operands.rm ?? 0) & 7)];
}

const segmentPrefixes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const mandatory = { any: [], NP: [], 66: [0x66], F2: [0xf2], F3: [0xf3] } as const;
const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]] as const;

function legacyPrefixes(
  { encoding, form }: X86Instruction,
  { segment = -1 }: Operands,
  { mode, lock }: Wanted,
): number[] {
  const isNarrow = form.bits !== 0 && form.bits < 64 && (form.bits === 16) !== (mode === 16);
  const segments = segment >= 0 ? segmentPrefixes.slice(segment, segment + 1) : [];
  const repeat = form.repeat === 0 ? [] : [form.repeat];
  const others = [...segments, ...(isNarrow ? [0x66] : []), ...repeat, ...(lock ? [0xf0] : [])];
  return [...others, ...mandatory[encoding.opcode.prefix]];
}

/** The high bit of a register's number, in place `to`. */
const highBit = (number: number | undefined, to: number): number =>
  number !== undefined && number >= 8 && number < 16 ? to : 0;

/** The REX prefix, if there is one; null if there must be one and must not. */
function rexPrefix({ encoding, form }: X86Instruction, operands: Operands, mode: Mode): number[] | null {
  const { reg, rm, opcodeRegister, base, index, rex = 0, noRex = 0 } = operands;
  const wide = form.bits === 64 && !encoding.default64 ? 8 : 0;
  const low = highBit(form.memory ? base : rm, 1) | highBit(opcodeRegister, 1);
  const bits = wide | highBit(reg, 4) | (form.memory ? highBit(index, 2) : 0) | low;
  if (bits === 0 && rex === 0) return [];
  return mode !== 64 || noRex !== 0 ? null : [0x40 | bits];
}

/** Where an immediate is: the address behind all bytes before it, and whether it is the second. */
interface Position {
  readonly end: number;
  readonly isSecond: boolean;
}

/** The bytes of each kind of immediate, of an operand size of 16 bits or more. Other kinds cannot be written. */
const immediateBytes: Readonly<Partial<Record<ImmediateKind, readonly [narrow: number, wide: number]>>> = {
  ib: [1, 1],
  iw: [2, 2],
  iz: [2, 4],
  iv: [2, 4],
  cb: [1, 1],
  cz: [2, 4],
};

/** The bytes of an immediate; null if the value does not fit. */
function encodeImmediate(
  kind: ImmediateKind,
  { bits }: Form,
  { immediate = 0, high = 0, second = 0, target = 0 }: Operands,
  { end, isSecond }: Position,
): number[] | null {
  const bytes = immediateBytes[kind]?.[bits === 16 ? 0 : 1];
  if (bytes === undefined) return null;
  if (kind === 'iv' && bits === 64) return [...littleEndian(immediate, 4), ...littleEndian(high, 4)];
  const value = kind.startsWith('c') ? target - (end + bytes) : isSecond ? second : immediate;
  return fits(value, bytes) ? littleEndian(value, bytes) : null;
}

/**
 * The bytes of `source` as this instruction at address `pc`; null if it is not this instruction. `source` has no prefix words.
 */
export function encode(
  instruction: X86Instruction,
  source: string,
  pc: number,
  wanted: Wanted,
): number[] | null {
  const { mode } = wanted;
  const { opcode } = instruction.encoding;
  const operands = parseOperands(instruction, source, mode);
  if (operands === null || (operands.memory === 1) !== instruction.form.memory) return null;
  // A branch within 16 bits is written as others are, but goes elsewhere.
  if (operands.target !== undefined && instruction.form.bits !== mode) return null;
  if (operands.addressBits !== undefined && operands.addressBits !== mode) return null;
  const rex = rexPrefix(instruction, operands, mode);
  const modrm = encodeModrm(instruction, operands, wanted);
  if (rex === null || modrm === null) return null;
  const byte = opcode.byte + ((operands.opcodeRegister ?? 0) & 7);
  const prefixes = legacyPrefixes(instruction, operands, wanted);
  const bytes = [...prefixes, ...rex, ...(escapes[opcode.map] ?? []), byte, ...modrm];
  for (const [index, kind] of opcode.immediates.entries()) {
    const position = { end: pc + bytes.length, isSecond: index === 1 };
    const immediate = encodeImmediate(kind, instruction.form, operands, position);
    if (immediate === null) return null;
    bytes.push(...immediate);
  }
  return bytes;
}
