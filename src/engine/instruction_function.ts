/**
 * Builds one WebAssembly function per instruction, `(cpu, record, pc) -> status`, which the interpreter calls through a
 * table. All cold instructions have one, and so do those other instructions whose handlers may bail out. The flags are
 * passed in the vCPU's block.
 */
import { invariant } from '../base/index.js';
import type { Expr, Instruction, Statement } from '../isa/index.js';
import type { CodeModel } from './architecture.js';
import { emitExpr, emitStatements } from './emit.js';
import type { Environment } from './emit.js';
import { emitLoadFlags, emitSaveFlags, FunctionLocals, layOutFlags } from './flags.js';
import type { FlagLocals, FlagSlot } from './flags.js';
import { cpuOffsets } from './layout.js';
import { accessEmitters } from './memory_access.js';
import type { AccessEnvironment } from './memory_access.js';
import type { AccessFunctions } from './access_functions.js';
import { mentionsOf } from './mentions.js';
import { recordLayout } from './record.js';
import type { RecordLayout } from './record.js';
import { ifStackMisaligned, LocalPool, operandReader } from './record_operands.js';
import { Code, i32, i64, load32, loads64, stores64, v128 } from './wasm/code.js';
import type { ValueType } from './wasm/code.js';
import type { FunctionType } from './wasm/module.js';

export const functionType: FunctionType = { parameters: [i32, i32, i64], results: [i32] };

/** Return values of these functions. */
export const functionStatus = {
  next: 0,
  /** Continue at the pc in the vCPU's block. */
  jump: 1,
  /** As `next`, and the flags in the vCPU's block have changed. With any other status they may have changed too. */
  nextWithFlags: 2,
  /** As `jump`, but no time slice ends there. */
  refetch: 3,
  /** The host stopped the run. The pc is in the vCPU's block. */
  stopped: -1,
} as const;

/** The function's locals. Those of the instruction follow. */
interface Locals {
  readonly cpu: number;
  readonly record: number;
  readonly pc: number;
  readonly flags: FlagLocals;
  readonly entry: number;
  readonly address: number;
  readonly value: number;
  readonly vector: number;
  readonly tlb: number;
}

function layOutLocals(slots: readonly FlagSlot[]): { locals: Locals; all: FunctionLocals } {
  const all = new FunctionLocals(functionType.parameters.length);
  const locals = {
    cpu: 0,
    record: 1,
    pc: 2,
    flags: { ...all.addFlags(slots, i64), ...all.addFlags(slots, i32) },
    entry: all.add(i32),
    address: all.add(i64),
    value: all.add(i64),
    vector: all.add(v128),
    tlb: all.add(i32),
  };
  return { locals, all };
}

/** Indexes of the functions that such a function calls. */
export interface FunctionHost extends AccessFunctions {
  readonly system: number;
  /** Index of the function for a floating-point operation: `(cpu, a, b, c) -> result`. */
  floatFunction(operation: Extract<Statement, { op: 'float' }>['operation']): number;
}

/** Whether any of the given micro-operations occurs in the semantics. */
function mentions(statements: readonly Statement[], ops: readonly string[]): boolean {
  const mentioned = mentionsOf(statements).ops;
  return ops.some((op) => mentioned.has(op));
}

const accesses = ['load', 'store', 'loadPair', 'storePair', 'loadVector', 'storeVector', 'clearBlock'];

export interface InstructionFunction {
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

export function buildFunction(
  instruction: Instruction,
  model: CodeModel,
  host: FunctionHost,
): InstructionFunction {
  return new FunctionBuilder(instruction, model, recordLayout(instruction), host).build();
}

class FunctionBuilder {
  readonly #code = new Code();
  readonly #instruction: Instruction;
  readonly #host: FunctionHost;
  readonly #environment: Environment;
  readonly #pool: LocalPool;
  readonly #model: CodeModel;
  readonly #slots: readonly FlagSlot[];
  readonly #locals: Locals;
  readonly #types: readonly ValueType[];
  readonly #flags: boolean;
  readonly #setsFlags: boolean;

