/**
 * Structure loads and stores (DDI 0487, C4.1.94): LD1 to LD4 and ST1 to ST4, with whole registers, one lane, or
 * replication.
 */
import { instruction } from '../encoding.js';
import type { ImmediateOperand, Operand, RegisterOperand } from '../../instruction.js';
import type { A64Instruction } from '../encoding.js';
import type { Expr } from '../../micro_ops.js';
import type { FieldValues } from '../../instruction.js';
import type { Semantics, VectorRef } from '../../semantics.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { fromLow, laneOf, lowBits, shuffleBytes, splat } from '../../vector_expr.js';
import { readBase } from '../addressing.js';
import { orStackPointer, source } from '../operands.js';
import { named } from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { laneIndex, listMembers, memberReferences, registerList } from './operands.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

const directions = [
  { stem: 'st', load: '0' },
  { stem: 'ld', load: '1' },
] as const;
type Direction = (typeof directions)[number];

/** Writeback forms: none, by a register, or by the number of bytes transferred. */
const baseForms = [
  { form: '', post: '0', Rm: '00000', text: '' },
  { form: '_post_reg', post: '1', Rm: 'Rm:5', text: ', {m}' },
  { form: '_post_imm', post: '1', Rm: '11111', text: '' },
] as const;
type BaseForm = (typeof baseForms)[number];

interface Shape {
  readonly name: string;
  /** The encoding before the base register's fields, without the parts that `BaseForm` gives. */
  pattern(post: string, Rm: string): string;
  /** The mnemonic and the list with its lane. */
  readonly text: string;
  readonly operands: Readonly<Record<string, Operand>>;
  /** Number of bytes transferred. */
  readonly bytes: number;
  /** Does the accesses. Returns the work to do once no access has faulted. */
  move(m: Semantics, base: Expr, lane: Expr & { readonly op: 'immediate' }): () => void;
}

function structure(shape: Shape, { form, post, Rm, text }: BaseForm): A64Instruction {
  const step = form === '_post_imm' ? `, #${shape.bytes}` : text;
  const operands = {
    n: orStackPointer('Rn', 64),
    m: source('Rm', 64) satisfies RegisterOperand,
    ...shape.operands,
  };
  return instruction({
    ...shared,
    name: `${shape.name}${form}`,
    pattern: shape.pattern(post, Rm),
    ...(form === '_post_reg' && { allocated: ({ Rm: number = 0 }: FieldValues) => number !== 31 }),
    operands,
    text: `${shape.text}, [{n}]${step}`,
    semantics: (m, o) => {
      const base = m.let(readBase(m, o.n));
      const finish = shape.move(m, base, { op: 'immediate', width: 32, operand: 'lane' });
      if (form === '_post_reg') m.write(o.n, m.add(base, m.read(o.m)));
      if (form === '_post_imm') m.write(o.n, m.add(base, m.constant(64, shape.bytes)));
      finish();
    },
  });
}

/** The index of a byte in several concatenated vectors. */
type ByteNumber = number;

/** Collects sixteen bytes from up to four vectors. */
function gather(bytes: readonly ByteNumber[], vectors: readonly VectorExpr[]): VectorExpr {
  const [a, b = a, c, d = c] = vectors as [VectorExpr, ...VectorExpr[]];
  const low = shuffleBytes(bytes.map((byte) => byte % 32), a, b); // prettier-ignore
  if (c === undefined || d === undefined || bytes.every((byte) => byte < 32)) return low;
  const high = shuffleBytes(bytes.map((byte) => byte % 32), c, d); // prettier-ignore
  return shuffleBytes(bytes.map((byte, at) => (byte < 32 ? at : at + 16)), low, high); // prettier-ignore
}

/** For each byte of register `register` of a structure, its position in memory. */
function bytesInMemory({ lane }: Arrangement, elements: number, register: number): ByteNumber[] {
  const size = lane / 8;
  return Array.from({ length: 16 }, (_, byte) => {
    const element = Math.floor(byte / size) * elements + register;
    return element * size + (byte % size);
  });
}

/**
 * For each byte of the `chunk`-th 16 bytes in memory, its position in the registers. Each register has `size` bytes.
 */
function bytesInRegisters({ lane }: Arrangement, elements: number, chunk: number): ByteNumber[] {
  const size = lane / 8;
  return Array.from({ length: 16 }, (_, at) => {
    const byte = chunk * 16 + at;
    const element = Math.floor(byte / size);
    return (element % elements) * 16 + Math.floor(element / elements) * size + (byte % size);
  });
}

