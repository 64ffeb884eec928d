/**
 * Omits repetitions from a trace. A guest in a loop makes the same few calls repeatedly; if none of them changes
 * anything, another round gives the rules no information. Only whole rounds are omitted, so each event that is kept still follows
 * the same events as in the whole trace.
 */
import type { TracedCall, TraceEvent } from '../audit/index.js';

/** An event, and the return address of its call; null if it is not known. */
export interface Held {
  readonly event: TraceEvent;
  readonly caller: bigint | null;
}

function sameMembers(a: object, b: object): boolean {
  const [names, others] = [Object.keys(a), Object.keys(b)];
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return names.length === others.length && names.every((name) => sameValue(left[name], right[name]));
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (a instanceof Uint8Array !== b instanceof Uint8Array) return false;
  return sameMembers(a, b);
}

/** Compares first what is quick to compare and usually differs. */
function sameCall(a: TracedCall, b: TracedCall): boolean {
  if (a.vcpuId !== b.vcpuId || a.returned !== b.returned || a.op !== b.op) return false;
  return a.hypercall === b.hypercall && sameValue(a.detail, b.detail);
}

/** Whether two events are the same except for step and time. */
function sameEvent(a: TraceEvent, b: TraceEvent): boolean {
  if (a.kind === 'hypercall' && b.kind === 'hypercall') {
    const isSameCaller = a.vcpu === b.vcpu && a.linuxCpu === b.linuxCpu && a.kernel === b.kernel;
    return isSameCaller && a.phase === b.phase && sameCall(a.call, b.call);
  }
  return a.kind === b.kind && sameValue({ ...a, step: 0, timeNs: 0n }, { ...b, step: 0, timeNs: 0n });
}

/** A plain value. */
export interface RepeatsState {
  /** The last events since something changed, kept or not. */
  recent: TraceEvent[];
  /** The presumed period, in events; 0 if they do not repeat. */
  period: number;
  /** How many consecutive events were equal to the event one period before. */
  matches: number;
  /** The current round, which is omitted once it is complete. */
  round: Held[];
  /** The number of omitted events. */
  omitted: number;
}

export class Repeats {
  readonly #rounds: number;
  readonly #longest: number;
  /** Replaced to restore a state. */
  state: RepeatsState = { recent: [], period: 0, matches: 0, round: [], omitted: 0 };

  /** Keeps the first `rounds` rounds of a loop of at most `longest` events. */
  constructor(rounds: number, longest: number) {
    this.#rounds = rounds;
    this.#longest = longest;
  }

  /** The number of omitted events. */
  get omitted(): number {
    return this.state.omitted;
  }

  /** Takes an event that changes nothing. Returns the events to keep now, in order. */
  offer(held: Held): readonly Held[] {
    const continues = this.#matchesPeriod(held.event);
    const released = continues ? [] : this.#release();
    if (!continues) this.#findPeriod(held.event);
    this.#remember(held.event);
    if (this.state.period === 0 || this.state.matches <= (this.#rounds - 1) * this.state.period)
      return [...released, held];
    this.state.round.push(held);
    if (this.state.round.length === this.state.period) this.#leaveOut();
    return released;
  }

  /** Another event comes. Returns the events to keep before it. */
  interrupt(): readonly Held[] {
    this.state.recent = [];
    this.state.period = 0;
    this.state.matches = 0;
    return this.#release();
  }

  #matchesPeriod(event: TraceEvent): boolean {
    const before = this.state.period === 0 ? undefined : this.state.recent.at(-this.state.period);
    const matches = before !== undefined && sameEvent(before, event);
    this.state.matches = matches ? this.state.matches + 1 : 0;
    return matches;
  }

  #findPeriod(event: TraceEvent): void {
    const last = this.state.recent.findLastIndex((before) => sameEvent(before, event));
    this.state.period = last < 0 ? 0 : this.state.recent.length - last;
    this.state.matches = last < 0 ? 0 : 1;
  }

  #remember(event: TraceEvent): void {
    this.state.recent.push(event);
    if (this.state.recent.length >= 2 * this.#longest)
      this.state.recent = this.state.recent.slice(-this.#longest);
  }

  #leaveOut(): void {
    this.state.omitted += this.state.round.length;
    this.state.round = [];
  }

  #release(): Held[] {
    const round = this.state.round;
    this.state.round = [];
    return round;
  }
}
