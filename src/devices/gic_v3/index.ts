/**
 * The GICv3 that Xen emulates for an arm64 guest: distributor, redistributors and CPU interface over one plain state.
 */
export { irqAsserted, isPrivateLatched, latchPrivate, setCpuPower, setLine } from './cpu_interface.js';
export type { Gic } from './cpu_interface.js';
export { distributor } from './distributor.js';
export { iccRegisters, isIccRegister, readIcc, systemRegister, writeIcc } from './icc_registers.js';
export { redistributorBytes, redistributors } from './redistributor.js';
export { newGic } from './state.js';
export type { CpuInterfaceState, GicCpuState, GicState, InterruptBank } from './state.js';
