/**
 * Evaluates the semantics of x86-64 instructions step by step, without an engine: slow, and as plain as the micro-operations
 * say. Of the system calls it has only those that need no more than registers. Floating-point operations are the engine's exact ones.
 */
import * as x86_64 from '../../src/isa/x86_64/index.js';
import type { Expr, Statement } from '../../src/isa/index.js';
import { floatFunction } from '../../src/engine/float/calls.js';
import { exceptions, FloatContext } from '../../src/engine/float/context.js';
import { x86FloatRules } from '../../src/engine/x86_64/float_rules.js';
import { memoryBytes, readOnlyFrom, vectors as faultVectors } from './x86_layout.js';
import type { Fault } from './x86_layout.js';
import { fromLanes, laneValue, lanesOf, vectorValue } from './x86_vectors.js';
import type { VectorSource } from './x86_vectors.js';

/** A CPU whose memory is one region, as user code sees it. */
export interface Machine {
  readonly mode: 32 | 64;
  /** Whether the upper half of the region is read-only. */
  readonly readOnly: boolean;
  /** By place in the register file; RAX to R15 come first. */
  readonly registers: bigint[];
  readonly flags: Record<string, number>;
  /** XMM0 to XMM15. */
  readonly vectors: bigint[];
  mxcsr: number;
  readonly state: bigint[];
  pc: bigint;
  readonly memoryStart: bigint;
  readonly memory: Uint8Array;
  /** The offsets in memory that were written. */
  readonly touched: Set<number>;
}

/** The exceptions in the order of their bits in MXCSR. */
const statusBits = [
  exceptions.invalid,
  exceptions.inputDenormal,
  exceptions.divideByZero,
  exceptions.overflow,
  exceptions.underflow,
  exceptions.inexact,
];

/** Ends an instruction by an exception. Which of #GP and #SS an access raises is not looked at: it is #GP. */
class Leave extends Error {
  readonly fault: Fault;

  constructor(vector: number, errorCode: number | null = null, address: bigint | null = null) {
    super(`vector ${vector}`);
    this.fault = { vector, errorCode, address };
  }
}

const protection = (): Leave => new Leave(faultVectors.protection, 0);

/** Bits of a page fault's error code. */
const pageFault = { present: 1, write: 2, user: 4 } as const;

type Access = 'read' | 'write';

export const isCanonical = (address: bigint): boolean =>
  BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

type VectorStep = Extract<
  Statement,
  { op: 'letVector' | 'setVector' | 'setElement' | 'loadVector' | 'storeVector' }
>;

/** System calls that `evaluate` carries out. */
export const evaluatedCalls: readonly string[] = [
  'divideError',
  'divideWide',
  'linearAddress',
  'misalignedOperand',
  'noncanonicalTarget',
  'beginUnmaskedFloat',
  'endUnmaskedFloat',
];

const evenParity = (byte: number): number => {
  let ones = 0;
  for (let rest = byte & 0xff; rest !== 0; rest &= rest - 1) ones += 1;
  return 1 - (ones & 1);
};

