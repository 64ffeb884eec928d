/** Builds an amd64 PVH guest as libxl of Xen 4.17 makes one: its memory, its tables, its start_info, its CPUs, and its board. */
import { viewOf } from '../../abi/index.js';
import { frameBytes, invariant, present } from '../../base/index.js';
import {
  acpiTables,
  loadedInitrd,
  memoryBanks,
  memoryMap,
  pvhEntry,
  specialPageAt,
  specialPages,
} from '../../firmware/x86_64/index.js';
import type { AcpiTables } from '../../firmware/x86_64/index.js';
import type { MemoryRange } from '../../firmware/index.js';
import { x86_64 as init } from '../../guest_init/x86_64/index.js';
import type { DomainConfig } from '../../hypervisor/index.js';
import {
  acpiUidOfVcpu,
  apicId,
  apicIdOfVcpu,
  firstXenVcpu,
  numberCpus,
  vcpuOfApicId,
  xenVcpuId,
  xenVcpuIds,
} from '../../identity/index.js';
import type { ApicId, XenVcpuId } from '../../identity/index.js';
import { x86_64 as kernels } from '../../introspect/index.js';
import type { X86Cpu } from '../../introspect/index.js';
import type { MachineListener, MachineOptions } from '../../machine/index.js';
import { x86Machine } from '../../machine/x86_64/index.js';
import type { X86Machine } from '../../machine/x86_64/index.js';
import { cpuOptions } from '../cpu_limits.js';
import { readGuest } from '../guest_memory.js';
import type { GuestBuilder, GuestPlan, KernelCpu, RunningGuest } from '../guest.js';
import { KernelImage } from '../kernel_image.js';
import type { BootOptions } from '../options.js';
import { hungX86Guest } from './hung_guest.js';

/** Xen's own frames begin after everything that a guest can have. */
const xenFrames = { start: 2 ** 28, count: 80 } as const;
/** NR_CPUS of Debian's kernels. */
const configNrCpus = 8192;

/** An entry of the identity page table: a page of 4 MiB that is present, writable, for users, accessed and dirty. */
const identityEntry = 0xe7;

/** The table with which Xen runs a guest without paging on hosts that cannot do so (public/hvm/params.h, HVM_PARAM_IDENT_PT). */
function identityPageTable(): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  for (let page = 0; page < 1024; page += 1) {
    viewOf(bytes).setUint32(4 * page, ((page << 22) | identityEntry) >>> 0, true);
  }
  return bytes;
}

function apicIdsOf(vcpus: number): ApicId[] {
  return xenVcpuIds(vcpus).map((vcpu) => apicIdOfVcpu(vcpu));
}

function frameOf(address: bigint): number {
  return Number(address / BigInt(frameBytes));
}

function framesOf(start: bigint, bytes: bigint): { readonly start: number; readonly count: number } {
  return { start: frameOf(start), count: Math.ceil(Number(bytes) / frameBytes) };
}

function configOf(
  { vcpus, release, entryVcpu }: BootOptions,
  banks: readonly MemoryRange[],
  { modules }: AcpiTables,
): DomainConfig {
  const tables = modules.map(({ at, bytes }) => framesOf(at, BigInt(bytes.length)));
  return {
    kind: 'pvh',
    release,
    domid: 1,
    ram: [
      ...banks.map(({ start, size }) => framesOf(start, size)),
      ...tables.toSorted((a, b) => a.start - b.start),
      framesOf(specialPages.start, specialPages.size),
    ],
    xenFrames,
    hardwareIds: apicIdsOf(vcpus),
    fifo: true,
    softReset: false,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(entryVcpu),
  };
}

