/** What the toolstack does with a domain that has shut down, as far as the domain can see it. */
import { HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_STORE_EVTCHN, SHUTDOWN_soft_reset } from '../abi/index.js';
import { firstXenVcpu } from '../identity/index.js';
import { reconnectBackends } from './backends.js';
import type { Domain } from './domain.js';
import { createRemoteChannel } from './event_channels/index.js';
import { setHvmParam } from './hvm_params.js';
import { softReset } from './soft_reset.js';

/** The channels that the toolstack made for the domain, by the parameter that contains the port. */
const channelParams = [HVM_PARAM_STORE_EVTCHN, HVM_PARAM_CONSOLE_EVTCHN] as const;

/**
 * The toolstack hears of the domain's shutdown: null when there is none. SHUTDOWN_soft_reset is answered with a soft
 * reset where config.softReset says so and Xen can; the channels of xenstore and the console are then made anew,
 * their parameters told (tools/libs/light/libxl_create.c, libxl_domain_soft_reset). Any other reason, and a soft
 * reset that fails, is the end of the domain: what `on_reboot` and the like would do is make another one.
 */
export function toolstackAfterShutdown(domain: Domain): 'soft-reset' | 'destroyed' | null {
  const { shutdown, config } = domain.state;
  if (shutdown === null) return null;
  if (shutdown.reason !== SHUTDOWN_soft_reset || !config.softReset) return 'destroyed';
  if (softReset(domain) !== 0) return 'destroyed';
  reconnect(domain);
  return 'soft-reset';
}

/** Only what was connected before: a domain without xenstore does not come to have one. */
function reconnect(domain: Domain): void {
  if (domain.state.xenstore !== null) {
    reconnectBackends(domain);
    return;
  }
  for (const index of channelParams) {
    const before = domain.state.hvmParams[index] ?? 0n;
    if (before !== 0n) setHvmParam(domain, index, BigInt(createRemoteChannel(domain, firstXenVcpu)));
  }
}
