/** float: exact floating-point arithmetic by the architecture's rules, for what the host's own numbers cannot answer. */
export { floatCalls } from './calls.js';
