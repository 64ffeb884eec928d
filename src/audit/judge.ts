/**
 * For every hypercall that carries a vCPU id: the id that was meant. The truth comes only from the trace and the platform,
 * never from the guest's own statements. So a real kernel, of which only calls, starts and records in memory
 * are visible, is judged by the same rules as a model.
 */
import { passedVcpuId, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { JudgedCall, NotJudged, Run } from './finding.js';
import { holdersOf, nextStart, readHistory, reignOf, trueVcpu } from './history.js';
import type { History } from './history.js';
import { argument, intentionOf, isPerVcpuVirq } from './operations.js';
import type { HypercallEvent, RunningEvent, StartEvent, TraceEvent } from './trace.js';

/**
 * What is registered for which vCPU since the kernel took over or the domain was reset. A CPU's own registration is done when it
 * made the call itself, or when the call was made for it before it was started. (So when a secondary CPU brings up
 * a third one, its first init_control is for the third: its own was done by the CPU that brought it up.)
 */
interface Ledger {
  readonly has: Map<XenVcpuId, Set<string>>;
  /** The calls that each vCPU made, beyond its own registrations, since it last started another. */
  readonly prepared: Map<XenVcpuId, Set<string>>;
}

function entry(map: Map<XenVcpuId, Set<string>>, vcpu: XenVcpuId): Set<string> {
  const found = map.get(vcpu) ?? new Set<string>();
  map.set(vcpu, found);
  return found;
}

function note(ledger: Ledger, event: HypercallEvent): void {
  const own = entry(ledger.has, event.vcpu);
  if (own.has(event.call.op)) entry(ledger.prepared, event.vcpu).add(event.call.op);
  else own.add(event.call.op);
}

/** Whoever made them, calls that are always for the CPU that is brought up next were for `target`. */
function credit(history: History, ledger: Ledger, { by, target }: StartEvent): void {
  for (const [vcpu, prepared] of ledger.prepared) {
    for (const op of prepared) {
      if (vcpu !== by && !isForNext(history, op)) continue;
      if (target !== null) entry(ledger.has, target).add(op);
      prepared.delete(op);
    }
  }
}

/**
 * The vCPU that is started next, by whichever vCPU: a kernel brings up one CPU at a time, and the task that does so may move to
 * another CPU meanwhile (Linux kernel/cpu.c, _cpu_up). null when none is, or one that does not exist.
 */
function startedNext(history: History, { kernel, step }: HypercallEvent): XenVcpuId | null {
  return nextStart(reignOf(history, kernel), null, step)?.target ?? null;
}

/** The same, for a call that Xen took. If no start follows, the run ended before it, or the kernel gave the CPU up. */
function controlledNext(history: History, event: HypercallEvent): Meaning {
  const { kernel, step, call } = event;
  const isStarted = nextStart(reignOf(history, kernel), null, step) !== null;
  return isStarted || call.returned < 0 ? startedNext(history, event) : noStart;
}

/** It is not known which vCPU was meant; `why` is one line. */
interface Unknown {
  readonly why: string;
}

/** The vCPU that was meant; null when no id can be right. */
type Meaning = XenVcpuId | null | Unknown;

const refusedBinding: Unknown = {
  why: 'Xen refused the call, so the kernel never noted the CPU that it was for',
};
const noTable: Unknown = { why: "the kernel's interrupt table cannot be read" };
const notInTable: Unknown = { why: "the kernel's interrupt table was not seen to change after the call" };
const noStart: Unknown = { why: 'the kernel started no CPU after the call' };
const noRecords: Unknown = { why: "the kernel's records of its vCPU ids cannot be read" };

function isUnknown(meaning: Meaning): meaning is Unknown {
  return typeof meaning === 'object' && meaning !== null;
}

/** What a binding means if that is the same for every CPU; undefined where it depends on the CPU. */
function sameForAll({ platform }: History, { call }: HypercallEvent): XenVcpuId | undefined {
  if (call.op === 'EVTCHNOP_bind_virq' && !isPerVcpuVirq(argument(call, 'virq') ?? 0)) return xenVcpuId(0);
  return platform.hardwareIds.length === 1 ? xenVcpuId(0) : undefined;
}

/** The true vCPU of the CPU for which the kernel binds the port. The id in the call does not show what was meant. */
function byBinding(history: History, event: HypercallEvent): Meaning {
  const { kernel, step, call } = event;
  const same = sameForAll(history, event);
  if (same !== undefined) return same;
  const { boundFor } = reignOf(history, kernel);
  const cpu = boundFor.get(step);
  if (cpu !== undefined) {
    return (
      trueVcpu(history, kernel, cpu, step) ?? { why: `nothing tells which vCPU the kernel's CPU ${cpu} is` }
    );
  }
  if (call.returned < 0) return refusedBinding;
  return boundFor.size === 0 ? noTable : notInTable;
}

/**
 * The true vCPU of the CPU whose record contains the id. Of several such CPUs it is the one that ever runs, because no kernel
 * binds events to a CPU that never comes up. null when there is none, or several that run.
 */
function byRecord(history: History, event: HypercallEvent, passed: number): Meaning {
  const { kernel, step } = event;
  const same = sameForAll(history, event);
  if (same !== undefined) return same;
  const all = holdersOf(history, kernel, passed, step);
  if (all === null) return noRecords;
  const { running } = reignOf(history, kernel);
  const up = all.filter((cpu) => running.some(({ linuxCpu }) => linuxCpu === cpu));
  const [holder, ...others] = all.length > 1 && up.length > 0 ? up : all;
  if (holder === undefined || others.length > 0) return null;
  return trueVcpu(history, kernel, holder, step);
}

/** The caller's next call of the same operation, which is for another CPU. */
function nextLike(history: History, { kernel, vcpu, step, call }: HypercallEvent): HypercallEvent | null {
  const { calls } = reignOf(history, kernel);
  return calls.find((next) => next.step > step && next.vcpu === vcpu && next.call.op === call.op) ?? null;
}

/** Whether the kernel gave up the CPU after Xen refused the call: it went on to the next CPU, and what is started next is that one. */
function isGivenUp(history: History, event: HypercallEvent): boolean {
  if (event.call.returned >= 0) return false;
  const next = nextLike(history, event);
  const start = nextStart(reignOf(history, event.kernel), null, event.step);
  return next !== null && start !== null && next.step < start.step;
}

/**
 * The vCPU that an x86 kernel prepares: the one that it starts next. If it gives up the CPU and never starts it, the
 * record shows for which CPU the call was. It is never the calling vCPU.
 */
function prepared(history: History, event: HypercallEvent, passed: number): Meaning {
  const started = isGivenUp(history, event) ? null : startedNext(history, event);
  if (started !== null) return started;
  const recorded = byRecord(history, event, passed);
  return recorded === event.vcpu ? null : recorded;
}

/** Whether an operation that is not for the calling CPU itself is always for the CPU that it brings up next. */
function isForNext({ platform }: History, op: string): boolean {
  const intention = intentionOf(platform.kind, op);
  return intention === 'control-block' || intention === 'own-then-next';
}

/**
 * A call that may be repeated for the same CPU belongs to the preparation of another CPU in two cases: it is the last of its kind
 * before the caller's next start, and the started CPU does not make it itself; or the caller has already begun to prepare a CPU
 * with a call that is made once for each CPU. Every other repetition is for the calling CPU itself.
 */
function ownOrNext(history: History, ledger: Ledger, event: HypercallEvent, passed: number): Meaning {
  const reign = reignOf(history, event.kernel);
  const start = nextStart(reign, event.vcpu, event.step);
  const sameOp = reign.calls.filter((call) => call.call.op === event.call.op && call.step > event.step);
  if (start !== null) {
    const isLast = !sameOp.some((call) => call.vcpu === event.vcpu && call.step < start.step);
    const madeByStarted = sameOp.some((call) => call.vcpu === start.target && call.step > start.step);
    if (isLast && !madeByStarted) return prepared(history, event, passed);
  }
  const begun = [...entry(ledger.prepared, event.vcpu)].some((op) => isForNext(history, op));
  return begun ? prepared(history, event, passed) : event.vcpu;
}

/**
 * VCPUOP_initialise and VCPUOP_up name the vCPU that the caller starts before it turns to another CPU, or that comes up meanwhile
 * though no earlier start was for it. If there is none, the record shows for which CPU VCPUOP_initialise was; VCPUOP_up has no use
 * then, and no id is right.
 */
function comesUp(history: History, event: HypercallEvent, passed: number): Meaning {
  const { step, vcpu, call } = event;
  const { starts, running } = reignOf(history, event.kernel);
  const end = nextLike(history, event)?.step ?? Infinity;
  const within = (other: { readonly step: number }): boolean => other.step > step && other.step < end;
  const start = starts.find(
    (one) => within(one) && one.by === vcpu && one.target !== null && one.target !== vcpu,
  );
  const runsAfter = (from: number): RunningEvent | undefined =>
    running.find((one) => one.vcpu === start?.target && one.step > from);
  if (start !== undefined && runsAfter(start.step) !== undefined) return start.target;
  const isOwed = ({ vcpu: other, step: at }: RunningEvent): boolean =>
    (starts.findLast((one) => one.target === other && one.step < at)?.step ?? step) < step;
  const next = running.find((one) => within(one) && one.vcpu !== vcpu && !isOwed(one));
  const found = next?.vcpu ?? start?.target ?? null;
  if (found !== null || (call.op === 'VCPUOP_up' && call.returned >= 0)) return found;
  const recorded = byRecord(history, event, passed);
  return recorded === vcpu ? null : recorded;
}

function meantBy(history: History, ledger: Ledger, event: HypercallEvent, passed: number): Meaning {
  const { vcpu, call } = event;
  const isFirst = !entry(ledger.has, vcpu).has(call.op);
  switch (intentionOf(history.platform.kind, call.op)) {
    case 'self':
      return vcpu;
    case 'control-block':
      return isFirst ? vcpu : controlledNext(history, event);
    case 'own-then-next':
      return isFirst ? vcpu : prepared(history, event, passed);
    case 'own-or-next':
      return isFirst ? vcpu : ownOrNext(history, ledger, event, passed);
    case 'comes-up':
      return comesUp(history, event, passed);
    case 'binding':
      return byBinding(history, event);
    case 'record':
      return byRecord(history, event, passed);
    case 'question':
      return passedVcpuId(passed);
  }
}

function judge(history: History, ledger: Ledger, event: HypercallEvent, passed: number): JudgedCall {
  const meant = meantBy(history, ledger, event, passed);
  if (isUnknown(meant)) return { event, passed, meant: null, verdict: 'not-judged', reason: meant.why };
  const wrong = event.call.returned < 0 ? 'refused' : 'silent';
  return { event, passed, meant, verdict: passed === meant ? 'right' : wrong, reason: null };
}

/** Updates the ledger by an event; returns an empty one where a kernel takes over or the domain is reset. */
function after(history: History, ledger: Ledger, event: TraceEvent): Ledger {
  if (event.kind === 'kernel' || event.kind === 'reset') return { has: new Map(), prepared: new Map() };
  if (event.kind === 'start') credit(history, ledger, event);
  if (event.kind === 'hypercall' && event.call.vcpuId !== null) note(ledger, event);
  return ledger;
}

/**
 * Every hypercall of `run` that carries a vCPU id, in order, with the id that was meant. `silent` is a wrong id
 * that Xen accepted; `right` is the id that was meant, whatever Xen answered. A call is not judged if its meaning is unknown.
 */
export function judgeCalls(run: Run): JudgedCall[] {
  const history = readHistory(run);
  const judged: JudgedCall[] = [];
  let ledger: Ledger = { has: new Map(), prepared: new Map() };
  for (const event of run.events) {
    if (event.kind === 'hypercall' && event.call.vcpuId !== null) {
      judged.push(judge(history, ledger, event, event.call.vcpuId));
    }
    ledger = after(history, ledger, event);
  }
  return judged;
}

/** The calls of `run`, or of one of its kernels, that were not judged, counted by operation and reason, in order of first occurrence. */
export function notJudgedCalls(run: Run, kernel: number | null = null): NotJudged[] {
  const counted = new Map<string, NotJudged>();
  for (const { event, reason } of judgeCalls(run)) {
    if (reason === null || (kernel !== null && event.kernel !== kernel)) continue;
    const { op } = event.call;
    const key = `${op} ${reason}`;
    counted.set(key, { op, calls: (counted.get(key)?.calls ?? 0) + 1, why: reason });
  }
  return [...counted.values()];
}
