/**
 * Compiles micro-operations on 128-bit values to WebAssembly vector instructions (core specification 2.0, section
 * 5.4.9).
 */
import { invariant, present } from '../base/index.js';
import type {
  Expr,
  LaneBits,
  LaneExpr,
  VectorBinaryKind,
  VectorExpr,
  VectorStatement,
  VectorUnaryKind,
} from '../isa/index.js';
import type { Environment } from './emit.js';
import { cpuOffsets } from './layout.js';
import { extendUnsigned, i32, i64, load32, loads64, opcodes, store32, stores64, v128 } from './wasm/code.js';

/**
 * Pushes the value of a scalar expression (emit.ts, emitExpr). A parameter, because scalars and vectors contain each
 * other.
 */
export type EmitScalar = (e: Environment, expr: Expr) => void;

/** Opcodes by lane width. Widths without an opcode are composed of other operations before they get here. */
type ByLane = Partial<Readonly<Record<LaneBits, number>>>;

const unaryCodes: Readonly<Record<VectorUnaryKind, ByLane>> = {
  abs: { 8: 0x60, 16: 0x80, 32: 0xa0, 64: 0xc0 },
  negate: { 8: 0x61, 16: 0x81, 32: 0xa1, 64: 0xc1 },
  popcount: { 8: 0x62 },
  extendLowSigned: { 16: 0x87, 32: 0xa7, 64: 0xc7 },
  extendHighSigned: { 16: 0x88, 32: 0xa8, 64: 0xc8 },
  extendLowUnsigned: { 16: 0x89, 32: 0xa9, 64: 0xc9 },
  extendHighUnsigned: { 16: 0x8a, 32: 0xaa, 64: 0xca },
  addPairsSigned: { 16: 0x7c, 32: 0x7e },
  addPairsUnsigned: { 16: 0x7d, 32: 0x7f },
};

const binaryCodes: Readonly<Record<VectorBinaryKind, ByLane>> = {
  add: { 8: 0x6e, 16: 0x8e, 32: 0xae, 64: 0xce },
  sub: { 8: 0x71, 16: 0x91, 32: 0xb1, 64: 0xd1 },
  mul: { 16: 0x95, 32: 0xb5, 64: 0xd5 },
  eq: { 8: 0x23, 16: 0x2d, 32: 0x37, 64: 0xd6 },
  gtSigned: { 8: 0x27, 16: 0x31, 32: 0x3b, 64: 0xd9 },
  geSigned: { 8: 0x2b, 16: 0x35, 32: 0x3f, 64: 0xdb },
  gtUnsigned: { 8: 0x28, 16: 0x32, 32: 0x3c },
  geUnsigned: { 8: 0x2c, 16: 0x36, 32: 0x40 },
  minSigned: { 8: 0x76, 16: 0x96, 32: 0xb6 },
  minUnsigned: { 8: 0x77, 16: 0x97, 32: 0xb7 },
  maxSigned: { 8: 0x78, 16: 0x98, 32: 0xb8 },
  maxUnsigned: { 8: 0x79, 16: 0x99, 32: 0xb9 },
  addSaturateSigned: { 8: 0x6f, 16: 0x8f },
  addSaturateUnsigned: { 8: 0x70, 16: 0x90 },
  subSaturateSigned: { 8: 0x72, 16: 0x92 },
  subSaturateUnsigned: { 8: 0x73, 16: 0x93 },
  averageUnsigned: { 8: 0x7b, 16: 0x9b },
  narrowSigned: { 8: 0x65, 16: 0x85 },
  narrowUnsigned: { 8: 0x66, 16: 0x86 },
  mulLowSigned: { 16: 0x9c, 32: 0xbc, 64: 0xdc },
  mulHighSigned: { 16: 0x9d, 32: 0xbd, 64: 0xdd },
  mulLowUnsigned: { 16: 0x9e, 32: 0xbe, 64: 0xde },
  mulHighUnsigned: { 16: 0x9f, 32: 0xbf, 64: 0xdf },
};

