/**
 * The fixed part of decoding: prefixes, opcode, ModRM, SIB, displacement and immediates, in the order in which every
 * instruction has them (Intel SDM, volume 2, 2.1 and 2.2). It knows no instruction, only which opcodes have a ModRM byte and
 * how long their immediates are (appendix A, tables ).
 */
import type { FieldValues } from '../instruction.js';
import type { Mode } from './registers.js';
import { registerFile } from './registers.js';

/** The longest instruction, in bytes. */
export const longest = 15;

/**
 * What an opcode is followed by: `m` ModRM; `b`, `w`, `z`, `v` an immediate of 8 bits, 16 bits, the operand size but at
 * most 32, and the operand size; `M` and `Z` ModRM and such an immediate; `g` and `G` the same for /0 and /1 alone; `o` an
 * address; `e` 16 and 8 bits; `f` a far pointer; `-` nothing; `p` is a prefix or an escape; `u` is not an opcode.
 */
const maps: readonly string[] = [
  'mmmmbz--mmmmbz-p' + 'mmmmbz--mmmmbz--' + 'mmmmbzp-mmmmbzp-' + 'mmmmbzp-mmmmbzp-' +
  '----------------' + '----------------' + '--mmppppzZbM----' + 'bbbbbbbbbbbbbbbb' +
  'MZMMmmmmmmmmmmmm' + '----------f-----' + 'oooo----bz------' + 'bbbbbbbbvvvvvvvv' +
  'MMw-mmMZe-w--b--' + 'mmmmbb--mmmmmmmm' + 'bbbbbbbbzzfb----' + 'p-pp--gG------mm',
  'mmmmu-----u-um-M' + 'mmmmmmmmmmmmmmmm' + 'mmmmuuuummmmmmmm' + '------u-pupuuuuu' +
  'mmmmmmmmmmmmmmmm' + 'mmmmmmmmmmmmmmmm' + 'mmmmmmmmmmmmmmmm' + 'MMMMmmm-mmuummmm' +
  'zzzzzzzzzzzzzzzz' + 'mmmmmmmmmmmmmmmm' + '---mMmuu---mMmmm' + 'mmmmmmmmmmMmmmmm' +
  'mmMmMMMm--------' + 'mmmmmmmmmmmmmmmm' + 'mmmmmmmmmmmmmmmm' + 'mmmmmmmmmmmmmmmm',
  'm'.repeat(256),
  'M'.repeat(256),
]; // prettier-ignore

/** How the bytes behind an opcode are laid out (see `maps`). */
export function layoutAt(map: number, opcode: number): string {
  return maps[map]?.charAt(opcode) ?? 'u';
}

/** The fields of parsed bytes. Absent ones are 0, or -1 where that is said. */
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- an interface would not be a FieldValues
export type Fields = {
  readonly mode: number;
  /** The number of bytes. */
  readonly length: number;
  /** 0 for the opcodes of one byte, 1 for 0F, 2 for 0F 38, 3 for 0F 3A. */
  readonly map: number;
  readonly opcode: number;
  /** 1 with a LOCK prefix. */
  readonly lock: number;
  /** The last of the prefixes F2 and F3; 0 if there is none. */
  readonly repeat: number;
  /** 1 with a prefix 66. */
  readonly narrow: number;
  /** Segment override, by the segment's number, or -1. In 64-bit mode only FS and GS count. */
  readonly segment: number;
  /** 1 with a REX prefix, and its bit W. */
  readonly rex: number;
  readonly wide: number;
  /** REX.B, by which a register in the opcode is extended. */
  readonly extension: number;
  /** 16, 32 or 64. */
  readonly operandBits: number;
  readonly addressBits: number;
  /** The ModRM byte or -1; its fields, `reg` and `rm` extended by REX. */
  readonly modrm: number;
  readonly mod: number;
  readonly reg: number;
  readonly rm: number;
  /** The registers of a memory operand, as indexes of the register file. */
  readonly base: number;
  readonly index: number;
  /** The logarithm of the scale. */
  readonly scale: number;
  /** 1 with a SIB byte. */
  readonly sib: number;
  readonly displacement: number;
  /** The number of bytes that the displacement has. */
  readonly displacementBytes: number;
  /** The first immediate, sign-extended, or its low 32 bits; its high 32 bits; the second immediate. */
  readonly immediate: number;
  readonly high: number;
  readonly second: number;
};

/** A field's value; 0 if it is absent. */
export function field(fields: FieldValues, name: keyof Fields): number {
  return fields[name] ?? 0;
}

export type Parsed =
  | { readonly kind: 'parsed'; readonly fields: Fields }
  /** The bytes end within the instruction. */
  | { readonly kind: 'truncated' }
  /** It has more than 15 bytes: #GP. */
  | { readonly kind: 'tooLong' }
  /** No opcode, so that its length is not known. */
  | { readonly kind: 'unknown' };

/** Ends parsing where the bytes end. */
class EndOfBytes extends Error {}

