/**
 * The effect of the patch on Arm. There a CPU set its record when it first ran. But with FIFO events, the CPU that brings it up
 * makes a call for it before that: EVTCHNOP_init_control, with the value of the unset record.
 */
import type { Story } from '../story.js';
import { scenario } from './common.js';
import { howCalled, howWrongWasAnswered, readsOfUnset, startsMade, whoIsOnline } from './words.js';

const initControl = 'EVTCHNOP_init_control';

export const asPosted: Story = {
  title: 'The patch as posted, on Arm',
  why: 'On Arm each CPU records its id when it first runs. An unset record reads as all ones. Who reads it too early?',
  scenario: scenario('arm-as-posted-fifo', 'as-posted', 'arm'),
  onStock: 'boot --what-if as-posted',
  afterword: (run) => [howCalled(run, initControl), startsMade(run, 'CPU_ON'), whoIsOnline(run)],
};

export const asTested: Story = {
  title: 'The patch as tested on 4.8-rc4',
  why: 'By then an unset record read as 0, which is the id of a real vCPU. Who reads it too early?',
  scenario: scenario('arm-as-tested-fifo', 'as-tested', 'arm'),
  onStock: 'boot --what-if as-tested',
  afterword: (run) => [howCalled(run, initControl), startsMade(run, 'CPU_ON'), whoIsOnline(run)],
};

export const twoLevel: Story = {
  title: 'Two-level events hide the error',
  why: 'The patch as posted, but Xen offers only two-level events, which need no control block per vCPU.',
  scenario: scenario('arm-as-posted-2l', 'as-posted', 'arm', { events: '2l' }),
  afterword: (run) => [howCalled(run, initControl), readsOfUnset(run), whoIsOnline(run)],
};

export const mend: Story = {
  title: 'The fix',
  why: 'Every possible CPU gets its record at init, before the first read. On Arm the record is the CPU number.',
  scenario: scenario('arm-mend-fifo', 'mend', 'arm'),
  onStock: 'boot',
  afterword: (run) => [howCalled(run, initControl), howWrongWasAnswered(run)],
};

export const mendNrCpus: Story = {
  title: 'The fix, in its NR_CPUS form',
  why: 'The other form records every number below NR_CPUS, possible or not. Does the guest see a difference?',
  scenario: scenario('arm-mend-nr-cpus-fifo', 'mend-nr-cpus', 'arm'),
  afterword: (run) => [howCalled(run, initControl), howWrongWasAnswered(run)],
};