/** The CPUs as an x86 Linux of that version numbers them, with the MADT of the guest and entered on `entryVcpu`. */
function numberKernelCpus(options: BootOptions): KernelCpu[] {
  const { vcpus, entryVcpu, commandLine } = options;
  const { version } = options.kernel;
  const { disabledApicId } = cpuOptions(commandLine);
  const { cpus } = numberCpus({
    platform: 'x86_64',
    version,
    entries: xenVcpuIds(vcpus).map((vcpu) => ({
      type: 'local_apic' as const,
      apicId: apicIdOfVcpu(vcpu),
      acpiUid: acpiUidOfVcpu(vcpu),
      enabled: true,
      onlineCapable: false,
    })),
    entryApicId: apicIdOfVcpu(xenVcpuId(entryVcpu)),
    // Xen marks vCPU 0 as the one that started, whichever is entered (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_init).
    entryHasBspBit: xenVcpuId(entryVcpu) === firstXenVcpu,
    configNrCpus,
    disableCpuApicId: disabledApicId === null ? null : apicId(disabledApicId),
  });
  return cpus.map(({ cpu, apicId: id }) => ({
    linuxCpu: cpu,
    hardwareId: id,
    hardwareIdKind: 'apicId',
    vcpu: present(vcpuOfApicId(id), 'the vCPU of an APIC id'),
  }));
}

/** Up to 6.8 the option is the only reason; from 6.9 on it is not obeyed (identity/numbering_x86.ts, takeUpTo68 and isRealBsp). */
function whyUnnumbered(vcpu: XenVcpuId, commandLine: string): string {
  const { disabledApicId } = cpuOptions(commandLine);
  return disabledApicId === apicIdOfVcpu(vcpu)
    ? `disable_cpu_apicid=${disabledApicId}`
    : 'the kernel takes it for the CPU that the firmware started, and is not entered on it';
}

function plan(options: BootOptions): GuestPlan {
  const { kernel, initrd, commandLine, vcpus } = options;
  const { placement } = kernel;
  invariant(placement.architecture === 'amd64', 'an amd64 kernel');
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
    cpus: numberKernelCpus(options),
    kernelAt: BigInt(placement.loadAt),
    entry: BigInt(placement.entry),
    bootInformation: entry.startInfoAt,
    daemonPages: { console: frameOf(specialPageAt.console), store: frameOf(specialPageAt.xenstore) },
    load: [
      { at: BigInt(placement.loadAt), bytes: KernelImage.of(kernel.image).bytes },
      ...entry.load,
      ...tables.modules,
      { at: specialPageAt.identityPageTable, bytes: identityPageTable() },
    ],
  };
}

/** A vCPU with the memory that its registers lead to. */
function cpuOf(machine: X86Machine, index: number): X86Cpu {
  const view = present(machine.processor.vcpus[index], 'a vCPU');
  const vcpu = xenVcpuId(index);
  return {
    get pc() {
      return view.pc;
    },
    get stackPointer() {
      return view.stackPointer;
    },
    get privilege() {
      return view.privilege;
    },
    get codeBits() {
      return view.codeBits;
    },
    get gsBase() {
      return view.gsBase;
    },
    get system() {
      return view.system;
    },
    register: (number) => view.register(number),
    translate: (address) => view.translate(address),
    word: (address) => {
      const bytes = readGuest(machine, vcpu, address, 8);
      return bytes === null ? null : viewOf(bytes).getBigUint64(0, true);
    },
  };
}

function run(options: MachineOptions, listener: MachineListener): RunningGuest {
  const machine = x86Machine(options, listener);
  const anchors = machine.vcpus.map((vcpu) => kernels.anchorsOf(cpuOf(machine, vcpu)));
  return {
    machine,
    init,
    anchors: (vcpu) => present(anchors[vcpu], 'a vCPU'),
    get notImplemented() {
      return machine.board.unimplemented;
    },
    knownSymbol: kernels.knownSymbol,
    recordsAreSet: 'with each CPU',
    whyUnnumbered,
    linkedText: (at) => kernels.linkedText(at),
    loadedVariable: (image, start) => kernels.loadedVariable(image, start),
    // Crashes and next kernels of such guests are not there yet.
    makeOops: () => false,
    kernelEntered: () => null,
    keepWords: (words, isRestored) => machine.board.keepWords(words, isRestored),
    hung: (kernel) => hungX86Guest(machine, kernel),
  };
}

export const x86_64 = { plan, run } as const satisfies GuestBuilder;
