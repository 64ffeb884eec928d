/** Builder for an instruction's semantics: each method appends one micro-operation. */
import { invariant } from '../base/index.js';
import type { FloatOperation } from './float_micro_ops.js';
import type {
  AccessBytes,
  AccessKind,
  BinaryKind,
  CompareKind,
  Expr,
  FlagSources,
  Statement,
  UnaryKind,
  Width,
} from './micro_ops.js';
import type { LaneBits, VectorExpr } from './vector_micro_ops.js';

/** A register named by an operand, and the number of bits that the instruction uses. */
export interface RegisterRef {
  readonly operand: string;
  readonly width: Width;
}

/** A vector register named by an operand. */
export interface VectorRef {
  readonly operand: string;
  readonly vector: true;
}

export class Semantics {
  readonly #blocks: Statement[][] = [[]];
  #locals = 0;

  /** The statements appended so far. */
  get statements(): readonly Statement[] {
    return this.#blocks[0] ?? [];
  }

  /** The number of locals in use. */
  get locals(): number {
    return this.#locals;
  }

  // Values

  constant(width: Width, value: bigint | number): Expr {
    return { op: 'const', width, value: BigInt(value) };
  }

  read(register: RegisterRef): Expr {
    return { op: 'register', width: register.width, operand: register.operand };
  }

  pc(): Expr {
    return { op: 'pc', width: 64 };
  }

  /** How many instructions the vCPU has executed since its time slice began. */
  executed(): Expr {
    return { op: 'executed', width: 64 };
  }

  /** A flag of the architecture, 0 or 1. */
  flag(flag: string): Expr {
    return { op: 'flag', width: 32, flag };
  }

  /** Whether the condition named by an immediate operand holds. */
  condition({ operand }: Expr & { op: 'immediate' }): Expr {
    return { op: 'condition', width: 32, operand };
  }

  add(a: Expr, b: Expr): Expr {
    return this.#binary('add', a, b);
  }

  sub(a: Expr, b: Expr): Expr {
    return this.#binary('sub', a, b);
  }

  mul(a: Expr, b: Expr): Expr {
    return this.#binary('mul', a, b);
  }

  and(a: Expr, b: Expr): Expr {
    return this.#binary('and', a, b);
  }

  or(a: Expr, b: Expr): Expr {
    return this.#binary('or', a, b);
  }

  xor(a: Expr, b: Expr): Expr {
    return this.#binary('xor', a, b);
  }

  not(a: Expr): Expr {
    return this.xor(a, this.constant(a.width, -1));
  }

  shift(kind: 'shl' | 'shrUnsigned' | 'shrSigned' | 'rotr', a: Expr, amount: Expr): Expr {
    return this.#binary(kind, a, amount);
  }

  shiftBy(kind: 'shl' | 'shrUnsigned' | 'shrSigned' | 'rotr', a: Expr, amount: number): Expr {
    return amount === 0 ? a : this.#binary(kind, a, this.constant(a.width, amount));
  }

