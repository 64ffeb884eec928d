/** Requests to stop a boot early: a signal, ^] at the terminal, or a standard output that cannot be written. */

export interface StopReason {
  /** One line for the report. */
  readonly why: string;
  /** The command's exit status. */
  readonly status: number;
}

/** The exit statuses are those that a shell shows for a process that the signal killed: 128 plus the signal's number. */
const signals = {
  SIGHUP: { why: 'its terminal was closed (SIGHUP)', status: 129 },
  SIGINT: { why: 'it was interrupted', status: 130 },
  SIGTERM: { why: 'it was terminated (SIGTERM)', status: 143 },
} as const satisfies Readonly<Record<string, StopReason>>;

/** The reason for ^C and ^]. */
export const interrupted: StopReason = signals.SIGINT;

/**
 * Signals within this time (ms) count as one: npm forwards to its command a signal that the terminal has already sent to
 * both.
 */
const oneSignalMs = 200;

type SignalName = keyof typeof signals;

const signalNames = Object.keys(signals) as SignalName[];

export class StopRequest {
  #reason: StopReason | null = null;
  #requestedMs = 0;
  #isUrgent = false;
  #outputStatus: number | null = null;
  #stop: ((why: string) => void) | null = null;
  readonly #listeners = new Map<SignalName, () => void>();

  /** Why the boot should stop; null if no stop was requested. */
  get reason(): StopReason | null {
    return this.#reason;
  }

  /** Whether the request was repeated: then only the files are written, and nothing is printed. */
  get isUrgent(): boolean {
    return this.#isUrgent;
  }

  /** The exit status if standard output could not be written completely; null if it could. */
  get outputStatus(): number | null {
    return this.#outputStatus;
  }

  /** Calls `stop` when the boot should end; immediately if that was requested before. Null: no function is called. */
  onRequest(stop: ((why: string) => void) | null): void {
    this.#stop = stop;
    if (this.#reason !== null) stop?.(this.#reason.why);
  }

  request(reason: StopReason): void {
    if (this.#reason === null) {
      this.#reason = reason;
      this.#requestedMs = performance.now();
      this.#stop?.(reason.why);
    } else if (performance.now() - this.#requestedMs > oneSignalMs) this.#isUrgent = true;
  }

  /** Notes that standard output has failed: nothing more can be printed, but files can still be written. */
  outputFailed(why: string, status: number): void {
    if (this.#outputStatus !== null) return;
    this.#outputStatus = status;
    this.#isUrgent = true;
    this.request({ why, status });
  }

  /** Makes SIGINT, SIGTERM and SIGHUP stop requests. */
  catchSignals(): void {
    for (const name of signalNames) {
      const listener = (): void => this.request(signals[name]);
      this.#listeners.set(name, listener);
      process.on(name, listener);
    }
  }

  /** Restores the default effect of the signals, when everything is written and only the process has to end. */
  releaseSignals(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
    this.#listeners.clear();
  }
}
