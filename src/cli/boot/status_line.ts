/** The guest's console on standard output, and a progress line on standard error. */
import type { Progress } from '../../library/index.js';
import { shownText } from '../render/shown_text.js';

/** Erases the line and goes to its start (ECMA-48). */
const erase = '\r\u001b[K';
/** Maximum length of a line; a longer one is written in parts, because a guest may never end its line. */
const longestLine = 4096;

/** A control sequence: ESC [, parameters, a final byte (ECMA-48, 5.4); and an incomplete one. */
const escape = '\u001b';
const sequence = new RegExp(`${escape}\\[[ -?]*[@-~]`, 'g');
const unended = new RegExp(`${escape}(\\[[ -?]{0,64})?$`);

export interface StatusOptions {
  /** Whether to show the guest's console. */
  readonly showConsole: boolean;
  /** Whether incomplete lines are written: in an interactive run, the guest's echo must be visible immediately. */
  readonly interactive: boolean;
  /** Columns of standard error; 0 if it is not a terminal, and then there is no status line. */
  readonly columns: number;
}

export class StatusLine {
  readonly #options: StatusOptions;
  #visible = false;
  #pending = '';
  #unended = '';
  #lastLine = '';
  /** The console's last line is incomplete. */
  #isWithin = false;

  constructor(options: StatusOptions) {
    this.#options = options;
  }

  /** Writes console output in whole lines, so that the status line never interrupts one. */
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
    // An interactive user sees what the guest's programs draw; each character represents a byte.
    process.stdout.write(text, 'latin1');
    this.#isWithin = !text.endsWith('\n');
  }

  /** Removes sequences that move the cursor or set colours; an incomplete sequence is kept until it is complete. */
  #fitToBeShown(bytes: Uint8Array): string {
    const text = this.#unended + Buffer.from(bytes).toString('latin1');
    this.#unended = unended.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - this.#unended.length).replace(sequence, '');
    return shownText(Buffer.from(whole, 'latin1'));
  }

  /** Updates the progress line; `wallMs` is the duration of the run. */
  show({ phase, instructions, guestTimeNs }: Progress, wallMs: number): void {
    const { columns, showConsole } = this.#options;
    // In an interactive run, the screen belongs to the guest from then on.
    const isGuests = this.#options.interactive && phase === 'user space';
    if (isGuests) this.#hide();
    if (columns === 0 || this.#isWithin || isGuests) return;
    const speed = Math.round(instructions / 1000 / Math.max(wallMs, 1));
    const guest = (Number(guestTimeNs) / 1e9).toFixed(2);
    const figures = [`${guest} s of guest time`, `${speed} MIPS`];
    // The kernel's log shows the same time.
    const last = showConsole ? [] : [this.#lastLine.replace(/^\[ *\d+\.\d+\] */, '').trim()];
    const parts = phase === 'loading' ? [phase] : [phase, ...figures, ...last];
    const text = parts.filter((part) => part !== '').join(' · ');
    process.stderr.write(`${erase}${text.slice(0, columns - 1)}`);
    this.#visible = true;
  }

  /** Removes the status line, so that something else can be written to the terminal. */
  #hide(): void {
    if (this.#visible) process.stderr.write(erase);
    this.#visible = false;
  }

  /** Writes the rest of the output and removes the status line. */
  clear(): void {
    this.#hide();
    if (!this.#options.showConsole) return;
    if (this.#pending !== '' || this.#isWithin) process.stdout.write(`${this.#pending}\n`);
    this.#pending = '';
    this.#isWithin = false;
  }
}
