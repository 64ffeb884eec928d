/** The order in which it is told of runs that are side by side. */

/** Does what belongs to a run when all that belongs to those before it is done. */
export class InOrder {
  #current = 0;
  #comers: { readonly run: number; readonly resolve: () => void }[] = [];
  readonly #waiting = new Map<number, (() => void)[]>();
  readonly #ended = new Set<number>();

  do(run: number, act: () => void): void {
    if (run === this.#current) {
      act();
      return;
    }
    const waiting = this.#waiting.get(run);
    if (waiting === undefined) this.#waiting.set(run, [act]);
    else waiting.push(act);
  }

  /** Nothing more belongs to that run. */
  end(run: number): void {
    this.#ended.add(run);
    while (this.#ended.has(this.#current)) {
      this.#current += 1;
      const acts = this.#waiting.get(this.#current) ?? [];
      this.#waiting.delete(this.#current);
      for (const act of acts) act();
    }
    for (const { run: awaited, resolve } of this.#comers) if (awaited <= this.#current) resolve();
    this.#comers = this.#comers.filter(({ run: awaited }) => awaited > this.#current);
  }

  /** Resolves when all runs before `run` have ended. */
  async reached(run: number): Promise<void> {
    if (run <= this.#current) return;
    await new Promise<void>((resolve) => this.#comers.push({ run, resolve }));
  }
}
