/**
 * What if this kernel's records were filled as the patch of 2016 once filled them on Arm? At the first init_control, which
 * is CPU 0's for itself, the records of the other CPUs are set to what they held then at that time; the kernel goes on.
 */
import { viewOf } from '../abi/index.js';
import type { ArmMachine } from '../machine/index.js';
import type { KernelCpu } from './guest.js';
import { writeGuest } from './guest_memory.js';
import type { KernelView } from './kernel_view.js';
import type { WhatIf } from './options.js';

/** What a record read before its CPU had set it: as posted, all ones; as tested on 4.8-rc4, zero. */
const unsetRecord: Readonly<Record<WhatIf, number>> = { 'as-posted': 0xffff_ffff, 'as-tested': 0 };

/** Sets the records of all CPUs but CPU 0; false, with some perhaps set, where the kernel has none that can be written. */
export function unsetRecords(
  machine: ArmMachine,
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
