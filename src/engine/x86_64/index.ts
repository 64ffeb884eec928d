/** x86-64 CPUs for the engine: an entry of its own, so that guests of another architecture do not load them. */
export { x86_64 } from './architecture.js';
export type { X86CpusValue, X86Line, X86Processor } from './architecture.js';
export type { CpuidAnswer, PortBytes, TimestampLine, X86Host } from './host.js';
export { cr0, cr4, efer } from './regime.js';
export { attribute } from './segments.js';
export type { Segment } from './segments.js';
export type { OpenException, SystemState, TableRegister } from './vcpu.js';
export type { X86VcpuValue, X86VcpuView } from './vcpu_view.js';