/** Divides `bytes` bytes into accesses of 16 bytes; the last one may have 8. */
function pieces(bytes: number): { readonly at: number; readonly bytes: 8 | 16 }[] {
  const found: { at: number; bytes: 8 | 16 }[] = [];
  for (let at = 0; at < bytes; at += 16) found.push({ at, bytes: bytes - at < 16 ? 8 : 16 });
  return found;
}

function at(m: Semantics, base: Expr, offset: number): Expr {
  return offset === 0 ? base : m.add(base, m.constant(64, offset));
}

function loadPiece(m: Semantics, base: Expr, offset: number, bytes: 8 | 16): VectorExpr {
  const address = at(m, base, offset);
  return bytes === 16 ? m.loadVector(address) : m.letVector(fromLow(m.load(8, address)));
}

function storePiece(m: Semantics, base: Expr, offset: number, bytes: 8 | 16, value: VectorExpr): void {
  if (bytes === 16) m.storeVector(at(m, base, offset), value);
  else m.store(8, at(m, base, offset), laneOf(64, value, 0));
}

/** The number of bytes in use per register. */
function registerBytes({ bits }: Arrangement): 8 | 16 {
  return bits === 128 ? 16 : 8;
}

/** Transfers consecutive registers (LD1, ST1). */
function moveInRow(
  m: Semantics,
  { load }: Direction,
  arrangement: Arrangement,
  registers: readonly VectorRef[],
  base: Expr,
): () => void {
  const bytes = registerBytes(arrangement);
  if (load === '0') {
    for (const [index, t] of registers.entries()) {
      storePiece(m, base, index * bytes, bytes, m.readVector(t));
    }
    return () => undefined;
  }
  const values = registers.map((_, index) => loadPiece(m, base, index * bytes, bytes));
  return () => {
    for (const [index, t] of registers.entries()) m.writeVector(t, values[index] ?? fromLow(base));
  };
}

/** Transfers interleaved structures; each register holds one member of all structures. */
function moveInterleaved(
  m: Semantics,
  { load }: Direction,
  arrangement: Arrangement,
  registers: readonly VectorRef[],
  base: Expr,
): () => void {
  const count = registers.length;
  const size = registerBytes(arrangement);
  const chunks = pieces(size * count);
  if (load === '0') {
    const values = registers.map((t) => m.letVector(m.readVector(t)));
    for (const [chunk, { at: offset, bytes }] of chunks.entries()) {
      storePiece(m, base, offset, bytes, gather(bytesInRegisters(arrangement, count, chunk), values));
    }
    return () => undefined;
  }
  const memory = chunks.map(({ at: offset, bytes }) => loadPiece(m, base, offset, bytes));
  return () => {
    for (const [index, t] of registers.entries()) {
      const value = gather(bytesInMemory(arrangement, count, index), memory);
      m.writeVector(t, lowBits(arrangement.bits, value));
    }
  };
}

/** LD1 to LD4 with whole registers: `elements` members per structure, in `count` registers. */
const multiples = [
  { opcode: '0000', elements: 4, count: 4 },
  { opcode: '0010', elements: 1, count: 4 },
  { opcode: '0100', elements: 3, count: 3 },
  { opcode: '0110', elements: 1, count: 3 },
  { opcode: '0111', elements: 1, count: 1 },
  { opcode: '1000', elements: 2, count: 2 },
  { opcode: '1010', elements: 1, count: 2 },
] as const;

const listed = named('8b 16b 4h 8h 2s 4s 1d 2d');

function multiple(
  { opcode, elements, count }: (typeof multiples)[number],
  arrangement: Arrangement,
  direction: Direction,
): Shape {
  const { name, q, size } = arrangement;
  const move = elements === 1 ? moveInRow : moveInterleaved;
  return {
    name: `${direction.stem.toUpperCase()}${elements}_${name.toUpperCase()}_${count}v`,
    pattern: (post, Rm) => `0 ${q} 001100 ${post} ${direction.load} 0 ${Rm} ${opcode} ${size} Rn:5 Rt:5`,
    text: `${direction.stem}${elements} {list}`,
    operands: { list: registerList('Rt', count, name), ...listMembers('Rt', count) },
    bytes: registerBytes(arrangement) * count,
    move: (m, base) => move(m, direction, arrangement, memberReferences(count), base),
  };
}

