/**
 * Input typed at the guest's consoles. Each byte has a system time, so that a run with input is reproducible. Bytes
 * that the guest has no space for wait until it has.
 */

/** The emulated UART, or the PV console with its ring. */
export type GuestConsole = 'uart' | 'pvConsole';

interface Typed {
  readonly console: GuestConsole;
  readonly bytes: Uint8Array;
  readonly atNs: bigint;
}

/** Passes bytes to the guest. Returns how many it accepted. */
export type TakeInput = (console: GuestConsole, bytes: Uint8Array) => number;

export class ConsoleInput {
  /** Ordered by time. */
  #typed: Typed[] = [];
  /** The first byte is due, but the guest has no space for it. */
  #waitsForRoom = false;

  add(console: GuestConsole, bytes: Uint8Array, atNs: bigint): void {
    const index = this.#typed.findLastIndex((typed) => typed.atNs <= atNs) + 1;
    this.#typed.splice(index, 0, { console, bytes: bytes.slice(), atNs });
  }

  /** System time in ns at which the next byte is due; null if there is none or if it waits for space. */
  get dueNs(): bigint | null {
    return this.#waitsForRoom ? null : (this.#typed[0]?.atNs ?? null);
  }

  /** Passes all bytes that are due at `nowNs` to the guest, in order. */
  passTo(nowNs: bigint, take: TakeInput): void {
    this.#waitsForRoom = false;
    for (let [first] = this.#typed; first !== undefined && first.atNs <= nowNs; [first] = this.#typed) {
      const { console, bytes, atNs } = first;
      const taken = take(console, bytes);
      if (taken < bytes.length) {
        this.#typed[0] = { console, bytes: bytes.subarray(taken), atNs };
        this.#waitsForRoom = true;
        return;
      }
      this.#typed.shift();
    }
  }
}
