/** Instances of the interpreter's modules over one memory. Batches of cold instructions are added as they are met. */
import { present } from '../base/index.js';
import { accessFunctionNames } from './access_functions.js';
import { floatCalls } from './float/index.js';
import type { CodeModel } from './architecture.js';
import type { HandlerPlan } from './handlers.js';
import { batchOf, firstCalled, functionCall, functionTable } from './interpreter.js';
import type { ColdBatch } from './interpreter.js';
import type { EngineMemory } from './memory.js';
import { interpreterFor } from './prepared_interpreter.js';
import { webAssembly } from './wasm/host_api.js';
import type { WasmTable } from './wasm/host_api.js';

interface CompiledBatch extends ColdBatch {
  readonly compiled: object;
}

/** Everything built from a code model. */
export interface Built {
  readonly model: CodeModel;
  readonly plan: HandlerPlan;
  readonly module: object;
  /** The encoded batch with a number. */
  readonly batch: (number: number) => ColdBatch;
  /** The batches built so far, by number. */
  readonly batches: Map<number, CompiledBatch>;
}

/** One build per code model, so that a second processor reuses the optimised code of the first. */
const built = new WeakMap<CodeModel, Built>();

export function interpreterOf(model: CodeModel): Built {
  const known = built.get(model);
  if (known !== undefined) return known;
  const { plan, module, batch } = interpreterFor(model);
  const made = {
    model,
    plan,
    module: new webAssembly.Module(module),
    batch,
    batches: new Map<number, CompiledBatch>(),
  };
  built.set(model, made);
  return made;
}

function compiledBatch({ batch: encoded, batches }: Built, number: number): CompiledBatch {
  const known = batches.get(number);
  if (known !== undefined) return known;
  const batch = encoded(number);
  const made = { ...batch, compiled: new webAssembly.Module(batch.module) };
  batches.set(number, made);
  return made;
}

/** The table grows by so many entries at least. */
const grownEntries = 256;

type HostFunction = (...values: never[]) => unknown;

export class InterpreterInstance {
  /** Runs the vCPU with the given block. Returns an exit number. */
  readonly run: (cpu: number) => number;
  /** Calls a function of the table (interpreter.ts, functionCall). */
  readonly callFunction: unknown;
  readonly #built: Built;
  readonly #memory: EngineMemory;
  readonly #host: Readonly<Record<string, unknown>>;
  readonly #table: WasmTable;
  readonly #there = new Set<number>();

  /** `host` has the functions that the modules import, except those for floating point. */
  constructor(made: Built, memory: EngineMemory, host: Readonly<Record<string, HostFunction>>) {
    this.#built = made;
    this.#memory = memory;
    const own = {
      ...host,
      memory: memory.wasm,
      float: floatCalls(memory.view, made.model.floatRegisters, []),
    };
    const { exports } = new webAssembly.Instance(made.module, { host: own });
    this.run = exports['run'] as (cpu: number) => number;
    this.#table = exports[functionTable] as WasmTable;
    this.callFunction = exports[functionCall];
    const accesses = accessFunctionNames.map((name) => [name, exports[name]]);
    this.#host = { ...own, ...(Object.fromEntries(accesses) as Record<string, unknown>) };
  }

  /** Puts the function of a handler number into the table; null takes it out. */
  setFunction(handler: number, found: unknown): void {
    const index = handler - firstCalled(this.#built.plan);
    if (index >= this.#table.length) this.#table.grow(index + grownEntries - this.#table.length);
    this.#table.set(index, found);
  }

  /** Makes sure that the function of a handler exists. */
  provide(handler: number): void {
    const number = batchOf(this.#built.plan, handler);
    if (number < 0 || this.#there.has(number)) return;
    this.#there.add(number);
    const { compiled, numbers, floatOperations } = compiledBatch(this.#built, number);
    const float = floatCalls(this.#memory.view, this.#built.model.floatRegisters, floatOperations);
    const { exports } = new webAssembly.Instance(compiled, { host: { ...this.#host, float } });
    for (const each of numbers) {
      const found = present(exports[String(each)], `the function of handler ${each}`);
      this.#table.set(each - firstCalled(this.#built.plan), found);
    }
  }
}
