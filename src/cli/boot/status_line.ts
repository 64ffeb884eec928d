/** The guest's console on standard output, and a line on standard error that says how far the run is. */
import type { Progress } from '../../library/index.js';
import { shownText } from '../render/shown_text.js';

/** Erases the line and goes to its start (ECMA-48). */
const erase = '\r\u001b[K';
/** A guest may never end its line; of one that is longer, what there is is written. */
const longestLine = 4096;

/** A control sequence: ESC [, parameters, a final byte (ECMA-48, 5.4); and one of which the end is missing. */
const escape = '\u001b';
const sequence = new RegExp(`${escape}\\[[ -?]*[@-~]`, 'g');
const unended = new RegExp(`${escape}(\\[[ -?]{0,64})?$`);

export interface StatusOptions {
  /** Whether the guest's console is to be shown. */
  readonly showConsole: boolean;
  /** Whether a line may come within: where somebody types, what the guest echoes must be seen at once. */
  readonly interactive: boolean;
  /** Columns of standard error; 0 where it is no terminal, and then there is no status. */
  readonly columns: number;
}

export class StatusLine {
  readonly #options: StatusOptions;
  #visible = false;
  #pending = '';
  #unended = '';
  #lastLine = '';
  /** The console stands within a line. */
  #isWithin = false;

  constructor(options: StatusOptions) {
    this.#options = options;
  }

  /** Console output; written by whole lines, so that the status never stands within one. */
  print(bytes: Uint8Array): void {
    const added = this.#options.interactive
      ? Buffer.from(bytes).toString('latin1')
      : this.#fitToBeShown(bytes);
    this.#pending += added;
    const atOnce = this.#options.interactive || this.#pending.length > longestLine;
    const lineEnd = added.includes('\n') ? this.#pending.lastIndexOf('\n') + 1 : 0;
    const end = atOnce ? this.#pending.length : lineEnd;
    if (end === 0) return;
    const text = this.#pending.slice(0, end);
    this.#pending = this.#pending.slice(end);
    const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
    this.#lastLine = lines.at(-1) ?? this.#lastLine;
    if (!this.#options.showConsole) return;
    this.#hide();
    // Whoever types sees what the guest's programs draw; each sign stands for a byte.
    process.stdout.write(text, 'latin1');
    this.#isWithin = !text.endsWith('\n');
  }

  /** Without sequences that move a cursor or colour; one that has not ended yet is kept until it has. */
  #fitToBeShown(bytes: Uint8Array): string {
    const text = this.#unended + Buffer.from(bytes).toString('latin1');
    this.#unended = unended.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - this.#unended.length).replace(sequence, '');
    return shownText(Buffer.from(whole, 'latin1'));
  }

  /** Says how far the run is after `wallMs`. */
  show({ phase, instructions, guestTimeNs }: Progress, wallMs: number): void {
    const { columns, showConsole } = this.#options;
    // Where somebody types, the screen is the guest's from then on.
    const isGuests = this.#options.interactive && phase === 'user space';
    if (isGuests) this.#hide();
    if (columns === 0 || this.#isWithin || isGuests) return;
    const speed = Math.round(instructions / 1000 / Math.max(wallMs, 1));
    const guest = (Number(guestTimeNs) / 1e9).toFixed(2);
    const figures = [`${guest} s of guest time`, `${speed} MIPS`];
    // The kernel's own time says the same as ours.
    const last = showConsole ? [] : [this.#lastLine.replace(/^\[ *\d+\.\d+\] */, '').trim()];
    const parts = phase === 'loading' ? [phase] : [phase, ...figures, ...last];
    const text = parts.filter((part) => part !== '').join(' · ');
    process.stderr.write(`${erase}${text.slice(0, columns - 1)}`);
    this.#visible = true;
  }

  /** Takes the status away, so that something else can be written to the terminal. */
  #hide(): void {
    if (this.#visible) process.stderr.write(erase);
    this.#visible = false;
  }

  /** Writes what is left, and takes the status away. */
  clear(): void {
    this.#hide();
    if (!this.#options.showConsole) return;
    if (this.#pending !== '' || this.#isWithin) process.stdout.write(`${this.#pending}\n`);
    this.#pending = '';
    this.#isWithin = false;
  }
}
