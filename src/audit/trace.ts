/**
 * The audit's input: the events of a run, in order, as an observer outside the guest saw them. Model guests
 * and real kernels produce the same kinds of events, a real kernel fewer of them (it is not visible when it reads its records).
 */
import type { XenRelease } from '../abi/index.js';
import type { HardwareId, LinuxCpu, XenVcpuId } from '../identity/index.js';

/** What the hypervisor offers: the truth with which the guest's ids are compared. */
export interface Platform {
  readonly kind: 'pv' | 'pvhvm' | 'pvh' | 'arm';
  /** Xen release; some answers depend on it. */
  readonly release: XenRelease;
  /** Each vCPU's hardware id by vCPU id: APIC ids on x86, MPIDR affinities on Arm. */
  readonly hardwareIds: readonly HardwareId[];
  readonly fifo: boolean;
  /** Whether SHUTDOWN_soft_reset resets the domain's registrations. */
  readonly softReset: boolean;
}

interface EventBase {
  /** Position in the run, from 0. */
  readonly step: number;
  /** System time, ns. */
  readonly timeNs: bigint;
}

/** A kernel's possible CPU, and its hardware id as the kernel knows it; null on PV, which has none. */
export interface PossibleCpu {
  readonly linuxCpu: LinuxCpu;
  readonly hardwareId: HardwareId | null;
}

/** A vCPU that a kernel need not bring up when it boots, and by which limit: `nr_cpus=3`. */
export interface LeftOut {
  readonly vcpu: XenVcpuId;
  readonly why: string;
}

/** A kernel takes over the domain: the first one, or the one that kexec or a crash started. */
export interface KernelEvent extends EventBase {
  readonly kind: 'kernel';
  /** 0 for the first kernel, 1 for the next, and so on. */
  readonly kernel: number;
  readonly name: string;
  readonly entryVcpu: XenVcpuId;
  readonly possible: readonly PossibleCpu[];
  /** CPUs of the platform that this kernel leaves out by a rule of its own, and why. */
  readonly leftOut: readonly LeftOut[];
  /**
   * Set where the observer cannot read which CPUs the kernel counts as online. Then it reports
   * only those that are certainly online, and a CPU that was started cannot be said never to have come up.
   */
  readonly online?: 'unreadable';
  /**
   * What the observer can see of the kernel's map from CPUs to vCPU ids. `readable`: it knows where the records are; what
   * they hold comes as `record` events once they can be read. `unreadable`: it does not know where they are, or whether
   * there are any. `none`: the kernel keeps no map and passes its CPU numbers (Linux before 88e957d6e47f).
   */
  readonly records: 'readable' | 'unreadable' | 'none';
}

/**
 * The kernel has determined which CPUs are possible and which it leaves out. This holds for the whole of that kernel and
 * replaces what its {@link KernelEvent} says, which was known before it ran.
 */
export interface LimitsEvent extends EventBase {
  readonly kind: 'limits';
  readonly kernel: number;
  readonly possible: readonly PossibleCpu[];
  readonly leftOut: readonly LeftOut[];
  /** As in a {@link KernelEvent}. */
  readonly online?: 'unreadable';
}

/** The call itself, as the hypervisor records it (its CallRecord). */
export interface TracedCall {
  readonly hypercall: string;
  readonly op: string;
  /** The vCPU id in the call, unsigned 32-bit; null when it carries none. */
  readonly vcpuId: number | null;
  readonly detail: Readonly<Record<string, unknown>>;
  /** Signed: 0 or more, or minus a XEN_E* number. */
  readonly returned: number;
}

export interface HypercallEvent extends EventBase {
  readonly kind: 'hypercall';
  readonly kernel: number;
  /** The vCPU that really made the call. */
  readonly vcpu: XenVcpuId;
  /** The CPU that the kernel believes it is on; null where that cannot be told. */
  readonly linuxCpu: LinuxCpu | null;
  readonly call: TracedCall;
  /** The kernel's phase ('boot', 'prepare', 'starting', 'online', ...) if it is known; for display only. */
  readonly phase: string | null;
}

/** One vCPU requests the start of another: PSCI CPU_ON, INIT-SIPI or VCPUOP_up. */
export interface StartEvent extends EventBase {
  readonly kind: 'start';
  readonly kernel: number;
  readonly by: XenVcpuId;
  readonly linuxCpu: LinuxCpu | null;
  readonly how: 'psci' | 'sipi' | 'VCPUOP_up';
  /** The CPU that the kernel means to start; null where that is not known. */
  readonly meant: LinuxCpu | null;
  /** The vCPU that the request names, by the platform's truth; null when it names none. */
  readonly target: XenVcpuId | null;
  readonly returned: number;
}

/**
 * A vCPU went down. It turned itself off by PSCI CPU_OFF, or on x86 HVM by a HLT with interrupts off, which Xen treats in the same way
 * (Xen 4.17 arch/x86/hvm/hvm.c, hvm_hlt); or it was named in VCPUOP_down, by itself or by another. Only a start brings it back.
 */
