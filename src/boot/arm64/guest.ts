/** Builds an arm64 guest as Xen 4.17 makes one: its memory, its device tree, its CPUs, and its board. */
import { writeDeviceTree } from '../../abi/index.js';
import type { DeviceTree } from '../../abi/index.js';
import { frameBytes, InputError, invariant, present } from '../../base/index.js';
import { arm64 as firmware } from '../../firmware/index.js';
import type { MemoryRange } from '../../firmware/index.js';
import { arm64 as init } from '../../guest_init/arm64/index.js';
import { armMagicPages, isRunnable } from '../../hypervisor/index.js';
import type { DomainConfig } from '../../hypervisor/index.js';
import {
  armCpusOfDeviceTree,
  mpidrOfVcpu,
  numberCpus,
  vcpuOfMpidr,
  xenVcpuId,
} from '../../identity/index.js';
import { arm64 as kernels } from '../../introspect/index.js';
import { arm64Machine } from '../../machine/index.js';
import type { MachineListener, MachineOptions } from '../../machine/index.js';
import { KernelImage } from '../kernel_image.js';
import type { BootOptions } from '../options.js';
import type { GuestBuilder, GuestPlan, KernelCpu, RunningGuest } from '../guest.js';
import { hungArm64Guest } from './hung_guest.js';
import { arm64KernelEntered } from './next_kernel.js';

/** Maximum size of the device tree (Linux Documentation/arm64/booting.rst, 2). */
const treeBytes = 2 << 20;
/** Xen's own frames begin after everything that a guest can have. */
const xenFrames = { start: 2 ** 28, count: 80 } as const;
/** NR_CPUS of the kernels of Debian's older releases, the lower of those in use. */
const configNrCpus = 256;

/**
 * What differs in a domain that Xen itself builds from the host's device tree: it may use Xen's console, and it has no
 * UUID (Xen 4.17 arch/arm/domain_build.c, create_domUs).
 */
const builtByXen = { consoleIo: 'allowed', uuid: '00000000-0000-0000-0000-000000000000' } as const;

function describe(
  { vcpus, commandLine, initrd, release }: BootOptions,
  memory: readonly MemoryRange[],
  at: firmware.LoadAddresses,
): DeviceTree {
  const end = at.initrd + BigInt(initrd?.length ?? 0);
  return firmware.guestDeviceTree({
    ...firmware.guestDefaults,
    vcpus,
    memory,
    bootArgs: commandLine,
    initrd: initrd === null ? null : { start: at.initrd, end },
    release,
  });
}

function configOf(
  { vcpus, release, entryVcpu, xenstore, toolstack }: BootOptions,
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
    softReset: toolstack === 'ideal',
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
  return cpus.map(({ cpu, mpidr }) => ({
    linuxCpu: cpu,
    hardwareId: mpidr,
    hardwareIdKind: 'mpidr',
    vcpu: vcpuOfMpidr(mpidr),
  }));
}

function plan(options: BootOptions): GuestPlan {
  const { kernel, initrd } = options;
  const { placement } = kernel;
  invariant(placement.architecture === 'arm64', 'an arm64 kernel');
  const memory = firmware.memoryBanks(options.memoryMiB);
  const at = firmware.placeGuest(memory, {
    textOffset: placement.textOffset,
    kernel: kernel.memoryBytes,
    deviceTree: treeBytes,
    initrd: initrd?.length ?? 0,
  });
  const tree = describe(options, memory, at);
  const treeFile = writeDeviceTree(tree);
  if (treeFile.length > treeBytes) throw new InputError('the command line is too long for a device tree');
  return {
    config: configOf(options, memory),
    cpus: numberKernelCpus(tree, options),
    kernelAt: at.kernel,
    entry: at.kernel,
    bootInformation: at.deviceTree,
    load: [
      { at: at.kernel, bytes: KernelImage.of(kernel.image).bytes },
      { at: at.deviceTree, bytes: treeFile },
      ...(initrd === null ? [] : [{ at: at.initrd, bytes: initrd }]),
    ],
  };
}

function run(options: MachineOptions, listener: MachineListener): RunningGuest {
  const machine = arm64Machine(options, listener);
  const anchors = machine.processor.vcpus.map((view) => kernels.anchorsOf(view));
  return {
    machine,
    init,
    anchors: (vcpu) => present(anchors[vcpu], 'a vCPU'),
    notImplemented: new Map(),
    knownSymbol: kernels.knownSymbol,
    recordsAreSet: 'before the first id',
    whyUnnumbered: () => null,
    linkedText: (at) => kernels.linkedText(at),
    loadedVariable: (image, start) => kernels.loadedVariable(image, start),
    // Kernels of arm64 set all records at once, before any is used, so nothing has to be kept.
    keepWords: null,
    hung: (kernel) => hungArm64Guest(machine, kernel),
    makeOops: (vcpu) => {
      const view = present(machine.processor.vcpus[vcpu], 'a vCPU');
      if (!isRunnable(machine.domain, vcpu) || view.mode !== 'EL1h') return false;
      view.pc = 0n;
      return true;
    },
    // A kernel is left by switching translation off, which the machine tells.
    hasLeftMap: () => true,
    maps: { leaves: () => undefined, save: () => [], load: () => undefined },
    triggerNmi: null,
    kernelEntered: (vcpu, { image }) => arm64KernelEntered(machine, vcpu, image),
  };
}

export const arm64 = { plan, run } as const satisfies GuestBuilder;
