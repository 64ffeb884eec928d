/**
 * How an instruction sees vector registers: lanes of what width, and how many (DDI 0487, C1.2.4, A1.4). The scalar forms
 * are one lane; what lies above the bits that an instruction means is ignored on reading and becomes 0 on writing.
 */
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { joinLow, lowBits } from '../../vector_expr.js';
import type { Semantics, VectorRef } from '../../semantics.js';

export interface Arrangement {
  /** As the text has it: `8b` behind a register's name, or the letter of a scalar register. */
  readonly name: string;
  readonly lane: LaneBits;
  /** How many bits are meant. */
  readonly bits: 8 | 16 | 32 | 64 | 128;
  readonly scalar: boolean;
  /** The encoding's `size`, and its `Q` (1 for scalars). */
  readonly size: string;
  readonly q: '0' | '1';
}

export type VectorName = '8b' | '16b' | '4h' | '8h' | '2s' | '4s' | '1d' | '2d';
export type ScalarName = 'b' | 'h' | 's' | 'd';
export type ArrangementName = VectorName | ScalarName;

const sizes = { 8: '00', 16: '01', 32: '10', 64: '11' } as const;

function vector(name: VectorName, lane: LaneBits, bits: 64 | 128): Arrangement {
  return { name, lane, bits, scalar: false, size: sizes[lane], q: bits === 128 ? '1' : '0' };
}

function scalar(name: ScalarName, lane: LaneBits): Arrangement {
  return { name, lane, bits: lane, scalar: true, size: sizes[lane], q: '1' };
}

export const arrangements: Readonly<Record<ArrangementName, Arrangement>> = {
  '8b': vector('8b', 8, 64),
  '16b': vector('16b', 8, 128),
  '4h': vector('4h', 16, 64),
  '8h': vector('8h', 16, 128),
  '2s': vector('2s', 32, 64),
  '4s': vector('4s', 32, 128),
  '1d': vector('1d', 64, 64),
  '2d': vector('2d', 64, 128),
  b: scalar('b', 8),
  h: scalar('h', 16),
  s: scalar('s', 32),
  d: scalar('d', 64),
};

/** The arrangements of a list of names. */
export function named(names: string): Arrangement[] {
  return names.split(' ').map((name) => arrangements[name as ArrangementName]);
}

/** What most integer instructions have: all but a single doubleword. */
export const integerVectors = named('8b 16b 4h 8h 2s 4s 2d');
/** Those whose lanes are halves of others'. */
export const narrowVectors = named('8b 16b 4h 8h 2s 4s');
export const byteVectors = named('8b 16b');
/** Those that floating-point instructions have. */
export const floatVectors = named('2s 4s 2d');
export const scalars = named('b h s d');
export const floatScalars = named('s d');

/** How many lanes are meant. */
export function laneCount({ bits, lane }: Arrangement): number {
  return bits / lane;
}

/** The arrangement with lanes twice as wide: of all 128 bits, or of a scalar twice as wide. */
export function widened({ lane, scalar: isScalar }: Arrangement): Arrangement {
  const names = { 8: ['8h', 'h'], 16: ['4s', 's'], 32: ['2d', 'd'], 64: ['', ''] } as const;
  return arrangements[names[lane][isScalar ? 1 : 0] as ArrangementName];
}

/** The same lanes in all 128 bits. */
export function whole({ lane }: Arrangement): Arrangement {
  return arrangements[({ 8: '16b', 16: '8h', 32: '4s', 64: '2d' } as const)[lane]];
}

/** The first bits of data-processing encodings, up to bit 24: with the bit `U`, vectors and scalars apart. */
export function leadingBits({ scalar: isScalar, q }: Arrangement, U: string | number): string {
  return isScalar ? `01 ${U} 11110` : `0 ${q} ${U} 01110`;
}

/** A name for the encoding of an operation in one arrangement. */
export function encodingName(mnemonic: string, { name }: Arrangement, form: string): string {
  return `${mnemonic.toUpperCase()}_${name.toUpperCase()}_${form}`;
}

/** The bits that are meant, zeroes above. */
export function readActive(m: Semantics, arrangement: Arrangement, register: VectorRef): VectorExpr {
  return lowBits(arrangement.bits, m.readVector(register));
}

/** Writes the bits that are meant, and zeroes above. */
export function writeActive(
  m: Semantics,
  arrangement: Arrangement,
  register: VectorRef,
  value: VectorExpr,
): void {
  m.writeVector(register, lowBits(arrangement.bits, value));
}

/** Writes 64 bits into the half that the instruction's second form (`shrn2`) means: the high one keeps the low. */
export function writeHalf(m: Semantics, high: boolean, register: VectorRef, value: VectorExpr): void {
  if (!high) {
    m.writeVector(register, lowBits(64, value));
    return;
  }
  m.writeVector(register, joinLow(m.readVector(register), value));
}
