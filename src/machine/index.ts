/** machine: puts engine, devices, firmware and hypervisor together into a guest that runs; its clock and its turns. */
export { ArmMachine } from './arm_machine.js';
export type { MachineListener, MachineOptions, MachineStop } from './arm_machine.js';
