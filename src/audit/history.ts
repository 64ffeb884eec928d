/** What a run's events say about kernels, CPUs and records; looked up by the judge and the rules. */
import { invalidVcpuNr, linuxCpu, mostLinuxCpu, xenVcpuId } from '../identity/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { Run } from './finding.js';
import { argument, bindsPort } from './operations.js';
import type {
  AffinityEvent,
  HypercallEvent,
  KernelEvent,
  OnlineEvent,
  Platform,
  PossibleCpu,
  RecordEvent,
  RunningEvent,
  StartEvent,
  StopEvent,
  TraceEvent,
} from './trace.js';

/** What one kernel did, in order of step. */
export interface Reign {
  /** null when the trace starts in the middle of a kernel. */
  readonly event: KernelEvent | null;
  /** Its possible CPUs: as the kernel has determined them if the trace shows that, else as its entry says. */
  readonly possible: readonly PossibleCpu[];
  /** Set where the observer cannot read which CPUs are online. */
  readonly online: KernelEvent['online'];
  readonly calls: HypercallEvent[];
  /** The calls that carry a vCPU id, by operation: those of each vCPU, and under null those that name another vCPU than their caller. */
  readonly callsBy: Map<string, Map<XenVcpuId | null, HypercallEvent[]>>;
  readonly starts: StartEvent[];
  readonly running: RunningEvent[];
  readonly records: RecordEvent[];
  /** When its CPUs come and go. */
  readonly comings: (OnlineEvent | StopEvent)[];
  /** By the step of a call that binds a port: the CPU that the kernel's interrupt table gives for the port. */
  readonly boundFor: Map<number, LinuxCpu>;
  /** Ports that are not yet in the kernel's table, and the step of the last call that bound each. */
  readonly open: Map<number, number>;
}

export interface History {
  readonly platform: Platform;
  readonly reigns: ReadonlyMap<number, Reign>;
}

function emptyReign(event: KernelEvent | null): Reign {
  return {
    event,
    possible: event?.possible ?? [],
    online: event?.online,
    calls: [],
    callsBy: new Map(),
    starts: [],
    running: [],
    records: [],
    comings: [],
    boundFor: new Map(),
    open: new Map(),
  };
}

/** The reign with the possible CPUs that `event` gives. Those that the kernel determined replace those known at its entry. */
function withCount(reign: Reign, event: TraceEvent): Reign {
  if (event.kind === 'limits') return { ...reign, possible: event.possible, online: event.online };
  if (event.kind !== 'kernel' || reign.event !== null) return reign;
  const known = reign.possible.length > 0 ? reign : event;
  return { ...reign, event, possible: known.possible, online: known.online };
}

/** After a call that binds a port, the table's entry is awaited; a call that closes the port ends that. */
function notePort({ open }: Reign, { step, call }: HypercallEvent): void {
  const port = argument(call, 'port');
  if (port === null) return;
  if (bindsPort(call.op)) open.set(port, step);
  else if (call.op === 'EVTCHNOP_close') open.delete(port);
}

function noteCall({ callsBy }: Reign, event: HypercallEvent): void {
  const { vcpu, call } = event;
  const ofOp = callsBy.get(call.op) ?? new Map<XenVcpuId | null, HypercallEvent[]>();
  callsBy.set(call.op, ofOp);
  for (const key of call.vcpuId === vcpu ? [vcpu] : [vcpu, null]) {
    const calls = ofOp.get(key);
    if (calls === undefined) ofOp.set(key, [event]);
    else calls.push(event);
  }
}

function noteAffinity({ open, boundFor }: Reign, { port, linuxCpu }: AffinityEvent): void {
  const step = open.get(port);
  if (step === undefined) return;
  boundFor.set(step, linuxCpu);
  open.delete(port);
}

function noteInReign(reign: Reign, event: TraceEvent): void {
  if (event.kind === 'hypercall') {
    reign.calls.push(event);
    if (event.call.vcpuId !== null) noteCall(reign, event);
    notePort(reign, event);
  } else if (event.kind === 'start') reign.starts.push(event);
  else if (event.kind === 'running') reign.running.push(event);
  else if (event.kind === 'record') reign.records.push(event);
  else if (event.kind === 'online' || event.kind === 'offline' || event.kind === 'stop')
    reign.comings.push(event);
  else if (event.kind === 'affinity') noteAffinity(reign, event);
}

/** Sorts the events of `run` by kernel and kind. */
export function readHistory({ platform, events }: Run): History {
  const reigns = new Map<number, Reign>();
  for (const event of events) {
    if (!('kernel' in event)) continue;
    const known = reigns.get(event.kernel) ?? emptyReign(null);
    const reign = withCount(known, event);
    reigns.set(event.kernel, reign);
    noteInReign(reign, event);
  }
  return { platform, reigns };
}

/** The kernel of that number; an empty one when the trace has none. */
export function reignOf({ reigns }: History, kernel: number): Reign {
  return reigns.get(kernel) ?? emptyReign(null);
}

/** The platform's vCPU with that hardware id; null when there is none. */
export function vcpuOfHardwareId({ hardwareIds }: Platform, hardwareId: number): XenVcpuId | null {
  const index = hardwareIds.findIndex((id) => id === hardwareId);
  return index < 0 ? null : xenVcpuId(index);
}