/** Lanes by size letter: the bits of the encoding, and the position of the lane index. */
interface LaneForm {
  readonly letter: string;
  readonly lane: 8 | 16 | 32 | 64;
  /** The upper two bits of `opcode`. */
  readonly opcode: string;
  readonly S: string;
  readonly size: string;
  readonly q: string;
  readonly index: ImmediateOperand;
}

const q1 = { field: 'Q', bits: 1 };
const s1 = { field: 'S', bits: 1 };
const laneForms: readonly LaneForm[] = [
  { letter: 'b', lane: 8, opcode: '00', q: 'Q:1', S: 'S:1', size: 'size:2', index: laneIndex(q1, s1, { field: 'size', bits: 2 }) },
  { letter: 'h', lane: 16, opcode: '01', q: 'Q:1', S: 'S:1', size: 'size:1 0', index: laneIndex(q1, s1, { field: 'size', bits: 1 }) },
  { letter: 's', lane: 32, opcode: '10', q: 'Q:1', S: 'S:1', size: '00', index: laneIndex(q1, s1) },
  { letter: 'd', lane: 64, opcode: '10', q: 'Q:1', S: '0', size: '01', index: laneIndex(q1) },
]; // prettier-ignore

/** The lowest bit of `opcode`, and `R`, by number of registers. */
const selectors = [
  { count: 1, low: '0', R: '0' },
  { count: 2, low: '0', R: '1' },
  { count: 3, low: '1', R: '0' },
  { count: 4, low: '1', R: '1' },
] as const;
type Selector = (typeof selectors)[number];

/** Transfers one lane of each register. */
function single(form: LaneForm, { count, low, R }: Selector, { stem, load }: Direction): Shape {
  const { letter, lane, opcode, S, size, q, index } = form;
  const bytes = (lane / 8) as 1 | 2 | 4 | 8;
  return {
    name: `${stem.toUpperCase()}${count}_${letter.toUpperCase()}_lane`,
    pattern: (post, Rm) => `0 ${q} 001101 ${post} ${load} ${R} ${Rm} ${opcode}${low} ${S} ${size} Rn:5 Rt:5`,
    text: `${stem}${count} {list}{lane}`,
    operands: { list: registerList('Rt', count, letter), lane: index, ...listMembers('Rt', count) },
    bytes: bytes * count,
    move: (m, base, laneNumber) => {
      const registers = memberReferences(count);
      const address = (member: number): Expr => at(m, base, member * bytes);
      if (load === '0') {
        for (const [member, t] of registers.entries()) {
          m.store(bytes, address(member), m.readElement(t, lane, laneNumber));
        }
        return () => undefined;
      }
      const values = registers.map((_, member) => m.load(bytes, address(member)));
      return () => {
        for (const [member, t] of registers.entries()) {
          m.writeElement(t, lane, laneNumber, values[member] ?? base);
        }
      };
    },
  };
}

/** Loads one member and replicates it to all lanes of its register. */
function replicate(arrangement: Arrangement, { count, low, R }: Selector): Shape {
  const { name, q, size, lane, bits } = arrangement;
  const bytes = (lane / 8) as 1 | 2 | 4 | 8;
  return {
    name: `LD${count}R_${name.toUpperCase()}`,
    pattern: (post, Rm) => `0 ${q} 001101 ${post} 1 ${R} ${Rm} 11${low} 0 ${size} Rn:5 Rt:5`,
    text: `ld${count}r {list}`,
    operands: { list: registerList('Rt', count, name), ...listMembers('Rt', count) },
    bytes: bytes * count,
    move: (m, base) => {
      const registers = memberReferences(count);
      const values = registers.map((_, member) => m.load(bytes, at(m, base, member * bytes)));
      return () => {
        for (const [member, t] of registers.entries()) {
          const value = values[member] ?? base;
          m.writeVector(t, lowBits(bits, splat(lane, m.resize(lane === 64 ? 64 : 32, value))));
        }
      };
    },
  };
}

const shapes: readonly Shape[] = [
  ...multiples.flatMap((kind) =>
    listed
      .filter(({ name }) => name !== '1d' || kind.elements === 1)
      .flatMap((arrangement) => directions.map((direction) => multiple(kind, arrangement, direction))),
  ),
  ...laneForms.flatMap((form) =>
    selectors.flatMap((selector) => directions.map((direction) => single(form, selector, direction))),
  ),
  ...listed.flatMap((arrangement) => selectors.map((selector) => replicate(arrangement, selector))),
];

export const structures = (): readonly A64Instruction[] =>
  shapes.flatMap((shape) => baseForms.map((form) => structure(shape, form)));
