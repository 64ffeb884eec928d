/**
 * The trace of a boot in bounded form. The audit needs the events that its rules read, in order. The trace file gets all
 * events as they come, and the counts cover all of them (trace_counts.ts). So this keeps:
 * - of the calls that no rule reads, the first ones, for a reader of the trace;
 * - of calls that change nothing and repeat in the same order (repeats.ts), the first rounds;
 * - all other events, up to a limit. If a guest exceeds the limit, the audit reads the events before it.
 */
import { isNeutral, isRead } from '../audit/index.js';
import type { EndEvent, TraceEvent } from '../audit/index.js';
import { loadRecord, savedRecord } from '../base/index.js';
import type { SavedRecord } from '../base/index.js';
import { Repeats } from './repeats.js';
import type { Held, RepeatsState } from './repeats.js';
import { TraceCounts } from './trace_counts.js';
import type { TraceCountsState } from './trace_counts.js';

export interface TraceBounds {
  readonly unreadCalls: number;
  /** How many rounds are kept of a loop of calls that change nothing, and the maximum number of calls in such a loop. */
  readonly rounds: number;
  readonly loopCalls: number;
  readonly values: number;
}

/** The size of an event, without the numbers in its argument. */
const eventValues = 10;

/**
 * How much is kept. `values`: the limit for events that rules read. The size of an event is {@link eventValues} plus the numbers
 * in its argument. An ordinary boot of Debian's kernel has some hundred such events for each vCPU.
 */
export const traceBounds: TraceBounds = {
  unreadCalls: 20_000,
  rounds: 16,
  loopCalls: 64,
  values: 1_000_000,
};

/** What was left out of the trace. */
export interface TraceFolding {
  /** All events of the run, and those that are kept. */
  readonly events: number;
  readonly kept: number;
  /** Calls left out because the audit reads no call of their kind. */
  readonly unreadCalls: number;
  /** Calls left out because they repeat one that is kept and that changed nothing. */
  readonly repeatedCalls: number;
  /**
   * The first event that is left out because the limit is reached: the audit reads only what is before it. Null: it reads
   * all.
   */
  readonly auditedUpToStep: number | null;
}

function valuesIn(value: unknown): number {
  if (typeof value === 'string') return 1 + (value.length >> 3);
  if (value instanceof Uint8Array) return 1 + (value.length >> 3);
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, member) => sum + valuesIn(member), 1);
}

function sizeOf(event: TraceEvent): number {
  return eventValues + (event.kind === 'hypercall' ? valuesIn(event.call.detail) : 0);
}

interface State {
  events: TraceEvent[];
  /** Return addresses of the calls that are kept, by step. */
  readonly callers: Map<number, bigint>;
  length: number;
  unreadKept: number;
  unreadCalls: number;
  values: number;
  fullAt: number | null;
  /** The vCPUs that have a kept call since a CPU last started or stopped. */
  readonly running: Set<number>;
}

/** A plain value. */
export type TraceStoreState = SavedRecord<State> & {
  readonly counts: TraceCountsState;
  readonly repeats: RepeatsState;
};

export class TraceStore {
  readonly counts = new TraceCounts();
  readonly #state: State = {
    events: [],
    callers: new Map(),
    length: 0,
    unreadKept: 0,
    unreadCalls: 0,
    values: 0,
    fullAt: null,
    running: new Set(),
  };
  readonly #repeats: Repeats;
  readonly #bounds: TraceBounds;

  constructor(bounds: TraceBounds = traceBounds) {
    this.#bounds = bounds;
    this.#repeats = new Repeats(bounds.rounds, bounds.loopCalls);
  }

  save(): TraceStoreState {
    return { ...savedRecord(this.#state), counts: this.counts.save(), repeats: this.#repeats.state };
  }

  /** Continues the trace of a store with the same bounds. */
  load(state: TraceStoreState): void {
    loadRecord(this.#state, state);
    this.counts.load(state.counts);
    this.#repeats.state = state.repeats;
  }

  /** The number of all events, which is the step of the next one. */
  get length(): number {
    return this.#state.length;
  }

  /** The events that are kept, in order. */
  get events(): readonly TraceEvent[] {
    return this.#state.events;
  }

  get folding(): TraceFolding {
    return {
      events: this.#state.length,
      kept: this.#state.events.length,
      unreadCalls: this.#state.unreadCalls,
      repeatedCalls: this.#repeats.omitted,
      auditedUpToStep: this.#state.fullAt,
    };
  }

  /** The return address of the call of a step; null if the step is not a call or is not kept. */
  callerOf(step: number): bigint | null {
    return this.#state.callers.get(step) ?? null;
  }

  /** The step of the call whose events begin at `from`; `from` if the call was not kept. */
  stepOfCall(from: number): number {
    const call = this.events.findLast(({ step, kind }) => step < from || kind === 'hypercall');
    return call === undefined || call.step < from ? from : call.step;
  }

  /** Adds an event. `caller` is the return address of the call that it tells of; null if it tells of none. */
  add(event: TraceEvent, caller: bigint | null = null): void {
    const held = { event, caller };
    this.#state.length += 1;
    this.counts.add(event);
    if (this.#isUnread(event)) {
      if (this.#hasRoomUnread()) this.#push(held);
    } else if (isNeutral(event)) this.#keepAll(this.#repeats.offer(held));
    else this.#keepAll([...(isRead(event) ? this.#repeats.interrupt() : []), held]);
  }

  /** Whether no rule reads the event or needs it as a sign that its vCPU runs. */
  #isUnread(event: TraceEvent): boolean {
    return event.kind === 'hypercall' && !isRead(event) && this.#state.running.has(event.vcpu);
  }

  #hasRoomUnread(): boolean {
    const hasRoom = this.#state.unreadKept < this.#bounds.unreadCalls;
    if (hasRoom) this.#state.unreadKept += 1;
    else this.#state.unreadCalls += 1;
    return hasRoom;
  }

  #keepAll(all: readonly Held[]): void {
    for (const held of all) this.#keep(held);
  }

  #keep({ event, caller }: Held): void {
    if (event.kind === 'end') this.#push({ event: this.#endOf(event), caller });
    else if (this.#hasRoom(event)) {
      this.#noteRunning(event);
      this.#push({ event, caller });
    }
  }

  /** For the audit, a guest whose trace is cut is one that hangs. */
  #endOf(event: EndEvent): EndEvent {
    if (this.#state.fullAt === null) return event;
    // The vCPU of an unheard event may have been started by a call that is not kept.
    const { kind, step, timeNs, kernel, online, why } = event;
    return { kind, step, timeNs, kernel, outcome: 'hang', online, why, isCut: true };
  }

  #push({ event, caller }: Held): void {
    // A round that was held back is older than the calls that no rule reads and that came meanwhile.
    const before = this.#state.events.findLastIndex(({ step }) => step < event.step);
    this.#state.events.splice(before + 1, 0, event);
    if (caller !== null) this.#state.callers.set(event.step, caller);
  }

  #hasRoom(event: TraceEvent): boolean {
    if (this.#state.fullAt !== null) return false;
    this.#state.values += sizeOf(event);
    if (this.#state.values > this.#bounds.values) this.#state.fullAt = event.step;
    return this.#state.fullAt === null;
  }

  #noteRunning(event: TraceEvent): void {
    if (event.kind === 'hypercall') this.#state.running.add(event.vcpu);
    else if (event.kind !== 'start' || event.returned === 0) this.#state.running.clear();
  }
}
