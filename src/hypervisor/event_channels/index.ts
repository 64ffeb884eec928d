/**
 * Event channels for the rest of the hypervisor: raising events, notifying vCPUs, waiting, reset. The guest's
 * calls on ports are in hypercalls/event_channel_op.ts.
 */
export { freeChannel } from './channel.js';
export { expirePolls, nextPollDeadline, unblock } from './pollers.js';
export { resetEvents } from './ports.js';
export { createRemoteChannel, sendFromRemote, toolstackDomid } from './remote.js';
export { unheardEvents } from './unheard.js';
export type { UnheardEvent } from './unheard.js';
export {
  acknowledgeUpcall,
  assertUpcall,
  eventsNeedDelivery,
  localApicEnabled,
  commonUpcallVector,
  lostUpcall,
  markEventsPending,
  pendingUpcall,
  setCallbackVia,
  setUpcallVector,
  upcallDropped,
} from './upcall.js';
export type { Upcall } from './upcall.js';
export { raiseVirq } from './virq.js';
export { blockVcpu } from './wait.js';
