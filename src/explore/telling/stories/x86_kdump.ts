/**
 * The origin of the thread. On x86 a crash kernel is entered on the vCPU that crashed, and calls it CPU 0. Xen already has its
 * soft reset, so the crash kernel can register everything again; it only lacks the right id for each CPU.
 */
import type { Story } from '../story.js';
import { scenario } from './common.js';
import { howWrongWasAnswered, whoIsOnline } from './words.js';

const onStock = 'crash --arch amd64 --type hvm --kernel debian:bookworm/cloud --crash-on 2';

const crash = { plot: { name: 'kdump', vcpu: 2, resetFirst: true } } as const;

export const beforeThePatch: Story = {
  title: 'The crash dump that started it',
  why: 'A crash kernel starts on the vCPU that crashed and calls it CPU 0. Which id do its hypercalls carry?',
  scenario: scenario('pvhvm-kdump-before-the-patch', 'before-the-patch', 'pvhvm', crash),
  onStock: `${onStock} --what-if before-the-patch`,
  afterword: (run) => [howWrongWasAnswered(run), whoIsOnline(run)],
};

export const asPosted: Story = {
  title: 'The patch: from CPU to vCPU id',
  why: 'A crash on vCPU 2. CPU 0 now reads its vCPU id from CPUID; the ids of the others come from the MADT.',
  scenario: scenario('pvhvm-kdump-as-posted', 'as-posted', 'pvhvm', crash),
  onStock,
  afterword: (run) => [howWrongWasAnswered(run), whoIsOnline(run)],
};