type Draft = { -readonly [K in keyof Fields]: number };

const segmentPrefixes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

class Reader {
  position = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    const value = this.#bytes[this.position];
    if (value === undefined || this.position >= longest) throw new EndOfBytes();
    this.position += 1;
    return value;
  }

  /** A signed number of 0, 1, 2 or 4 bytes, little-endian. */
  signed(bytes: number): number {
    if (bytes === 0) return 0;
    let value = 0;
    for (let at = 0; at < bytes; at += 1) value |= this.byte() << (8 * at);
    const unused = 32 - 8 * bytes;
    return (value << unused) >> unused;
  }
}

function startOf(mode: Mode): Draft {
  return {
    mode, length: 0, map: 0, opcode: 0, lock: 0, repeat: 0, narrow: 0, segment: -1, rex: 0, wide: 0, extension: 0,
    operandBits: 0, addressBits: 0, modrm: -1, mod: 0, reg: 0, rm: 0, base: registerFile.zero,
    index: registerFile.zero, scale: 0, sib: 0, displacement: 0, displacementBytes: 0, immediate: 0, high: 0, second: 0,
  }; // prettier-ignore
}

/** What prefixes say of the bytes that follow. */
interface Prefixes {
  /** The REX prefix, or 0. */
  readonly rex: number;
  readonly otherAddressSize: boolean;
  /** The first byte behind them. */
  readonly next: number;
}

/** Notes a prefix other than REX. Returns false if `byte` is none. */
function notePrefix(draft: Draft, byte: number): boolean {
  const segment = segmentPrefixes.indexOf(byte);
  if (byte === 0xf0) draft.lock = 1;
  else if (byte === 0xf2 || byte === 0xf3) draft.repeat = byte;
  else if (byte === 0x66) draft.narrow = 1;
  else if (segment >= 4 || (segment >= 0 && draft.mode !== 64)) draft.segment = segment;
  else return segment >= 0 || byte === 0x67;
  return true;
}

function readPrefixes(draft: Draft, reader: Reader): Prefixes {
  const isRex = (byte: number): boolean => draft.mode === 64 && (byte & 0xf0) === 0x40;
  let [rex, otherAddressSize, next] = [0, false, reader.byte()];
  while (notePrefix(draft, next) || isRex(next)) {
    otherAddressSize ||= next === 0x67;
    // A REX prefix counts only right before the opcode.
    rex = isRex(next) ? next : 0;
    next = reader.byte();
  }
  return { rex, otherAddressSize, next };
}

/** Reads the prefixes and the opcode. Returns the REX prefix, or 0. */
function readOpcode(draft: Draft, reader: Reader): number {
  const { rex, otherAddressSize, next } = readPrefixes(draft, reader);
  const small = draft.mode === 16 ? 16 : 32;
  draft.rex = rex === 0 ? 0 : 1;
  draft.wide = (rex >> 3) & 1;
  draft.extension = rex & 1;
  draft.operandBits = draft.wide === 1 ? 64 : draft.narrow === 1 ? 48 - small : small;
  if (draft.mode === 64) draft.addressBits = otherAddressSize ? 32 : 64;
  else draft.addressBits = otherAddressSize ? 48 - small : small;
  draft.opcode = next;
  if (next !== 0x0f) return rex;
  draft.map = 1;
  draft.opcode = reader.byte();
  if (draft.opcode === 0x38 || draft.opcode === 0x3a) {
    draft.map = draft.opcode === 0x38 ? 2 : 3;
    draft.opcode = reader.byte();
  }
  return rex;
}

/** The base and index of the 16-bit addressing forms, by r/m. */
const pairs16 = [[3, 6], [3, 7], [5, 6], [5, 7], [6, 16], [7, 16], [5, 16], [3, 16]] as const; // prettier-ignore

function readAddress16(draft: Draft, reader: Reader): void {
  const { mod, modrm } = draft;
  const isAbsolute = mod === 0 && (modrm & 7) === 6;
  const [base, index] = pairs16[(modrm & 7) as 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7];
  if (!isAbsolute) [draft.base, draft.index] = [base, index];
  draft.displacementBytes = isAbsolute || mod === 2 ? 2 : mod;
  draft.displacement = reader.signed(draft.displacementBytes);
}

function readAddress(draft: Draft, reader: Reader, rex: number): void {
  const { mod, modrm, mode } = draft;
  let base = modrm & 7;
  if (base === 4) {
    const sib = reader.byte();
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    draft.sib = 1;
    draft.scale = sib >> 6;
    draft.index = index === 4 ? registerFile.zero : index;
    base = sib & 7;
  }
  const isWithoutBase = mod === 0 && base === 5;
  draft.displacementBytes = isWithoutBase || mod === 2 ? 4 : mod;
  const baseless = draft.sib === 0 && mode === 64 ? registerFile.nextInstruction : registerFile.zero;
  draft.base = isWithoutBase ? baseless : base | ((rex & 1) << 3);
  draft.displacement = reader.signed(draft.displacementBytes);
}

