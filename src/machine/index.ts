/**
 * machine: combines engine, devices and hypervisor into a guest that runs, with its bus, its clock and the scheduling
 * of its vCPUs. It loads the given images and does not judge what the guest does.
 */
export { arm64Machine } from './arm64/board.js';
export type { Arm64Board, Arm64Machine } from './arm64/board.js';
export type { Board, CpuModel, MachineListener, MachineOptions } from './board.js';
export type { GuestConsole } from './console_input.js';
export { needsLevel } from './arm64/diagnosis.js';
export type { UnknownCall, VcpuDiagnosis } from './arm64/diagnosis.js';
export { Machine } from './machine.js';
export { cloneSaved, equalSaved, hashSaved } from './state.js';
export type { MachineState, SavedFrame, SavedMachine } from './state.js';
export type { MachineStop } from './machine.js';
export { engineKinds } from '../engine/index.js';
export type { EngineKind, EngineOptions } from '../engine/index.js';
