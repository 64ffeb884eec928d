/**
 * Finds the kernel that a vCPU has entered from another one. Linux leaves itself by a map in which each address is what it is
 * (arch/x86/kernel/relocate_kernel_64.S), in which purgatory and the next kernel's decompressor run too; the next kernel's own map is in
 * use where its code runs at the addresses for which it was linked, or to which its decompressor moved it (head_64.S, startup_64). By
 * then it has written little but its first page tables, which map its image from _text on and nothing before it.
 */
import {
  mapEntryBytes,
  mostMapEntries,
  setupMagic,
  viewOf,
  XEN_HVM_MEMMAP_TYPE_RAM,
  zeroPage,
} from '../../abi/index.js';
import { frameBytes, present, unlessInvalid } from '../../base/index.js';
import { linuxBannerIn, linuxVersionIn } from '../../firmware/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { X86Machine } from '../../machine/x86_64/index.js';
import type { FirstKernel, FoundKernel, KernelCpu, KernelPlace } from '../guest.js';
import { KernelImage } from '../kernel_image.js';
import { mostCommandLineBytes } from '../options.js';
import { isInRam, mostImageBytes, peekPhysical, readImage, readPhysical } from '../physical_memory.js';

/** Where the kernel's image is mapped: a window of 1 GiB (arch/x86/include/asm/page_64_types.h, __START_KERNEL_map). */
export const kernelMap = { start: 0xffff_ffff_8000_0000n, bytes: 1n << 30n } as const;
const largePage = 1n << 21n;

/** An image in memory: where it lies, its size, and its address in the kernel's map less that map's start. */
interface MappedImage {
  readonly at: bigint;
  readonly bytes: number;
  readonly mappedAt: bigint;
}

/** Where the kernel's map leads, as far as it is in one piece; null if nothing is mapped there. */
function mappedImage(machine: X86Machine, vcpu: XenVcpuId): MappedImage | null {
  const view = present(machine.processor.vcpus[vcpu], 'a vCPU');
  let at: bigint | null = null;
  let mappedAt = 0n;
  let bytes = 0n;
  for (let offset = 0n; offset < kernelMap.bytes; offset += largePage) {
    const physical = view.translate(kernelMap.start + offset);
    if (at === null) [at, mappedAt] = [physical, offset];
    else if (physical !== at + bytes) break;
    if (at !== null) bytes += largePage;
  }
  if (at === null || bytes > mostImageBytes) return null;
  return isInRam(machine, at) && isInRam(machine, at + bytes - 1n)
    ? { at, bytes: Number(bytes), mappedAt }
    : null;
}

/** The text at a guest physical address; null if it is none. */
function textAt(machine: X86Machine, address: bigint): string | null {
  const bytes = readPhysical(machine, address, mostCommandLineBytes + 1);
  const end = bytes?.indexOf(0) ?? -1;
  if (bytes === null || end < 0) return null;
  return Array.from(bytes.subarray(0, end), (byte) => String.fromCharCode(byte)).join('');
}

/** The command line of the boot parameters in a page; null if the page has none. */
function commandLineIn(machine: X86Machine, page: DataView): string | null {
  // The boot flag before it does not count: kexec-tools changes it. Files with kernels have no address for the command line.
  const isHeader = page.getUint32(zeroPage.magic, true) === setupMagic;
  const at = isHeader ? page.getUint32(zeroPage.commandLineAt, true) : 0;
  return at === 0 ? null : textAt(machine, BigInt(at));
}

/** Whether an image begins in what the boot parameters in a page call RAM. */
function hasImage(page: DataView, { at }: MappedImage): boolean {
  const count = Math.min(page.getUint8(zeroPage.mapEntries), mostMapEntries);
  return Array.from({ length: count }, (_, i) => zeroPage.map + i * mapEntryBytes).some((entry) => {
    const start = page.getBigUint64(entry, true);
    const end = start + page.getBigUint64(entry + 8, true);
    const isRam = page.getUint32(entry + 16, true) === XEN_HVM_MEMMAP_TYPE_RAM;
    return isRam && at >= start && at < end;
  });
}

