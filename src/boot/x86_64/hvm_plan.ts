/** Plans a PVHVM guest as xl of Xen 4.17 makes one, with the memory that hvmloader and SeaBIOS leave to its kernel. */
import { InputError, present } from '../../base/index.js';
import type { MemoryRange } from '../../firmware/index.js';
import { uuidBytes, uuidText, versionText } from '../../hypervisor/index.js';
import {
  biosPlaces,
  endOfUsableRam,
  hvmAcpiTables,
  hvmBiosTables,
  hvmBanks,
  hvmEntry,
  hvmMemoryMap,
  readSelfUnpacking,
  specialPageAt,
} from '../../firmware/x86_64/index.js';
import type { X86Placement } from '../../firmware/x86_64/index.js';
import type { GuestPlan } from '../guest.js';
import { KernelImage } from '../kernel_image.js';
import type { BootOptions } from '../options.js';
import { apicIdsOf, frameOf, framesOf, loadIdentityTable, xenParts } from './memory.js';

/** What is loaded of a kernel: where it may lie before its own code runs, its bytes, and where it is entered. */
interface LoadedKernel {
  readonly memory: MemoryRange;
  readonly bytes: Uint8Array;
  readonly entry: bigint;
  readonly header?: Uint8Array;
}

function loadedKernel({ kernel, unpack }: BootOptions, placement: X86Placement): LoadedKernel {
  const { name, packed, image, memoryBytes } = kernel;
  if (unpack === 'guest') {
    const { code, ...others } = readSelfUnpacking(present(packed, 'the packed kernel'), name);
    return { ...others, bytes: code };
  }
  if (placement.entry64 === undefined) {
    throw new InputError(`${name} has no entry in 64-bit mode, and cannot be a guest of type hvm`);
  }
  return {
    memory: { start: BigInt(placement.loadAt), size: BigInt(memoryBytes) },
    bytes: KernelImage.of(image).bytes,
    entry: BigInt(placement.entry64),
  };
}

/** What the firmware keeps lies below this guest physical address. */
const leastAddress = 1n << 20n;

/**
 * Throws {@link InputError} where a kernel, or the code that unpacks it, would lie in what the firmware keeps, or the kernel itself beyond
 * memory.
 */
function checkPlaces({ kernel, memoryMiB }: BootOptions, loaded: MemoryRange, linked: MemoryRange): void {
  if (loaded.start < leastAddress || linked.start < leastAddress)
    throw new InputError(`${kernel.name} would lie below 1 MiB, where a guest of type hvm has its firmware`);
  if (linked.start + linked.size > endOfUsableRam(memoryMiB))
    throw new InputError(
      `${kernel.name} is linked for an address beyond the guest's ${memoryMiB} MiB of memory`,
    );
}

/** All but the numbering of the CPUs. */
export function planHvm(options: BootOptions, placement: X86Placement): Omit<GuestPlan, 'cpus'> {
  const { initrd, commandLine, vcpus, memoryMiB } = options;
  const kernel = loadedKernel(options, placement);
  const linked = { start: BigInt(placement.loadAt), size: BigInt(options.kernel.memoryBytes) };
  const apicIds = apicIdsOf(vcpus);
  const tables = hvmAcpiTables(apicIds, biosPlaces(vcpus).rsdp);
  const parts = xenParts(options);
  const uuid = { text: uuidText(parts), bytes: uuidBytes(parts) };
  const version = versionText(parts.release);
  const entry = hvmEntry({
    kernel: kernel.memory,
    ...(kernel.header === undefined ? {} : { header: kernel.header }),
    commandLine,
    initrd,
    memoryMiB,
    memoryMap: hvmMemoryMap(memoryMiB, tables.bytes),
  });
  checkPlaces(options, kernel.memory, linked);
  return {
    config: {
      kind: 'pvhvm',
      ram: hvmBanks(memoryMiB, tables.bytes).map(({ start, size }) => framesOf(start, size)),
      ...parts,
      softReset: options.onSoftReset !== 'destroy',
    },
    kernelAt: BigInt(placement.loadAt),
    entry: kernel.entry,
    bootInformation: entry.bootParamsAt,
    longMode: entry.longMode,
    daemonPages: { console: frameOf(specialPageAt.console), store: frameOf(specialPageAt.xenstore) },
    load: [
      { at: kernel.memory.start, bytes: kernel.bytes },
      ...entry.load,
      ...tables.parts,
      ...hvmBiosTables(apicIds, { version, uuid, memoryMiB }),
      loadIdentityTable(),
    ],
  };
}
