/** The cryptographic extension (DDI 0487, C4.1.96): AES, SHA-1 and SHA-256. The long polynomial product is in simd/. */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { Expr } from '../micro_ops.js';
import type { Semantics, VectorRef } from '../semantics.js';
import type { VectorExpr } from '../vector_micro_ops.js';
import {
  binary,
  fromLow,
  laneConstant,
  laneOf,
  replaceLane,
  shiftLanesBy,
  shuffleBytes,
  shuffleLanes,
  swizzle,
  vand,
  vectorConstant,
  vor,
  vxor,
  zeroVector,
} from '../vector_expr.js';
import { arrangements } from './simd/arrangements.js';
import { scalarRegister, vector } from './simd/operands.js';

// AES (FIPS 197). The state is stored column by column, four bytes each.

/** A polynomial times x, modulo x^8 + x^4 + x^3 + x + 1. */
function twice(value: number): number {
  return ((value << 1) ^ (value >= 128 ? 0x11b : 0)) & 0xff;
}

/** Computes the S-box: inverses, found as powers of the generator x + 1, followed by an affine map. */
function makeSubstitution(): number[] {
  const powers: number[] = [1];
  for (let exponent = 1; exponent < 255; exponent += 1) {
    const before = powers[exponent - 1] ?? 0;
    powers.push(before ^ twice(before));
  }
  return Array.from({ length: 256 }, (_, value) => {
    const inverse = value === 0 ? 0 : (powers[(255 - powers.indexOf(value)) % 255] ?? 0);
    let mapped = 0x63;
    for (let turn = 0; turn < 5; turn += 1) mapped ^= (inverse << turn) | (inverse >> (8 - turn));
    return mapped & 0xff;
  });
}

const substitution = makeSubstitution();
const inverseSubstitution = Array.from({ length: 256 }, (_, value) => substitution.indexOf(value));

/**
 * Looks up each byte in a table of 256 bytes. Each of the sixteen rows is swizzled by the index minus the start of the
 * row; at most one row gives a byte other than 0.
 */
function lookUp(m: Semantics, table: readonly number[], indexes: VectorExpr): VectorExpr {
  const once = m.letVector(indexes);
  let found = zeroVector;
  for (let row = 0; row < 256; row += 16) {
    const bytes = table.slice(row, row + 16).reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
    const picked = swizzle(vectorConstant(bytes), binary('sub', 8, once, laneConstant(8, row)));
    found = row === 0 ? picked : vor(found, picked);
  }
  return found;
}

/** ShiftRows: rotates each row by its number of columns, forwards (1) or backwards (-1). */
function shiftRows(direction: 1 | -1, a: VectorExpr): VectorExpr {
  const order = Array.from({ length: 16 }, (_, at) => (at + 4 * (at % 4) * direction + 64) % 16);
  return shuffleBytes(order, a, a);
}

/** Rotates each column by `by` rows. */
function rotateColumns(by: number, a: VectorExpr): VectorExpr {
  const order = Array.from({ length: 16 }, (_, at) => (at & ~3) + ((at + by) % 4));
  return shuffleBytes(order, a, a);
}

function twiceEach(a: VectorExpr): VectorExpr {
  const reduction = vand(shiftLanesBy('shrSigned', 8, a, 7), laneConstant(8, 0x1b));
  return vxor(shiftLanesBy('shl', 8, a, 1), reduction);
}

function mixColumns(m: Semantics, value: VectorExpr): VectorExpr {
  const a = m.letVector(value);
  const doubled = m.letVector(twiceEach(a));
  const tripledNext = rotateColumns(1, vxor(doubled, a));
  return vxor(vxor(doubled, tripledNext), vxor(rotateColumns(2, a), rotateColumns(3, a)));
}

function inverseMixColumns(m: Semantics, value: VectorExpr): VectorExpr {
  const a = m.letVector(value);
  const difference = m.letVector(twiceEach(m.letVector(vxor(a, rotateColumns(2, a)))));
  return mixColumns(m, vxor(a, twiceEach(difference)));
}