class Evaluation {
  next: bigint;
  readonly #machine: Machine;
  readonly #instruction: x86_64.X86Instruction;
  readonly #fields: x86_64.Fields;
  readonly #locals: bigint[] = [];
  #statusBefore = 0;
  readonly #source: VectorSource = {
    scalar: (expr) => this.#value(expr),
    register: (operand) => this.#machine.vectors[this.#place(operand)] ?? 0n,
    local: (index) => this.#local(index),
  };

  constructor(machine: Machine, instruction: x86_64.X86Instruction, fields: x86_64.Fields) {
    this.#machine = machine;
    this.#instruction = instruction;
    this.#fields = fields;
    this.next = machine.pc + BigInt(fields.length);
  }

  run(statements: readonly Statement[]): void {
    for (const statement of statements) this.#step(statement);
  }

  // eslint-disable-next-line complexity -- one case per kind of statement
  #step(statement: Statement): void {
    const { registers, flags, state } = this.#machine;
    // eslint-disable-next-line @typescript-eslint/switch-exhaustiveness-check -- the rest are other architectures'
    switch (statement.op) {
      case 'let':
        this.#locals[statement.index] = this.#value(statement.value);
        return;
      case 'setRegister':
        registers[this.#place(statement.operand)] = BigInt.asUintN(64, this.#value(statement.value));
        return;
      case 'setFlags': {
        const values = Object.entries(statement.flags).map(
          ([name, source]) => [name, this.#flag(name, source)] as const,
        );
        for (const [name, value] of values) flags[name] = value;
        return;
      }
      case 'load':
        this.#locals[statement.index] = this.#load(
          this.#value(statement.address),
          statement.bytes,
          statement.kind === 'modify' ? 'write' : 'read',
        );
        return;
      case 'store':
        this.#store(this.#value(statement.address), statement.bytes, this.#value(statement.value));
        return;
      case 'jump':
        this.next = this.#value(statement.target);
        return;
      case 'if':
        this.run(this.#value(statement.condition) !== 0n ? statement.then : statement.otherwise);
        return;
      case 'setState':
        state[statement.place] = this.#value(statement.value);
        return;
      case 'system':
        this.#call(statement);
        return;
      case 'float':
        this.#locals[statement.index] = this.#float(statement);
        return;
      case 'letVector':
      case 'setVector':
      case 'setElement':
      case 'loadVector':
      case 'storeVector':
        this.#stepVector(statement);
        return;
      default:
        throw new Error(`${statement.op} cannot be evaluated`);
    }
  }

  #float({ operation, inputs }: Extract<Statement, { op: 'float' }>): bigint {
    const { mxcsr } = this.#machine;
    const rounding = (['nearestEven', 'down', 'up', 'zero'] as const)[(mxcsr >> 13) & 3] ?? 'nearestEven';
    const modes = {
      rounding,
      flushToZero: (mxcsr & 0x8800) === 0x8800,
      trapped:
        ((mxcsr & 0x400) === 0 ? exceptions.overflow : 0) |
        ((mxcsr & 0x800) === 0 ? exceptions.underflow : 0),
      flushInputs: (mxcsr & 0x40) !== 0,
      defaultNan: false,
      alternativeHalf: false,
    };
    const context = new FloatContext(modes, x86FloatRules);
    const [a = 0n, b = 0n, c = 0n] = inputs.map((input) => this.#value(input));
    const result = floatFunction(operation)(context, a, b, c);
    for (const [index, bit] of statusBits.entries())
      if ((context.raised & bit) !== 0) this.#machine.mxcsr |= 1 << index;
    return result;
  }

  #stepVector(statement: VectorStep): void {
    const { vectors } = this.#machine;
    switch (statement.op) {
      case 'letVector':
        this.#locals[statement.index] = vectorValue(statement.value, this.#source);
        return;
      case 'setVector':
        vectors[this.#place(statement.operand)] = vectorValue(statement.value, this.#source);
        return;
      case 'setElement': {
        const place = this.#place(statement.operand);
        const lanes = lanesOf(vectors[place] ?? 0n, statement.lane);
        const changed = lanes.with(Number(this.#value(statement.index)), this.#value(statement.value));
        vectors[place] = fromLanes(changed, statement.lane);
        return;
      }
      case 'loadVector':
        this.#locals[statement.index] = this.#load(this.#value(statement.address), 16);
        return;
      case 'storeVector':
        this.#store(this.#value(statement.address), 16, vectorValue(statement.value, this.#source));
    }
  }

  #call({ name, inputs, index }: Extract<Statement, { op: 'system' }>): void {
    const [first = 0n, second = 0n] = inputs.map((input) => this.#value(input));
    if (name === 'divideError') throw new Leave(faultVectors.divideError);
    if (name === 'misalignedOperand' || name === 'noncanonicalTarget') throw protection();
    if (name === 'divideWide') this.#divideWide(first, second);
    else if (name === 'beginUnmaskedFloat') this.#beginUnmasked();
    else if (name === 'endUnmaskedFloat') this.#endUnmasked();
    else if (name === 'linearAddress' && index !== null) this.#locals[index] = this.#linear(first, second);
    else throw new Error(`${name} cannot be evaluated`);
  }

  #beginUnmasked(): void {
    this.#statusBefore = this.#machine.mxcsr & 0x3f;
    this.#machine.mxcsr &= ~0x3f;
  }

  /** An exception that is found before the operation hides those of its result. */
  #endUnmasked(): void {
    const { mxcsr } = this.#machine;
    const raised = mxcsr & 0x3f;
    const unmasked = raised & ~(mxcsr >> 7) & 0x3f;
    const told = (unmasked & 7) === 0 ? raised : raised & 7;
    this.#machine.mxcsr = (mxcsr & ~0x3f) | this.#statusBefore | told;
    if (unmasked !== 0) throw new Leave(faultVectors.simd);
  }

  /**
   * In 64-bit code only FS and GS have a base, and nothing has a limit. In 32-bit code segments are flat, and the code segment is not
   * writable.
   */
  #linear(access: bigint, effective: bigint): bigint {
    if (this.#machine.mode === 32) {
      const isWrite = (access & 8n) !== 0n;
      if (isWrite && Number(access & 7n) === x86_64.segments.cs) throw protection();
      if (BigInt.asUintN(32, effective) + (access >> 4n) > 2n ** 32n) throw protection();
      return BigInt.asUintN(32, effective);
    }
    const { fs, gs } = x86_64.segments;
    const { fsBase, gsBase } = x86_64.registerFile;
    const segment = Number(access & 7n);
    const base = segment === fs ? fsBase : segment === gs ? gsBase : x86_64.registerFile.zero;
    const linear = BigInt.asUintN(64, effective + (this.#machine.registers[base] ?? 0n));
    if (access >> 4n !== 0n && !isCanonical(linear)) throw protection();
    return linear;
  }

  #divideWide(isSigned: bigint, given: bigint): void {
    const { registers } = this.#machine;
    const whole = ((registers[2] ?? 0n) << 64n) | (registers[0] ?? 0n);
    const [dividend, divisor] =
      isSigned === 1n ? [BigInt.asIntN(128, whole), BigInt.asIntN(64, given)] : [whole, given];
    const [quotient, remainder] = [dividend / divisor, dividend % divisor];
    const fits = isSigned === 1n ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient);
    if (fits !== quotient) throw new Leave(faultVectors.divideError);
    registers[0] = BigInt.asUintN(64, quotient);
    registers[2] = BigInt.asUintN(64, remainder);
  }

  #place(operand: string): number {
    const found = this.#instruction.operands[operand];
    if (found?.kind !== 'register' && found?.kind !== 'vector') throw new Error(`${operand} is no register`);
    return found.place(this.#fields);
  }

  #flag(name: string, source: Expr): number {
    const value = this.#value(source);
    switch (x86_64.x86Flags[name as keyof typeof x86_64.x86Flags]) {
      case 'sign':
        return Number((value >> 63n) & 1n);
      case 'zero':
        return value === 0n ? 1 : 0;
      case 'evenParity':
        return evenParity(Number(value & 0xffn));
      case 'bit4':
        return Number((value >> 4n) & 1n);
      case 'bit':
        if (value > 1n) throw new Error(`${name} is ${value}`);
        return Number(value);
    }
  }

  /** The offset of an access in memory. Both pages of an access across two are checked before either is accessed. */
  #offset(address: bigint, bytes: number, access: Access): number {
    const next = (address | 0xfffn) + 1n;
    this.#check(address, access);
    if (address + BigInt(bytes) > next) this.#check(BigInt.asUintN(this.#machine.mode, next), access);
    return Number(address - this.#machine.memoryStart);
  }

  #check(address: bigint, access: Access): void {
    const { memoryStart, readOnly } = this.#machine;
    if (!isCanonical(address)) throw protection();
    const offset = Number(address - memoryStart);
    const isThere = offset >= 0 && offset < memoryBytes;
    if (isThere && !(access === 'write' && readOnly && offset >= readOnlyFrom)) return;
    const code =
      pageFault.user | (isThere ? pageFault.present : 0) | (access === 'write' ? pageFault.write : 0);
    throw new Leave(faultVectors.page, code, address);
  }

  #load(address: bigint, bytes: number, access: Access = 'read'): bigint {
    const at = this.#offset(address, bytes, access);
    return this.#machine.memory
      .slice(at, at + bytes)
      .reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  }

  #store(address: bigint, bytes: number, value: bigint): void {
    const at = this.#offset(address, bytes, 'write');
    for (let byte = 0; byte < bytes; byte += 1) {
      this.#machine.touched.add(at + byte);
      this.#machine.memory[at + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
    }
  }

  #local(index: number): bigint {
    const value = this.#locals[index];
    if (value === undefined) throw new Error(`local ${index} has no value`);
    return value;
  }

  /** The value of an expression, unsigned within its width. */
  #value(expr: Expr): bigint {
    return BigInt.asUintN(expr.width, this.#raw(expr));
  }

  // eslint-disable-next-line complexity -- one case per kind of expression
  #raw(expr: Expr): bigint {
    const { registers, flags, state, pc } = this.#machine;
    // eslint-disable-next-line @typescript-eslint/switch-exhaustiveness-check -- the rest are other architectures'
    switch (expr.op) {
      case 'const':
        return expr.value;
      case 'immediate': {
        const operand = this.#instruction.operands[expr.operand];
        if (operand?.kind !== 'immediate') throw new Error(`${expr.operand} is no number`);
        return operand.value(this.#fields);
      }
      case 'register':
        return registers[this.#place(expr.operand)] ?? 0n;
      case 'pc':
        return pc;
      case 'executed':
        return 0n;
      case 'flag':
        return BigInt(flags[expr.flag] ?? 0);
      case 'local':
        return this.#local(expr.index);
      case 'lane':
      case 'element':
      case 'anyTrue':
      case 'signBits':
        return laneValue(expr, this.#source);
      case 'state':
        return state[expr.place] ?? 0n;
      case 'unary':
        return this.#unary(expr);
      case 'binary':
        return this.#binary(expr);
      case 'compare':
        return this.#compare(expr) ? 1n : 0n;
      case 'select':
        return this.#value(this.#value(expr.condition) !== 0n ? expr.a : expr.b);
      case 'resize':
        return this.#value(expr.a);
      default:
        throw new Error(`${expr.op} cannot be evaluated`);
    }
  }

  #unary({ kind, a }: Extract<Expr, { op: 'unary' }>): bigint {
    const value = this.#value(a);
    if (kind === 'clz') return BigInt(a.width - (value === 0n ? 0 : value.toString(2).length));
    return BigInt.asIntN(Number(kind.slice('signExtend'.length)), value);
  }

  #binary({ kind, a, b }: Extract<Expr, { op: 'binary' }>): bigint {
    const { width } = a;
    const [x, y] = [this.#value(a), this.#value(b)];
    const by = y % BigInt(width);
    switch (kind) {
      case 'add':
        return x + y;
      case 'sub':
        return x - y;
      case 'mul':
        return x * y;
      case 'and':
        return x & y;
      case 'or':
        return x | y;
      case 'xor':
        return x ^ y;
      case 'shl':
        return x << by;
      case 'shrUnsigned':
        return x >> by;
      case 'shrSigned':
        return BigInt.asIntN(width, x) >> by;
      case 'rotr':
        return (x >> by) | (x << (BigInt(width) - by));
      case 'divSigned':
        return BigInt.asIntN(width, x) / BigInt.asIntN(width, y);
      case 'divUnsigned':
        return x / y;
    }
  }

  #compare({ kind, a, b }: Extract<Expr, { op: 'compare' }>): boolean {
    const [x, y] = [this.#value(a), this.#value(b)];
    switch (kind) {
      case 'eq':
        return x === y;
      case 'ne':
        return x !== y;
      case 'ltUnsigned':
        return x < y;
      case 'leUnsigned':
        return x <= y;
      case 'ltSigned':
        return BigInt.asIntN(a.width, x) < BigInt.asIntN(b.width, y);
    }
  }
}

/** Executes an instruction at `machine.pc`, once. Where it raises an exception, which is returned, `pc` stays. */
export function evaluate(
  machine: Machine,
  instruction: x86_64.X86Instruction,
  fields: x86_64.Fields,
): Fault | null {
  machine.registers[x86_64.registerFile.zero] = 0n;
  machine.registers[x86_64.registerFile.nextInstruction] = machine.pc + BigInt(fields.length);
  const evaluation = new Evaluation(machine, instruction, fields);
  try {
    evaluation.run(instruction.semantics.statements);
  } catch (error) {
    if (!(error instanceof Leave)) throw error;
    return error.fault;
  }
  machine.pc = BigInt.asUintN(machine.mode, evaluation.next);
  return null;
}
