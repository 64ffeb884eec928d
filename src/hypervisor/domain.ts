/**
 * A domain's whole state as plain data. Nothing about a domain lives anywhere else: not in closures, not in
 * class fields, not in globals. The only companion is the memory (frames of bytes), which is a value too where
 * it is a SparseMemory.
 */
import type { FrameMemory, FrameRange } from '../base/index.js';
import type { ApicId, Mpidr, XenVcpuId } from '../identity/index.js';

/** The Xen releases whose behaviour can be chosen; they differ in answers, not in layouts. */
export type XenRelease = '4.17' | '4.18';

/** How the guest runs: x86 PV, x86 HVM with PV drivers, x86 PVH, or Arm. */
export type GuestKind = 'pv' | 'pvhvm' | 'pvh' | 'arm';

/** What the toolstack decided when it built the domain. Never changes during a run. */
export interface DomainConfig {
  readonly kind: GuestKind;
  readonly release: XenRelease;
  readonly domid: number;
  /** Guest RAM, as ranges of guest frame numbers (4 KiB). */
  readonly ram: readonly FrameRange[];
  /** Machine frames that Xen keeps for shared_info and grant tables; outside guest RAM. */
  readonly xenFrames: FrameRange;
  /** Each vCPU's hardware id, by vCPU id: APIC ids on x86, MPIDR affinities on Arm. */
  readonly hardwareIds: readonly (ApicId | Mpidr)[];
  /** Whether the FIFO event ABI is offered (Xen's `event_channel` options can leave only two-level). */
  readonly fifo: boolean;
  /** Whether the toolstack answers SHUTDOWN_soft_reset with a soft reset. Real Xen can on x86 HVM only. */
  readonly softReset: boolean;
  /** Grant table frames the guest may map. */
  readonly maxGrantFrames: number;
  /** Which vCPUs the builder set up and started (bit by id); Xen starts vCPU 0 alone. */
  readonly entryVcpu: XenVcpuId;
}

/**
 * Where a vCPU's vcpu_info lies: machine frame and byte offset in it. Xen keeps the frame itself, so that the place
 * stays the same whatever the guest shows or hides at the guest frame that it registered.
 */
export interface VcpuInfoPlace {
  readonly mfn: number;
  readonly offset: number;
}

/** Why a vCPU that is up does not run. */
export type Blocked =
  | { readonly why: 'block' }
  | { readonly why: 'poll'; readonly ports: readonly number[]; readonly deadlineNs: bigint | null };

/** Where a started vCPU enters the guest, as it was asked for; the machine consumes it. */
export interface StartContext {
  readonly how: 'built' | 'psci' | 'sipi' | 'initialise';
  /** Entry address: PSCI entry point, SIPI vector << 12, or the context's instruction pointer. */
  readonly entry: bigint;
  /** PSCI context id; 0 otherwise. */
  readonly contextId: bigint;
}

/** Time spent in each RUNSTATE_*, in ns, and the present one with its start. */
export interface RunstateState {
  state: number;
  entryNs: bigint;
  timesNs: bigint[];
}

/** A vCPU's FIFO event state (Xen's struct evtchn_fifo_vcpu). */
export interface FifoVcpu {
  controlGfn: number;
  controlOffset: number;
  /** Tail port of each of the 16 queues, 0 when empty. */
  tails: number[];
}

export interface VcpuState {
  readonly id: XenVcpuId;
  /** Not VPF_down. */
  up: boolean;
  /** v->is_initialised: has a register state, so that it may be brought up. */
  initialised: boolean;
  /** Paused because the domain is shut down. */
  pausedForShutdown: boolean;
  blocked: Blocked | null;
  /** Set when the vCPU was started and the machine has not yet loaded its registers. */
  start: StartContext | null;
  vcpuInfo: VcpuInfoPlace | null;
  /** Guest virtual address of the runstate area, or a guest physical one for the 4.18 calls. */
  runstateArea: { address: bigint; physical: boolean } | null;
  /** Likewise for the secondary time area (x86). */
  timeArea: { address: bigint; physical: boolean } | null;
  runstate: RunstateState;
  /** x86: vector of HVMOP_set_evtchn_upcall_vector, 0 for none. */
  upcallVector: number;
  /** x86: an injected upcall vector waits in the local APIC. */
  upcallInjected: boolean;
  /** x86: an NMI waits. */
  nmiPending: boolean;
  /** x86: INIT was received and no SIPI yet. */
  waitForSipi: boolean;
  /** Deadline of the one-shot timer, ns of system time. */
  singleshotNs: bigint | null;
  periodic: { periodNs: bigint; nextNs: bigint } | null;
  /** Port bound to each virq on this vCPU; 0 for none. Global virqs stand at vCPU 0's. */
  virqPorts: Record<string, number>;
  fifo: FifoVcpu | null;
}

/** What a port is bound to. */
export type Binding =
  | { readonly kind: 'free' }
  | { readonly kind: 'reserved' }
  | { readonly kind: 'unbound'; readonly remoteDomid: number }
  | { readonly kind: 'interdomain'; readonly remoteDomid: number; readonly remotePort: number }
  | { readonly kind: 'virq'; readonly virq: number }
  | { readonly kind: 'ipi' }
  | { readonly kind: 'pirq'; readonly pirq: number };

/** One event channel of the domain. Pending and mask bits live in guest-visible memory, not here. */
export interface Channel {
  binding: Binding;
  notifyVcpu: XenVcpuId;
  priority: number;
  /** FIFO only: where the event was last queued, to find its tail again. */
  lastVcpu: XenVcpuId;
  lastPriority: number;
  /** FIFO only: pended before its event word existed. */
  pendingEarly: boolean;
}

export interface EventState {
  abi: '2l' | 'fifo';
  /** By port; port 0 is reserved. Grows as ports are made. */
  channels: Channel[];
  /** FIFO: guest frames of the event array pages, in order. */
  arrayGfns: number[];
}

export interface GrantState {
  version: 1 | 2;
  /** Machine frames of the shared entries, in order. */
  frames: number[];
  statusFrames: number[];
}

export interface Shutdown {
  readonly reason: number;
  readonly by: XenVcpuId;
}

export interface DomainState {
  readonly config: DomainConfig;
  /** System time, ns since the domain was made. Only `advanceTo` moves it. */
  nowNs: bigint;
  vcpus: VcpuState[];
  events: EventState;
  grants: GrantState;
  /** Machine frame of the present shared_info page. */
  sharedInfoMfn: number;
  /** Next unused frame of config.xenFrames, counted from its start. */
  nextXenFrame: number;
  /** Guest frames that do not show the RAM frame of the same number: to a machine frame, or null for a hole. */
  physmap: Record<string, number | null>;
  hvmParams: Record<string, bigint>;
  vmAssist: Record<string, boolean>;
  /** x86: the callback of HVM_PARAM_CALLBACK_IRQ. */
  shutdown: Shutdown | null;
  /** How often the domain was soft-reset. */
  resets: number;
}

/** A domain: its state and the memory of its machine. */
export interface Domain {
  readonly state: DomainState;
  readonly memory: FrameMemory;
}

/** What the hypervisor asks of the CPU that made a call. */
export interface CallerPort {
  /** Guest physical address behind a guest virtual one; null when the access would fault. */
  translate(vcpu: XenVcpuId, address: bigint, write: boolean): bigint | null;
}
