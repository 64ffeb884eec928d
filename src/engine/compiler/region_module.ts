/** Modules of regions. A batch of them shares one module, because V8 keeps a lot for each module. */
import { functionType } from '../instruction_function.js';
import { functionCall, functionCallType } from '../interpreter.js';
import type { EngineMemory } from '../memory.js';
import { webAssembly } from '../wasm/host_api.js';
import { WasmModule } from '../wasm/module.js';
import { buildRegion } from './region_function.js';
import type { RegionPlan, RegionSurroundings } from './region_function.js';

export interface RegionModule {
  /** Size of the encoded module in bytes. */
  readonly bytes: number;
  /** The functions by the handler number of their regions. */
  readonly functions: ReadonlyMap<number, unknown>;
}

/** Compiles regions. `callFunction` is the function that the interpreter's module exports (interpreter.ts). */
export function compileRegions(
  plans: readonly RegionPlan[],
  surroundings: Omit<RegionSurroundings, 'callFunction'>,
  memory: EngineMemory,
  callFunction: unknown,
): RegionModule {
  const module = new WasmModule(1);
  const index = module.importFunction(functionCall, functionCallType);
  for (const plan of plans) {
    const { locals, code } = buildRegion(plan, { ...surroundings, callFunction: index });
    module.addFunction(functionType, locals, code, String(plan.handler));
  }
  const bytes = module.encode();
  const host = { memory: memory.wasm, [functionCall]: callFunction };
  const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), { host });
  const functions = new Map(plans.map(({ handler }) => [handler, exports[String(handler)]]));
  return { bytes: bytes.length, functions };
}
