/**
 * What is typed at the guest's consoles. Each byte is there from a stated system time on, so that a run with input can be
 * made again; what the guest has no room for waits until it has.
 */

/** The emulated UART, or the PV console on its ring. */
export type GuestConsole = 'uart' | 'pvConsole';

interface Typed {
  readonly console: GuestConsole;
  readonly bytes: Uint8Array;
  readonly atNs: bigint;
}

/** Gives the guest bytes; answers how many of them it had room for. */
export type TakeInput = (console: GuestConsole, bytes: Uint8Array) => number;

export class ConsoleInput {
  /** By time. */
  #typed: Typed[] = [];
  /** The first of it is there, but the guest had no room. */
  #waitsForRoom = false;

  add(console: GuestConsole, bytes: Uint8Array, atNs: bigint): void {
    const place = this.#typed.findLastIndex((typed) => typed.atNs <= atNs) + 1;
    this.#typed.splice(place, 0, { console, bytes: bytes.slice(), atNs });
  }

  /** When the next byte comes, system time in ns; null when none does, or when it waits for room. */
  get dueNs(): bigint | null {
    return this.#waitsForRoom ? null : (this.#typed[0]?.atNs ?? null);
  }

  /** Gives the guest what is there at `nowNs`, in order. */
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
