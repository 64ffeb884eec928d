/**
 * The host functions that the interpreter imports. Addresses are two i32, low half first, because an i64 would become a
 * BigInt.
 */
import { i32, i64 } from './wasm/code.js';
import type { WasmModule } from './wasm/module.js';

/** Function indexes, in the order of import. */
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
    // (cpu, address) -> the page's records, or -1 when the fetch faults
    fetch: module.importFunction('fetch', { parameters: [i32, i32, i32], results: [i32] }),
    // (record): decodes the word there into the record
    decode: module.importFunction('decode', { parameters: [i32], results: [] }),
    // (cpu, address, flags) -> byte offset of the value in this memory, or one of accessResults
    slowLoad: module.importFunction('slowLoad', { parameters: [i32, i32, i32, i32], results: [i32] }),
    // (cpu, address, flags) -> byte offset to store to, or one of accessResults; the value is in the scratch area
    slowStore: module.importFunction('slowStore', { parameters: [i32, i32, i32, i32], results: [i32] }),
    // (cpu, call, a, b) -> whether to leave the instruction; the result is in the vCPU's block
    system: module.importFunction('system', { parameters: [i32, i32, i64, i64], results: [i32] }),
    // (cpu, operation, a, b, c) -> the result; an operation is its index in the plan's list
    float: module.importFunction('float', { parameters: [i32, i32, i64, i64, i64], results: [i64] }),
  };
}
