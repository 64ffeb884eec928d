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

/** A plain value. */
export interface ConsoleInputState {
  /** What was typed and not yet accepted, ordered by time. */
  typed: Typed[];
  /** The first byte is due, but the guest has no space for it. */
  waitsForRoom: boolean;
}

/** Passes bytes to the guest. Returns how many it accepted. */
export type TakeInput = (console: GuestConsole, bytes: Uint8Array) => number;

export class ConsoleInput {
  /** Never changed in place by others; replaced to restore a state. */
  state: ConsoleInputState = { typed: [], waitsForRoom: false };

  add(console: GuestConsole, bytes: Uint8Array, atNs: bigint): void {
    const index = this.state.typed.findLastIndex((typed) => typed.atNs <= atNs) + 1;
    this.state.typed.splice(index, 0, { console, bytes: bytes.slice(), atNs });
  }

  /** System time in ns at which the next byte is due; null if there is none or if it waits for space. */
  get dueNs(): bigint | null {
    return this.state.waitsForRoom ? null : (this.state.typed[0]?.atNs ?? null);
  }

  /** Passes all bytes that are due at `nowNs` to the guest, in order. */
  passTo(nowNs: bigint, take: TakeInput): void {
    this.state.waitsForRoom = false;
    for (
      let [first] = this.state.typed;
      first !== undefined && first.atNs <= nowNs;
      [first] = this.state.typed
    ) {
      const { console, bytes, atNs } = first;
      const taken = take(console, bytes);
      if (taken < bytes.length) {
        this.state.typed[0] = { console, bytes: bytes.slice(taken), atNs };
        this.state.waitsForRoom = true;
        return;
      }
      this.state.typed.shift();
    }
  }
}
