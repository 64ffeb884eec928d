/** Plans a PVH guest as libxl of Xen 4.17 makes one. */
import { present } from '../../base/index.js';
import {
  acpiTables,
  loadedInitrd,
  memoryBanks,
  memoryMap,
  pvhEntry,
  specialPageAt,
  specialPages,
} from '../../firmware/x86_64/index.js';
import type { AcpiTables, X86Placement } from '../../firmware/x86_64/index.js';
import type { MemoryRange } from '../../firmware/index.js';
import type { DomainConfig } from '../../hypervisor/index.js';
import type { GuestPlan } from '../guest.js';
import { KernelImage } from '../kernel_image.js';
import type { BootOptions } from '../options.js';
import { apicIdsOf, frameOf, framesOf, loadIdentityTable, xenParts } from './memory.js';

function configOf(
  options: BootOptions,
  banks: readonly MemoryRange[],
  { modules }: AcpiTables,
): DomainConfig {
  const tables = modules.map(({ at, bytes }) => framesOf(at, BigInt(bytes.length)));
  return {
    kind: 'pvh',
    ram: [
      ...banks.map(({ start, size }) => framesOf(start, size)),
      ...tables.toSorted((a, b) => a.start - b.start),
      framesOf(specialPages.start, specialPages.size),
    ],
    ...xenParts(options),
    // xl resets HVM guests only.
    softReset: options.toolstack === 'ideal',
  };
}

/** All but the numbering of the CPUs. */
export function planPvh(options: BootOptions, placement: X86Placement): Omit<GuestPlan, 'cpus'> {
  const { kernel, initrd, commandLine, vcpus } = options;
  const banks = memoryBanks(options.memoryMiB);
  const tables = acpiTables(apicIdsOf(vcpus));
  const ranges = tables.modules.map(({ at, bytes }) => ({ start: at, size: BigInt(bytes.length) }));
  const lowRam = present(banks[0], 'the first bank of memory');
  const entry = pvhEntry({
    kernel: { start: BigInt(placement.loadAt), size: BigInt(kernel.memoryBytes) },
    commandLine,
    initrd: initrd === null ? null : loadedInitrd(initrd, Number(lowRam.size)),
    rsdpAt: tables.rsdpAt,
    memoryMap: memoryMap(banks, ranges),
    lowRam,
  });
  return {
    config: configOf(options, banks, tables),
    kernelAt: BigInt(placement.loadAt),
    entry: BigInt(placement.entry),
    bootInformation: entry.startInfoAt,
    daemonPages: { console: frameOf(specialPageAt.console), store: frameOf(specialPageAt.xenstore) },
    load: [
      { at: BigInt(placement.loadAt), bytes: KernelImage.of(kernel.image).bytes },
      ...entry.load,
      ...tables.modules,
      loadIdentityTable(),
    ],
  };
}
