/**
 * Arrangements of vector registers: lane width and lane count (DDI 0487, C1.2.4, A1.4). A scalar is one lane. Bits
 * above the arrangement are ignored when read and zeroed when written.
 */
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { joinLow, lowBits } from '../../vector_expr.js';
import type { Semantics, VectorRef } from '../../semantics.js';

export interface Arrangement {
  /** The text after a register's name, such as `8b`; for a scalar, the letter of the register. */
  readonly name: string;
  readonly lane: LaneBits;
  /** The number of bits in use. */
  readonly bits: 8 | 16 | 32 | 64 | 128;
  readonly scalar: boolean;
  /** The `size` and `Q` fields of the encoding (Q is 1 for scalars). */
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

/** The arrangements with the given names. */
export function named(names: string): Arrangement[] {
  return names.split(' ').map((name) => arrangements[name as ArrangementName]);
}

/** The arrangements of most integer instructions: all except a single doubleword. */
export const integerVectors = named('8b 16b 4h 8h 2s 4s 2d');
/** Arrangements whose lanes can be widened to twice the width. */
export const narrowVectors = named('8b 16b 4h 8h 2s 4s');
export const byteVectors = named('8b 16b');
/** The arrangements of floating-point instructions. */
export const floatVectors = named('2s 4s 2d');
export const scalars = named('b h s d');
export const floatScalars = named('s d');

/** The number of lanes in use. */
export function laneCount({ bits, lane }: Arrangement): number {
  return bits / lane;
}

/** The arrangement with lanes twice as wide: all 128 bits, or a scalar twice as wide. */
export function widened({ lane, scalar: isScalar }: Arrangement): Arrangement {
  const names = { 8: ['8h', 'h'], 16: ['4s', 's'], 32: ['2d', 'd'], 64: ['', ''] } as const;
  return arrangements[names[lane][isScalar ? 1 : 0] as ArrangementName];
}

/** All 128 bits, with the same lane width. */
export function whole({ lane }: Arrangement): Arrangement {
  return arrangements[({ 8: '16b', 16: '8h', 32: '4s', 64: '2d' } as const)[lane]];
}

/**
 * The leading bits of a data-processing encoding down to bit 24, including the bit `U`. They differ for vectors and
 * scalars.
 */
export function leadingBits({ scalar: isScalar, q }: Arrangement, U: string | number): string {
  return isScalar ? `01 ${U} 11110` : `0 ${q} ${U} 01110`;
}

/** The encoding name of an operation in an arrangement. */
export function encodingName(mnemonic: string, { name }: Arrangement, form: string): string {
  return `${mnemonic.toUpperCase()}_${name.toUpperCase()}_${form}`;
}

/** Reads the bits in use, zero-extended. */
export function readActive(m: Semantics, arrangement: Arrangement, register: VectorRef): VectorExpr {
  return lowBits(arrangement.bits, m.readVector(register));
}

/** Writes the bits in use and zeroes the rest. */
export function writeActive(
  m: Semantics,
  arrangement: Arrangement,
  register: VectorRef,
  value: VectorExpr,
): void {
  m.writeVector(register, lowBits(arrangement.bits, value));
}

/**
 * Writes 64 bits to one half of a register. The second form of an instruction (`shrn2`) writes the high half and keeps
 * the low half.
 */
export function writeHalf(m: Semantics, high: boolean, register: VectorRef, value: VectorExpr): void {
  if (!high) {
    m.writeVector(register, lowBits(64, value));
    return;
  }
  m.writeVector(register, joinLow(m.readVector(register), value));
}
