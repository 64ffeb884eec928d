/** Machines with x86-64 CPUs: an entry of its own, so that guests of another architecture do not load them. */
export { X86Board, x86Machine } from './board.js';
export type { TripleFault, X86BoardState, X86Machine } from './board.js';
export type { X86VcpuDiagnosis } from './diagnosis.js';
export type { PortCount } from './ports.js';
