/**
 * Builds the guest. What its architecture makes different (memory, tables, CPUs, the machine) comes from a
 * {@link GuestBuilder}; the rest is the same for all.
 */
import { InputError, present } from '../base/index.js';
import { connectBackends, connectDeviceModel, uuidText } from '../hypervisor/index.js';
import type { Architecture } from '../firmware/index.js';
import type { InitArchitecture } from '../guest_init/index.js';
import type { DomainConfig } from '../hypervisor/index.js';
import { armMaxVcpus, hvmMaxVcpus } from '../identity/index.js';
import type { HardwareId, HardwareIdKind, LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { KernelAnchors, KernelArchitecture, KnownSymbol } from '../introspect/index.js';
import type { Board, Machine, MachineListener, MachineOptions, SavedMachine } from '../machine/index.js';
import { arm64 } from './arm64/guest.js';
import { machineKind as arm64Kind } from './arm64/machine_kind.js';
import type { HungGuest, LoadedKernel } from './hung_guest.js';
import type { KernelImage } from './kernel_image.js';
import { checkCommandLine, defaultCpuModel } from './options.js';
import type { BootOptions, CpuModel, GuestType } from './options.js';
import { machineKind as x86Kind } from './x86_64/machine_kind.js';

/** The most vCPUs that a guest of any architecture may have. */
export const mostVcpus = Math.min(armMaxVcpus, hvmMaxVcpus);

/** A CPU of the kernel, by the kernel's own numbering. */
export interface KernelCpu {
  readonly linuxCpu: LinuxCpu;
  readonly hardwareId: HardwareId;
  readonly hardwareIdKind: HardwareIdKind;
  readonly vcpu: XenVcpuId;
}

/** A vCPU, as far as all architectures are alike. */
export interface GuestCpu {
  readonly pc: bigint;
  /** The guest physical address behind a virtual one, for an access of the kernel; null where it would fault. */
  translate(address: bigint, access?: 'read' | 'write' | 'fetch'): bigint | null;
}

/** A board whose vCPUs and memory can be read from outside. */
export interface GuestBoard extends Board {
  readonly processor: Board['processor'] & {
    readonly vcpus: readonly GuestCpu[];
    /** Whether the page of 4 KiB at `offset` in the processor's memory may contain anything but zeros. */
    wasWritten(offset: number): boolean;
  };
}

export type GuestMachine = Machine<GuestBoard>;

/** The plan of a guest: everything that is known before its machine exists. */
export interface GuestPlan {
  readonly config: DomainConfig;
  /** The CPUs in Linux's numbering. */
  readonly cpus: readonly KernelCpu[];
  /** Guest physical address of the kernel's image. */
  readonly kernelAt: bigint;
  /** Guest physical address at which the kernel is entered. */
  readonly entry: bigint;
  /** Guest physical address of the boot information that the kernel gets at its entry, such as the device tree. */
  readonly bootInformation: bigint;
  /** x86: the tables with which a kernel is entered in 64-bit mode; without them, it is entered in 32-bit mode. */
  readonly longMode?: NonNullable<MachineOptions['longMode']>;
  /** Guest frame numbers of the pages that it shares with xenstore and console; those of an Arm guest when absent. */
  readonly daemonPages?: { readonly console: number; readonly store: number };
  /** The contents of memory when the guest starts, with their guest physical addresses. */
  readonly load: readonly { readonly at: bigint; readonly bytes: Uint8Array }[];
}

/** A kernel that was found in a guest's memory when it was entered from another one. */
export interface FoundKernel {
  /** Guest physical address of its image. */
  readonly at: bigint;
  /** x86: the one for which it was linked (default: the same). */
  readonly linkedAt?: bigint;
  /**
   * The image of the kernel in whose place it may have been loaded again, if it is that one. Else the image with the memory behind
   * it, as it was at the entry: that is, as in its file but for a few variables.
   */
  readonly image: KernelImage;
  readonly memoryBytes: number;
  /** The text after "Linux version" in it; null if there is none. */
  readonly version: string | null;
  /** The CPUs in its own numbering. */
  readonly cpus: readonly KernelCpu[];
  /** The command line that it was given. */
  readonly commandLine: string;
  /** Whether it was told to use only the memory that was reserved for a crash kernel. */
  readonly isCrashKernel: boolean;
}

/** Where a kernel lies, and for where it was linked: guest physical addresses. */
export interface KernelPlace {
  readonly kernelAt: bigint;
  readonly linkedAt: bigint;
}

/** The kernel with which the guest was built. */
export interface FirstKernel {
  /** As in its file. */
  readonly image: KernelImage;
  /** Guest physical address at which it was loaded. */
  readonly kernelAt: bigint;
}

/** Where a vCPU was seen to run; a plain value. */
export interface OwnMapState {
  /** Outside of its kernel's own map, since it was started or began to leave it. */
  readonly hasLeft: boolean;
  /** How often it was seen in a kernel's map after that. */
  readonly entries: number;
  /** The root of the map that it began to leave; null if it did not. */
  readonly root: bigint | null;
}

/** A machine with a guest, and access to the state of its vCPUs and its kernel. */
export interface RunningGuest {
  readonly machine: GuestMachine;
  /** The first process of a guest that runs a command. */
  readonly init: InitArchitecture;
  /** A symbol that every kernel of its architecture has. */
  readonly knownSymbol: KnownSymbol;
  /** For which `_text` a kernel at that load address was linked, where that matters to per-CPU variables (introspect/anchors.ts). */
  linkedText(at: bigint): bigint | null;
  readonly loadedVariable: KernelArchitecture<never>['loadedVariable'];
  /**
   * When its kernel sets the records: all before it first uses an id, as on Arm (arch/arm/xen/enlighten.c, xen_guest_init), or that
   * of each CPU when it prepares the CPU, as on x86 (arch/x86/xen/enlighten_hvm.c, xen_cpu_up_prepare_hvm). What a record has before
   * that is not believed by the kernel either.
   */
  readonly recordsAreSet: 'before the first id' | 'with each CPU';
  /** Why its kernel, with that command line, does not count `vcpu`, which is not among the guest's CPUs; null without a reason. */
  whyUnnumbered(vcpu: XenVcpuId, commandLine: string): string | null;
  /** What the registers of that vCPU say about its kernel. */
  anchors(vcpu: XenVcpuId): KernelAnchors;
  /** How often the guest asked the CPU or a device for what is not implemented, by what it is. */
  readonly notImplemented: ReadonlyMap<string, number>;
  /**
   * Gives words of 32 bits, at guest physical addresses, values that they keep from now on, whatever the guest stores there; no other
   * words keep theirs. Null where this cannot be done. A guest that is restored keeps none until this is called again.
   */
  readonly keepWords:
    | ((words: readonly { readonly at: number; readonly value: number }[], isRestored?: boolean) => void)
    | null;
  /** What its vCPUs are doing; for a guest that hung or was stopped. */
  hung(kernel: LoadedKernel): HungGuest;
  /**
   * Between turns: makes `vcpu` go on at an address where there is no code, so that the kernel there takes an exception that it does
   * not expect (an oops). False, and nothing is done, if the vCPU does not run the kernel now.
   */
  makeOops(vcpu: XenVcpuId): boolean;
  /** Whether `vcpu` has been outside of its kernel's own map, or in another one, since `maps.leaves` was called for it. */
  hasLeftMap(vcpu: XenVcpuId): boolean;
  /** What is known of where the vCPUs run, by vCPU. A machine that is restored does not have it. */
  readonly maps: {
    /** The kernel on `vcpu` is about to go on in another one. */
    leaves(vcpu: XenVcpuId): void;
    save(): readonly OwnMapState[];
    load(state: readonly OwnMapState[]): void;
  };
  /** Between turns: sends `vcpu` an NMI, as the toolstack does (`xl trigger`). Null where Xen has none to send, as on Arm. */
  readonly triggerNmi: ((vcpu: XenVcpuId) => void) | null;
  /**
   * x86: where the first kernel lies, when `vcpu` has just begun to run in its own map; null if that is not the first kernel. For a
   * guest that unpacked it.
   */
  readonly kernelPlaced?: (vcpu: XenVcpuId, first: FirstKernel) => KernelPlace | null;
  /** The kernel that `vcpu` has entered, when it has just begun to run in its own map; null if it is none that can be found. */
  kernelEntered(vcpu: XenVcpuId, first: FirstKernel): FoundKernel | null;
}

/** How guests of one architecture are built. */
export interface GuestBuilder {
  /** Throws {@link InputError} if the options do not allow it. */
  plan(options: BootOptions): GuestPlan;
  run(options: MachineOptions, listener: MachineListener): RunningGuest;
}

export type Guest = RunningGuest &
  Pick<GuestPlan, 'config' | 'cpus' | 'kernelAt'> & {
    /** x86: the guest physical address for which the kernel was linked (default: `kernelAt`). */
    readonly linkedAt?: bigint;
  };

/** What is known of a guest that runs, beside its machine; a plain value. */
export type GuestFacts = Pick<GuestPlan, 'cpus' | 'kernelAt'> & { readonly maps: readonly OwnMapState[] };

/** How builders of other architectures are loaded, so that guests of this one do not load what is for them. */
const others = {
  amd64: async () => (await import('./x86_64/guest.js')).x86_64,
} as const satisfies Readonly<Record<Exclude<Architecture, 'arm64'>, () => Promise<GuestBuilder>>>;

/** The builders that are loaded. */
const builders = new Map<Architecture, GuestBuilder>([['arm64', arm64]]);

/** Loads what guests of an architecture need, if there is such a one. A `Boot` of it can be made from then on. */
export async function loadArchitecture(architecture: Architecture): Promise<void> {
  if (architecture !== 'arm64' && Object.hasOwn(others, architecture))
    builders.set(architecture, await others[architecture]());
}

function builderOf(architecture: Architecture): GuestBuilder {
  return present(builders.get(architecture), 'a builder that loadArchitecture loaded');
}

const machineKinds = { arm64: arm64Kind, amd64: x86Kind } as const;

/** What a report says of the kind of machine. */
export interface MachineKind {
  readonly arch: Architecture;
  readonly interruptController: (typeof machineKinds)[Architecture]['interruptController'];
  /** The kind of guest; null on arm64, where Xen has one kind. */
  readonly type: GuestType | null;
  /** The model of the CPUs; absent on arm64, where there is one. */
  readonly cpu?: CpuModel;
}

/** The architecture of a guest whose kernel does not say otherwise. */
export const defaultArchitecture: Architecture = 'arm64';

export function machineKindOf(
  arch: Architecture,
  { type = 'pvh', cpu = defaultCpuModel }: Pick<BootOptions, 'type' | 'cpu'> = {},
): MachineKind {
  return { ...machineKinds[arch], ...(arch === 'amd64' ? { type, cpu } : { type: null }) };
}

/** Restores a guest whose machine was saved. */
export function restoreGuest(
  { kernel: { placement } }: BootOptions,
  { cpus, kernelAt, maps }: GuestFacts,
  saved: SavedMachine,
  listener: MachineListener,
): Guest {
  const { options } = saved.state;
  const guest = builderOf(placement.architecture).run(options, listener);
  guest.machine.restore(saved);
  guest.maps.load(maps);
  // Members in the order of the report: a value that was written and read has them in another.
  const inOrder = cpus.map(({ linuxCpu, hardwareId, hardwareIdKind, vcpu }) => ({
    linuxCpu,
    hardwareId,
    hardwareIdKind,
    vcpu,
  }));
  return Object.assign(guest, { config: options.config, cpus: inOrder, kernelAt });
}

/** What tells a domain from one that was made before with the same options. */
export type DomainFacts = Pick<DomainConfig, 'domid' | 'uuid'> & Pick<MachineOptions, 'startNs'>;

function checkVcpus({ vcpus, entryVcpu }: BootOptions): void {
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > mostVcpus) {
    throw new InputError(`a guest has 1 to ${mostVcpus} vCPUs, not ${vcpus}`);
  }
  if (!Number.isInteger(entryVcpu) || entryVcpu < 0 || entryVcpu >= vcpus) {
    throw new InputError(`the kernel can be entered on vCPU 0 to ${vcpus - 1}, not ${entryVcpu}`);
  }
}

