/**
 * hypervisor: Xen as a guest sees it. A domain is one plain value and its memory. Hypercalls, PSCI, INIT-SIPI,
 * CPUID, timers and event channels are functions over it, which answer as Xen 4.17 or 4.18 does, including errors and the
 * order of checks. The module knows nothing of the guest: no registers, instructions, schedule or host clock.
 * A caller that runs the guest (a model, an emulated CPU) asks it which vCPUs may run and what is pending for them.
 */
export { armMagicPages, backendsAwaited, connectBackends, serveBackends } from './backends.js';
export type { BackendOptions, BackendOutput } from './backends.js';
export { clockOf, defaultClock, tscAt } from './clock.js';
export { cpuidLeaf } from './cpuid.js';
export { crashDomain, tripleFault } from './crash.js';
export type { CpuidLeaf } from './cpuid.js';
export { createDomain, mostVcpusOfKind } from './create_domain.js';
export { connectDeviceModel } from './device_model.js';
export type * from './domain.js';
export type { CallEffect } from './effects.js';
export { latchesApicErrors, versionText } from './release.js';
export type { XenRelease } from './release.js';
export {
  acknowledgeUpcall,
  commonUpcallVector,
  createRemoteChannel,
  localApicEnabled,
  lostUpcall,
  pendingUpcall,
  raiseVirq,
  sendFromRemote,
  unheardEvents,
  upcallDropped,
} from './event_channels/index.js';
export type { UnheardEvent, Upcall } from './event_channels/index.js';
export { haltVcpu, wakeVcpu } from './halt.js';
export type {
  CallOutcome,
  CallRecord,
  Detail,
  ErrorRow,
  HypercallContext,
  HypercallFamily,
  SubOperation,
} from './hypercall.js';
export { domainVcpu, withoutEffects } from './hypercall.js';
export { hvmParam, setHvmParam } from './hvm_params.js';
export { takeXenConsole, writeXenConsole } from './hypercalls/console_io.js';
export { sendInit, sendNmi, sendSipi, takeNmi, triggerNmi } from './init_sipi_nmi.js';
export type { Reached } from './init_sipi_nmi.js';
export { gfnOfMfn, mfnOfGfn } from './physmap.js';
export { assertGsi, deassertGsi, isGsiEvent } from './pirqs.js';
export { domainResume, domainShutdown, isRunnable, takeStart } from './power.js';
export { psciCall, servesPsci } from './psci.js';
export type { PsciRecord } from './psci.js';
export type { PowerRecord, StartHow, StopHow } from './power_record.js';
export { feedConsole } from './pv_console.js';
export { refreshAreas } from './runstate.js';
export { cloneDomain, domainFromJson, domainToJson, equalDomains, hashDomain } from './snapshot.js';
export { softReset } from './soft_reset.js';
export { hypercall, hypercallTable } from './table.js';
export { advanceTo, nextDeadline } from './time.js';
export { toolstackAfterShutdown } from './toolstack.js';
export { uuidBytes, uuidText } from './uuid.js';
export { sharedInfoView, vcpuInfoView } from './vcpu_info.js';
export {
  fireStoreEvent,
  storeList,
  storeRead,
  storeRemove,
  storeSetPermissions,
  storeWrite,
} from './xenstore/index.js';
export type * from './xenstore/state.js';