export interface StopEvent extends EventBase {
  readonly kind: 'stop';
  readonly kernel: number;
  readonly vcpu: XenVcpuId;
  /** The CPU that the kernel believes it is on; null where that cannot be told. */
  readonly linuxCpu: LinuxCpu | null;
  readonly how: 'psci' | 'VCPUOP_down' | 'hlt';
}

/** A vCPU runs kernel code as that Linux CPU for the first time since it was started. */
export interface RunningEvent extends EventBase {
  readonly kind: 'running';
  readonly kernel: number;
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
}

/** The kernel counts that CPU as online, or no longer. */
export interface OnlineEvent extends EventBase {
  readonly kind: 'online' | 'offline';
  readonly kernel: number;
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
}

/**
 * The kernel writes a CPU's record of its vCPU id. The record's initial value is not an event. An observer that only
 * sees memory change misses a 0 written over the initial 0; the audit allows for that.
 */
export interface RecordEvent extends EventBase {
  readonly kind: 'record';
  readonly kernel: number;
  readonly linuxCpu: LinuxCpu;
  /** Unsigned 32-bit. */
  readonly value: number;
  /** The source's name in identity/. */
  readonly source: string;
}

/** The kernel reads a record to put it into a call (models only). */
export interface UseEvent extends EventBase {
  readonly kind: 'use';
  readonly kernel: number;
  readonly by: LinuxCpu;
  /** Whose record is read. */
  readonly linuxCpu: LinuxCpu;
  readonly value: number;
  /** Whether anything had been recorded before. */
  readonly recorded: boolean;
}

/**
 * The CPU for which the kernel has bound a port: by the kernel's own interrupt table, or in a model by its next action. The event
 * follows a call that binds the port, as soon as the kernel has written its table, even if the CPU has not changed.
 */
export interface AffinityEvent extends EventBase {
  readonly kind: 'affinity';
  readonly kernel: number;
  /** The vCPU that made the call. */
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
  readonly port: number;
}

/** The kernel handles an event of an event channel. */
export interface HandledEvent extends EventBase {
  readonly kind: 'event';
  readonly kernel: number;
  /** The vCPU on which the upcall came. */
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
  readonly port: number;
  /** The CPU for which the kernel bound the port (its IPI or timer); null for ports that any CPU may take. */
  readonly boundFor: LinuxCpu | null;
  /** 'ipi', 'timer', ... for display. */
  readonly purpose: string;
}

/**
 * A vCPU is not told of an event because it is down, or went down before it took the upcall and was started anew (`lost-upcall`); or
 * such a vCPU is told of events again (`upcall-heard`).
 * Between the two, Xen tells it of no event, even while it runs.
 */
export interface LostUpcallEvent extends EventBase {
  readonly kind: 'lost-upcall' | 'upcall-heard';
  readonly vcpu: XenVcpuId;
  /** The port of the event that was lost. */
  readonly port: number;
}

/** All of the domain's registrations were cleared (a soft reset), or another domain took its place. */
export interface ResetEvent extends EventBase {
  readonly kind: 'reset';
  /** The id of the new domain, after a reboot; absent for a soft reset. All its vCPUs are down until its kernel is entered. */
  readonly domain?: number;
}

/** A line of the kernel's own log. */
export interface LogEvent extends EventBase {
  readonly kind: 'log';
  readonly kernel: number;
  readonly linuxCpu: LinuxCpu | null;
  readonly line: string;
}

export type Outcome = 'userspace' | 'poweroff' | 'panic' | 'hang' | 'destroyed';

/** An event that no vCPU was told of, because the port notifies a vCPU that is down. */
export interface UnheardEvent {
  readonly port: number;
  readonly vcpu: XenVcpuId;
  /** System time of the event, ns; of the last one where several came. */
  readonly sinceNs: bigint;
}

/** What became of the guest. */
export interface EndEvent extends EventBase {
  readonly kind: 'end';
  readonly kernel: number;
  readonly outcome: Outcome;
  readonly online: readonly LinuxCpu[];
  /** One line: the panic's message, what it waits for, ... */
  readonly why: string;
  /** Present if the run was cut by a limit or from outside, so that the guest might have gone on. */
  readonly isCut?: true;
  /**
   * The events that are unheard at the end, at ports that the guest has not masked, polled or bound to another vCPU since. Those
   * whose vCPU the guest might still have started are left out: of a guest that was stopped from outside, all of them.
   */
  readonly unheard?: readonly UnheardEvent[];
}

/** One event of a run. A trace is a list of them, in the order in which they happened. */
export type TraceEvent =
  | KernelEvent
  | LimitsEvent
  | HypercallEvent
  | StartEvent
  | StopEvent
  | RunningEvent
  | OnlineEvent
  | RecordEvent
  | UseEvent
  | AffinityEvent
  | HandledEvent
  | LostUpcallEvent
  | ResetEvent
  | LogEvent
  | EndEvent;
