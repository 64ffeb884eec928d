/**
 * Tells cheaply whether bytes of the guest's memory changed. Where they lie in the host's memory is looked up once; a look
 * then compares bytes and translates nothing.
 */

interface Watched {
  /** The guest's memory itself, not a copy of it. */
  readonly live: Uint8Array;
  readonly last: Uint8Array;
}

function differs({ live, last }: Watched): boolean {
  for (let at = 0; at < last.length; at += 1) if (live[at] !== last[at]) return true;
  return false;
}

export class MemoryWatch {
  #watched: readonly Watched[] = [];

  /** Watches `places`, views of the guest's memory, in place of those before; what they hold now counts as seen. */
  watch(places: readonly Uint8Array[]): void {
    this.#watched = places.map((live) => ({ live, last: live.slice() }));
  }

  /** Whether any byte is another than when {@link watch} was called. */
  get changed(): boolean {
    return this.#watched.some(differs);
  }
}
