/**
 * For every hypercall that carries a vCPU id: the id that was meant. The truth comes only from the trace and the platform,
 * never from the guest's own statements. So a real kernel, of which only calls, starts and records in memory
 * are visible, is judged by the same rules as a model.
 */
import { passedVcpuId, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { JudgedCall, NotJudged, Run } from './finding.js';
import {
  callAfter,
  callsOf,
  holdersOf,
  isOnline,
  nextStart,
  readHistory,
  reignOf,
  trueVcpu,
} from './history.js';
import type { History, Reign } from './history.js';
import { initialisedTogether } from './initialised.js';
import type { Initialised } from './initialised.js';
import { argument, intentionOf, isPerVcpuVirq } from './operations.js';
import type { HypercallEvent, RunningEvent, StartEvent, TraceEvent } from './trace.js';

interface Known extends History {
  /** By kernel: what the calls of VCPUOP_initialise meant that it made in a row. */
  readonly together: ReadonlyMap<number, Initialised>;
}

/**
 * What is registered for which vCPU since the kernel took over or the domain was reset. A CPU's own registration is done when it
 * made the call itself, or when the call was made for it before it was started. (So when a secondary CPU brings up
 * a third one, its first init_control is for the third: its own was done by the CPU that brought it up.)
 */
interface Ledger {
  readonly has: Map<XenVcpuId, Set<string>>;
  /**
   * The calls that each vCPU made for others since it last started another, with the vCPU that the last of each was for. null: no id
   * could be right.
   */
  readonly prepared: Map<XenVcpuId, Map<string, XenVcpuId | null>>;
  /** The operations that a started CPU made for itself, because nobody had made them for it. */
  readonly own: Set<string>;
  /** The operations that were made for another CPU with its right id, and that Xen took. */
  readonly forOthers: Set<string>;
}

function emptyLedger(): Ledger {
  return { has: new Map(), prepared: new Map(), own: new Set(), forOthers: new Set() };
}

function registrationsOf({ has }: Ledger, vcpu: XenVcpuId): Set<string> {
  const found = has.get(vcpu) ?? new Set<string>();
  has.set(vcpu, found);
  return found;
}

function preparedBy({ prepared }: Ledger, vcpu: XenVcpuId): Map<string, XenVcpuId | null> {
  const found = prepared.get(vcpu) ?? new Map<string, XenVcpuId | null>();
  prepared.set(vcpu, found);
  return found;
}

/** The vCPU that a judged call was for; where that is not known, the one that Xen took it for. */
function ownerOf({ platform }: History, { event, passed, meant, verdict }: JudgedCall): XenVcpuId | null {
  const owner = verdict === 'not-judged' ? passed : meant;
  if (owner === event.vcpu) return event.vcpu;
  return owner !== null && owner < platform.hardwareIds.length ? xenVcpuId(owner) : null;
}

/** Notes a call that was judged. One that Xen took for another vCPU is that one's, even if the kernel gives that CPU up. */
function note(history: History, ledger: Ledger, judged: JudgedCall): void {
  const { event, passed } = judged;
  const { vcpu, call, step, kernel } = event;
  const registered = registrationsOf(ledger, vcpu);
  const isFirst = !registered.has(call.op);
  registered.add(call.op);
  const owner = ownerOf(history, judged);
  if (owner === vcpu) {
    const { starts } = reignOf(history, kernel);
    if (isFirst && passed === vcpu && starts.some((one) => one.target === vcpu && one.step < step))
      ledger.own.add(call.op);
    return;
  }
  if (!isFirst) preparedBy(ledger, vcpu).set(call.op, owner);
  if (owner === null || call.returned < 0) return;
  registrationsOf(ledger, owner).add(call.op);
  if (judged.verdict === 'right') ledger.forOthers.add(call.op);
}

/** `target` was started: it has what was prepared for it. What its starter prepared, and what is always for the next CPU, is over. */
function credit(history: History, ledger: Ledger, { by, target }: StartEvent): void {
  for (const [vcpu, prepared] of ledger.prepared) {
    for (const [op, owner] of prepared) {
      const isFor = target !== null && owner === target;
      if (isFor) registrationsOf(ledger, target).add(op);
      if (isFor || vcpu === by || isForNext(history, op)) prepared.delete(op);
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
const noSign: Unknown = {
  why: 'the CPU that was started after the call made no call that shows for which CPU it was',
};
const noOnlineCpus: Unknown = {
  why: 'it cannot be read whether the CPU that made the call was online, and it made no call after it',
};
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

/**
 * The next call of the same operation that is for another CPU than this one: of the same caller, or of another vCPU but for the one
 * for itself, since the task that brings CPUs up may move meanwhile.
 */
function nextForAnother(history: History, ledger: Ledger, event: HypercallEvent): HypercallEvent | null {
  const { kernel, step, vcpu } = event;
  const { op } = event.call;
  const isOnce = isForNext(history, op);
  const own = new Set<XenVcpuId>();
  const isForAnother = ({ vcpu: caller, call }: HypercallEvent): boolean => {
    if (caller === vcpu) return true;
    if (registrationsOf(ledger, caller).has(op) || own.has(caller)) return isOnce || call.vcpuId !== caller;
    own.add(caller);
    return false;
  };
  const reign = reignOf(history, kernel);
  for (let at = callAfter(reign, step); at < reign.calls.length; at += 1) {
    const next = reign.calls[at];
    if (next?.call.op === op && isForAnother(next)) return next;
  }
  return null;
}

/**
 * Whether the kernel gave up the CPU that the call was for, whatever was refused: it went on to the next CPU, and what is started next
 * is that one; or what is started next has had such a call, which is made once for each CPU.
 */
function isGivenUp(history: History, ledger: Ledger, event: HypercallEvent): boolean {
  const start = nextStart(reignOf(history, event.kernel), null, event.step);
  if (start === null) return false;
  const { op } = event.call;
  const hasHad = start.target !== null && registrationsOf(ledger, start.target).has(op);
  if (hasHad && isForNext(history, op)) return true;
  const next = nextForAnother(history, ledger, event);
  return next !== null && next.step < start.step;
}

/**
 * The vCPU that a kernel prepares: the one that it starts next. If it gives up the CPU and never starts it, the record shows for which
 * CPU the call was. It is never the calling vCPU, nor another that is online.
 */
function prepared(history: History, ledger: Ledger, event: HypercallEvent, passed: number): Meaning {
  const started = isGivenUp(history, ledger, event) ? null : startedNext(history, event);
  if (started !== null) return started;
  const recorded = byRecord(history, event, passed);
  if (isUnknown(recorded) || recorded === null) return recorded;
  const isReady = isOnline(reignOf(history, event.kernel), recorded, event.step);
  return recorded === event.vcpu || isReady ? null : recorded;
}

/**
 * The vCPU that is started next, for a call that Xen took. If no start follows, the run ended before it, or the kernel gave the CPU
 * up.
 */
function controlledNext(history: History, ledger: Ledger, event: HypercallEvent, passed: number): Meaning {
  if (event.call.returned < 0 || isGivenUp(history, ledger, event))
    return prepared(history, ledger, event, passed);
  const isStarted = nextStart(reignOf(history, event.kernel), null, event.step) !== null;
  return isStarted ? startedNext(history, event) : noStart;
}

/** Whether an operation that is not for the calling CPU itself is always for the CPU that it brings up next. */
function isForNext({ platform }: History, op: string): boolean {
  const intention = intentionOf(platform.kind, op);
  return intention === 'control-block' || intention === 'own-then-next';
}

/**
 * Whether a vCPU makes such a call for itself after it was started. One with another id says nothing: it may be for a CPU that it
 * brings up in turn.
 */
function isMadeByStarted(reign: Reign, { target, step }: StartEvent, op: string): boolean {
  return target !== null && callsOf(reign, op, target, step).first?.call.vcpuId === target;
}

/**
 * Whether a call that may be repeated for the same CPU is the one of its kind that was made for the CPU that is started next: the last
 * one of the vCPU that starts it. If that made none, because the task that brings the CPU up has moved, it is the last one of another
 * vCPU which is not for its caller. It is none if the started CPU makes such a call itself.
 */
function isMadeFor(reign: Reign, ledger: Ledger, event: HypercallEvent, start: StartEvent): boolean {
  const { step, vcpu, call } = event;
  const { op } = call;
  if (isMadeByStarted(reign, start, op)) return false;
  const ofStarter = callsOf(reign, op, start.by, step, start.step).count;
  if (start.by === vcpu) return ofStarter === 0;
  const ownOfStarter = registrationsOf(ledger, start.by).has(op) ? 0 : 1;
  if (ofStarter > ownOfStarter || preparedBy(ledger, start.by).has(op)) return false;
  return call.vcpuId !== vcpu && callsOf(reign, op, null, step, start.step).count === 0;
}

/** Whether the trace shows a call of `vcpu` after `step`. */
function makesCallAfter(reign: Reign, vcpu: XenVcpuId | null, step: number): boolean {
  for (let at = callAfter(reign, step); at < reign.calls.length; at += 1)
    if (reign.calls[at]?.vcpu === vcpu) return true;
  return false;
}

/**
 * A call that may be repeated for the same CPU belongs to the preparation of another CPU in three cases: it was made for the CPU that is
 * started next; the caller has already begun to prepare a CPU with a call that is made once for each CPU; or it names another CPU, no
 * start follows, and started CPUs do not make such calls for themselves. Every other repetition is for the calling CPU itself. If
 * started CPUs make such calls for themselves, so is one that names the caller.
 */
function ownOrNext(history: History, ledger: Ledger, event: HypercallEvent, passed: number): Meaning {
  const { kernel, step, vcpu, call } = event;
  const isOwn = ledger.own.has(call.op);
  if (isOwn && passed === vcpu) return vcpu;
  const reign = reignOf(history, kernel);
  const start = nextStart(reign, null, step);
  if ([...preparedBy(ledger, vcpu).keys()].some((op) => isForNext(history, op)))
    return prepared(history, ledger, event, passed);
  if (start === null) return isOwn || passed === vcpu ? vcpu : prepared(history, ledger, event, passed);
  if (!isMadeFor(reign, ledger, event, start)) return vcpu;
  const isKnown = passed !== vcpu || ledger.forOthers.has(call.op);
  if (!isKnown && !makesCallAfter(reign, start.target, start.step)) return noSign;
  return prepared(history, ledger, event, passed);
}

/**
 * Whether a call before `step` initialised `target`, which had not been started by then: what starts it later is not for another call.
 */
function isInitialisedBefore({ calls, starts }: Reign, target: XenVcpuId, step: number): boolean {
  const isFor = ({ step: at, call }: HypercallEvent): boolean =>
    at < step && call.op === 'VCPUOP_initialise' && call.vcpuId === target;
  const earlier = calls.findLast(isFor);
  if (earlier === undefined) return false;
  return !starts.some((one) => one.target === target && one.step > earlier.step && one.step < step);
}

/**
 * VCPUOP_initialise and VCPUOP_up name the vCPU that is started before the next such call, or that comes up meanwhile though no earlier
 * start was for it. Several calls of VCPUOP_initialise in a row are told apart by their ids. If no vCPU comes up, the record shows for
 * which CPU VCPUOP_initialise was; VCPUOP_up has no use then, and no id is right.
 */
function comesUp(known: Known, event: HypercallEvent, passed: number): Meaning {
  const { kernel, step, vcpu, call } = event;
  const together = known.together.get(kernel)?.get(step);
  const found = together === undefined ? broughtUpNext(known, event) : together;
  if (found !== null || (call.op === 'VCPUOP_up' && call.returned >= 0)) return found;
  const recorded = byRecord(known, event, passed);
  return recorded === vcpu ? null : recorded;
}

function broughtUpNext(history: History, event: HypercallEvent): XenVcpuId | null {
  const { kernel, step, vcpu, call } = event;
  const isUp = call.op === 'VCPUOP_up';
  const reign = reignOf(history, kernel);
  const { calls, starts, running } = reign;
  const isNext = (one: HypercallEvent): boolean =>
    one.step > step && one.call.op === call.op && (!isUp || one.vcpu === vcpu);
  const end = calls.find(isNext)?.step ?? Infinity;
  const within = (other: { readonly step: number }): boolean => other.step > step && other.step < end;
  const earlier = new Map<XenVcpuId, boolean>();
  const isForEarlier = (target: XenVcpuId): boolean => {
    if (isUp || target === call.vcpuId) return false;
    const known = earlier.get(target) ?? isInitialisedBefore(reign, target, step);
    earlier.set(target, known);
    return known;
  };
  const start = starts.find(
    ({ target, by, step: at }) =>
      within({ step: at }) &&
      (!isUp || by === vcpu) &&
      target !== null &&
      target !== vcpu &&
      !isForEarlier(target),
  );
  const runsAfter = (from: number): RunningEvent | undefined =>
    running.find((one) => one.vcpu === start?.target && one.step > from);
  if (start !== undefined && runsAfter(start.step) !== undefined) return start.target;
  const isOwed = ({ vcpu: other, step: at }: RunningEvent): boolean =>
    (starts.findLast((one) => one.target === other && one.step < at)?.step ?? step) < step;
  const next = running.find(
    (one) => within(one) && one.vcpu !== vcpu && !isOwed(one) && !isForEarlier(one.vcpu),
  );
  return next?.vcpu ?? start?.target ?? null;
}

/** Whether the next that `vcpu` does after `step`, as far as the trace shows, is to go down. */
function goesNext(reign: Reign, vcpu: XenVcpuId, step: number): boolean {
  const isNext = (one: { readonly vcpu: XenVcpuId; readonly step: number }): boolean =>
    one.vcpu === vcpu && one.step > step;
  const stopped = reign.comings.find((one) => one.kind === 'stop' && isNext(one));
  const called = reign.calls.find(isNext)?.step ?? Infinity;
  return stopped !== undefined && stopped.step < called;
}

/** Whether `vcpu` named another vCPU in VCPUOP_down before, and went on. */
function tookDownBefore({ calls, comings }: Reign, vcpu: XenVcpuId, step: number): boolean {
  const last = comings.findLast((one) => one.kind === 'stop' && one.vcpu === vcpu && one.step < step);
  return calls.some(
    ({ step: at, vcpu: by, call }) =>
      by === vcpu &&
      at > (last?.step ?? -1) &&
      at < step &&
      call.op === 'VCPUOP_down' &&
      call.vcpuId !== vcpu,
  );
}

/**
 * VCPUOP_down is for the caller if it names it, or if the caller's CPU is not online. An online CPU takes another down, which the
 * record shows. But one that goes down itself next meant itself, unless the kernel had taken that other CPU offline, or the caller took
 * down others before.
 */
function goesDown(history: History, event: HypercallEvent, passed: number): Meaning {
  const { kernel, step, vcpu } = event;
  if (passed === vcpu) return vcpu;
  const reign = reignOf(history, kernel);
  const isUnreadable = reign.online === 'unreadable';
  if (!isUnreadable && !isOnline(reign, vcpu, step)) return vcpu;
  const other = reign.comings.findLast((one) => one.vcpu === passed && one.step < step);
  const isOther =
    !goesNext(reign, vcpu, step) || other?.kind === 'offline' || tookDownBefore(reign, vcpu, step);
  if (isOther) return byRecord(history, event, passed);
  return isUnreadable ? noOnlineCpus : vcpu;
}

function meantBy(history: Known, ledger: Ledger, event: HypercallEvent, passed: number): Meaning {
  const { vcpu, call } = event;
  const isFirst = !registrationsOf(ledger, vcpu).has(call.op);
  switch (intentionOf(history.platform.kind, call.op)) {
    case 'self':
      return vcpu;
    case 'control-block':
      return isFirst ? vcpu : controlledNext(history, ledger, event, passed);
    case 'own-then-next':
      return isFirst ? vcpu : prepared(history, ledger, event, passed);
    case 'own-or-next':
      return isFirst ? vcpu : ownOrNext(history, ledger, event, passed);
    case 'comes-up':
      return comesUp(history, event, passed);
    case 'goes-down':
      return goesDown(history, event, passed);
    case 'binding':
      return byBinding(history, event);
    case 'record':
      return byRecord(history, event, passed);
    case 'question':
      return passedVcpuId(passed);
  }
}

function judge(history: Known, ledger: Ledger, event: HypercallEvent, passed: number): JudgedCall {
  const meant = meantBy(history, ledger, event, passed);
  if (isUnknown(meant)) return { event, passed, meant: null, verdict: 'not-judged', reason: meant.why };
  const wrong = event.call.returned < 0 ? 'refused' : 'silent';
  return { event, passed, meant, verdict: passed === meant ? 'right' : wrong, reason: null };
}

function readAll(run: Run): Known {
  const history = readHistory(run);
  const vcpus = run.platform.hardwareIds.length;
  const together = [...history.reigns].map(
    ([kernel, reign]) => [kernel, initialisedTogether(reign, vcpus)] as const,
  );
  return { ...history, together: new Map(together) };
}

/** Updates the ledger by an event; returns an empty one where a kernel takes over or the domain is reset. */
function after(history: History, ledger: Ledger, event: TraceEvent): Ledger {
  if (event.kind === 'kernel' || event.kind === 'reset') return emptyLedger();
  if (event.kind === 'start') credit(history, ledger, event);
  return ledger;
}

/**
 * Every hypercall of `run` that carries a vCPU id, in order, with the id that was meant. `silent` is a wrong id
 * that Xen accepted; `right` is the id that was meant, whatever Xen answered. A call is not judged if its meaning is unknown.
 */
export function judgeCalls(run: Run): JudgedCall[] {
  const history = readAll(run);
  const judged: JudgedCall[] = [];
  let ledger = emptyLedger();
  for (const event of run.events) {
    if (event.kind === 'hypercall' && event.call.vcpuId !== null) {
      const call = judge(history, ledger, event, event.call.vcpuId);
      judged.push(call);
      note(history, ledger, call);
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
