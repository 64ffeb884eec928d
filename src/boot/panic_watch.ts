/**
 * Looks into the kernel's log for a panic of which the console says nothing: one on a CPU that is not yet online. Such a
 * kernel spins for ever, and no call or register says that it is dead.
 */
import type { LogRecord } from '../introspect/index.js';
import type { ArmMachine } from '../machine/index.js';

const panicLine = /Kernel panic - not syncing: (.*)/;

/** The log is looked into when so many instructions have run, or so much guest time has passed, since the last look. */
const every = { instructions: 50_000_000, ns: 1_000_000_000n } as const;
/** A panic's first line is among so many of the log's last; a trace of the stack may follow it. */
const tail = 100;

/** Why the kernel panicked, as `line` of its console or log says; null when it says no such thing. */
export function panicIn(line: string): string | null {
  return panicLine.exec(line)?.[1] ?? null;
}

export class PanicWatch {
  readonly #machine: ArmMachine;
  readonly #log: (most: number) => readonly LogRecord[];
  #instructions: number = every.instructions;
  #ns: bigint = every.ns;

  constructor(machine: ArmMachine, log: (most: number) => readonly LogRecord[]) {
    this.#machine = machine;
    this.#log = log;
  }

  /** How far the machine may run before the next look. */
  get next(): { readonly instructions: number; readonly ns: bigint } {
    return { instructions: this.#instructions, ns: this.#ns };
  }

  /** Why the kernel panicked, when a look was due and found it; null otherwise. When that is, the guest alone decides. */
  lookWhenDue(): string | null {
    const { instructions, nowNs } = this.#machine;
    if (instructions < this.#instructions && nowNs < this.#ns) return null;
    this.#instructions = instructions + every.instructions;
    this.#ns = nowNs + every.ns;
    return this.look();
  }

  /** Why the kernel panicked, by its log as it is now; null when it did not, or no log can be found. */
  look(): string | null {
    const found = this.#log(tail).map(({ text }) => panicIn(text));
    return found.find((reason) => reason !== null) ?? null;
  }
}
