/**
 * A right id may not be sufficient. shared_info has slots for the vcpu_info of 32 vCPUs on x86. A kernel that is
 * entered on a later vCPU has no vcpu_info before it registers one, and its clock is in the vcpu_info.
 */
import { linux517, linux61 } from '../../eras.js';
import type { Story } from '../story.js';
import { scenario } from './common.js';
import { howWrongWasAnswered, whoIsOnline } from './words.js';

const crash = { vcpus: 40, plot: { name: 'kdump', vcpu: 33, resetFirst: true } } as const;

const afterword: Story['afterword'] = (run) => [howWrongWasAnswered(run), whoIsOnline(run)];

export const before: Story = {
  title: 'vCPU 33 of 40 crashes, before 5.18',
  why: 'shared_info holds the vcpu_info of 32 vCPUs. What does CPU 0 read when it is vCPU 33?',
  scenario: scenario('pvhvm-kdump-33-of-40-before-5.18', 'as-posted', 'pvhvm', { ...crash, era: linux517 }),
  afterword,
};

export const after: Story = {
  title: 'vCPU 33 of 40 crashes, from 5.18 on',
  why: 'From 5.18 on, if the boot vCPU is 32 or above, clock set-up waits for its vcpu_info (eed05744322d).',
  scenario: scenario('pvhvm-kdump-33-of-40-from-5.18', 'as-posted', 'pvhvm', { ...crash, era: linux61 }),
  afterword,
};
