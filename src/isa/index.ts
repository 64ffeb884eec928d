/**
 * isa: defines each instruction once: encoding, text and semantics. It does not know how instructions are executed or
 * where memory is.
 */
export * from './instruction.js';
export type * from './micro_ops.js';
export type * from './vector_micro_ops.js';
export type * from './float_micro_ops.js';
export { commonSystemCalls } from './system_calls.js';
export { flowOf } from './flow.js';
export type { Flow } from './flow.js';
export { floatState } from './state.js';
export { Semantics } from './semantics.js';
export { a64, a64Decoder } from './arm64/index.js';
export { a64Flags, conditionHolds } from './arm64/flags.js';
export { higherLevelInstruction, registerAccessText } from './arm64/higher_levels.js';
export type { HigherLevelInstruction } from './arm64/higher_levels.js';
export { cortexA57, cortexA57Caches } from './arm64/cortex_a57.js';
export * from './arm64/system_registers.js';
export * from './arm64/encoding.js';
export * from './arm64/pattern.js';
export * from './arm64/registers.js';
export { alwaysLeaves, idleSuccessor, reachOf } from './arm64/reach.js';
export type { Reach } from './arm64/reach.js';
export { a64SystemCalls } from './arm64/system_calls.js';
export type { A64SystemCall } from './arm64/system_calls.js';
export { makeDecoder } from './arm64/decoder.js';
export type { Decoder } from './arm64/decoder.js';
export { assemble } from './arm64/assembler/assembler.js';
export type { Assembled } from './arm64/assembler/assembler.js';