/**
 * Builds a guest that is ready for its first instruction. `facts` are those of the domain; the first one needs none. Throws
 * {@link InputError} if the options do not allow it.
 */
export function buildGuest(
  options: BootOptions,
  listener: MachineListener,
  facts: DomainFacts | null = null,
): Guest {
  const { kernel, seed } = options;
  checkVcpus(options);
  checkCommandLine(options.commandLine);
  const builder = builderOf(kernel.placement.architecture);
  const { cpus, kernelAt, entry, bootInformation, longMode, load, daemonPages, ...plan } =
    builder.plan(options);
  const { startNs, ...others } = facts ?? {};
  const config = { ...plan.config, ...others };
  const start = startNs === undefined ? {} : { startNs };
  const mode = longMode === undefined ? {} : { longMode };
  const cpu = options.cpu === undefined ? {} : { cpu: options.cpu };
  const guest = builder.run({ config, seed, entry, bootInformation, ...mode, ...cpu, ...start }, listener);
  for (const { at, bytes } of load) guest.machine.load(at, bytes);
  if (options.xenstore) {
    const pages = daemonPages === undefined ? {} : { pages: daemonPages };
    connectBackends(guest.machine.domain, { name: 'domulator', ...pages });
  }
  if (config.kind === 'pvhvm') connectDeviceModel(guest.machine.domain);
  return Object.assign(guest, { config, cpus, kernelAt });
}

/**
 * The domain that a toolstack creates when the one of `machine` has asked for a reboot, before its first instruction: with the same
 * configuration and the next id (Xen 4.17 tools/xl/xl_vmcontrol.c, handle_domain_death and create_domain).
 */
export function nextDomain(
  options: BootOptions,
  machine: GuestMachine,
): { readonly saved: SavedMachine; readonly domid: number } {
  const { config } = machine.domain.state;
  const domid = config.domid + 1;
  // The UUID is part of the configuration.
  const facts = { domid, uuid: uuidText(config), startNs: machine.nowNs };
  const next = buildGuest(options, { uart: () => undefined }, facts);
  return { saved: next.machine.save(), domid };
}
