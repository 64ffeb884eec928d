/**
 * float: floating-point arithmetic by the architecture's rules. Uses the host's own arithmetic where its results are
 * correct (fast_path.ts) and computes everything else exactly (arithmetic.ts and its neighbours). A NaN of the host
 * never reaches a guest.
 */
export { floatCalls } from './calls.js';
export { exceptions } from './context.js';
export type { FloatModes, FloatRegisters, FloatRules } from './context.js';
export { FloatFunctions } from './functions.js';