  /** A quotient rounded towards zero. It is 0 for a divisor of 0, and wraps on overflow. */
  divide(signed: boolean, dividend: Expr, divisor: Expr): Expr {
    const { width } = dividend;
    const [a, b] = [this.let(dividend), this.let(divisor)];
    const zero = this.constant(width, 0);
    const byZero = this.equal(b, zero);
    if (!signed) {
      const safe = this.select(byZero, this.constant(width, 1), b);
      return this.select(byZero, zero, this.#binary('divUnsigned', a, safe));
    }
    const byMinusOne = this.equal(b, this.constant(width, -1));
    const safe = this.select(this.or(byZero, byMinusOne), this.constant(width, 1), b);
    const quotient = this.#binary('divSigned', a, safe);
    return this.select(byZero, zero, this.select(byMinusOne, this.sub(zero, a), quotient));
  }

  equal(a: Expr, b: Expr): Expr {
    return this.#compare('eq', a, b);
  }

  notEqual(a: Expr, b: Expr): Expr {
    return this.#compare('ne', a, b);
  }

  less(signed: boolean, a: Expr, b: Expr): Expr {
    return this.#compare(signed ? 'ltSigned' : 'ltUnsigned', a, b);
  }

  isZero(a: Expr): Expr {
    return this.equal(a, this.constant(a.width, 0));
  }

  /** Maps 1 to 0 and 0 to 1. */
  negate(truth: Expr): Expr {
    return this.xor(truth, this.constant(32, 1));
  }

  countLeadingZeros(a: Expr): Expr {
    return this.#unary('clz', a);
  }

  /** The low `bits` bits of `a`, sign-extended to its width. */
  signExtend(a: Expr, bits: 8 | 16 | 32): Expr {
    return bits === a.width ? a : this.#unary(`signExtend${bits}`, a);
  }

  /** The low `bits` bits of `a`, zero-extended. */
  zeroExtend(a: Expr, bits: 8 | 16 | 32): Expr {
    return bits === a.width ? a : this.and(a, this.constant(a.width, 2n ** BigInt(bits) - 1n));
  }

  select(condition: Expr, a: Expr, b: Expr): Expr {
    invariant(a.width === b.width, 'both arms of a select have one width');
    return { op: 'select', width: a.width, condition, a, b };
  }

  /** `a` as a value of `width` bits: truncated or zero-extended. */
  resize(width: Width, a: Expr): Expr {
    return a.width === width ? a : { op: 'resize', width, a };
  }

  /** `a` sign-extended to 64 bits. */
  signed64(a: Expr): Expr {
    return a.width === 64 ? a : this.signExtend(this.resize(64, a), 32);
  }

  /** Evaluates `a` here, once, and returns a local with its value. */
  let(a: Expr): Expr {
    const index = this.#newLocal();
    this.#say({ op: 'let', index, value: a });
    return { op: 'local', width: a.width, index };
  }

  // Effects

  write(register: RegisterRef, value: Expr): void {
    invariant(value.width === register.width, `${register.operand} takes ${register.width} bits`);
    this.#say({ op: 'setRegister', operand: register.operand, value: this.resize(64, value) });
  }

  /** Writes register `number` (0 to 30), which is not an operand of the instruction. */
  writeFixed(number: number, value: Expr): void {
    this.#say({ op: 'setFixedRegister', register: number, value });
  }

  /** Sets the given flags. All sources are evaluated before any flag changes. */
  setFlags(flags: FlagSources): void {
    this.#say({ op: 'setFlags', flags });
  }

  /**
   * Loads `bytes` bytes from `address`, zero-extended to 64 bits. If the access faults, the following statements are
   * not executed.
   */
  load(bytes: AccessBytes, address: Expr, kind: AccessKind = 'plain'): Expr {
    const index = this.#newLocal();
    this.#say({ op: 'load', index, bytes, address, kind });
    return { op: 'local', width: 64, index };
  }

  /** Stores the low `bytes` bytes of a 64-bit value. */
  store(bytes: AccessBytes, address: Expr, value: Expr, kind: AccessKind = 'plain'): void {
    this.#say({ op: 'store', bytes, address, value: this.resize(64, value), kind });
  }

  // Vectors (values: see vector_expr.ts)

  readVector({ operand }: VectorRef): VectorExpr {
    return { op: 'vectorRegister', operand };
  }

  writeVector({ operand }: VectorRef, value: VectorExpr): void {
    this.#say({ op: 'setVector', operand, value });
  }

  /** Evaluates a vector here, once, and returns a local with its value. */
  letVector(value: VectorExpr): VectorExpr {
    if (value.op === 'vectorLocal' || value.op === 'vectorConst') return value;
    const index = this.#newLocal();
    this.#say({ op: 'letVector', index, value });
    return { op: 'vectorLocal', index };
  }

  /** One lane of a register, by a 32-bit index. The result has 64 bits for lanes of 64, else 32, zero-extended. */
  readElement({ operand }: VectorRef, lane: LaneBits, index: Expr | number): Expr {
    const at = typeof index === 'number' ? this.constant(32, index) : index;
    return { op: 'element', width: lane === 64 ? 64 : 32, operand, lane, index: at };
  }

  /** Sets one lane of a register to the low bits of `value` and keeps the others. */
  writeElement({ operand }: VectorRef, lane: LaneBits, index: Expr | number, value: Expr): void {
    const at = typeof index === 'number' ? this.constant(32, index) : index;
    this.#say({ op: 'setElement', operand, lane, index: at, value: this.resize(64, value) });
  }

  /** Loads the 16 bytes at `address`. */
  loadVector(address: Expr, kind: AccessKind = 'plain'): VectorExpr {
    const index = this.#newLocal();
    this.#say({ op: 'loadVector', index, address, kind });
    return { op: 'vectorLocal', index };
  }

  storeVector(address: Expr, value: VectorExpr, kind: AccessKind = 'plain'): void {
    this.#say({ op: 'storeVector', address, value, kind });
  }

  /** Sets the cumulative saturation flag if `condition` is not 0. */
  setSaturated(condition: Expr): void {
    this.#say({ op: 'setSaturated', condition });
  }

  /** The result of a floating-point operation as a bit pattern, zero-extended to 64 bits. So are the inputs. */
  float(operation: FloatOperation, ...inputs: readonly Expr[]): Expr {
    const index = this.#newLocal();
    const wide = inputs.map((input) => this.resize(64, input));
    this.#say({ op: 'float', index, operation, inputs: wide });
    return { op: 'local', width: 64, index };
  }

  /** Loads two adjacent elements, lower address first. Each result is as for `load`. */
  loadPair(bytes: 4 | 8, address: Expr): readonly [Expr, Expr] {
    const indexes = [this.#newLocal(), this.#newLocal()] as const;
    this.#say({ op: 'loadPair', indexes, bytes, address });
    const [a, b] = indexes;
    return [
      { op: 'local', width: 64, index: a },
      { op: 'local', width: 64, index: b },
    ];
  }

  /** Stores two adjacent elements, lower address first. */
  storePair(bytes: 4 | 8, address: Expr, [a, b]: readonly [Expr, Expr]): void {
    const values = [this.resize(64, a), this.resize(64, b)] as const;
    this.#say({ op: 'storePair', bytes, address, values });
  }

  /** Jumps to a 64-bit address. */
  jump(target: Expr): void {
    this.#say({ op: 'jump', target, near: null, isSchedulingPoint: true });
  }

  /** Jumps to pc plus an immediate. */
  jumpNear(offset: Expr & { op: 'immediate' }): void {
    const target = this.add(this.pc(), offset);
    this.#say({ op: 'jump', target, near: offset.operand, isSchedulingPoint: true });
  }

  /**
   * Goes on behind this instruction, which has `bytes` bytes, and fetches what is there anew. It is no branch: no time slice
   * ends here.
   */
  refetch(bytes: number): void {
    const target = this.add(this.pc(), this.constant(64, bytes));
    this.#say({ op: 'jump', target, near: null, isSchedulingPoint: false });
  }

  when(condition: Expr, then: () => void, otherwise: () => void = () => undefined): void {
    this.#say({ op: 'if', condition, then: this.#inner(then), otherwise: this.#inner(otherwise) });
  }

  /** A state slot, by index. */
  state(place: number): Expr {
    return { op: 'state', width: 64, place };
  }

  /** A state slot, by an immediate operand. */
  stateAt({ operand }: Expr & { op: 'immediate' }): Expr {
    return { op: 'stateAt', width: 64, operand };
  }

  setState(place: number, value: Expr): void {
    this.#say({ op: 'setState', place, value: this.resize(64, value) });
  }

  setStateAt({ operand }: Expr & { op: 'immediate' }, value: Expr): void {
    this.#say({ op: 'setStateAt', operand, value: this.resize(64, value) });
  }

  /** For the base of an access: faults if it is the stack pointer and is not aligned. */
  checkStack({ operand }: RegisterRef): void {
    this.#say({ op: 'checkStack', operand });
  }

  /** Clears the aligned block of 64 bytes that contains `address`. */
  clearBlock(address: Expr): void {
    this.#say({ op: 'clearBlock', bytes: 64, address });
  }

  /** Calls the host for `name`, without a result. */
  system(name: string, inputs: readonly Expr[] = []): void {
    this.#say({ op: 'system', name, inputs, index: null });
  }

  /** Calls the host for `name`, with a 64-bit result. */
  ask(name: string, inputs: readonly Expr[]): Expr {
    const index = this.#newLocal();
    this.#say({ op: 'system', name, inputs, index });
    return { op: 'local', width: 64, index };
  }

  #newLocal(): number {
    this.#locals += 1;
    return this.#locals - 1;
  }

  #say(statement: Statement): void {
    this.#blocks.at(-1)?.push(statement);
  }

  #inner(write: () => void): readonly Statement[] {
    const block: Statement[] = [];
    this.#blocks.push(block);
    write();
    this.#blocks.pop();
    return block;
  }

  #unary(kind: UnaryKind, a: Expr): Expr {
    return { op: 'unary', width: a.width, kind, a };
  }

  #binary(kind: BinaryKind, a: Expr, b: Expr): Expr {
    invariant(a.width === b.width, `${kind} takes two values of one width`);
    return { op: 'binary', width: a.width, kind, a, b };
  }

  #compare(kind: CompareKind, a: Expr, b: Expr): Expr {
    invariant(a.width === b.width, `${kind} compares two values of one width`);
    return { op: 'compare', width: 32, kind, a, b };
  }
}
