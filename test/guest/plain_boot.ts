/** What all boots of tests ask for, unless they say otherwise. */
import type { BootOptions } from '../../src/boot/index.js';

export const plainBoot = {
  release: '4.17',
  seed: 1,
  xenstore: true,
  whatIf: null,
  entryVcpu: 0,
  until: { kind: 'poweroff' },
} as const satisfies Partial<BootOptions>;