/** A crash kernel is told where the headers of the dump are (Documentation/admin-guide/kernel-parameters.txt). */
const crashOption = /(^|\s)elfcorehdr=/;

/**
 * The command line of the kernel with that image. The boot parameters of other kernels are in memory as well: those of the first one, at
 * `known`; and while a crash kernel waits, its own. These call RAM what was kept free for it alone, so they are its own if the image
 * lies there. The parameters of a kernel that is entered in order call all memory RAM.
 */
function nextCommandLine(machine: X86Machine, known: bigint, image: MappedImage): string | null {
  const { ram } = machine.domain.state.config;
  let other: string | null = null;
  for (const { start, count } of ram) {
    for (let gfn = start; gfn < start + count; gfn += 1) {
      const address = BigInt(gfn) * BigInt(frameBytes);
      const bytes = address === known ? null : peekPhysical(machine, address);
      const page = bytes === null ? null : viewOf(bytes);
      const text = page === null ? null : commandLineIn(machine, page);
      if (page === null || text === null || !hasImage(page, image)) continue;
      if (crashOption.test(text)) return text;
      other ??= text;
    }
  }
  return other;
}

const bannerBytes = 160;

/**
 * Whether an image in memory is that of `file`, by the text that names the build. A decompressor that moves the kernel changes every
 * address in it, so that the images themselves differ.
 */
function isBuildOf(machine: X86Machine, { at, bytes }: MappedImage, file: KernelImage): boolean {
  const banner = file.remember('banner', linuxBannerIn);
  if (banner === null || bytes < banner.offset + bannerBytes) return false;
  const { offset } = banner;
  const found = readPhysical(machine, at + BigInt(offset), bannerBytes);
  const known = file.bytes.subarray(offset, offset + bannerBytes);
  return found !== null && known.every((byte, i) => found[i] === byte);
}

/** Where the first kernel lies, in whose own map `vcpu` has begun to run; null if what runs there is not that kernel. */
export function x86KernelPlaced(
  machine: X86Machine,
  vcpu: XenVcpuId,
  { image, kernelAt }: FirstKernel,
): KernelPlace | null {
  const place = mappedImage(machine, vcpu);
  return place === null || !isBuildOf(machine, place, image)
    ? null
    : { kernelAt: place.at, linkedAt: kernelAt };
}

/** What the finder is told of the guest. */
export interface NextKernelFacts {
  /** Guest physical address of the boot information that the first kernel got: in a PVHVM guest, its boot parameters. */
  readonly bootParamsAt: bigint;
  /** The CPUs as a kernel of that version numbers them. */
  readonly number: (version: string | null, commandLine: string, entryVcpu: XenVcpuId) => KernelCpu[];
}

/**
 * The kernel in whose own map `vcpu` has begun to run; null if that is no Linux, or if its command line is not found. Of the first
 * kernel's own image nothing is copied, because nothing has changed in its file.
 */
export function x86KernelEntered(
  machine: X86Machine,
  vcpu: XenVcpuId,
  first: FirstKernel,
  facts: NextKernelFacts,
): FoundKernel | null {
  const place = mappedImage(machine, vcpu);
  const commandLine = place === null ? null : nextCommandLine(machine, facts.bootParamsAt, place);
  if (place === null || commandLine === null) return null;
  const { at, bytes: memoryBytes, mappedAt } = place;
  const isFirst = isBuildOf(machine, place, first.image);
  const image = isFirst ? first.image : KernelImage.of(readImage(machine, at, memoryBytes));
  // An image that was moved is read as if it had been linked for where it is.
  const linkedAt = isFirst ? first.kernelAt : mappedAt;
  const version = image.remember('version', linuxVersionIn);
  const cpus = unlessInvalid(() => facts.number(version, commandLine, vcpu));
  if (cpus?.[0]?.vcpu !== vcpu) return null;
  const isCrashKernel = crashOption.test(commandLine);
  return { at, linkedAt, image, memoryBytes, version, cpus, commandLine, isCrashKernel };
}
