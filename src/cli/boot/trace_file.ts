/** `--trace FILE`: a line of JSON for each event of the run, written as it comes. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { TraceEvent } from '../../library/index.js';
import { fileError } from '../host.js';
import { jsonLine } from '../json.js';

/** Characters that are kept back, so that not every event is a write of its own. */
const bufferLength = 1 << 16;

export class TraceFile {
  readonly #name: string;
  readonly #file: number;
  #lines = '';

  /** Throws InputError when the file cannot be made. */
  constructor(name: string) {
    this.#name = name;
    this.#file = this.#try(() => openSync(name, 'w'));
  }

  add(event: TraceEvent): void {
    this.#lines += `${jsonLine(event)}\n`;
    if (this.#lines.length > bufferLength) this.#flush();
  }

  /** Throws InputError when what is left cannot be written. */
  close(): void {
    this.#flush();
    closeSync(this.#file);
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