function readModrm(draft: Draft, reader: Reader, rex: number): void {
  const modrm = reader.byte();
  draft.modrm = modrm;
  draft.mod = modrm >> 6;
  draft.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
  draft.rm = (modrm & 7) | ((rex & 1) << 3);
  // MOV to and from control and debug registers ignores mod.
  if (draft.map === 1 && draft.opcode >= 0x20 && draft.opcode < 0x24) draft.mod = 3;
  if (draft.mod === 3) return;
  if (draft.addressBits === 16) readAddress16(draft, reader);
  else readAddress(draft, reader, rex);
}

/** The kind of what follows an opcode (see `maps`), where the mode or ModRM changes it. */
function layoutOf({ map, opcode, mode, narrow, repeat }: Draft): string {
  const layout = layoutAt(map, opcode);
  // EXTRQ and INSERTQ, of SSE4A, have two immediates.
  if (map === 1 && opcode === 0x78 && (repeat === 0xf2 || (repeat === 0 && narrow === 1))) return 'E';
  if (map !== 0 || mode !== 64) return layout;
  const isGone = (opcode < 0x40 && (opcode & 6) === 6) || [0x60, 0x61, 0x9a, 0xce, 0xea].includes(opcode);
  return isGone || opcode === 0x82 || opcode === 0xd4 || opcode === 0xd5 || opcode === 0xd6 ? 'u' : layout;
}

/** VEX, EVEX and XOP prefixes, which stand where LDS, LES, BOUND and POP had encodings without meaning. */
function isVectorPrefix({ map, opcode, mode, modrm }: Draft): boolean {
  if (map !== 0) return false;
  if (opcode === 0x8f) return (modrm & 0x38) !== 0;
  return (opcode === 0x62 || opcode === 0xc4 || opcode === 0xc5) && (mode === 64 || modrm >= 0xc0);
}

/** The bytes of an immediate of the operand size, but at most 32 bits. */
const wholeBytes = ({ operandBits }: Draft): number => (operandBits === 16 ? 2 : 4);

/** How the immediates of each layout are read. */
const immediateReaders: Readonly<Record<string, (draft: Draft, reader: Reader) => void>> = {
  b: (draft, reader) => (draft.immediate = reader.signed(1)),
  w: (draft, reader) => (draft.immediate = reader.signed(2)),
  z: (draft, reader) => (draft.immediate = reader.signed(isShortBranch(draft) ? 2 : wholeBytes(draft))),
  v: (draft, reader) => {
    draft.immediate = reader.signed(wholeBytes(draft));
    draft.high = reader.signed(draft.operandBits === 64 ? 4 : 0);
  },
  o: (draft, reader) => {
    draft.immediate = reader.signed(draft.addressBits === 16 ? 2 : 4);
    draft.high = reader.signed(draft.addressBits === 64 ? 4 : 0);
  },
  e: (draft, reader) => {
    draft.immediate = reader.signed(2);
    draft.second = reader.signed(1);
  },
  E: (draft, reader) => {
    draft.immediate = reader.signed(1);
    draft.second = reader.signed(1);
  },
  f: (draft, reader) => {
    draft.immediate = reader.signed(wholeBytes(draft));
    draft.second = reader.signed(2);
  },
};

function readImmediates(draft: Draft, reader: Reader, layout: string): void {
  const kind = layout === 'M' ? 'b' : layout === 'Z' ? 'z' : layout;
  immediateReaders[kind]?.(draft, reader);
}

/** A near branch has an offset of 16 bits even with REX.W, if there is a prefix 66 (AMD64 APM, volume 3, 1.2.7). */
function isShortBranch({ map, opcode, operandBits }: Draft): boolean {
  const isBranch = map === 0 ? opcode === 0xe8 || opcode === 0xe9 : (opcode & 0xf0) === 0x80;
  return isBranch && operandBits === 16;
}

function parseInto(draft: Draft, reader: Reader): boolean {
  const rex = readOpcode(draft, reader);
  let layout = layoutOf(draft);
  if (layout === 'u') return false;
  if (/[mMZEgG]/.test(layout)) readModrm(draft, reader, rex);
  if (isVectorPrefix(draft)) return false;
  // TEST is the one instruction of its group that has an immediate.
  if (layout === 'g' || layout === 'G')
    layout = (draft.modrm & 0x30) !== 0 ? '-' : layout === 'g' ? 'b' : 'z';
  readImmediates(draft, reader, layout);
  draft.length = reader.position;
  return true;
}

/** Parses the instruction at the start of `bytes`, at most 15 of which are looked at. */
export function parse(bytes: Uint8Array, mode: Mode): Parsed {
  const [draft, reader] = [startOf(mode), new Reader(bytes)];
  try {
    return parseInto(draft, reader) ? { kind: 'parsed', fields: draft } : { kind: 'unknown' };
  } catch (error) {
    if (!(error instanceof EndOfBytes)) throw error;
    return { kind: reader.position >= longest ? 'tooLong' : 'truncated' };
  }
}
