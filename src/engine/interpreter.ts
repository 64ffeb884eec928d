/**
 * Builds the interpreter, WebAssembly modules: one with a large function, that has the handlers of most instructions, and with
 * a function for each of those whose handlers may give up; and batches of the functions of cold instructions, of which a
 * guest needs few, and which are built when the first of a batch is met.
 */
import type { FloatOperation, Instruction } from '../isa/index.js';
import { addAccessFunctions, importAccessFunctions } from './access_functions.js';
import { buildColdFunction, coldType } from './cold.js';
import type { ColdHost } from './cold.js';
import { FloatFunctions } from './float/index.js';
import { specialCount } from './handlers.js';
import type { HandlerPlan } from './handlers.js';
import { importHost } from './host_functions.js';
import { InterpreterBuilder } from './interpreter_function.js';
import { i32 } from './wasm/code.js';
import { WasmModule } from './wasm/module.js';

/** Where functions are looked up: exported by the first module. Its entry 0 is that of the handler `firstCalled`. */
export const functionTable = 'functions';

export function firstCalled({ unfailing }: HandlerPlan): number {
  return specialCount + unfailing;
}

/** How many cold instructions' functions are built at a time. */
const batchSize = 16;

/** Functions of cold instructions, as a module that exports them by the numbers of their handlers. */
export interface ColdBatch {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly numbers: readonly number[];
  /** What its `float` import is asked for, by number. */
  readonly floatOperations: readonly FloatOperation[];
}

/** The least size of the memory that is imported, in pages of 64 KiB. */
const memoryPages = 1;

/** A floating-point operation is a batch's affair. */
function refuseFloat(): never {
  throw new TypeError('an instruction with floating-point operations must be cold');
}

/** Encodes the module that has the interpreter's function, `run`. */
export function buildInterpreter(plan: HandlerPlan): Uint8Array<ArrayBuffer> {
  const { handlers, unfailing, hot } = plan;
  const module = new WasmModule(memoryPages);
  const imports = importHost(module);
  const host = { ...imports, ...addAccessFunctions(module, imports), floatFunction: refuseFloat };
  // Handlers of one instruction have its one function.
  const known = new Map<Instruction, number>();
  const table = handlers.slice(unfailing, hot).map(({ instruction }) => {
    const index = known.get(instruction) ?? addFunction(module, instruction, host, null);
    known.set(instruction, index);
    return index;
  });
  module.setTable(table, handlers.length - unfailing, functionTable);
  const builder = new InterpreterBuilder(plan, imports, module.typeIndex(coldType));
  const code = builder.build();
  module.addFunction({ parameters: [i32], results: [i32] }, builder.locals, code, 'run');
  return module.encode();
}

function addFunction(
  module: WasmModule,
  instruction: Instruction,
  host: ColdHost,
  exportName: string | null,
): number {
  const { locals, code } = buildColdFunction(instruction, host);
  return module.addFunction(coldType, locals, code, exportName);
}

/** Which batch a cold instruction's handler is in, by its number; -1 for one that needs none. */
export function batchOf({ hot }: HandlerPlan, number: number): number {
  return Math.max(Math.floor((number - specialCount - hot) / batchSize), -1);
}

export function buildBatch({ handlers, hot }: HandlerPlan, batch: number): ColdBatch {
  const module = new WasmModule(memoryPages);
  const imports = importHost(module);
  const accesses = importAccessFunctions(module);
  const floats = new FloatFunctions(module, imports.float);
  const floatFunction: ColdHost['floatFunction'] = (operation) => floats.indexOf(operation);
  const first = hot + batch * batchSize;
  const numbers = handlers.slice(first, first + batchSize).map(({ instruction }, index) => {
    const number = specialCount + first + index;
    addFunction(module, instruction, { ...imports, ...accesses, floatFunction }, String(number));
    return number;
  });
  return { module: module.encode(), numbers, floatOperations: floats.operations };
}
