/**
 * engine: runs vCPUs. It contains the interpreter that is generated from the instruction definitions, the decoded code
 * pages, address translation and exceptions. It names no instruction and knows no device, address or hypervisor; it
 * reaches these through the ports that it declares.
 */
export type { CpuArchitecture, CpuSet } from './architecture.js';
export { externalAbort } from './arm64/accesses.js';
export { arm64 } from './arm64/architecture.js';
export type { Arm64Line, Arm64Processor } from './arm64/architecture.js';
export type { OpenExceptionValue, VcpuValue, VcpuView } from './arm64/vcpu_view.js';
export type { Arm64Host, DeviceRegisters } from './arm64/host.js';
export type { PageContents } from './memory.js';
export type { PhysicalMemory, RunResult, StopReason } from './ports.js';
export type { CompilerStatistics } from './compiler/compiler.js';
export { engineKinds, Processor } from './processor.js';
export type { EngineKind, EngineOptions, ProcessorSizes, ProcessorValue } from './processor.js';
