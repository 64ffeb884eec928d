/** The functions of its host that the interpreter calls. */
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
  readonly undefinedInstruction: number;
}

export function importHost(module: WasmModule): Host {
  return {
    // (cpu, address) -> the page's records, or -1 when it cannot be fetched
    fetch: module.importFunction('fetch', { parameters: [i32, i64], results: [i32] }),
    // (cpu, record, address): decodes the word there into the record
    decode: module.importFunction('decode', { parameters: [i32, i32, i64], results: [] }),
    // (cpu, address, bytes) -> where in this memory the value stands, or -1 when the access faults
    slowLoad: module.importFunction('slowLoad', { parameters: [i32, i64, i32], results: [i32] }),
    // (cpu, address, bytes, value) -> 0, or -1 when the access faults
    slowStore: module.importFunction('slowStore', { parameters: [i32, i64, i32, i64], results: [i32] }),
    // (cpu, name, a, b) -> the answer
    system: module.importFunction('system', { parameters: [i32, i32, i64, i64], results: [i64] }),
    // (cpu, operation, a, b, c) -> the result; operations by their place in the plan's list
    float: module.importFunction('float', { parameters: [i32, i32, i64, i64, i64], results: [i64] }),
    undefinedInstruction: module.importFunction('undefinedInstruction', { parameters: [i32], results: [] }),
  };
}
