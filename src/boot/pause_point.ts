/** A place in a run at which a boot pauses, so that its caller can save it. A pause changes nothing of the run. */

/** User space, a line of a console, or a system time in ns: the end of the turn in which it is first seen. */
export type PausePoint =
  | { readonly kind: 'userspace' }
  | { readonly kind: 'line'; readonly pattern: RegExp }
  | { readonly kind: 'time'; readonly ns: bigint };

/** Waits for one pause point after another. */
export class PauseWatch {
  #point: PausePoint | null = null;
  #isReached = false;
  /** The line at which the boot paused last; null if it never did at a line. */
  pausedLine: string | null = null;

  /** Waits for `point` from now on, instead of the previous one. */
  set(point: PausePoint): void {
    this.#point = point;
    this.#isReached = false;
  }

  /** System time in ns at which the boot pauses at the latest; null if no time was named. */
  get dueNs(): bigint | null {
    return this.#point?.kind === 'time' ? this.#point.ns : null;
  }

  /** A vCPU was seen in user mode. Whether the boot is to pause for that. */
  userSpace(): boolean {
    return this.#reached(this.#point?.kind === 'userspace');
  }

  /** A line came. Whether the boot is to pause for it. */
  line(line: string): boolean {
    const isIt = this.#point?.kind === 'line' && line.search(this.#point.pattern) >= 0;
    if (isIt && !this.#isReached) this.pausedLine = line;
    return this.#reached(isIt);
  }

  #reached(isReached: boolean): boolean {
    if (isReached) this.#isReached = true;
    return isReached;
  }

  /** Whether the point is reached at that time; if so, nothing is waited for any more. */
  take(nowNs: bigint): boolean {
    const isReached = this.#isReached || (this.dueNs !== null && nowNs >= this.dueNs);
    if (isReached) this.#point = null;
    this.#isReached = false;
    return isReached;
  }
}
