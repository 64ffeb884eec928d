/** What the stories' scenarios have in common. */
import type { KernelEra, Scenario } from '../../scenario.js';

/** Linux as it was in 2016, and for long after. */
export const linux2016: KernelEra = { numbering: '<=6.8', delaysTimeInit: false };

/** 4 vCPUs, FIFO events, Xen 4.17 with the ids that it hands out, a plain boot. */
export function scenario(
  name: string,
  strategy: Scenario['strategy'],
  platform: Scenario['platform'],
  rest: Partial<Scenario> = {},
): Scenario {
  return {
    name,
    strategy,
    platform,
    vcpus: 4,
    events: 'fifo',
    release: '4.17',
    era: linux2016,
    plot: { name: 'boot' },
    idPolicy: 'xen',
    hypotheticalReset: false,
    ...rest,
  };
}