const bitsCodes = { and: 0x4e, andNot: 0x4f, or: 0x50, xor: 0x51 } as const;
const shiftCodes = {
  shl: { 8: 0x6b, 16: 0x8b, 32: 0xab, 64: 0xcb },
  shrSigned: { 8: 0x6c, 16: 0x8c, 32: 0xac, 64: 0xcc },
  shrUnsigned: { 8: 0x6d, 16: 0x8d, 32: 0xad, 64: 0xcd },
} as const;
const splatCodes = { 8: 0x0f, 16: 0x10, 32: 0x11, 64: 0x12 } as const;
const replaceCodes = { 8: 0x17, 16: 0x1a, 32: 0x1c, 64: 0x1e } as const;
const extractCodes = {
  signed: { 8: 0x15, 16: 0x18, 32: 0x1b, 64: 0x1d },
  unsigned: { 8: 0x16, 16: 0x19, 32: 0x1b, 64: 0x1d },
} as const;
const vectorLoad = 0x00;
const vectorStore = 0x0b;
const vectorConst = 0x0c;
const shuffle = 0x0d;
const swizzle = 0x0e;
const bitSelect = 0x52;
const anyTrue = 0x53;
const signBitCodes = { 8: 0x64, 16: 0x84, 32: 0xa4, 64: 0xc4 } as const;

function codeFor(codes: ByLane, kind: string, lane: LaneBits): number {
  const code = codes[lane];
  invariant(code !== undefined, `${kind} has no lanes of ${lane} bits`);
  return code;
}

function emitVectorConst({ code }: Environment, value: bigint): void {
  code.simd(vectorConst);
  for (let at = 0n; at < 128n; at += 8n) code.byte(Number((value >> at) & 0xffn));
}

type Operation = Extract<
  VectorExpr,
  { op: 'vectorUnary' | 'vectorBinary' | 'vectorBits' | 'vectorShift' | 'shuffle' | 'swizzle' | 'bitSelect' }
>;

function isSource(expr: VectorExpr): expr is Exclude<VectorExpr, Operation> {
  return !('a' in expr) || expr.op === 'splat' || expr.op === 'fromLow' || expr.op === 'replaceLane';
}

/** Pushes a 128-bit value. */
export function emitVector(e: Environment, expr: VectorExpr, scalar: EmitScalar): void {
  if (isSource(expr)) emitSource(e, expr, scalar);
  else emitOperation(e, expr, scalar);
}

function emitSource(e: Environment, expr: Exclude<VectorExpr, Operation>, scalar: EmitScalar): void {
  const { code } = e;
  switch (expr.op) {
    case 'vectorConst':
      emitVectorConst(e, expr.value);
      return;
    case 'vectorRegister':
      e.vectorAddress(expr.operand);
      code.simd(vectorLoad).unsigned(4).unsigned(cpuOffsets.vectors);
      return;
    case 'vectorLocal':
      code.get(e.local(expr.index, v128));
      return;
    case 'splat':
      scalar(e, expr.a);
      code.simd(splatCodes[expr.lane]);
      return;
    case 'fromLow':
      emitVectorConst(e, 0n);
      scalar(e, expr.a);
      code.simd(replaceCodes[expr.a.width]).byte(0);
      return;
    case 'replaceLane':
      emitVector(e, expr.a, scalar);
      scalar(e, expr.value);
      code.simd(replaceCodes[expr.lane]).byte(expr.index);
  }
}

function emitOperation(e: Environment, expr: Operation, scalar: EmitScalar): void {
  const { code } = e;
  emitVector(e, expr.a, scalar);
  switch (expr.op) {
    case 'vectorUnary':
      code.simd(codeFor(unaryCodes[expr.kind], expr.kind, expr.lane));
      return;
    case 'vectorBinary':
      emitVector(e, expr.b, scalar);
      code.simd(codeFor(binaryCodes[expr.kind], expr.kind, expr.lane));
      return;
    case 'vectorBits':
      emitVector(e, expr.b, scalar);
      code.simd(bitsCodes[expr.kind]);
      return;
    case 'vectorShift':
      scalar(e, expr.amount);
      code.simd(shiftCodes[expr.kind][expr.lane]);
      return;
    case 'shuffle':
      emitVector(e, expr.b, scalar);
      code.simd(shuffle).append(expr.bytes);
      return;
    case 'swizzle':
      emitVector(e, expr.indexes, scalar);
      code.simd(swizzle);
      return;
    case 'bitSelect':
      emitVector(e, expr.b, scalar);
      emitVector(e, expr.mask, scalar);
      code.simd(bitSelect);
  }
}