const bytes = arrangements['16b'];

const aesRounds = [
  { mnemonic: 'aese', opcode: '00100', table: substitution, direction: 1 },
  { mnemonic: 'aesd', opcode: '00101', table: inverseSubstitution, direction: -1 },
] as const;

const aesMixes = [
  { mnemonic: 'aesmc', opcode: '00110', mix: mixColumns },
  { mnemonic: 'aesimc', opcode: '00111', mix: inverseMixColumns },
] as const;

function aesShape(mnemonic: string, opcode: string): Pick<AesDefinition, 'name' | 'pattern' | 'text'> {
  return {
    name: `${mnemonic.toUpperCase()}_cryptoaes`,
    pattern: `0100 1110 00 10100 ${opcode} 10 Rn:5 Rd:5`,
    text: `${mnemonic} {d}, {n}`,
  };
}

interface AesDefinition {
  readonly name: string;
  readonly pattern: string;
  readonly text: string;
}

const aes: readonly A64Instruction[] = [
  ...aesRounds.map(({ mnemonic, opcode, table, direction }) =>
    instruction({
      ...aesShape(mnemonic, opcode),
      feature: 'FEAT_AES',
      cold: true,
      operands: { d: vector('Rd', bytes), n: vector('Rn', bytes) },
      semantics: (m, o) => {
        const mixed = vxor(m.readVector(o.d), m.readVector(o.n));
        m.writeVector(o.d, lookUp(m, table, shiftRows(direction, m.letVector(mixed))));
      },
    }),
  ),
  ...aesMixes.map(({ mnemonic, opcode, mix }) =>
    instruction({
      ...aesShape(mnemonic, opcode),
      feature: 'FEAT_AES',
      cold: true,
      operands: { d: vector('Rd', bytes), n: vector('Rn', bytes) },
      semantics: (m, o) => {
        m.writeVector(o.d, mix(m, m.readVector(o.n)));
      },
    }),
  ),
];

// SHA-1 and SHA-256 (FIPS 180-4), computed with 32-bit scalar values.

type Words = readonly [Expr, Expr, Expr, Expr];

function wordsOf(m: Semantics, value: VectorExpr): Words {
  const once = m.letVector(value);
  const word = (index: number): Expr => m.let(laneOf(32, once, index));
  return [word(0), word(1), word(2), word(3)];
}

function fromWords(words: readonly Expr[]): VectorExpr {
  return words.reduce((vectorSoFar, word, index) => replaceLane(32, vectorSoFar, index, word), zeroVector);
}

function rotateLeft(m: Semantics, value: Expr, by: number): Expr {
  return m.shiftBy('rotr', value, 32 - by);
}

type Choice = (m: Semantics, x: Expr, y: Expr, z: Expr) => Expr;
const choose: Choice = (m, x, y, z) => m.xor(m.and(m.xor(y, z), x), z);
const parity: Choice = (m, x, y, z) => m.xor(m.xor(x, y), z);
const majority: Choice = (m, x, y, z) => m.or(m.and(x, y), m.and(m.or(x, y), z));

/** Four rounds of SHA-1. */
function sha1Rounds(
  m: Semantics,
  choice: Choice,
  state: VectorExpr,
  fifth: Expr,
  schedule: VectorExpr,
): VectorExpr {
  let [a, b, c, d] = wordsOf(m, state);
  let e = m.let(fifth);
  for (const word of wordsOf(m, schedule)) {
    const sum = m.add(m.add(e, rotateLeft(m, a, 5)), m.add(choice(m, b, c, d), word));
    [e, d, c, b, a] = [d, c, m.let(rotateLeft(m, b, 30)), a, m.let(sum)];
  }
  return fromWords([a, b, c, d]);
}

