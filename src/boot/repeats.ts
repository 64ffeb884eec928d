/**
 * Leaves repetitions out of a trace. A guest in a loop makes the same few calls over and over; when none of them changes
 * anything, another round tells the rules nothing. Only whole rounds are left out, so each event that is kept still comes
 * after the same events as in the whole trace.
 */
import type { TracedCall, TraceEvent } from '../audit/index.js';

/** An event, and where its call returns to; null where that is not known. */
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

/** What is quick to compare and mostly differs comes first. */
function sameCall(a: TracedCall, b: TracedCall): boolean {
  if (a.vcpuId !== b.vcpuId || a.returned !== b.returned || a.op !== b.op) return false;
  return a.hypercall === b.hypercall && sameValue(a.detail, b.detail);
}

/** Whether two events are the same but for their place and time. */
export function sameEvent(a: TraceEvent, b: TraceEvent): boolean {
  if (a.kind === 'hypercall' && b.kind === 'hypercall') {
    const isSameCaller = a.vcpu === b.vcpu && a.linuxCpu === b.linuxCpu && a.kernel === b.kernel;
    return isSameCaller && a.phase === b.phase && sameCall(a.call, b.call);
  }
  return a.kind === b.kind && sameValue({ ...a, step: 0, timeNs: 0n }, { ...b, step: 0, timeNs: 0n });
}

export class Repeats {
  readonly #rounds: number;
  readonly #longest: number;
  /** The last events since something changed, kept or not. */
  #recent: TraceEvent[] = [];
  /** After how many events they repeat, as far as it looks now; 0 when they do not. */
  #period = 0;
  /** How many events in a row were the same as the one a period before. */
  #matches = 0;
  /** The round that may be left out once it is complete. */
  #round: Held[] = [];
  #omitted = 0;

  /** Keeps the first `rounds` rounds of a loop of at most `longest` events. */
  constructor(rounds: number, longest: number) {
    this.#rounds = rounds;
    this.#longest = longest;
  }

  /** How many events were left out. */
  get omitted(): number {
    return this.#omitted;
  }

  /** Takes an event that changes nothing. Returns what is to be kept now, in order. */
  offer(held: Held): readonly Held[] {
    const continues = this.#matchesPeriod(held.event);
    const released = continues ? [] : this.#release();
    if (!continues) this.#findPeriod(held.event);
    this.#remember(held.event);
    if (this.#period === 0 || this.#matches <= (this.#rounds - 1) * this.#period) return [...released, held];
    this.#round.push(held);
    if (this.#round.length === this.#period) this.#leaveOut();
    return released;
  }

  /** Something else happens. Returns what is to be kept before it. */
  interrupt(): readonly Held[] {
    this.#recent = [];
    this.#period = 0;
    this.#matches = 0;
    return this.#release();
  }

  #matchesPeriod(event: TraceEvent): boolean {
    const before = this.#period === 0 ? undefined : this.#recent.at(-this.#period);
    const matches = before !== undefined && sameEvent(before, event);
    this.#matches = matches ? this.#matches + 1 : 0;
    return matches;
  }

  #findPeriod(event: TraceEvent): void {
    const last = this.#recent.findLastIndex((before) => sameEvent(before, event));
    this.#period = last < 0 ? 0 : this.#recent.length - last;
    this.#matches = last < 0 ? 0 : 1;
  }

  #remember(event: TraceEvent): void {
    this.#recent.push(event);
    if (this.#recent.length >= 2 * this.#longest) this.#recent = this.#recent.slice(-this.#longest);
  }

  #leaveOut(): void {
    this.#omitted += this.#round.length;
    this.#round = [];
  }

  #release(): Held[] {
    const round = this.#round;
    this.#round = [];
    return round;
  }
}
