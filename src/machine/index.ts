/**
 * machine: puts engine, devices and hypervisor together into a guest that runs; its bus, its clock and the turns that its
 * vCPUs take. It loads what it is given, and judges nothing.
 */
export { ArmMachine } from './arm_machine.js';
export type { MachineOptions, MachineStop } from './arm_machine.js';
export type { GuestConsole } from './console_input.js';
export type { MachineListener } from './guest_calls.js';
