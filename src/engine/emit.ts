/**
 * Compiles micro-operations to WebAssembly. An `Environment` says where operands come from, how an instruction leaves,
 * and how memory is accessed. It is what differs between the interpreter's handlers and separate functions.
 */
import type {
  BinaryKind,
  CompareKind,
  Expr,
  FlagSet,
  FlagSources,
  FloatStatement,
  LaneExpr,
  Statement,
  UnaryKind,
  VectorStatement,
} from '../isa/index.js';
import { emitLaneExpr, emitSetElement, emitSetSaturated, emitVector, emitSetVector } from './emit_vector.js';
import { emitFlag, localOf } from './flags.js';
import type { FlagLocals } from './flags.js';
import { cpuOffsets, recordShift } from './layout.js';
import {
  extendSigned,
  extendUnsigned,
  i32,
  i64,
  load32,
  loads64,
  opcodes,
  select,
  stores64,
  v128,
  wrap,
} from './wasm/code.js';
import type { Code, ScalarType, ValueType } from './wasm/code.js';

export interface Environment {
  readonly code: Code;
  /** The local that holds the byte offset of the vCPU's block. */
  readonly cpu: number;
  /** Pushes the value of an operand's register, or its low half. */
  readRegister(operand: string, type: ScalarType): void;
  /** Writes an operand's register. `push` pushes the value, i64. */
  writeRegister(operand: string, push: () => void): void;
  /** As `writeRegister`, for a register by its index in the register file. */
  writeFixedRegister(register: number, push: () => void): void;
  /** Pushes the address of an operand's vector register, minus `cpuOffsets.vectors`. */
  vectorAddress(operand: string): void;
  /** Pushes an immediate operand as a value of the given type. */
  immediate(operand: string, type: ScalarType): void;
  /** Pushes the address of the instruction, i64. */
  pc(): void;
  /** Pushes the current record. */
  record(): void;
  /** Pushes the record at which the budget is used up. */
  limit(): void;
  /** The architecture's flags, and the locals that hold their sources. */
  readonly flagSet: FlagSet;
  readonly flags: FlagLocals;
  /** Bit number of the cumulative saturation flag; null if the architecture has none. */
  readonly saturation: number | null;
  /** Pushes whether the condition in an immediate operand holds, as i32. */
  condition(operand: string): void;
  /** The WebAssembly local for one of the instruction's locals. */
  local(index: number, type: ValueType): number;
  load(statement: Extract<Statement, { op: 'load' }>): void;
  store(statement: Extract<Statement, { op: 'store' }>): void;
  loadPair(statement: Extract<Statement, { op: 'loadPair' }>): void;
  storePair(statement: Extract<Statement, { op: 'storePair' }>): void;
  loadVector(statement: Extract<Statement, { op: 'loadVector' }>): void;
  storeVector(statement: Extract<Statement, { op: 'storeVector' }>): void;
  float(statement: FloatStatement): void;
  jump(statement: Extract<Statement, { op: 'jump' }>): void;
  system(statement: Extract<Statement, { op: 'system' }>): void;
  /** Checks the alignment of the operand if it is the stack pointer. */
  checkStack(operand: string): void;
  clearBlock(statement: Extract<Statement, { op: 'clearBlock' }>): void;
  /** Called for every block that is opened (1) or closed (-1), to track branch depths. */
  nest(by: 1 | -1): void;
}

export function typeOf({ width }: Expr): ScalarType {
  return width === 32 ? i32 : i64;
}

type Leaf = Extract<
  Expr,
  {
    op:
      | 'const'
      | 'immediate'
      | 'register'
      | 'pc'
      | 'executed'
      | 'flag'
      | 'condition'
      | 'local'
      | 'state'
      | 'stateAt';
  }
>;
type FromVector = Expr & LaneExpr;

const leafOps: ReadonlySet<Expr['op']> = new Set<Leaf['op']>([
  'const',
  'immediate',
  'register',
  'pc',
  'executed',
  'flag',
  'condition',
  'local',
  'state',
  'stateAt',
]);
const laneOps: ReadonlySet<Expr['op']> = new Set<LaneExpr['op']>(['lane', 'element', 'anyTrue', 'signBits']);

function isLeaf(expr: Expr): expr is Leaf {
  return leafOps.has(expr.op);
}

function isFromVector(expr: Expr): expr is FromVector {
  return laneOps.has(expr.op);
}

/** Pushes the value of `expr`. */
export function emitExpr(e: Environment, expr: Expr): void {
  if (isLeaf(expr)) emitLeaf(e, expr);
  else if (isFromVector(expr)) emitLaneExpr(e, expr, emitExpr);
  else emitOperation(e, expr);
}

function emitLeaf(e: Environment, expr: Leaf): void {
  const { code } = e;
  const type = typeOf(expr);
  switch (expr.op) {
    case 'const':
      code.constant(type, expr.value);
      return;
    case 'immediate':
      e.immediate(expr.operand, type);
      return;
    case 'register':
      e.readRegister(expr.operand, type);
      return;
    case 'pc':
      e.pc();
      return;
    case 'executed':
      emitExecuted(e);
      return;
    case 'flag':
      emitFlag(code, e.flagSet, e.flags, expr.flag);
      return;
    case 'condition':
      e.condition(expr.operand);
      return;
    case 'local':
      code.get(e.local(expr.index, type));
      return;
    case 'state':
      code.get(e.cpu).memory(loads64[8][0], 3, cpuOffsets.state + 8 * expr.place);
      return;
    case 'stateAt':
      pushStateAddress(e, expr.operand);
      code.memory(loads64[8][0], 3, cpuOffsets.state);
  }
}

