/** The functions of its host that the interpreter calls. Addresses are two i32, the low half first: i64s would be BigInts there. */
import { i32, i64 } from './wasm/code.js';
import type { WasmModule } from './wasm/module.js';

/** Imports, by the order of their indexes. */
export interface Host {
  readonly fetch: number;
  readonly decode: number;
  readonly slowLoad: number;
  readonly slowStore: number;
  readonly system: number;
  readonly float: number;
}

export function importHost(module: WasmModule): Host {
  return {
    // (cpu, address) -> the page's records, or -1 when it cannot be fetched
    fetch: module.importFunction('fetch', { parameters: [i32, i32, i32], results: [i32] }),
    // (record): decodes the word there into the record
    decode: module.importFunction('decode', { parameters: [i32], results: [] }),
    // (cpu, address, flags) -> where in this memory the value stands, or one of accessResults
    slowLoad: module.importFunction('slowLoad', { parameters: [i32, i32, i32, i32], results: [i32] }),
    // (cpu, address, flags) -> where to store, or one of accessResults; the value is in the scratch place
    slowStore: module.importFunction('slowStore', { parameters: [i32, i32, i32, i32], results: [i32] }),
    // (cpu, call, a, b) -> whether the instruction is left; the answer is in the vCPU's block
    system: module.importFunction('system', { parameters: [i32, i32, i64, i64], results: [i32] }),
    // (cpu, operation, a, b, c) -> the result; operations by their place in the plan's list
    float: module.importFunction('float', { parameters: [i32, i32, i64, i64, i64], results: [i64] }),
  };
}
