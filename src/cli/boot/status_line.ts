/** The guest's console on standard output, and a line on standard error that says how far the run is. */

/** Erases the line and goes to its start (ECMA-48). */
const erase = '\r\u001b[K';

/** Bytes that a terminal would obey rather than show, but for line ends and tabs. */
function harmless(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const shown = byte === 0x0a || byte === 0x0d || byte === 0x09 || (byte >= 0x20 && byte < 0x7f);
    return shown ? String.fromCharCode(byte) : '';
  }).join('');
}

export class StatusLine {
  readonly #shows: boolean;
  #visible = false;
  #pending = '';

  /** Without a terminal, or when it is not wanted, no line is ever shown. */
  constructor(wanted: boolean) {
    this.#shows = wanted && process.stderr.isTTY;
  }

  /** Console output; written by whole lines, so that the status never stands within one. */
  print(bytes: Uint8Array): void {
    this.#pending += harmless(bytes);
    const end = this.#pending.lastIndexOf('\n') + 1;
    if (end === 0) return;
    this.#hide();
    process.stdout.write(this.#pending.slice(0, end));
    this.#pending = this.#pending.slice(end);
  }

  show(instructions: number, guestNs: bigint, wallMs: number): void {
    if (!this.#shows) return;
    const speed = Math.round(instructions / 1000 / Math.max(wallMs, 1));
    const guest = (Number(guestNs) / 1e9).toFixed(2);
    process.stderr.write(
      `${erase}${guest} s of guest time, ${Math.round(instructions / 1e6)} million instructions, ${speed} a microsecond`,
    );
    this.#visible = true;
  }

  /** Writes what is left, and takes the status away. */
  clear(): void {
    this.#hide();
    if (this.#pending !== '') process.stdout.write(`${this.#pending}\n`);
    this.#pending = '';
  }

  #hide(): void {
    if (this.#visible) process.stderr.write(erase);
    this.#visible = false;
  }
}
