/** What answers the guest from outside the hypervisor: xenstored, and the toolstack that hears of shutdowns. */
import { SHUTDOWN_names, SHUTDOWN_poweroff } from '../../abi/index.js';
import { sendFromRemote, toolstackAfterShutdown } from '../../hypervisor/index.js';
import type { CallRecord } from '../../hypervisor/index.js';
import { emit, end } from './context.js';
import type { StepContext } from './context.js';

/** Xenstored answers at once whatever it is sent. */
function answerSend({ world }: StepContext, { op, detail, returned }: CallRecord): void {
  const port = detail['port'];
  if (op === 'EVTCHNOP_send' && returned === 0 && typeof port === 'number')
    sendFromRemote(world.domain, port);
}

function reasonName(reason: number): string {
  return SHUTDOWN_names[reason] ?? `shutdown reason ${reason}`;
}

/** The toolstack acts on a shutdown of the domain, if there was one. */
export function settleShutdown(context: StepContext): void {
  const { domain } = context.world;
  const { shutdown } = domain.state;
  if (shutdown === null) return;
  const what = toolstackAfterShutdown(domain);
  if (what === 'soft-reset') emit(context, { kind: 'reset' });
  else if (shutdown.reason === SHUTDOWN_poweroff) end(context, 'poweroff', 'no vCPU was left up');
  else end(context, 'destroyed', `the toolstack destroyed the domain after ${reasonName(shutdown.reason)}`);
}

/** All that follows at once, outside the guest, from a hypercall that it made. */
export function answerFromOutside(context: StepContext, record: CallRecord): void {
  answerSend(context, record);
  settleShutdown(context);
}
