/**
 * A model world: the domain as Xen keeps it, and the guest as Linux keeps it. All of it is a plain value, so that
 * it can be cloned, compared, hashed and written to JSON between any two steps. Nothing that a guest does lives
 * anywhere else: its kernels' records, its ports, and for every vCPU the routine it is in, are all in here.
 */
import { cloneValue, hashText, InputError, valueFromJson, valueToJson } from '../../base/index.js';
import type { Outcome } from '../../audit/index.js';
import { cloneDomain, domainFromJson, domainToJson } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { AcpiUid, HardwareId, IdMap, LinuxCpu, XenVcpuId } from '../../identity/index.js';
import type { KernelEra, StrategyName } from '../scenario.js';

/** What a step may remember in its frame. Times are ns of system time as plain numbers. */
export type Scalar = null | boolean | number | string;
export type Vars = Record<string, Scalar>;

/** Where a vCPU is in a routine: the label of its next step, and the routine's variables. */
export interface Frame {
  readonly routine: string;
  step: string;
  readonly vars: Vars;
  /** It was entered by an interrupt, so its caller is still where it was. */
  readonly interrupt: boolean;
}

/** What runs on a vCPU. A vCPU that was never started, or has gone for good, has no frames. */
export interface GuestVcpu {
  /** Which kernel's code it runs, by number; null before its first start. */
  kernel: number | null;
  /** Which CPU it believes to be. */
  linuxCpu: LinuxCpu | null;
  /** The innermost routine is the last. */
  frames: Frame[];
  /** Interrupts that other CPUs sent by hardware (local APIC, GIC), not by Xen's events: the routines that they call. */
  interrupts: string[];
  /** It takes an upcall that is asserted for ever, since what it clears is not what Xen set. */
  storm: boolean;
}

/** A place in guest memory: guest frame and byte offset in it. */
export interface Place {
  readonly gfn: number;
  readonly offset: number;
}

/** What a kernel keeps for one of its possible CPUs. */
export interface CpuState {
  readonly linuxCpu: LinuxCpu;
  /** APIC id or MPIDR affinity, as the firmware's tables have it; null on PV. */
  readonly hardwareId: HardwareId | null;
  /** What the firmware's tables call the processor; null where they do not say. */
  readonly acpiUid: AcpiUid | null;
  online: boolean;
  /** It has been through all of its online stage. */
  settled: boolean;
  /** It has said that it will run no more kernel code until it is started again. */
  dead: boolean;
  /** Where the arguments of its hypercalls go: the first of two frames. */
  readonly scratchGfn: number;
  /** Its own vcpu_info, in the kernel's per-CPU data. */
  readonly ownVcpuInfo: Place;
  /** Where the kernel looks for its vcpu_info (Linux: the `xen_vcpu` pointer); null is the null pointer. */
  vcpuInfo: Place | null;
  /** FIFO: the frame of its control block; null while there is none. */
  controlGfn: number | null;
  /** FIFO: the head of each of the 16 queues, where the last upcall left off; 0 for none. */
  heads: number[];
  /** The ports that the kernel bound for it, by what they are for. */
  ports: Record<string, number>;
  /** PV: VCPUOP_initialise has been made for it. */
  initialised: boolean;
  /** CPUs that wait until this one has run a function for them. */
  callQueue: LinuxCpu[];
  /** Timer ticks handled on it. */
  ticks: number;
  /** A routine that it is to run once it is idle. */
  work: string | null;
  /** What it does after that. */
  nextWork: string | null;
}

/** What a kernel uses a port for. */
export interface PortUse {
  readonly purpose: string;
  /** The CPU that it was bound for; null where any CPU may handle it. */
  readonly boundFor: LinuxCpu | null;
  /** The CPU that looks for it in the two-level bitmaps (Linux: `cpu_evtchn_mask`). */
  cpu: LinuxCpu;
}

export interface KernelState {
  /** 0 for the first, then counted up. */
  readonly index: number;
  readonly name: string;
  readonly strategy: StrategyName;
  readonly era: KernelEra;
  /** Where it was entered: its CPU 0. */
  readonly entryVcpu: XenVcpuId;
  /** The guest frames that are its own, and the next one that it has not used yet. */
  readonly ram: { readonly start: number; readonly end: number; next: number };
  /** The possible CPUs by number. */
  readonly cpus: CpuState[];
  /** Which vCPU each CPU is, as the kernel believes. */
  map: IdMap;
  /** Its event ABI; null before one was chosen. */
  events: '2l' | 'fifo' | null;
  /** FIFO: the frames of the event array. */
  arrayGfns: number[];
  sharedInfoGfn: number | null;
  /** x86: upcalls come by a vector of each vCPU's own. */
  percpuUpcall: boolean;
  /** x86: the clock has been set up. Arm: late init has come, so CPUs register their runstate as they start. */
  timeReady: boolean;
  /** By port. */
  ports: Record<string, PortUse>;
  /** The CPU that is being brought up, told to it through memory (arm64 `secondary_data`, x86 `initial_stack`). */
  starting: LinuxCpu | null;
  /** Xenstore: the port, how many answers came, and which CPU is asking. */
  xenstore: { port: number; answers: number; owner: LinuxCpu | null };
  /** User space has been reached; later kernels may be entered from here. */
  userspace: boolean;
  readonly log: string[];
}

/** What became of the guest. */
export interface GuestEnd {
  readonly outcome: Outcome;
  readonly kernel: number;
  /** One line. */
  readonly why: string;
}

export interface GuestState {
  readonly kernels: KernelState[];
  /** By vCPU id. */
  readonly vcpus: GuestVcpu[];
  /** PV: what start_info says of the toolstack's channel. */
  readonly startInfo: { readonly storeEvtchn: number };
  end: GuestEnd | null;
}

/** The domain's memory is a SparseMemory. */
export interface World {
  readonly domain: Domain;
  readonly guest: GuestState;
}

/** A world that is equal and shares nothing that either may change. */
export function cloneWorld({ domain, guest }: World): World {
  return { domain: cloneDomain(domain), guest: cloneValue(guest) };
}

/** The world as canonical JSON text: equal worlds have equal texts. */
export function worldToJson({ domain, guest }: World): string {
  return `{"domain":${domainToJson(domain)},"guest":${valueToJson(guest)}}`;
}

/** The world that {@link worldToJson} wrote. Throws InputError when `text` is no such thing. */
export function worldFromJson(text: string): World {
  const value = valueFromJson(text) as { domain?: unknown; guest?: GuestState } | null;
  if (!Array.isArray(value?.guest?.kernels) || value.domain === undefined) {
    throw new InputError('not a saved world: it has no guest or no domain');
  }
  return { domain: domainFromJson(valueToJson(value.domain)), guest: value.guest };
}

/** SHA-256 of the world's JSON text, as 64 hex digits. */
export function hashWorld(world: World): string {
  return hashText(worldToJson(world));
}

/** A vCPU that has never run. */
export function newGuestVcpu(): GuestVcpu {
  return { kernel: null, linuxCpu: null, frames: [], interrupts: [], storm: false };
}

/** Every vCPU's id. */
export function vcpuIds({ guest }: World): XenVcpuId[] {
  return guest.vcpus.map((_, id) => xenVcpuId(id));
}
