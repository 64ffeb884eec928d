/** Builds the guest: the layout of its memory, its device tree, and the machine that runs it. */
import { writeDeviceTree } from '../abi/index.js';
import type { DeviceTree } from '../abi/index.js';
import { frameBytes, InputError } from '../base/index.js';
import { guestDefaults, guestDeviceTree, memoryBanks, placeGuest } from '../firmware/index.js';
import type { LoadAddresses, MemoryRange } from '../firmware/index.js';
import { armMagicPages, connectBackends } from '../hypervisor/index.js';
import type { DomainConfig } from '../hypervisor/index.js';
import { armCpusOfDeviceTree, mpidrOfVcpu, numberCpus, vcpuOfMpidr, xenVcpuId } from '../identity/index.js';
import type { LinuxCpu, Mpidr, XenVcpuId } from '../identity/index.js';
import { arm64Machine } from '../machine/index.js';
import type { Arm64Machine, MachineListener } from '../machine/index.js';
import { checkCommandLine } from './options.js';
import type { BootOptions } from './options.js';

/** The most vCPUs that a guest with a GICv3 has (Xen 4.17, MAX_VIRT_CPUS on arm64). */
export const maxVcpus = 128;
/** Maximum size of the device tree (Linux Documentation/arm64/booting.rst, 2). */
const treeBytes = 2 << 20;
/** Xen's own frames begin after everything that a guest can have. */
const xenFrames = { start: 2 ** 28, count: 80 } as const;
/** NR_CPUS of the kernels of Debian's older releases, the lower of those in use. */
const configNrCpus = 256;

/** A CPU of the kernel, by the kernel's own numbering. */
export interface KernelCpu {
  readonly linuxCpu: LinuxCpu;
  readonly mpidr: Mpidr;
  readonly vcpu: XenVcpuId;
}

/**
 * What differs in a domain that Xen itself builds from the host's device tree: it may use Xen's console, and it has no
 * UUID (Xen 4.17 arch/arm/domain_build.c, create_domUs).
 */
const builtByXen = { consoleIo: 'allowed', uuid: '00000000-0000-0000-0000-000000000000' } as const;

export interface Guest {
  readonly machine: Arm64Machine;
  /** The CPUs in Linux's numbering. */
  readonly cpus: readonly KernelCpu[];
  readonly config: DomainConfig;
  /** Guest physical address of the kernel's image. */
  readonly kernelAt: bigint;
}

function describe(options: BootOptions, memory: readonly MemoryRange[], at: LoadAddresses): DeviceTree {
  const { vcpus, commandLine, initrd, release } = options;
  const end = at.initrd + BigInt(initrd?.length ?? 0);
  return guestDeviceTree({
    ...guestDefaults,
    vcpus,
    memory,
    bootArgs: commandLine,
    initrd: initrd === null ? null : { start: at.initrd, end },
    release,
  });
}

function configOf(
  { vcpus, release, entryVcpu, xenstore }: BootOptions,
  memory: readonly MemoryRange[],
): DomainConfig {
  const banks = memory.map(({ start, size }) => ({
    start: Number(start) / frameBytes,
    count: Number(size) / frameBytes,
  }));
  return {
    kind: 'arm',
    release,
    domid: 1,
    ram: xenstore ? [...banks, armMagicPages] : banks,
    xenFrames,
    hardwareIds: Array.from({ length: vcpus }, (_, vcpu) => mpidrOfVcpu(xenVcpuId(vcpu))),
    fifo: true,
    softReset: false,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(entryVcpu),
    ...(xenstore ? {} : builtByXen),
  };
}

/** The CPUs as an arm64 Linux of that version numbers them, with the device tree `tree` and entered on `entryVcpu`. */
function numberKernelCpus(tree: DeviceTree, { entryVcpu, kernel: { version } }: BootOptions): KernelCpu[] {
  const { cpus } = numberCpus({
    platform: 'arm64',
    version,
    table: 'devicetree',
    entries: armCpusOfDeviceTree(tree, version),
    entryMpidr: mpidrOfVcpu(xenVcpuId(entryVcpu)),
    configNrCpus,
  });
  return cpus.map(({ cpu, mpidr }) => ({ linuxCpu: cpu, mpidr, vcpu: vcpuOfMpidr(mpidr) }));
}

/** Builds a guest that is ready for its first instruction. Throws {@link InputError} if the options do not allow it. */
export function buildGuest(options: BootOptions, listener: MachineListener): Guest {
  const { vcpus, entryVcpu, kernel, initrd, seed } = options;
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > maxVcpus) {
    throw new InputError(`a guest has 1 to ${maxVcpus} vCPUs, not ${vcpus}`);
  }
  if (!Number.isInteger(entryVcpu) || entryVcpu < 0 || entryVcpu >= vcpus) {
    throw new InputError(`the kernel can be entered on vCPU 0 to ${vcpus - 1}, not ${entryVcpu}`);
  }
  checkCommandLine(options.commandLine);
  const memory = memoryBanks(options.memoryMiB);
  const sizes = { textOffset: kernel.textOffset, kernel: kernel.memoryBytes, deviceTree: treeBytes };
  const at = placeGuest(memory, { ...sizes, initrd: initrd?.length ?? 0 });
  const tree = describe(options, memory, at);
  const config = configOf(options, memory);
  const treeFile = writeDeviceTree(tree);
  if (treeFile.length > treeBytes) throw new InputError('the command line is too long for a device tree');
  const machine = arm64Machine({ config, seed, entry: at.kernel, bootInformation: at.deviceTree }, listener);
  machine.load(at.kernel, kernel.image);
  machine.load(at.deviceTree, treeFile);
  if (initrd !== null) machine.load(at.initrd, initrd);
  if (options.xenstore) connectBackends(machine.domain, { name: 'domulator' });
  return { machine, cpus: numberKernelCpus(tree, options), config, kernelAt: at.kernel };
}
