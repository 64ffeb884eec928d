/** The stories of the thread, in order. */
import type { Story } from '../story.js';
import * as armBoot from './arm_boot.js';
import * as armKdump from './arm_kdump.js';
import * as manyVcpus from './many_vcpus.js';
import * as x86Kdump from './x86_kdump.js';

export const stories: readonly Story[] = [
  x86Kdump.beforeThePatch,
  x86Kdump.asPosted,
  armBoot.asPosted,
  armBoot.asTested,
  armBoot.twoLevel,
  armBoot.mend,
  armBoot.mendNrCpus,
  armKdump.mend,
  armKdump.noHypercallsInPrepare,
  armKdump.idsFromFirmware,
  manyVcpus.before,
  manyVcpus.after,
];
