/**
 * isa: what each instruction is: bits, text, meaning, once. It knows no back end: neither how an instruction is
 * run nor where memory is.
 */
export * from './instruction.js';
export type * from './micro_ops.js';
export type * from './vector_micro_ops.js';
export type * from './float_micro_ops.js';
export * from './pattern.js';
export { Semantics } from './semantics.js';
export { makeDecoder } from './decoder.js';
export type { Decoder } from './decoder.js';
export { a64 } from './arm64/index.js';
