/**
 * engine: runs vCPUs: the interpreter that is made from the instruction definitions, what it decoded, translation of
 * addresses, exceptions. It knows no instruction by name, no device, no address and no hypervisor: it meets them through
 * the ports that it declares.
 */
export { externalAbort } from './arm64/accesses.js';
export type { VcpuValue, VcpuView } from './arm64/vcpu_view.js';
export type { DeviceRegisters, EngineHost, PhysicalMemory, RunResult, StopReason } from './ports.js';
export { Processor } from './processor.js';
export type { ProcessorSizes } from './processor.js';
