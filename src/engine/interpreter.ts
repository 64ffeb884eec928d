/**
 * Builds the interpreter as WebAssembly modules. The first module has the large function with the handlers of most
 * instructions, and one function for each instruction whose handler may bail out. Further modules are batches of cold
 * instructions. A guest needs few of them, so a batch is built when one of its instructions is first met.
 */
import type { FloatOperation, Instruction } from '../isa/index.js';
import { addAccessFunctions, importAccessFunctions } from './access_functions.js';
import type { CodeModel } from './architecture.js';
import { buildFunction, functionType } from './instruction_function.js';
import type { FunctionHost } from './instruction_function.js';
import { FloatFunctions } from './float/index.js';
import { specialCount } from './handlers.js';
import type { HandlerPlan } from './handlers.js';
import { importHost } from './host_functions.js';
import { InterpreterBuilder } from './interpreter_function.js';
import { Code, i32, i64 } from './wasm/code.js';
import { WasmModule } from './wasm/module.js';
import type { FunctionType } from './wasm/module.js';

/**
 * Name under which the first module exports the function table. Entry 0 is the function of the handler `firstCalled`.
 */
export const functionTable = 'functions';

/** Name under which the first module exports a function that calls one of the table: `(cpu, record, pc, entry) -> status`. */
export const functionCall = 'callFunction';
export const functionCallType: FunctionType = { parameters: [i32, i32, i64, i32], results: [i32] };

export function firstCalled({ unfailing }: HandlerPlan): number {
  return specialCount + unfailing;
}

/** Number of cold instructions per batch. */
const batchSize = 16;

/** A module of cold instructions. It exports each function by the number of its handler. */
export interface ColdBatch {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly numbers: readonly number[];
  /** The operations of its `float` import, by number. */
  readonly floatOperations: readonly FloatOperation[];
}

/** Minimum size of the imported memory, in pages of 64 KiB. */
const memoryPages = 1;

/** Floating-point operations occur in batches only. */
function refuseFloat(): never {
  throw new TypeError('an instruction with floating-point operations must be cold');
}

/** Encodes the module that contains the interpreter's function, `run`. */
export function buildInterpreter(plan: HandlerPlan, model: CodeModel): Uint8Array<ArrayBuffer> {
  const { handlers, unfailing, hot } = plan;
  const module = new WasmModule(memoryPages);
  const imports = importHost(module);
  const host = { ...imports, ...addAccessFunctions(module, imports), floatFunction: refuseFloat };
  // All handlers of one instruction share one function.
  const known = new Map<Instruction, number>();
  const table = handlers.slice(unfailing, hot).map(({ instruction }) => {
    const index = known.get(instruction) ?? addFunction(module, instruction, model, host, null);
    known.set(instruction, index);
    return index;
  });
  module.setTable(table, handlers.length - unfailing, functionTable);
  const call = new Code().get(0).get(1).get(2).get(3).callIndirect(module.typeIndex(functionType));
  module.addFunction(functionCallType, [], call, functionCall);
  const builder = new InterpreterBuilder(plan, model, imports, module.typeIndex(functionType));
  const code = builder.build();
  module.addFunction({ parameters: [i32], results: [i32] }, builder.types, code, 'run');
  return module.encode();
}

function addFunction(
  module: WasmModule,
  instruction: Instruction,
  model: CodeModel,
  host: FunctionHost,
  exportName: string | null,
): number {
  const { locals, code } = buildFunction(instruction, model, host);
  return module.addFunction(functionType, locals, code, exportName);
}

/** The batch of a cold instruction, by the number of its handler; -1 for an instruction that is not in a batch. */
export function batchOf({ hot }: HandlerPlan, number: number): number {
  return Math.max(Math.floor((number - specialCount - hot) / batchSize), -1);
}

/** How many batches there are. */
export function batchCount({ handlers, hot }: HandlerPlan): number {
  return Math.ceil((handlers.length - hot) / batchSize);
}

export function buildBatch({ handlers, hot }: HandlerPlan, model: CodeModel, batch: number): ColdBatch {
  const module = new WasmModule(memoryPages);
  const imports = importHost(module);
  const accesses = importAccessFunctions(module);
  const floats = new FloatFunctions(module, imports.float, model.floatRegisters);
  const floatFunction: FunctionHost['floatFunction'] = (operation) => floats.indexOf(operation);
  const first = hot + batch * batchSize;
  const numbers = handlers.slice(first, first + batchSize).map(({ instruction }, index) => {
    const number = specialCount + first + index;
    addFunction(module, instruction, model, { ...imports, ...accesses, floatFunction }, String(number));
    return number;
  });
  return { module: module.encode(), numbers, floatOperations: floats.operations };
}