/** The xor of a word rotated right by two amounts, and rotated or shifted by a third. */
function mixTurns(m: Semantics, value: Expr, turns: readonly [number, number, number], shift: boolean): Expr {
  const [first, second, third] = turns.map((by, index) =>
    m.shiftBy(shift && index === 2 ? 'shrUnsigned' : 'rotr', value, by),
  ) as [Expr, Expr, Expr];
  return m.xor(m.xor(first, second), third);
}

/** Four rounds of SHA-256. Returns both halves of the new state. */
function sha256Rounds(
  m: Semantics,
  low: VectorExpr,
  high: VectorExpr,
  schedule: VectorExpr,
): { readonly low: VectorExpr; readonly high: VectorExpr } {
  let [a, b, c, d] = wordsOf(m, low);
  let [e, f, g, h] = wordsOf(m, high);
  for (const word of wordsOf(m, schedule)) {
    const first = m.let(m.add(m.add(h, mixTurns(m, e, [6, 11, 25], false)), m.add(choose(m, e, f, g), word)));
    const second = m.add(mixTurns(m, a, [2, 13, 22], false), majority(m, a, b, c));
    const [newA, newE] = [m.let(m.add(first, second)), m.let(m.add(d, first))];
    [h, g, f, e, d, c, b, a] = [g, f, e, newE, c, b, a, newA];
  }
  return { low: fromWords([a, b, c, d]), high: fromWords([e, f, g, h]) };
}

const words = arrangements['4s'];

interface ThreeRegisters {
  readonly d: VectorRef;
  readonly n: VectorRef;
  readonly m: VectorRef;
}

/** Words 1 to 3 of the first vector, then word 0 of the second. */
function nextWords(first: VectorExpr, second: VectorExpr): VectorExpr {
  return shuffleLanes(32, [1, 2, 3, 4], first, second);
}

function sha1ScheduleStart(m: Semantics, o: ThreeRegisters): void {
  const middle = shuffleLanes(64, [1, 2], m.readVector(o.d), m.readVector(o.n));
  m.writeVector(o.d, vxor(vxor(middle, m.readVector(o.d)), m.readVector(o.m)));
}

function sha256ScheduleEnd(m: Semantics, o: ThreeRegisters): void {
  const old = wordsOf(m, m.readVector(o.d));
  const other = m.readVector(o.m);
  const next = wordsOf(m, nextWords(m.readVector(o.n), other));
  const made: Expr[] = [m.let(laneOf(32, other, 2)), m.let(laneOf(32, other, 3))];
  for (const index of [0, 1, 2, 3] as const) {
    const mixed = mixTurns(m, made[index] ?? old[0], [17, 19, 10], true);
    made.push(m.let(m.add(m.add(mixed, old[index]), next[index])));
  }
  m.writeVector(o.d, fromWords(made.slice(2)));
}

const roundsOf =
  (choice: Choice) =>
  (m: Semantics, o: ThreeRegisters): void => {
    const fifth = m.readElement(o.n, 32, 0);
    m.writeVector(o.d, sha1Rounds(m, choice, m.readVector(o.d), fifth, m.readVector(o.m)));
  };

const threeRegisters: readonly {
  readonly mnemonic: string;
  readonly opcode: string;
  readonly feature: string;
  /** The letters of the destination and of the first source; null where both are words. */
  readonly letters: readonly [string, string] | null;
  readonly effect: (m: Semantics, o: ThreeRegisters) => void;
}[] = [
  { mnemonic: 'sha1c', opcode: '000', feature: 'FEAT_SHA1', letters: ['q', 's'], effect: roundsOf(choose) },
  { mnemonic: 'sha1p', opcode: '001', feature: 'FEAT_SHA1', letters: ['q', 's'], effect: roundsOf(parity) },
  { mnemonic: 'sha1m', opcode: '010', feature: 'FEAT_SHA1', letters: ['q', 's'], effect: roundsOf(majority) },
  { mnemonic: 'sha1su0', opcode: '011', feature: 'FEAT_SHA1', letters: null, effect: sha1ScheduleStart },
  {
    mnemonic: 'sha256h',
    opcode: '100',
    feature: 'FEAT_SHA256',
    letters: ['q', 'q'],
    effect: (m, o) => {
      m.writeVector(o.d, sha256Rounds(m, m.readVector(o.d), m.readVector(o.n), m.readVector(o.m)).low);
    },
  },
  {
    mnemonic: 'sha256h2',
    opcode: '101',
    feature: 'FEAT_SHA256',
    letters: ['q', 'q'],
    effect: (m, o) => {
      m.writeVector(o.d, sha256Rounds(m, m.readVector(o.n), m.readVector(o.d), m.readVector(o.m)).high);
    },
  },
  { mnemonic: 'sha256su1', opcode: '110', feature: 'FEAT_SHA256', letters: null, effect: sha256ScheduleEnd },
];

