/**
 * Shows what happens if this kernel's records are filled as the patch of 2016 filled them on Arm. At the first init_control,
 * which CPU 0 makes for itself, the records of the other CPUs get the values that they had at that point in 2016. Then the
 * kernel continues.
 */
import { viewOf } from '../abi/index.js';
import type { Arm64Machine } from '../machine/index.js';
import type { KernelCpu } from './guest.js';
import { writeGuest } from './guest_memory.js';
import type { KernelView } from './kernel_view.js';
import type { WhatIf } from './options.js';

/** The value of a record before its CPU set it: as posted, all ones; as tested on 4.8-rc4, zero. */
const unsetRecord: Readonly<Record<WhatIf, number>> = { 'as-posted': 0xffff_ffff, 'as-tested': 0 };

/** Sets the records of all CPUs but CPU 0; false if the kernel has none that can be written (some may have been set). */
export function unsetRecords(
  machine: Arm64Machine,
  kernel: KernelView,
  cpus: readonly KernelCpu[],
  vcpu: number,
  whatIf: WhatIf,
): boolean {
  const records = kernel.recordsFrom(vcpu);
  const value = new Uint8Array(4);
  viewOf(value).setUint32(0, unsetRecord[whatIf], true);
  return cpus.slice(1).every(({ linuxCpu }) => {
    const offset = records?.perCpuOffset(linuxCpu) ?? null;
    if (records === null || offset === null) return false;
    return writeGuest(machine, vcpu, records.recordAddress(offset), value);
  });
}
