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
import { cpuOffsets } from './layout.js';
import {
  emitClearBlock,
  emitLoad,
  emitLoadPair,
  emitLoadVector,
  emitStore,
  emitStorePair,
  emitStoreVector,
} from './memory_access.js';
import type { AccessEnvironment } from './memory_access.js';
import { mentionsOf } from './mentions.js';
import { recordLayout } from './record.js';
import type { RecordLayout } from './record.js';
import { ifStackMisaligned, LocalPool, operandReader } from './record_operands.js';
import { Code, i32, i64, load32, loads64, store32, stores64, v128 } from './wasm/code.js';
import type { ValueType } from './wasm/code.js';
import type { FunctionType } from './wasm/module.js';

export const coldType: FunctionType = { parameters: [i32, i32, i64], results: [i32] };

/** Return values of these functions. */
export const coldStatus = {
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

const local = {
  cpu: 0,
  record: 1,
  pc: 2,
  n: 3,
  z: 4,
  v: 5,
  c: 6,
  entry: 7,
  address: 8,
  value: 9,
  vector: 10,
  tlb: 11,
};
const localTypes: readonly ValueType[] = [i64, i64, i64, i32, i32, i64, i64, v128, i32];
const firstFree = 12;

/** Indexes of the functions that a cold function calls. */
export interface ColdHost {
  readonly missedLoad: number;
  readonly missedStore: number;
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

export interface ColdFunction {
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

export function buildColdFunction(instruction: Instruction, model: CodeModel, host: ColdHost): ColdFunction {
  return new ColdBuilder(instruction, model, recordLayout(instruction), host).build();
}

class ColdBuilder {
  readonly #code = new Code();
  readonly #instruction: Instruction;
  readonly #host: ColdHost;
  readonly #environment: Environment;
  readonly #pool = new LocalPool(firstFree);
  readonly #model: CodeModel;
  readonly #flags: boolean;
  readonly #setsFlags: boolean;

  constructor(instruction: Instruction, model: CodeModel, layout: RecordLayout, host: ColdHost) {
    this.#model = model;
    this.#instruction = instruction;
    this.#host = host;
    this.#flags = mentions(instruction.semantics.statements, ['flag', 'condition', 'setFlags']);
    this.#setsFlags = mentions(instruction.semantics.statements, ['setFlags']);
    this.#environment = this.#makeEnvironment(layout);
  }

  build(): ColdFunction {
    const code = this.#code;
    if (this.#flags) this.#loadFlags();
    if (mentions(this.#instruction.semantics.statements, accesses)) {
      code.get(local.cpu).memory(load32.word, 2, cpuOffsets.tlb).set(local.tlb);
    }
    emitStatements(this.#environment, this.#instruction.semantics.statements);
    this.#saveFlags();
    code.constant(i32, this.#setsFlags ? coldStatus.nextWithFlags : coldStatus.next);
    return { locals: [...localTypes, ...this.#pool.types], code };
  }

  #loadFlags(): void {
    for (const flag of ['n', 'z', 'v'] as const) {
      this.#code.get(local.cpu).memory(loads64[8][0], 3, cpuOffsets[flag]).set(local[flag]);
    }
    this.#code.get(local.cpu).memory(load32.word, 2, cpuOffsets.c).set(local.c);
  }

  #saveFlags(): void {
    if (!this.#setsFlags) return;
    for (const flag of ['n', 'z', 'v'] as const) {
      this.#code.get(local.cpu).get(local[flag]).memory(stores64[8][0], 3, cpuOffsets[flag]);
    }
    this.#code.get(local.cpu).get(local.c).memory(store32, 2, cpuOffsets.c);
  }

  #leave(status: number): void {
    this.#saveFlags();
    this.#code.constant(i32, status).return();
  }

  #makeEnvironment(layout: RecordLayout): Environment {
    const code = this.#code;
    const access: AccessEnvironment = {
      locals: local,
      missed: {
        // The caller has already counted the instruction; only the position must be saved here.
        call: (table) => {
          this.#savePosition();
          code.call(table === 'read' ? this.#host.missedLoad : this.#host.missedStore);
        },
        leave: () => this.#leave(coldStatus.stopped),
      },
    };
    const environment: Environment = {
      code,
      cpu: local.cpu,
      flags: local,
      ...operandReader(code, this.#model, layout, null, local),
      pc: () => code.get(local.pc),
      local: (index, type) => this.#pool.local(index, type),
      load: (statement) => emitLoad(environment, access, statement),
      store: (statement) => emitStore(environment, access, statement),
      loadPair: (statement) => emitLoadPair(environment, access, statement),
      storePair: (statement) => emitStorePair(environment, access, statement),
      loadVector: (statement) => emitLoadVector(environment, access, statement),
      storeVector: (statement) => emitStoreVector(environment, access, statement),
      float: (statement) => this.#float(statement),
      jump: (statement) => this.#jump(statement),
      system: ({ name, inputs, index }) => this.#system(name, inputs, index),
      checkStack: (operand) => {
        ifStackMisaligned(code, this.#model, layout, null, operand);
        this.#system('misalignedStack', [], null);
        code.end();
      },
      clearBlock: (statement) => emitClearBlock(environment, access, statement),
      nest: () => undefined,
    };
    return environment;
  }

  #savePosition(): void {
    this.#code.get(local.cpu).get(local.pc).memory(stores64[8][0], 3, cpuOffsets.pc);
  }

  #jump({ target, isSchedulingPoint }: Extract<Statement, { op: 'jump' }>): void {
    this.#code.get(local.cpu);
    emitExpr(this.#environment, target);
    this.#code.memory(stores64[8][0], 3, cpuOffsets.pc);
    this.#leave(isSchedulingPoint ? coldStatus.jump : coldStatus.refetch);
  }

  #inputs(inputs: readonly Expr[], count: number): void {
    for (let position = 0; position < count; position += 1) {
      const input = inputs[position];
      if (input === undefined) this.#code.constant(i64, 0);
      else emitExpr(this.#environment, input);
    }
  }

  #float({ operation, inputs, index }: Extract<Statement, { op: 'float' }>): void {
    this.#code.get(local.cpu);
    this.#inputs(inputs, 3);
    this.#code.call(this.#host.floatFunction(operation)).set(this.#pool.local(index, i64));
  }

  #system(name: string, inputs: readonly Expr[], index: number | null): void {
    const code = this.#code;
    this.#savePosition();
    const number = this.#model.systemCalls.indexOf(name);
    invariant(number >= 0, `${this.#instruction.name}: there is no system call ${name}`);
    code.get(local.cpu).constant(i32, number);
    this.#inputs(inputs, 2);
    code.call(this.#host.system).if();
    this.#leave(coldStatus.stopped);
    code.end();
    if (index === null) return;
    code.get(local.cpu).memory(loads64[8][0], 3, cpuOffsets.answer).set(this.#pool.local(index, i64));
  }
}
