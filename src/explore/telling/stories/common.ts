/** The common parts of the stories' scenarios. */
import { linux48 } from '../../eras.js';
import type { Scenario } from '../../scenario.js';

/** 4 vCPUs, FIFO events, Xen 4.17 with its own ids, Linux 4.8, a plain boot. */
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
    era: linux48,
    plot: { name: 'boot' },
    idPolicy: 'xen',
    hypotheticalReset: false,
    ...rest,
  };
}