/** As `VcpuBlock.executed` for the current record. */
function emitExecuted(e: Environment): void {
  const { code } = e;
  code.get(e.cpu).memory(load32.word, 2, cpuOffsets.granted);
  e.limit();
  e.record();
  code.byte(opcodes[i32].sub).constant(i32, recordShift).byte(opcodes[i32].shrSigned);
  code.byte(opcodes[i32].sub).byte(extendSigned);
}

/** Pushes the address of the state slot that an immediate operand selects, minus `cpuOffsets.state`. */
function pushStateAddress(e: Environment, operand: string): void {
  e.immediate(operand, i32);
  e.code.constant(i32, 3).byte(opcodes[i32].shl).get(e.cpu).byte(opcodes[i32].add);
}

function emitOperation(e: Environment, expr: Exclude<Expr, Leaf | FromVector>): void {
  const { code } = e;
  const type = typeOf(expr);
  switch (expr.op) {
    case 'unary':
      emitExpr(e, expr.a);
      code.byte(opcodes[type][expr.kind satisfies UnaryKind]);
      return;
    case 'binary':
      emitExpr(e, expr.a);
      emitExpr(e, expr.b);
      code.byte(opcodes[type][expr.kind satisfies BinaryKind]);
      return;
    case 'compare':
      emitCompare(e, expr);
      return;
    case 'select':
      emitExpr(e, expr.a);
      emitExpr(e, expr.b);
      emitExpr(e, expr.condition);
      code.byte(select);
      return;
    case 'resize':
      emitExpr(e, expr.a);
      code.byte(type === i32 ? wrap : extendUnsigned);
  }
}

function emitCompare(e: Environment, { kind, a, b }: Extract<Expr, { op: 'compare' }>): void {
  const type = typeOf(a);
  emitExpr(e, a);
  if (kind === 'eq' && b.op === 'const' && b.value === 0n) {
    e.code.byte(opcodes[type].eqz);
    return;
  }
  emitExpr(e, b);
  e.code.byte(opcodes[type][kind satisfies CompareKind]);
}

function emitSetFlags(e: Environment, sources: FlagSources): void {
  // Compute all flags before setting any: the expressions may read the old flags.
  const order = Object.entries(sources);
  for (const [, source] of order) emitExpr(e, source);
  for (const [flag] of order.toReversed()) e.code.set(localOf(e.flags, flag));
}

/** Emits `statements` in order. */
export function emitStatements(e: Environment, statements: readonly Statement[]): void {
  for (const statement of statements) emitStatement(e, statement);
}

// eslint-disable-next-line complexity -- one case per kind of statement
function emitStatement(e: Environment, statement: Statement): void {
  const { code } = e;
  switch (statement.op) {
    case 'let':
      emitExpr(e, statement.value);
      code.set(e.local(statement.index, typeOf(statement.value)));
      return;
    case 'setRegister':
      e.writeRegister(statement.operand, () => emitExpr(e, statement.value));
      return;
    case 'setFixedRegister':
      e.writeFixedRegister(statement.register, () => emitExpr(e, statement.value));
      return;
    case 'setFlags':
      emitSetFlags(e, statement.flags);
      return;
    case 'load':
    case 'store':
    case 'loadPair':
    case 'storePair':
      emitAccess(e, statement);
      return;
    case 'jump':
      e.jump(statement);
      return;
    case 'if':
      emitIf(e, statement);
      return;
    case 'system':
      e.system(statement);
      return;
    case 'setState':
    case 'setStateAt':
      emitSetState(e, statement);
      return;
    case 'checkStack':
      e.checkStack(statement.operand);
      return;
    case 'clearBlock':
      e.clearBlock(statement);
      return;
    case 'letVector':
    case 'setVector':
    case 'setElement':
    case 'loadVector':
    case 'storeVector':
    case 'setSaturated':
    case 'float':
      emitVectorStatement(e, statement);
  }
}

function emitAccess(
  e: Environment,
  statement: Extract<Statement, { op: 'load' | 'store' | 'loadPair' | 'storePair' }>,
): void {
  switch (statement.op) {
    case 'load':
      e.load(statement);
      return;
    case 'store':
      e.store(statement);
      return;
    case 'loadPair':
      e.loadPair(statement);
      return;
    case 'storePair':
      e.storePair(statement);
  }
}

function emitSetState(
  e: Environment,
  statement: Extract<Statement, { op: 'setState' | 'setStateAt' }>,
): void {
  const offset = statement.op === 'setState' ? 8 * statement.place : 0;
  if (statement.op === 'setState') e.code.get(e.cpu);
  else pushStateAddress(e, statement.operand);
  emitExpr(e, statement.value);
  e.code.memory(stores64[8][0], 3, cpuOffsets.state + offset);
}

function emitVectorStatement(e: Environment, statement: VectorStatement | FloatStatement): void {
  switch (statement.op) {
    case 'letVector':
      emitVector(e, statement.value, emitExpr);
      e.code.set(e.local(statement.index, v128));
      return;
    case 'setVector':
      emitSetVector(e, statement, emitExpr);
      return;
    case 'setElement':
      emitSetElement(e, statement, emitExpr);
      return;
    case 'loadVector':
      e.loadVector(statement);
      return;
    case 'storeVector':
      e.storeVector(statement);
      return;
    case 'setSaturated':
      emitSetSaturated(e, statement, emitExpr);
      return;
    case 'float':
      e.float(statement);
  }
}

function emitIf(e: Environment, { condition, then, otherwise }: Extract<Statement, { op: 'if' }>): void {
  emitExpr(e, condition);
  e.code.if();
  e.nest(1);
  emitStatements(e, then);
  if (otherwise.length > 0) {
    e.code.else();
    emitStatements(e, otherwise);
  }
  e.nest(-1);
  e.code.end();
}
