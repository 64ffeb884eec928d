/**
 * WebAssembly functions for memory accesses that are not done inline. They handle an unaligned access within a page
 * that is in the TLB; for all other accesses they call the host. The caller has already saved the position of the run.
 */
import { accessFlags, tlbEntry, tlbOffsets } from './layout.js';
import type { Host } from './host_functions.js';
import { pushEntry } from './memory_access.js';
import { Code, extendUnsigned, i32, i64, load32, loads64, opcodes, wrap } from './wasm/code.js';
import type { ValueType } from './wasm/code.js';
import type { FunctionType, WasmModule } from './wasm/module.js';

const local = { cpu: 0, tlb: 1, address: 2, flags: 3, entry: 4 } as const;
const parameters: readonly ValueType[] = [i32, i32, i64, i32];

/**
 * Function indexes. Signature: (cpu, TLB set, address, flags) -> byte offset in the memory, or one of accessResults.
 */
export interface AccessFunctions {
  readonly missedLoad: number;
  readonly missedStore: number;
  /** A load from where a store follows, so that the entry must be one for writing. */
  readonly missedModify: number;
}

/** Names under which the first module exports these functions and other modules import them. */
export const accessFunctionNames = [
  'missedLoad',
  'missedStore',
  'missedModify',
] as const satisfies (keyof AccessFunctions)[];

const type: FunctionType = { parameters, results: [i32] };

export function importAccessFunctions(module: WasmModule): AccessFunctions {
  const [missedLoad, missedStore, missedModify] = accessFunctionNames;
  return {
    missedLoad: module.importFunction(missedLoad, type),
    missedStore: module.importFunction(missedStore, type),
    missedModify: module.importFunction(missedModify, type),
  };
}

export function addAccessFunctions(module: WasmModule, host: Host): AccessFunctions {
  return {
    missedLoad: addMissed(module, tlbOffsets.read, host.slowLoad, 'missedLoad'),
    missedStore: addMissed(module, tlbOffsets.write, host.slowStore, 'missedStore'),
    missedModify: addMissed(module, tlbOffsets.write, host.slowLoad, 'missedModify'),
  };
}

function addMissed(module: WasmModule, table: number, slow: number, name: keyof AccessFunctions): number {
  const code = new Code();
  const { entry } = local;
  code.get(local.tlb);
  pushEntry(code, local.address);
  code.tee(entry).memory(loads64[8][0], 3, table);
  // The page that holds the last byte of the access.
  code.get(local.address).get(local.flags).constant(i32, accessFlags.bytes).byte(opcodes[i32].and);
  code.constant(i32, 1).byte(opcodes[i32].sub).byte(extendUnsigned).byte(opcodes[i64].add);
  code.constant(i64, ~0xfffn).byte(opcodes[i64].and).byte(opcodes[i64].eq);
  code
    .get(entry)
    .memory(load32.word, 2, table + tlbEntry.alignedOnly)
    .byte(opcodes[i32].eqz);
  code.byte(opcodes[i32].and).if();
  code
    .get(local.address)
    .byte(wrap)
    .get(entry)
    .memory(load32.word, 2, table + tlbEntry.value);
  code.byte(opcodes[i32].add).return();
  code.end();
  code.get(local.cpu);
  pushHalves(code, local.address);
  code.get(local.flags).call(slow);
  return module.addFunction(type, [i32], code, name);
}

/** Pushes the low and the high half of an i64 local. A 64-bit argument would cross to the host as a BigInt. */
export function pushHalves(code: Code, index: number): void {
  code.get(index).byte(wrap).get(index).constant(i64, 32).byte(opcodes[i64].shrUnsigned).byte(wrap);
}
