/**
 * Finds the kernel that a vCPU has just entered from another one. Linux turns translation off before it jumps to the next kernel
 * (arch/arm64/kernel/cpu-reset.S), and the next kernel turns it on from code of its own Image (head.S, __enable_mmu), at an address
 * that is the same in physical and virtual memory. By then it has written little but its first page tables, and a register
 * still holds the address of its device tree (head.S, preserve_boot_args: x21).
 */
import { deviceTreeProperty, FDT_MAGIC, readDeviceTree, stringsOf, viewOf } from '../../abi/index.js';
import type { DeviceTree } from '../../abi/index.js';
import { frameBytes, present, unlessInvalid } from '../../base/index.js';
import { arm64 as firmware, linuxVersionIn } from '../../firmware/index.js';
import { armCpusOfDeviceTree, mpidrOfVcpu, numberCpus, vcpuOfMpidr } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Arm64Machine } from '../../machine/index.js';
import type { FoundKernel, KernelCpu } from '../guest.js';
import { KernelImage } from '../kernel_image.js';
import {
  isImageOf,
  isInRam,
  mostImageBytes,
  peekPhysical,
  readImage,
  readPhysical,
} from '../physical_memory.js';

/** NR_CPUS of the kernels of Debian's older releases, the lower of those in use. */
const configNrCpus = 256;
const headerBytes = 64;
/** Maximum size of the device tree (Linux Documentation/arm64/booting.rst, 2). */
const treeBytes = 2 << 20;
const registers = [...Array(31).keys()];

/** The share of pages that must begin alike for an image in memory to be the one in a file. It has written a few variables. */
const mostlyEqual = 0.9;

/** The Image that contains a physical address: where it begins, and its size in memory; null if there is none. */
function imageAround(
  machine: Arm64Machine,
  address: bigint,
): { readonly at: bigint; readonly bytes: number } | null {
  for (let before = 0n; before < mostImageBytes; before += BigInt(frameBytes)) {
    const at = (address & ~0xfffn) - before;
    // All of an Image is in one piece of the guest's own memory.
    if (!isInRam(machine, at)) return null;
    const header = peekPhysical(machine, at)?.subarray(0, headerBytes) ?? null;
    const bytes = header === null ? null : firmware.imageMemoryBytes(header);
    if (bytes === null || bytes > mostImageBytes || BigInt(bytes) <= address - at) continue;
    const last = at + BigInt(bytes) - 1n;
    return isInRam(machine, last) ? { at, bytes } : null;
  }
  return null;
}

/** The device tree at a physical address; null if there is none. */
function treeAt(machine: Arm64Machine, address: bigint): DeviceTree | null {
  if (address === 0n || (address & 7n) !== 0n) return null;
  const start = readPhysical(machine, address, 8);
  if (start === null || viewOf(start).getUint32(0) !== FDT_MAGIC) return null;
  const size = viewOf(start).getUint32(4);
  const bytes = size > treeBytes ? null : readPhysical(machine, address, size);
  return bytes === null ? null : unlessInvalid(() => readDeviceTree(bytes));
}

/** A property of /chosen; undefined if there is none. */
function chosen({ root }: DeviceTree, name: string): Uint8Array | undefined {
  const node = root.children.find((child) => child.name === 'chosen');
  return node === undefined ? undefined : deviceTreeProperty(node, name);
}

function commandLineIn(tree: DeviceTree): string {
  const text = chosen(tree, 'bootargs');
  return text === undefined ? '' : (stringsOf(text)[0] ?? '');
}

function numbered(tree: DeviceTree, version: string | null, entryVcpu: XenVcpuId): KernelCpu[] {
  const { cpus } = numberCpus({
    platform: 'arm64',
    version,
    table: 'devicetree',
    entries: armCpusOfDeviceTree(tree, version),
    entryMpidr: mpidrOfVcpu(entryVcpu),
    configNrCpus,
  });
  return cpus.map(({ cpu, mpidr }) => ({
    linuxCpu: cpu,
    hardwareId: mpidr,
    hardwareIdKind: 'mpidr',
    vcpu: vcpuOfMpidr(mpidr),
  }));
}

/** Its CPUs by the tree that a guest made: empty if they cannot be numbered, and without those that the machine does not have. */
function cpusOf(
  machine: Arm64Machine,
  tree: DeviceTree,
  version: string | null,
  entryVcpu: XenVcpuId,
): KernelCpu[] {
  const cpus = unlessInvalid(() => numbered(tree, version, entryVcpu)) ?? [];
  return cpus.filter(({ vcpu }) => machine.vcpus.includes(vcpu));
}

/**
 * The kernel whose code `vcpu` runs, which has just turned translation on; null if that is no Image, or if its device tree is
 * not found. Of the first kernel's own image nothing is copied, because nothing has changed in its file.
 */
export function arm64KernelEntered(
  machine: Arm64Machine,
  vcpu: XenVcpuId,
  first: KernelImage,
): FoundKernel | null {
  const view = present(machine.processor.vcpus[vcpu], 'a vCPU');
  const address = view.translate(view.pc, 'fetch');
  const place = address === null ? null : imageAround(machine, address);
  const trees = registers.map((register) => treeAt(machine, view.register(register)));
  const tree = trees.find((found) => found !== null) ?? null;
  if (place === null || tree === null) return null;
  const { at, bytes: memoryBytes } = place;
  const image = isImageOf(machine, at, memoryBytes, first, mostlyEqual)
    ? first
    : KernelImage.of(readImage(machine, at, memoryBytes));
  const version = image.remember('version', linuxVersionIn);
  const cpus = cpusOf(machine, tree, version, vcpu);
  if (cpus[0]?.vcpu !== vcpu) return null;
  // Linux Documentation/devicetree/bindings/chosen.txt.
  const isCrashKernel = chosen(tree, 'linux,usable-memory-range') !== undefined;
  return { at, image, memoryBytes, version, cpus, commandLine: commandLineIn(tree), isCrashKernel };
}
