/**
 * A run as a short list of items to draw: calls that carry a vCPU id, the
 * starts of CPUs, shutdowns, resets and the end. Items that are right and give no new information are combined; items
 * that are wrong are never left out. The list is independent of layout: terminal and page draw the same one.
 */
import { SHUTDOWN_names } from '../../abi/index.js';
import type {
  HandledEvent,
  HypercallEvent,
  JudgedCall,
  KernelEvent,
  OnlineEvent,
  Outcome,
  StartEvent,
  StopEvent,
  TraceEvent,
} from '../../audit/index.js';
import { linuxCpu, xenVcpuId } from '../../identity/index.js';
import type { LinuxCpu, XenVcpuId } from '../../identity/index.js';
import { answerText, startAnswerText } from '../answers.js';
import type { ModelRun } from '../scenario.js';
import { foldSequence } from './sequence_fold.js';

/** A kernel takes over. */
export interface KernelItem {
  readonly kind: 'kernel';
  readonly name: string;
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
  /** Number of its CPUs. */
  readonly possible: number;
  readonly leftOut: readonly { readonly vcpu: XenVcpuId; readonly why: string }[];
}

/** An operation, and how often it was called. */
export interface OperationCount {
  readonly op: string;
  readonly times: number;
}

/**
 * How a call is to be read. `right` and `failed` carry the id that was meant, or none; `failed` was refused all the
 * same. `refused` and `silent` carry a wrong one, and Xen said so or did not. Of `not-judged` nothing tells what was meant.
 */
export type CallVerdict = 'right' | 'failed' | 'refused' | 'silent' | 'not-judged';

/** Calls of one vCPU with one id, one verdict and, unless they are right, one operation and one answer. */
export interface CallItem {
  readonly kind: 'call';
  readonly from: XenVcpuId;
  readonly operations: readonly OperationCount[];
  /** The id in the call, unsigned; null when it carries none. */
  readonly passed: number | null;
  readonly meant: XenVcpuId | null;
  /** The subject of the call if its name does not say it: `SHUTDOWN_soft_reset`. */
  readonly about: string | null;
  /** The kernel's phase if it is known: `prepare` and the like. */
  readonly phase: string | null;
  /** `0`, or `-ENOENT`. */
  readonly answer: string;
  readonly verdict: CallVerdict;
}

/** One vCPU requests the start of another. */
export interface StartItem {
  readonly kind: 'start';
  readonly from: XenVcpuId;
  readonly how: StartEvent['how'];
  readonly target: XenVcpuId | null;
  readonly meantCpu: LinuxCpu | null;
  /** Null if the request has no answer. */
  readonly answer: string | null;
  /** The CPU as which the target then ran kernel code; null if it never did. */
  readonly runsAs: LinuxCpu | null;
}

/** A vCPU turns itself off. */
export interface StopItem {
  readonly kind: 'stop';
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu | null;
  /** How. VCPUOP_down is a hypercall and has its own item. */
  readonly how: Exclude<StopEvent['how'], 'VCPUOP_down'>;
}

/** The kernel counts a CPU as online, or no longer. */
export interface OnlineItem {
  readonly kind: 'online' | 'offline';
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
}

/** An upcall came on another vCPU than the one of the CPU for which the kernel had bound the port. */
export interface StrayItem {
  readonly kind: 'stray';
  readonly vcpu: XenVcpuId;
  readonly linuxCpu: LinuxCpu;
  readonly boundFor: LinuxCpu;
  readonly purpose: string;
  readonly times: number;
}

/** A kernel without errors that was followed by another, up to the handover. */
export interface QuietItem {
  readonly kind: 'quiet';
  /** Number of calls with an id; all ids are right, and no call was refused. */
  readonly calls: number;
  /** The CPUs that came online after the first, and their vCPUs. */
  readonly online: readonly LinuxCpu[];
  readonly vcpus: readonly XenVcpuId[];
}

/** Xen cleared all of the domain's registrations. */
export interface ResetItem {
  readonly kind: 'reset';
}

/** The previous items again, for each of these vCPUs instead of the one that they name. */
export interface AgainItem {
  readonly kind: 'again';
  /** Number of repeated items. */
  readonly items: number;
  readonly times: number;
  /** Empty if the repetition is identical. */
  readonly vcpus: readonly XenVcpuId[];
}

export interface EndItem {
  readonly kind: 'end';
  readonly outcome: Outcome;
  readonly online: readonly LinuxCpu[];
  readonly why: string;
}

export type SequenceItem =
  | KernelItem
  | CallItem
  | StartItem
  | StopItem
  | OnlineItem
  | StrayItem
  | QuietItem
  | ResetItem
  | AgainItem
  | EndItem;

