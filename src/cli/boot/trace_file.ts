/** `--trace FILE`: a line of JSON for each event, written as it comes. */
import { writeSync } from 'node:fs';
import type { TraceEvent } from '../../library/index.js';
import { closeUserFile, fileError, openUserFile } from '../host.js';
import { jsonLine } from '../json.js';

/** Number of buffered characters, so that not every event needs its own write. */
const bufferLength = 1 << 16;

export class TraceFile {
  readonly #name: string;
  readonly #file: number;
  #lines = '';

  /** Throws InputError if the file cannot be created. */
  constructor(name: string) {
    this.#name = name;
    this.#file = this.#try(() => openUserFile(name, 'w'));
  }

  /** `run`: the number of the run among several; null in the boot before them. */
  add(event: TraceEvent, run?: number | null): void {
    this.#lines += `${jsonLine(run === undefined ? event : { run, ...event })}\n`;
    if (this.#lines.length > bufferLength) this.#flush();
  }

  /** Throws InputError if the rest cannot be written. */
  close(): void {
    this.#flush();
    closeUserFile(this.#name, this.#file, true);
  }

  #flush(): void {
    const bytes = Buffer.from(this.#lines);
    this.#lines = '';
    this.#try(() => {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
    });
  }

  #try<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw fileError(this.#name, error);
    }
  }
}
