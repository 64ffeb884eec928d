/** Linux as the models perform it: every routine, by name. */
import type { Program } from '../program.js';
import { armRoutines } from './arm.js';
import { commonRoutines } from './common.js';
import { crashRoutines } from './crash.js';
import { eventAbiRoutines } from './event_abi.js';
import { hotplugRoutines } from './hotplug.js';
import { interruptRoutines } from './interrupts.js';
import { pvRoutines } from './pv.js';
import { recordRoutines } from './records.js';
import { userRoutines } from './user.js';
import { x86BootRoutines } from './x86_boot.js';
import { x86CpuRoutines } from './x86_cpu.js';
import { x86SmpRoutines } from './x86_smp.js';

export const linuxProgram: Program = {
  ...recordRoutines,
  ...eventAbiRoutines,
  ...commonRoutines,
  ...interruptRoutines,
  ...armRoutines,
  ...x86BootRoutines,
  ...x86CpuRoutines,
  ...x86SmpRoutines,
  ...pvRoutines,
  ...userRoutines,
  ...hotplugRoutines,
  ...crashRoutines,
};
