/** Assembles the bytes of a console into lines. */

import { InputError } from '../base/index.js';

/** Maximum length of a line; a longer one is cut here, because a guest may never end its line. */
const longestLine = 4096;

export class ConsoleLines {
  readonly #take: (line: string) => void;
  /** The part of the current line that has come. */
  line = '';

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  /** Restores what `line` was. Throws InputError if it never can have been that. */
  load(line: string): void {
    if (line.length >= longestLine) throw new InputError('a line of its console is too long');
    this.line = line;
  }

  push(bytes: Uint8Array): void {
    for (const byte of bytes) this.pushByte(byte);
  }

  pushByte(byte: number): void {
    if (byte !== 0x0a && byte !== 0x0d) this.line += String.fromCharCode(byte);
    if (byte !== 0x0a && this.line.length < longestLine) return;
    this.#take(this.line);
    this.line = '';
  }
}
