/** Plans a PVHVM guest as xl of Xen 4.17 makes one, with the memory that hvmloader and SeaBIOS leave to its kernel. */
import { InputError } from '../../base/index.js';
import {
  hvmAcpiTables,
  hvmBanks,
  hvmEntry,
  hvmMemoryMap,
  specialPageAt,
} from '../../firmware/x86_64/index.js';
import type { X86Placement } from '../../firmware/x86_64/index.js';
import type { GuestPlan } from '../guest.js';
import { KernelImage } from '../kernel_image.js';
import type { BootOptions } from '../options.js';
import { apicIdsOf, frameOf, framesOf, loadIdentityTable, xenParts } from './memory.js';

/** All but the numbering of the CPUs. */
export function planHvm(options: BootOptions, placement: X86Placement): Omit<GuestPlan, 'cpus'> {
  const { kernel, initrd, commandLine, vcpus, memoryMiB } = options;
  if (placement.entry64 === undefined) {
    throw new InputError(`${kernel.name} has no entry in 64-bit mode, and cannot be a guest of type hvm`);
  }
  const tables = hvmAcpiTables(apicIdsOf(vcpus));
  const entry = hvmEntry({
    kernel: { start: BigInt(placement.loadAt), size: BigInt(kernel.memoryBytes) },
    commandLine,
    initrd,
    memoryMiB,
    memoryMap: hvmMemoryMap(memoryMiB, tables.bytes),
  });
  return {
    config: {
      kind: 'pvhvm',
      ram: hvmBanks(memoryMiB, tables.bytes).map(({ start, size }) => framesOf(start, size)),
      ...xenParts(options),
      softReset: options.onSoftReset !== 'destroy',
    },
    kernelAt: BigInt(placement.loadAt),
    entry: BigInt(placement.entry64),
    bootInformation: entry.bootParamsAt,
    longMode: entry.longMode,
    daemonPages: { console: frameOf(specialPageAt.console), store: frameOf(specialPageAt.xenstore) },
    load: [
      { at: BigInt(placement.loadAt), bytes: KernelImage.of(kernel.image).bytes },
      ...entry.load,
      ...tables.parts,
      loadIdentityTable(),
    ],
  };
}