export interface Sequence {
  /** The vCPUs that the items name, by id. */
  readonly vcpus: readonly XenVcpuId[];
  readonly items: readonly SequenceItem[];
  /** Right and answered calls on the caller's own timers; too many to list, and none is wrong. */
  readonly timerCallsLeftOut: number;
}

function kernelItem(event: KernelEvent, events: readonly TraceEvent[]): KernelItem {
  const own = events.find((other) => other.kind === 'running' && other.kernel === event.kernel);
  return {
    kind: 'kernel',
    name: event.name,
    vcpu: event.entryVcpu,
    linuxCpu: own?.kind === 'running' ? own.linuxCpu : linuxCpu(0),
    possible: event.possible.length,
    leftOut: event.leftOut,
  };
}

function verdictOf({ call }: HypercallEvent, judged: JudgedCall | undefined): CallVerdict {
  if (judged !== undefined && judged.verdict !== 'right') return judged.verdict;
  return call.returned < 0 ? 'failed' : 'right';
}

function callItem(event: HypercallEvent, judged: JudgedCall | undefined): CallItem {
  const { op, vcpuId, returned, detail } = event.call;
  return {
    kind: 'call',
    from: event.vcpu,
    operations: [{ op, times: 1 }],
    passed: vcpuId,
    meant: judged?.meant ?? null,
    about: op === 'SCHEDOP_shutdown' ? (SHUTDOWN_names[Number(detail['reason'])] ?? null) : null,
    phase: event.phase,
    answer: answerText(returned),
    verdict: verdictOf(event, judged),
  };
}

function startItem(event: StartEvent, events: readonly TraceEvent[]): StartItem | null {
  // VCPUOP_up is a hypercall and is listed as one.
  if (event.how === 'VCPUOP_up') return null;
  const later = events.slice(event.step + 1);
  const end = later.findIndex((other) => other.kind === 'kernel' || other.kind === 'end');
  const run = later
    .slice(0, end < 0 ? undefined : end)
    .find((other) => other.kind === 'running' && other.vcpu === event.target);
  return {
    kind: 'start',
    from: event.by,
    how: event.how,
    target: event.target,
    meantCpu: event.meant,
    answer: startAnswerText(event),
    runsAs: run?.kind === 'running' ? run.linuxCpu : null,
  };
}

function stopItem({ vcpu, linuxCpu, how }: StopEvent): StopItem | null {
  return how === 'VCPUOP_down' ? null : { kind: 'stop', vcpu, linuxCpu, how };
}

function isStray(event: HandledEvent): event is HandledEvent & { boundFor: LinuxCpu } {
  return event.boundFor !== null && event.boundFor !== event.linuxCpu;
}

/** Whether a call is shown, alone or combined with others. */
function matters({ call }: HypercallEvent): boolean {
  return call.vcpuId !== null || call.op === 'SCHEDOP_shutdown';
}

const untold = [
  'limits',
  'running',
  'record',
  'use',
  'affinity',
  'lost-upcall',
  'upcall-heard',
  'log',
] as const;

type Untold = Extract<TraceEvent, { kind: (typeof untold)[number] }>;

function isUntold(event: TraceEvent): event is Untold {
  return untold.some((kind) => kind === event.kind);
}

/** The item of an event; null if it has none. */
function itemOf(
  event: TraceEvent,
  run: ModelRun,
  judged: ReadonlyMap<number, JudgedCall>,
): SequenceItem | null {
  if (isUntold(event)) return null;
  switch (event.kind) {
    case 'kernel':
      return kernelItem(event, run.events);
    case 'hypercall':
      return matters(event) ? callItem(event, judged.get(event.step)) : null;
    case 'start':
      return startItem(event, run.events);
    case 'stop':
      return stopItem(event);
    case 'online':
    case 'offline':
      return onlineItem(event, run.events);
    case 'event':
      return isStray(event) ? strayItem(event) : null;
    case 'reset':
      return { kind: 'reset' };
    case 'end':
      return { kind: 'end', outcome: event.outcome, online: event.online, why: event.why };
  }
}

function itemsOf(run: ModelRun): SequenceItem[] {
  const judged = new Map(run.calls.map((call) => [call.event.step, call]));
  return run.events.map((event) => itemOf(event, run, judged)).filter((item) => item !== null);
}

function onlineItem(event: OnlineEvent, events: readonly TraceEvent[]): OnlineItem | null {
  const { kind, kernel, vcpu, linuxCpu } = event;
  const taken = events.find((other) => other.kind === 'kernel' && other.kernel === kernel);
  const isEntry = kind === 'online' && taken?.kind === 'kernel' && taken.entryVcpu === vcpu;
  // The entry CPU is online from the beginning; the kernel's item shows it.
  return isEntry ? null : { kind, vcpu, linuxCpu };
}

