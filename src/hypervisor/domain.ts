/**
 * A domain's whole state as plain data. No state of a domain is anywhere else: not in closures,
 * class fields or globals. The only other part is the memory (frames of bytes), which is also a value if
 * it is a SparseMemory.
 */
import type { ValueOf, vcpu_hvm_context } from '../abi/index.js';
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
  /** Whether Xen guarantees that all vCPUs' TSCs agree (XEN_PVCLOCK_TSC_STABLE_BIT): `clocksource=tsc` on the host. */
  readonly tscStable: boolean;
  /** UTC at system time 0, in seconds since 1970. */
  readonly wallclockSec: number;
}

/** The toolstack's configuration of the domain. It never changes during a run. */
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
  /** Whether the FIFO event ABI is offered; Xen can be built without it (CONFIG_EVTCHN_FIFO, since 4.20). */
  readonly fifo: boolean;
  /** The highest port number (xl.cfg `max_event_channels`; default: xl's default, 1023). */
  readonly maxEvtchnPort?: number;
  /** Whether the toolstack answers SHUTDOWN_soft_reset with a soft reset. A real Xen can do so only on x86 HVM. */
  readonly softReset: boolean;
  /** Grant table frames the guest may map. */
  readonly maxGrantFrames: number;
  /** The vCPU that the builder set up and started: vCPU 0 for any real toolstack. */
  readonly entryVcpu: XenVcpuId;
  /** The clock behind the guest's time (default: `defaultClock`). */
  readonly clock?: ClockConfig;
  /** `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, hexadecimal (default: all zeroes except the domain id at the end). */
  readonly uuid?: string;
  /**
   * Whether the domain may use Xen's own console through console_io: not at all (`refused`, the default: a domU of a release
   * build of Xen), only for output (`write`: Xen built with CONFIG_VERBOSE_DEBUG), or fully (`allowed`: a domain that Xen
   * itself builds from the host's device tree).
   */
  readonly consoleIo?: 'refused' | 'write' | 'allowed';
}

/**
 * A location in memory that Xen keeps mapped: a machine frame and a byte offset in it. Xen keeps the frame itself, so the
 * location does not change when the guest later maps something else at the guest frame that it named.
 */
export interface FrameLocation {
  readonly mfn: number;
  readonly offset: number;
}

/** The area to which Xen writes a vCPU's runstate or time. */
export interface GuestArea {
  /** Registered by guest virtual address; null for none. Written when the vCPU is entered, through its page tables. */
  virtual: bigint | null;
  /** Registered by guest physical address (since 4.18); takes precedence over the virtual one. */
  location: FrameLocation | null;
}

/** Why a vCPU that is up does not run. */
export type Blocked =
  | { readonly why: 'block' }
  | { readonly why: 'poll'; readonly ports: readonly number[]; readonly deadlineNs: bigint | null };

/** Where a started vCPU enters the guest, as the caller requested; the machine consumes it. */
export interface StartContext {
  readonly how: 'built' | 'psci' | 'sipi' | 'initialise';
  /** Entry address: PSCI entry point, SIPI vector << 12, or the context's instruction pointer. */
  readonly entry: bigint;
  /** PSCI context id; 0 otherwise. */
  readonly contextId: bigint;
  /** x86 HVM: the registers that VCPUOP_initialise gave. */
  readonly registers?: HvmContext;
}

/** The registers of an HVM or PVH vCPU as the guest states them (public/hvm/hvm_vcpu.h). */
export type HvmContext = ValueOf<typeof vcpu_hvm_context>;

/** Time spent in each RUNSTATE_*, in ns, and the current one with its start. */
export interface RunstateState {
  state: number;
  entryNs: bigint;
  timesNs: bigint[];
}

/**
 * A vCPU's control block and Xen's own state for it (Xen's struct evtchn_fifo_vcpu). Xen keeps the machine frame,
 * even if the guest later maps something else at the guest frame.
 */
export interface FifoVcpu {
  readonly controlMfn: number;
  /** In bytes. */
  readonly controlOffset: number;
  /** The last port added to each of the 16 queues; 0 if none was added since the queue was last known to be empty. */
  tails: number[];
}