const shaThree = threeRegisters.map(({ mnemonic, opcode, feature, letters, effect }) =>
  instruction({
    name: `${mnemonic.toUpperCase()}_cryptosha3`,
    pattern: `0101 1110 00 0 Rm:5 0 ${opcode} 00 Rn:5 Rd:5`,
    feature,
    cold: true,
    operands: {
      d: letters === null ? vector('Rd', words) : scalarRegister('Rd', letters[0]),
      n: letters === null ? vector('Rn', words) : scalarRegister('Rn', letters[1]),
      m: vector('Rm', words),
    },
    text: `${mnemonic} {d}, {n}, {m}`,
    semantics: (m, o) => {
      effect(m, o);
    },
  }),
);

const twoRegisters: readonly {
  readonly mnemonic: string;
  readonly opcode: string;
  readonly feature: string;
  readonly scalar: boolean;
  readonly result: (m: Semantics, d: VectorRef, n: VectorRef) => VectorExpr;
}[] = [
  {
    mnemonic: 'sha1h',
    opcode: '00000',
    feature: 'FEAT_SHA1',
    scalar: true,
    result: (m, _, n) => fromLow(rotateLeft(m, m.readElement(n, 32, 0), 30)),
  },
  {
    mnemonic: 'sha1su1',
    opcode: '00001',
    feature: 'FEAT_SHA1',
    scalar: false,
    result: (m, d, n) => {
      const moved = shuffleLanes(32, [1, 2, 3, 4], m.readVector(n), zeroVector);
      const turned = wordsOf(m, vxor(m.readVector(d), moved)).map((word) => m.let(rotateLeft(m, word, 1)));
      const [first = laneOf(32, moved, 0), , , last = first] = turned;
      return fromWords([...turned.slice(0, 3), m.xor(last, rotateLeft(m, first, 1))]);
    },
  },
  {
    mnemonic: 'sha256su0',
    opcode: '00010',
    feature: 'FEAT_SHA256',
    scalar: false,
    result: (m, d, n) => {
      const old = m.letVector(m.readVector(d));
      const mixed = wordsOf(m, nextWords(old, m.readVector(n))).map((word) =>
        mixTurns(m, word, [7, 18, 3], true),
      );
      return binary('add', 32, fromWords(mixed), old);
    },
  },
];

const shaTwo = twoRegisters.map(({ mnemonic, opcode, feature, scalar, result }) =>
  instruction({
    name: `${mnemonic.toUpperCase()}_cryptosha2`,
    pattern: `0101 1110 00 10100 ${opcode} 10 Rn:5 Rd:5`,
    feature,
    cold: true,
    operands: {
      d: scalar ? scalarRegister('Rd', 's') : vector('Rd', words),
      n: scalar ? scalarRegister('Rn', 's') : vector('Rn', words),
    },
    text: `${mnemonic} {d}, {n}`,
    semantics: (m, o) => {
      m.writeVector(o.d, result(m, o.d, o.n));
    },
  }),
);

export const cryptography = (): readonly A64Instruction[] => [...aes, ...shaThree, ...shaTwo];