  constructor(instruction: Instruction, model: CodeModel, layout: RecordLayout, host: FunctionHost) {
    this.#model = model;
    this.#slots = layOutFlags(model.flags);
    const { locals, all } = layOutLocals(this.#slots);
    this.#locals = locals;
    this.#types = all.types;
    this.#pool = new LocalPool(all.end);
    this.#instruction = instruction;
    this.#host = host;
    this.#flags = mentions(instruction.semantics.statements, ['flag', 'condition', 'setFlags']);
    this.#setsFlags = mentions(instruction.semantics.statements, ['setFlags']);
    this.#environment = this.#makeEnvironment(layout);
  }

  build(): InstructionFunction {
    const code = this.#code;
    const local = this.#locals;
    if (this.#flags) emitLoadFlags(code, local.cpu, this.#slots, local.flags);
    if (mentions(this.#instruction.semantics.statements, accesses)) {
      code.get(local.cpu).memory(load32.word, 2, cpuOffsets.tlb).set(local.tlb);
    }
    emitStatements(this.#environment, this.#instruction.semantics.statements);
    this.#saveFlags();
    code.constant(i32, this.#setsFlags ? functionStatus.nextWithFlags : functionStatus.next);
    return { locals: [...this.#types, ...this.#pool.types], code };
  }

  #saveFlags(): void {
    if (this.#setsFlags) emitSaveFlags(this.#code, this.#locals.cpu, this.#slots, this.#locals.flags);
  }

  #leave(status: number): void {
    this.#saveFlags();
    this.#code.constant(i32, status).return();
  }

  #makeEnvironment(layout: RecordLayout): Environment {
    const code = this.#code;
    const local = this.#locals;
    const access: AccessEnvironment = {
      locals: local,
      unaligned: this.#model.unaligned,
      missed: {
        // The caller has already counted the instruction; only the position must be saved here.
        call: (missed) => {
          this.#savePosition();
          code.call(this.#host[missed]);
        },
        leave: () => this.#leave(functionStatus.stopped),
      },
    };
    const environment: Environment = {
      code,
      cpu: local.cpu,
      flagSet: this.#model.flags,
      flags: local.flags,
      saturation: this.#model.floatRegisters.saturation,
      ...operandReader(code, this.#model, layout, null, local.flags),
      pc: () => code.get(local.pc),
      record: () => code.get(local.record),
      limit: () => code.get(local.cpu).memory(load32.word, 2, cpuOffsets.limit),
      local: (index, type) => this.#pool.local(index, type),
      ...accessEmitters(() => environment, access),
      float: (statement) => this.#float(statement),
      jump: (statement) => this.#jump(statement),
      system: ({ name, inputs, index }) => this.#system(name, inputs, index),
      checkStack: (operand) => {
        ifStackMisaligned(code, this.#model, layout, null, operand);
        this.#system('misalignedStack', [], null);
        code.end();
      },
      nest: () => undefined,
    };
    return environment;
  }

  #savePosition(): void {
    this.#code.get(this.#locals.cpu).get(this.#locals.pc).memory(stores64[8][0], 3, cpuOffsets.pc);
  }

  #jump({ target, isSchedulingPoint }: Extract<Statement, { op: 'jump' }>): void {
    this.#code.get(this.#locals.cpu);
    emitExpr(this.#environment, target);
    this.#code.memory(stores64[8][0], 3, cpuOffsets.pc);
    this.#leave(isSchedulingPoint ? functionStatus.jump : functionStatus.refetch);
  }

  #inputs(inputs: readonly Expr[], count: number): void {
    for (let position = 0; position < count; position += 1) {
      const input = inputs[position];
      if (input === undefined) this.#code.constant(i64, 0);
      else emitExpr(this.#environment, input);
    }
  }

  #float({ operation, inputs, index }: Extract<Statement, { op: 'float' }>): void {
    this.#code.get(this.#locals.cpu);
    this.#inputs(inputs, 3);
    this.#code.call(this.#host.floatFunction(operation)).set(this.#pool.local(index, i64));
  }

  #system(name: string, inputs: readonly Expr[], index: number | null): void {
    const code = this.#code;
    this.#savePosition();
    const number = this.#model.systemCalls.indexOf(name);
    invariant(number >= 0, `${this.#instruction.name}: there is no system call ${name}`);
    code.get(this.#locals.cpu).constant(i32, number);
    this.#inputs(inputs, 2);
    code.call(this.#host.system).if();
    this.#leave(functionStatus.stopped);
    code.end();
    if (index === null) return;
    code.get(this.#locals.cpu).memory(loads64[8][0], 3, cpuOffsets.answer).set(this.#pool.local(index, i64));
  }
}