export interface VcpuState {
  readonly id: XenVcpuId;
  /** Not VPF_down. */
  up: boolean;
  /** v->is_initialised: it has a register state, so it may be brought up. */
  initialised: boolean;
  /** Paused because the domain is shut down. */
  pausedForShutdown: boolean;
  blocked: Blocked | null;
  /** Set when the vCPU was started and the machine has not yet loaded its registers. */
  start: StartContext | null;
  /** Registered by VCPUOP_register_vcpu_info; null for the slot in shared_info, or none. */
  vcpuInfo: FrameLocation | null;
  runstateArea: GuestArea;
  /** x86: the secondary time area. */
  timeArea: GuestArea;
  /** Whether an area registered by virtual address must be written when the vCPU is next entered. */
  areasStale: boolean;
  runstate: RunstateState;
  /** x86: vector of HVMOP_set_evtchn_upcall_vector, 0 for none. */
  upcallVector: number;
  /** Whether an upcall is pending in the interrupt controller: on x86 the vCPU's own vector, on Arm the private interrupt. */
  upcallInjected: boolean;
  /** Arm: the port of the event that the last upcall tells of which came while the vCPU was up; null for none. */
  upcallPort: number | null;
  /**
   * Arm: the port of an event whose upcall the vCPU lost because it was down, or went down before it took it; null after an upcall that
   * it received.
   */
  lostUpcallPort: number | null;
  /** x86: an NMI is pending. */
  nmiPending: boolean;
  /** Deadline of the one-shot timer, ns of system time. */
  singleshotNs: bigint | null;
  /** Period of the periodic timer, which runs only while the vCPU runs; null when it is stopped. */
  periodNs: bigint | null;
  /** When the periodic timer last fired, ns of system time; kept while it is stopped. */
  lastPeriodicNs: bigint;
  /** Port bound to each virq on this vCPU; 0 for none. Global virqs are stored for vCPU 0. */
  virqPorts: Record<string, number>;
  fifo: FifoVcpu | null;
  /** FIFO: how many events Xen has dropped because the vCPU had no control block, since the domain was made. */
  droppedEvents: number;
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

/** One event channel of the domain. Pending and mask bits are in guest-visible memory, not here. */
export interface Channel {
  binding: Binding;
  notifyVcpu: XenVcpuId;
  /** FIFO only: 0 (the highest) to 15. */
  priority: number;
  /** FIFO only: where the event was last queued, to find its tail again. */
  lastVcpu: XenVcpuId;
  lastPriority: number;
  /** FIFO only: an event came before its event word existed. */
  pendingEarly: boolean;
  /** System time in ns of the last event that came while {@link notifyVcpu} was down; null once an event came while it was up. */
  lostNs: bigint | null;
  /** Whether SCHEDOP_poll has named the port since it was bound: the guest may poll it instead of taking upcalls. */
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

/** The guest's output to Xen's own console, one character for each byte. */
export interface XenConsoleState {
  /** The current, incomplete line. */
  line: string;
  /** Lines that the host has not taken yet. */
  lines: string[];
}

export interface DomainState {
  readonly config: DomainConfig;
  /** System time, ns since the domain was created. Only `advanceTo` changes it. */
  nowNs: bigint;
  vcpus: VcpuState[];
  events: EventState;
  grants: GrantState;
  /** Machine frame of the current shared_info page. */
  sharedInfoMfn: number;
  /** The first unused frame of config.xenFrames, counted from its start. */
  nextXenFrame: number;
  /** Freed machine frames of config.xenFrames, which are used first. */
  freeXenFrames: number[];
  /** Guest frames that do not map the RAM frame of the same number: the machine frame, or null for a hole. */
  physmap: Record<string, number | null>;
  /** The reverse of `physmap`: for a machine frame, the guest frame that maps it. `mapGfn` maintains both. */
  shownAt: Record<string, number>;
  hvmParams: Record<string, bigint>;
  vmAssist: Record<string, boolean>;
  /**
   * x86 HVM: the vector that HVM_PARAM_CALLBACK_IRQ last set for all vCPUs; null if there is none or another kind of
   * callback. The parameter itself is in hvmParams and may differ (see setCallbackVia).
   */
  callbackVector: number | null;
  shutdown: Shutdown | null;
  /** The reason that SCHEDOP_shutdown_code set for the next shutdown; null for none. */
  shutdownCode: number | null;
  /** The two timers of SCHEDOP_watchdog, by id - 1. */
  watchdogs: Watchdog[];
  /** Ports at which the guest sent an event to a daemon that has not run since, in order. */
  remoteEvents: number[];
  /** Null for a domain without a xenstore. */
  xenstore: XenstoreState | null;
  /** Null for a domain without a PV console. */
  pvConsole: PvConsoleState | null;
  xenConsole: XenConsoleState;
  /** PVHVM: the interrupt of the I/O APIC that each pirq stands for. */
  pirqs: Record<string, number>;
  /** PVHVM: pirqs that the guest had set aside (PHYSDEVOP_get_free_pirq). */
  reservedPirqs: number[];
  /** PVHVM: the interrupts of the I/O APIC that devices assert now. */
  assertedGsis: number[];
  /** How often the domain was soft-reset. */
  resets: number;
}

/** A domain: its state and the memory of its machine. */
export interface Domain {
  readonly state: DomainState;
  readonly memory: FrameMemory;
  /** Whether the physical memory map has changed and no call's effects tell it yet. Not part of the state. */
  mapHasChanged?: boolean;
}

/** What the hypervisor needs from the CPU that made a call. */
export interface CallerPort {
  /** Translates a guest virtual to a guest physical address; null if the access would fault. */
  translate(vcpu: XenVcpuId, address: bigint, write: boolean): bigint | null;
  /** Whether the CPU would take an interrupt now (x86: RFLAGS.IF; Arm: not PSTATE.I) (default: yes). */
  interruptsOn?(vcpu: XenVcpuId): boolean;
}
