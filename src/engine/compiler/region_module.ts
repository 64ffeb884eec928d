/** Modules of regions. A batch of them shares one module, because V8 keeps a lot for each module. */
import { functionType } from '../instruction_function.js';
import { functionCall, functionCallType } from '../interpreter.js';
import type { EngineMemory } from '../memory.js';
import { webAssembly } from '../wasm/host_api.js';
import { Code, i32 } from '../wasm/code.js';
import { WasmModule } from '../wasm/module.js';
import type { Checker } from './check.js';
import { buildRegion } from './region_function.js';
import type { RegionPlan, RegionSurroundings } from './region_function.js';

export interface RegionModule {
  /** Size of the encoded module in bytes. */
  readonly bytes: number;
  /** The functions by the handler number of their regions. */
  readonly functions: ReadonlyMap<number, unknown>;
}

type Surroundings = Omit<RegionSurroundings, 'callFunction' | 'storing'>;

/** Compiles regions. `callFunction` is the function that the interpreter's module exports (interpreter.ts). */
export function compileRegions(
  plans: readonly RegionPlan[],
  surroundings: Surroundings,
  memory: EngineMemory,
  callFunction: unknown,
): RegionModule {
  const module = new WasmModule(1);
  const index = module.importFunction(functionCall, functionCallType);
  addRegions(module, plans, { ...surroundings, callFunction: index, storing: null });
  return instantiate(module, plans, { memory: memory.wasm, [functionCall]: callFunction });
}

/** As `compileRegions`, for regions that are checked: the functions lead to the checker, and that calls the compiled code. */
export function compileChecked(
  plans: readonly RegionPlan[],
  surroundings: Surroundings,
  memory: EngineMemory,
  checker: Checker,
): RegionModule {
  const module = new WasmModule(1);
  const callFunction = module.importFunction(functionCall, functionCallType);
  const storing = module.importFunction('storing', { parameters: [i32, i32], results: [] });
  const run = module.importFunction('run', functionCallType);
  addRegions(module, plans, { ...surroundings, callFunction, storing });
  for (const { handler } of plans) {
    const code = new Code().get(0).get(1).get(2).constant(i32, handler).call(run);
    module.addFunction(functionType, [], code, `checked ${handler}`);
  }
  const host = {
    memory: memory.wasm,
    [functionCall]: checker.callFunction.bind(checker),
    storing: checker.storing.bind(checker),
    run: (cpu: number, record: number, pc: bigint, handler: number) =>
      checker.run(regions.get(handler) as Parameters<Checker['run']>[0], cpu, record, pc),
  };
  const { bytes, functions: regions, exports } = instantiate(module, plans, host);
  return { bytes, functions: new Map(plans.map(({ handler }) => [handler, exports[`checked ${handler}`]])) };
}

function addRegions(
  module: WasmModule,
  plans: readonly RegionPlan[],
  surroundings: RegionSurroundings,
): void {
  for (const plan of plans) {
    const { locals, code } = buildRegion(plan, surroundings);
    module.addFunction(functionType, locals, code, String(plan.handler));
  }
}

function instantiate(
  module: WasmModule,
  plans: readonly RegionPlan[],
  host: Readonly<Record<string, unknown>>,
): RegionModule & { readonly exports: Readonly<Record<string, unknown>> } {
  const bytes = module.encode();
  const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), { host });
  const functions = new Map(plans.map(({ handler }) => [handler, exports[String(handler)]]));
  return { bytes: bytes.length, functions, exports };
}
