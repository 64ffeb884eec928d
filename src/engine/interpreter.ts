/**
 * Builds the interpreter, a WebAssembly module: one large function with the handlers of most instructions, and a function
 * for each of the others and for those whose handlers may give up.
 */
import type { FloatOperation, Instruction } from '../isa/index.js';
import { addAccessFunctions } from './access_functions.js';
import { buildColdFunction, coldType } from './cold.js';
import { FloatFunctions } from './float/index.js';
import { planHandlers } from './handlers.js';
import type { Handler, HandlerPlan } from './handlers.js';
import { importHost } from './host_functions.js';
import { InterpreterBuilder } from './interpreter_function.js';
import type { Functions } from './interpreter_function.js';
import { i32 } from './wasm/code.js';
import { WasmModule } from './wasm/module.js';

export interface InterpreterPlan extends HandlerPlan {
  /** What the `float` import is asked for, by number. */
  readonly floatOperations: readonly FloatOperation[];
  readonly module: Uint8Array<ArrayBuffer>;
}

/** Plans and encodes the interpreter of `instructions`. `memoryPages` is the least size of its memory, in 64 KiB. */
export function buildInterpreter(instructions: readonly Instruction[], memoryPages: number): InterpreterPlan {
  const plan = planHandlers(instructions);
  const { handlers } = plan;
  const module = new WasmModule(memoryPages);
  const imports = importHost(module);
  const host = { ...imports, ...addAccessFunctions(module, imports) };
  const floatOperations = addFunctions(module, host, handlers.slice(plan.unfailing));
  const builder = new InterpreterBuilder(plan, host, module.typeIndex(coldType));
  const code = builder.build();
  module.addFunction({ parameters: [i32], results: [i32] }, builder.locals, code, 'run');
  return { ...plan, floatOperations, module: module.encode() };
}

/** Writes the functions of those instructions, and the table through which they are called. */
function addFunctions(
  module: WasmModule,
  host: Functions,
  handlers: readonly Handler[],
): readonly FloatOperation[] {
  const floats = new FloatFunctions(module, host.float);
  const floatFunction = (operation: FloatOperation): number => floats.indexOf(operation);
  // Handlers of one instruction have its one function.
  const known = new Map<Instruction, number>();
  const table = handlers.map(({ instruction, layout }) => {
    const before = known.get(instruction);
    if (before !== undefined) return before;
    const { locals, code } = buildColdFunction(instruction, layout, { ...host, floatFunction });
    const index = module.addFunction(coldType, locals, code, null);
    known.set(instruction, index);
    return index;
  });
  module.setTable(table);
  return floats.operations;
}
