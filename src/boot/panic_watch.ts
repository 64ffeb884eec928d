/**
 * Searches the kernel's log for a panic that the console does not show: one on a CPU that is not yet online. Such a
 * kernel loops endlessly, and no call or register shows that it has died.
 */
import type { LogRecord } from '../introspect/index.js';
import type { GuestMachine } from './guest.js';

/**
 * A log record, or a line of the console: before the words there may be the time, the caller (Linux printk.time,
 * printk.caller) and sequences for a terminal, but no other letters.
 */
const panicLine = /^(?:[^A-Za-z]|\[[\d;\s]*[A-Za-z]\d*\]?)*Kernel panic - not syncing: (.*)/;

/** The log is searched after this many instructions, or this much guest time, since the last search. */
const every = { instructions: 50_000_000, ns: 1_000_000_000n } as const;
/** How many of the log's last records to search for a panic's first line; a stack trace may follow that line. */
export const panicTail = 100;

/** Why the kernel panicked, from a line of its console or log; null if the line does not report a panic. */
export function panicIn(line: string): string | null {
  return panicLine.exec(line)?.[1] ?? null;
}

/** Why the kernel panicked, from its own records; null if none of them reports a panic. */
export function panicOf(log: readonly LogRecord[]): string | null {
  const found = log.map(({ text, isOfProgram = false }) => (isOfProgram ? null : panicIn(text)));
  return found.find((reason) => reason !== null) ?? null;
}

/** How far the machine may run before the next search: its instructions, and system time in ns. */
export interface PanicWatchState {
  readonly instructions: number;
  readonly ns: bigint;
}

/** Searches one kernel's log for a panic at regular times of the guest. */
export class PanicWatch {
  readonly #machine: GuestMachine;
  readonly #log: (most: number) => readonly LogRecord[];
  /** When the next search is due. Replaced to restore a state. */
  next: PanicWatchState = every;

  constructor(machine: GuestMachine, log: (most: number) => readonly LogRecord[]) {
    this.#machine = machine;
    this.#log = log;
  }

  /** Why the kernel panicked, if a search was due and found it; else null. The times of searches depend only on the guest. */
  lookWhenDue(): string | null {
    const { instructions, nowNs } = this.#machine;
    if (instructions < this.next.instructions && nowNs < this.next.ns) return null;
    this.next = { instructions: instructions + every.instructions, ns: nowNs + every.ns };
    return this.look();
  }

  /** Why the kernel panicked, from its log as it is now; null if it did not panic, or if no log is found. */
  look(): string | null {
    return panicOf(this.#log(panicTail));
  }
}
