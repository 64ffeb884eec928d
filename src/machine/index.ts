/**
 * machine: combines engine, devices and hypervisor into a guest that runs, with its bus, its clock and the scheduling
 * of its vCPUs. It loads the given images and does not judge what the guest does.
 */
export { ArmMachine } from './arm_machine.js';
export type { MachineOptions, MachineStop } from './arm_machine.js';
export type { GuestConsole } from './console_input.js';
export { needsLevel } from './vcpu_diagnosis.js';
export type { UnknownCall, VcpuDiagnosis } from './vcpu_diagnosis.js';
export type { MachineListener } from './guest_calls.js';
