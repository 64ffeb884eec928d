/** The local APICs that Xen emulates for an x86 HVM or PVH guest: xAPIC page, x2APIC MSRs, timer, interrupts between CPUs. */
export { acknowledgeVector, deliverMessage, isRequested, pendingVector, requestVector } from './delivery.js';
export type { ApicPort, DeviceMessage, LocalApics } from './delivery.js';
export {
  answersInPage,
  readApicBase,
  readMsr,
  readPage,
  writeApicBase,
  writeMsr,
  writePage,
} from './registers.js';
export {
  acceptsExternal,
  apicPage,
  initialise as initialiseApic,
  isEnabled as isApicEnabled,
  isEnabledByBase as isApicOn,
  newLocalApics,
  setRegister as setApicRegister,
} from './state.js';
export type { LocalApicState, LocalApicsState } from './state.js';
export { deadline, passTimers, timersDueNs, writeDeadline } from './timer.js';
export type { GuestTsc } from './timer.js';
