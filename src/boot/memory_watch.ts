/**
 * Detects changes of bytes in the guest's memory at low cost. Their position in the host's memory is looked up once; a check
 * then only compares bytes and translates no address.
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

/** Watches a set of memory ranges. */
export class MemoryWatch {
  #watched: readonly Watched[] = [];

  /** Watches `views` of the guest's memory instead of the previous ones; their current contents count as seen. */
  watch(views: readonly Uint8Array[]): void {
    this.#watched = views.map((live) => ({ live, last: live.slice() }));
  }

  /** Whether any byte has changed since {@link watch} was called. */
  get changed(): boolean {
    return this.#watched.some(differs);
  }
}