function strayItem({ vcpu, linuxCpu, boundFor, purpose }: HandledEvent & { boundFor: LinuxCpu }): StrayItem {
  return { kind: 'stray', vcpu, linuxCpu, boundFor, purpose, times: 1 };
}

function isQuiet(item: SequenceItem): item is CallItem {
  return item.kind === 'call' && item.verdict === 'right' && item.passed !== null;
}

function isOwnTimer(item: SequenceItem): boolean {
  if (!isQuiet(item) || item.passed !== item.from) return false;
  return item.operations.every(({ op }) => /^VCPUOP_(set|stop)_(singleshot|periodic)_timer$/.test(op));
}

function addOperations(
  to: readonly OperationCount[],
  more: readonly OperationCount[],
): readonly OperationCount[] {
  const counts = new Map(to.map(({ op, times }) => [op, times]));
  for (const { op, times } of more) counts.set(op, (counts.get(op) ?? 0) + times);
  return [...counts].map(([op, times]) => ({ op, times }));
}

/** Combines right calls between two other items by caller, phase and id, in order of first occurrence. */
function gather(items: readonly SequenceItem[]): SequenceItem[] {
  const gathered: SequenceItem[] = [];
  let open = 0;
  for (const item of items) {
    const place = gathered.findIndex(
      (other, at) =>
        at >= open &&
        isQuiet(item) &&
        isQuiet(other) &&
        other.from === item.from &&
        other.passed === item.passed &&
        other.phase === item.phase,
    );
    const found = gathered[place];
    if (found?.kind === 'call' && item.kind === 'call') {
      gathered[place] = { ...found, operations: addOperations(found.operations, item.operations) };
      continue;
    }
    gathered.push(item);
    if (!isQuiet(item)) open = gathered.length;
  }
  return gathered;
}

/** The vCPUs that an item names. */
export function vcpusOf(item: SequenceItem): number[] {
  switch (item.kind) {
    case 'kernel':
    case 'online':
    case 'offline':
    case 'stop':
    case 'stray':
      return [item.vcpu];
    case 'call':
      return [item.from, item.passed, item.meant].filter((id) => id !== null);
    case 'start':
      return [item.from, item.target].filter((id) => id !== null);
    case 'again':
    case 'quiet':
    case 'reset':
    case 'end':
      return [];
  }
}

/** Whether an item shows no error. */
function isWell(item: SequenceItem): boolean {
  if (item.kind === 'start') return item.runsAs === item.meantCpu;
  return isQuiet(item) || item.kind === 'online' || item.kind === 'stop';
}

function quietItem(items: readonly SequenceItem[]): QuietItem {
  const calls = items.flatMap((item) => (item.kind === 'call' ? item.operations : []));
  const online = items.filter((item): item is OnlineItem => item.kind === 'online');
  return {
    kind: 'quiet',
    calls: calls.reduce((sum, { times }) => sum + times, 0),
    online: online.map(({ linuxCpu }) => linuxCpu),
    vcpus: online.map(({ vcpu }) => vcpu),
  };
}

/** Whether a kernel hands over with this item: it shuts the domain down, or another kernel simply begins. */
function isHandover(item: SequenceItem | undefined): boolean {
  return (
    item?.kind === 'kernel' || (item?.kind === 'call' && item.passed === null && item.verdict === 'right')
  );
}

/** Where the kernel that enters at `start` hands over, if there is no error until then; else null. */
function quietUntil(items: readonly SequenceItem[], start: number): number | null {
  const after = items.slice(start + 1).findIndex((item) => !isWell(item));
  const end = start + 1 + after;
  return after > 1 && isHandover(items[end]) ? end : null;
}

/** Each kernel without errors until it hands over: its entry, and one item for everything that it did. */
function hushed(items: readonly SequenceItem[]): SequenceItem[] {
  const shorter: SequenceItem[] = [];
  for (let at = 0; at < items.length; at += 1) {
    shorter.push(...items.slice(at, at + 1));
    const end = items[at]?.kind === 'kernel' ? quietUntil(items, at) : null;
    if (end === null) continue;
    shorter.push(quietItem(items.slice(at + 1, end)));
    at = end - 1;
  }
  return shorter;
}

/** The items to draw for `run`. */
export function sequenceOf(run: ModelRun): Sequence {
  const all = hushed(itemsOf(run));
  const items = foldSequence(gather(all.filter((item) => !isOwnTimer(item))));
  const count = run.platform.hardwareIds.length;
  const named = new Set(items.flatMap(vcpusOf).filter((id) => id < count));
  return {
    vcpus: [...named].sort((a, b) => a - b).map(xenVcpuId),
    items,
    timerCallsLeftOut: all.filter(isOwnTimer).length,
  };
}
