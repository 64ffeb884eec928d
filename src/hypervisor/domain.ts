/**
 * A domain's whole state as plain data. Nothing about a domain lives anywhere else: not in closures, not in
 * class fields, not in globals. The only companion is the memory (frames of bytes), which is a value too where
 * it is a SparseMemory.
 */
import type { FrameMemory, FrameRange } from '../base/index.js';
import type { ApicId, Mpidr, XenVcpuId } from '../identity/index.js';
import type { XenRelease } from './release.js';
import type { XenstoreState } from './xenstore/state.js';

/** How the guest runs: x86 PV, x86 HVM with PV drivers, x86 PVH, or Arm. */
export type GuestKind = 'pv' | 'pvhvm' | 'pvh' | 'arm';

/** The clock behind the guest's time. */
export interface ClockConfig {
  /** Frequency of the TSC, which reads 0 at system time 0 on every vCPU; x86 only. At least 1000. */
  readonly tscKHz: number;
  /** Whether Xen vouches that all vCPUs' TSCs agree (XEN_PVCLOCK_TSC_STABLE_BIT): `clocksource=tsc` on the host. */
  readonly tscStable: boolean;
  /** UTC at system time 0, in seconds since 1970. */
  readonly wallclockSec: number;
}

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
  /** Whether the FIFO event ABI is offered: it can be left out of Xen's build (CONFIG_EVTCHN_FIFO, since 4.20). */
  readonly fifo: boolean;
  /** The greatest port number (xl.cfg `max_event_channels`); absent means xl's own default, 1023. */
  readonly maxEvtchnPort?: number;
  /** Whether the toolstack answers SHUTDOWN_soft_reset with a soft reset. Real Xen can on x86 HVM only. */
  readonly softReset: boolean;
  /** Grant table frames the guest may map. */
  readonly maxGrantFrames: number;
  /** The vCPU that the builder set up and started: vCPU 0 for any real toolstack. */
  readonly entryVcpu: XenVcpuId;
  /** What the guest is told of time; `defaultClock` when absent. */
  readonly clock?: ClockConfig;
  /** `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, hexadecimal; all zeroes but for the domain id at its end when absent. */
  readonly uuid?: string;
  /**
   * Who may use Xen's own console by console_io: nobody (absent, or `refused`: a domU of a release build of Xen), whoever
   * only writes (`write`: Xen built with CONFIG_VERBOSE_DEBUG), or this domain (`allowed`: as Xen allows each that it
   * builds itself from the host's device tree).
   */
  readonly consoleIo?: 'refused' | 'write' | 'allowed';
}

/**
 * A place in memory that Xen keeps mapped: machine frame and byte offset in it. Xen holds the frame itself, so the
 * place stays the same whatever the guest shows or hides afterwards at the guest frame that it once named.
 */
export interface FramePlace {
  readonly mfn: number;
  readonly offset: number;
}

