/**
 * float: floating-point arithmetic by the architecture's rules. The host's own numbers answer where they can (fast_path.ts);
 * everything else is computed exactly (arithmetic.ts and its neighbours). No NaN of the host's ever reaches a guest.
 */
export { floatCalls } from './calls.js';
export { FloatFunctions } from './functions.js';