/** The vCPU of `cpu` by the kernel's own list of CPUs: by hardware id, or by number where there is none. */
function expectedVcpu({ platform }: History, reign: Reign, cpu: LinuxCpu): XenVcpuId | null {
  const listed = reign.possible.find((possible) => possible.linuxCpu === cpu);
  if (listed === undefined) return null;
  if (listed.hardwareId !== null) return vcpuOfHardwareId(platform, listed.hardwareId);
  // PV has no hardware ids. Its kernel is entered on one vCPU, as CPU 0, and starts each other by its number.
  if (cpu === 0) return reign.event?.entryVcpu ?? null;
  return cpu < platform.hardwareIds.length ? xenVcpuId(cpu) : null;
}

/**
 * The vCPU that CPU `cpu` of kernel `kernel` really is, at `step`: where it last ran, else where it first runs
 * later, else the vCPU of its hardware id. null when none of these is known.
 */
export function trueVcpu(history: History, kernel: number, cpu: LinuxCpu, step: number): XenVcpuId | null {
  const reign = reignOf(history, kernel);
  const ran = reign.running.filter((event) => event.linuxCpu === cpu);
  const last = ran.findLast((event) => event.step <= step) ?? ran[0];
  return last?.vcpu ?? expectedVcpu(history, reign, cpu);
}

/** The vCPU that the hardware id of `cpu` names, wherever it ran; null on PV, and for CPUs that are not possible. */
export function hardwareVcpu(history: History, kernel: number, cpu: LinuxCpu): XenVcpuId | null {
  const listed = reignOf(history, kernel).possible.find((possible) => possible.linuxCpu === cpu);
  if (listed === undefined || listed.hardwareId === null) return null;
  return vcpuOfHardwareId(history.platform, listed.hardwareId);
}

/** Each CPU's record at `step`. All ones marks a missing record (Linux: XEN_VCPU_ID_INVALID). */
export function recordsAt(history: History, kernel: number, step: number): Map<LinuxCpu, number> {
  const records = new Map<LinuxCpu, number>();
  for (const event of reignOf(history, kernel).records) {
    if (event.step >= step) break;
    if (event.value === invalidVcpuNr) records.delete(event.linuxCpu);
    else records.set(event.linuxCpu, event.value);
  }
  return records;
}

/**
 * The CPUs whose record was `id` at `step`; null when the records are not known. Unset records are left out: they
 * may read as 0 (since Linux 4.8-rc4), and then every CPU that is not yet up would seem to be vCPU 0.
 */
export function holdersOf(history: History, kernel: number, id: number, step: number): LinuxCpu[] | null {
  const reign = reignOf(history, kernel);
  if (reign.event?.records === 'none') return id <= mostLinuxCpu ? [linuxCpu(id)] : [];
  if (reign.records.length === 0) return null;
  const records = recordsAt(history, kernel, step);
  const holders = [...records].filter(([, value]) => value === id).map(([cpu]) => cpu);
  if (holders.length > 0 || id !== 0) return holders;
  // In a real kernel's memory, a 0 written over the initial 0 is not visible. So a CPU that runs at some time
  // and whose record never changes has the record 0.
  const unseen = reign.running.filter(
    ({ linuxCpu }) => !reign.records.some((record) => record.linuxCpu === linuxCpu),
  );
  return [...new Set(unseen.map(({ linuxCpu }) => linuxCpu))];
}

/** The place in `calls` of the first one after `step`. */
function placeAfter(calls: readonly HypercallEvent[], step: number): number {
  let [low, high] = [0, calls.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((calls[middle]?.step ?? Infinity) > step) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The place in the reign's calls of the first one after `step`. */
export function callAfter({ calls }: Reign, step: number): number {
  return placeAfter(calls, step);
}

/** How many calls of `op` stand between two steps, and the first of them. */
export interface Calls {
  readonly count: number;
  readonly first: HypercallEvent | null;
}

/** The calls of `op` after `step` and before `end` by `vcpu`; with null, those that name another vCPU than their caller. */
export function callsOf(
  { callsBy }: Reign,
  op: string,
  vcpu: XenVcpuId | null,
  step: number,
  end = Infinity,
): Calls {
  const calls = callsBy.get(op)?.get(vcpu) ?? [];
  const [from, to] = [placeAfter(calls, step), placeAfter(calls, end)];
  return { count: to - from, first: from < to ? (calls[from] ?? null) : null };
}

/** The first start after `step`: of those that `vcpu` asks for; with null, of all. */
export function nextStart(reign: Reign, vcpu: XenVcpuId | null, step: number): StartEvent | null {
  return reign.starts.find((event) => event.step > step && (vcpu ?? event.by) === event.by) ?? null;
}

/**
 * Whether the kernel counts `vcpu` as online at `step`. The vCPU on which it was entered is online from the beginning. Where the
 * observer cannot read which CPUs are online, a vCPU that is online may seem not to be.
 */
export function isOnline({ event, comings }: Reign, vcpu: XenVcpuId, step: number): boolean {
  const last = comings.findLast((coming) => coming.vcpu === vcpu && coming.step < step);
  return last === undefined ? event?.entryVcpu === vcpu : last.kind === 'online';
}