/** Where a vCPU has Xen write its runstate or its time. */
export interface GuestArea {
  /** Registered by guest virtual address; null for none. Written when the vCPU is entered, by its page tables. */
  virtual: bigint | null;
  /** Registered by guest physical address (since 4.18); goes before the virtual one. */
  place: FramePlace | null;
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

/**
 * A vCPU's control block and what Xen remembers beside it (Xen's struct evtchn_fifo_vcpu). Xen keeps the frame
 * itself, whatever the guest shows at the guest frame afterwards.
 */
export interface FifoVcpu {
  readonly controlMfn: number;
  /** In bytes. */
  readonly controlOffset: number;
  /** The port that was last put into each of the 16 queues; 0 for none since the queue was last known empty. */
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
  /** Registered by VCPUOP_register_vcpu_info; null for the slot in shared_info, or none. */
  vcpuInfo: FramePlace | null;
  runstateArea: GuestArea;
  /** x86: the secondary time area. */
  timeArea: GuestArea;
  /** An area registered by virtual address is to be written when the vCPU is next entered. */
  areasStale: boolean;
  runstate: RunstateState;
  /** x86: vector of HVMOP_set_evtchn_upcall_vector, 0 for none. */
  upcallVector: number;
  /** An upcall waits in the interrupt controller: on x86 the vCPU's own vector, on Arm the private interrupt. */
  upcallInjected: boolean;
  /** Arm: the port of an event of which the vCPU was to be told while it was down; null once it was told of one since. */
  lostUpcallPort: number | null;
  /** x86: an NMI waits. */
  nmiPending: boolean;
  /** Deadline of the one-shot timer, ns of system time. */
  singleshotNs: bigint | null;
  /** Period of the periodic timer, which runs only while the vCPU does; null when it is stopped. */
  periodNs: bigint | null;
  /** When the periodic timer last fired, ns of system time; kept while it is stopped. */
  lastPeriodicNs: bigint;
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
  /** FIFO only: 0 (the highest) to 15. */
  priority: number;
  /** FIFO only: where the event was last queued, to find its tail again. */
  lastVcpu: XenVcpuId;
  lastPriority: number;
  /** FIFO only: pended before its event word existed. */
  pendingEarly: boolean;
  /** System time in ns of the last event that came while {@link notifyVcpu} was down; null once an event came while it was up. */
  lostNs: bigint | null;
  /** Whether SCHEDOP_poll has named the port since it was bound: the guest may look at it instead of hearing of it. */
  polled: boolean;
}

export interface EventState {
  abi: '2l' | 'fifo';
  /** By port; port 0 is reserved. Grows as ports are made. */
  channels: Channel[];
  /** FIFO: machine frames of the event array pages, in order: 1024 ports each. */
  arrayMfns: number[];
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

/** A timer of SCHEDOP_watchdog. Once it has fired it stays in use, without a deadline. */
export interface Watchdog {
  inUse: boolean;
  /** System time in ns. */
  deadlineNs: bigint | null;
}

/** The console daemon's side of the PV console. */
export interface PvConsoleState {
  /** Machine frame of the page that is shared with the guest. */
  readonly mfn: number;
  /** The guest's end of the event channel. */
  readonly port: number;
}

/** What the guest wrote to Xen's own console. A character a byte. */
export interface XenConsoleState {
  /** A line that no newline has ended yet. */
  line: string;
  /** Lines that the host has not taken. */
  lines: string[];
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
  /** Next never used frame of config.xenFrames, counted from its start. */
  nextXenFrame: number;
  /** Machine frames of config.xenFrames that were given back, to be used first. */
  freeXenFrames: number[];
  /** Guest frames that do not show the RAM frame of the same number: to a machine frame, or null for a hole. */
  physmap: Record<string, number | null>;
  /** The reverse of `physmap`: by machine frame, the guest frame of it that shows it. `mapGfn` keeps both. */
  shownAt: Record<string, number>;
  hvmParams: Record<string, bigint>;
  vmAssist: Record<string, boolean>;
  /**
   * x86 HVM: the vector that HVM_PARAM_CALLBACK_IRQ last set for all vCPUs; null when none, or another kind of
   * callback, is in force. The parameter itself stands in hvmParams and may differ (see setCallbackVia).
   */
  callbackVector: number | null;
  shutdown: Shutdown | null;
  /** The reason that SCHEDOP_shutdown_code fixed for the shutdown to come; null for none. */
  shutdownCode: number | null;
  /** The two timers of SCHEDOP_watchdog, by id - 1. */
  watchdogs: Watchdog[];
  /** Ports at which the guest sent an event to a daemon that has not been served since, in order. */
  remoteEvents: number[];
  /** Null for a domain without a xenstore. */
  xenstore: XenstoreState | null;
  /** Null for a domain without a PV console. */
  pvConsole: PvConsoleState | null;
  xenConsole: XenConsoleState;
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
  /** Whether the CPU would take an interrupt now (x86: RFLAGS.IF; Arm: not PSTATE.I). Absent means that it would. */
  interruptsOn?(vcpu: XenVcpuId): boolean;
}
