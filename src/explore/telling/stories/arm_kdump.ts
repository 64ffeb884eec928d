/**
 * What the thread left open. No Xen resets an Arm domain, so no Arm guest can take a crash dump this way yet. These
 * stories assume such a reset, and crash on a vCPU other than 0, where a CPU's number is not its vCPU's id.
 */
import type { Story } from '../story.js';
import { scenario } from './common.js';
import { howWrongWasAnswered, whoIsOnline } from './words.js';

const crash = { plot: { name: 'kdump', vcpu: 2, resetFirst: true }, hypotheticalReset: true } as const;

const afterword: Story['afterword'] = (run) => [howWrongWasAnswered(run), whoIsOnline(run)];

export const mend: Story = {
  title: 'The fix in a crash kernel on Arm',
  why: 'Assume that Xen can reset an Arm domain. A crash kernel on vCPU 2 calls it CPU 0 and records id 0 for it.',
  scenario: scenario('arm-kdump-mend', 'mend', 'arm', crash),
  onStock: 'crash --crash-on 2 --toolstack ideal',
  afterword,
};

export const noHypercallsInPrepare: Story = {
  title: 'Alternative 1: no calls in prepare',
  why: 'A crash on vCPU 2. Each CPU makes its own calls once it runs, and reads its id from its own MPIDR.',
  scenario: scenario('arm-kdump-no-hypercalls-in-prepare', 'no-hypercalls-in-prepare', 'arm', crash),
  afterword,
};

export const idsFromFirmware: Story = {
  title: 'Alternative 2: ids from firmware',
  why: 'A crash on vCPU 2. The ids are worked out when the device tree is parsed, before any call is made.',
  scenario: scenario('arm-kdump-ids-from-firmware', 'ids-from-firmware', 'arm', crash),
  afterword,
};