/** Pushes the address of a register's lane, minus `cpuOffsets.vectors`. */
function pushElementAddress(
  e: Environment,
  {
    operand,
    lane,
    index,
  }: Extract<LaneExpr, { op: 'element' }> | Extract<VectorStatement, { op: 'setElement' }>,
  scalar: EmitScalar,
): number {
  e.vectorAddress(operand);
  if (index.op === 'const') return cpuOffsets.vectors + (Number(index.value) * lane) / 8;
  scalar(e, index);
  if (lane > 8) e.code.constant(i32, Math.log2(lane / 8)).byte(opcodes[i32].shl);
  e.code.byte(opcodes[i32].add);
  return cpuOffsets.vectors;
}

const elementLoads = { 8: load32.byte, 16: load32.half, 32: load32.word, 64: loads64[8][0] } as const;

/** Pushes a 32-bit or 64-bit value that is taken from a vector. */
export function emitLaneExpr(e: Environment, expr: LaneExpr, scalar: EmitScalar): void {
  const { code } = e;
  switch (expr.op) {
    case 'lane':
      emitVector(e, expr.a, scalar);
      code.simd(extractCodes[expr.signed ? 'signed' : 'unsigned'][expr.lane]).byte(expr.index);
      return;
    case 'anyTrue':
      emitVector(e, expr.a, scalar);
      code.simd(anyTrue);
      return;
    case 'signBits':
      emitVector(e, expr.a, scalar);
      code.simd(signBitCodes[expr.lane]);
      return;
    case 'element': {
      const offset = pushElementAddress(e, expr, scalar);
      code.memory(elementLoads[expr.lane], 0, offset);
    }
  }
}

export function emitSetElement(
  e: Environment,
  statement: Extract<VectorStatement, { op: 'setElement' }>,
  scalar: EmitScalar,
): void {
  const offset = pushElementAddress(e, statement, scalar);
  scalar(e, statement.value);
  e.code.memory(stores64[(statement.lane / 8) as 1 | 2 | 4 | 8][0], 0, offset);
}

export function emitSetVector(
  e: Environment,
  { operand, value }: Extract<VectorStatement, { op: 'setVector' }>,
  scalar: EmitScalar,
): void {
  const { code } = e;
  if (value.op === 'fromLow') {
    emitSetScalar(e, operand, value, scalar);
    return;
  }
  e.vectorAddress(operand);
  emitVector(e, value, scalar);
  code.simd(vectorStore).unsigned(4).unsigned(cpuOffsets.vectors);
}

/** Writes a number to the low part of a register and zeroes the rest. Two stores are cheaper than building a vector. */
function emitSetScalar(
  e: Environment,
  operand: string,
  { a }: Extract<VectorExpr, { op: 'fromLow' }>,
  scalar: EmitScalar,
): void {
  const { code } = e;
  e.vectorAddress(operand);
  scalar(e, a);
  if (a.width === 32) code.byte(extendUnsigned);
  code.memory(stores64[8][0], 3, cpuOffsets.vectors);
  e.vectorAddress(operand);
  code.constant(i64, 0).memory(stores64[8][0], 3, cpuOffsets.vectors + 8);
}

export function emitSetSaturated(
  e: Environment,
  { condition }: Extract<VectorStatement, { op: 'setSaturated' }>,
  scalar: EmitScalar,
): void {
  const { code } = e;
  code.get(e.cpu);
  scalar(e, condition);
  if (condition.width === 64) code.constant(i64, 0).byte(opcodes[i64].ne);
  else code.constant(i32, 0).byte(opcodes[i32].ne);
  code.constant(i32, present(e.saturation, 'a cumulative saturation flag')).byte(opcodes[i32].shl);
  code.get(e.cpu).memory(load32.word, 2, cpuOffsets.floatStatus).byte(opcodes[i32].or);
  code.memory(store32, 2, cpuOffsets.floatStatus);
}
