/** Saved translations that lead where none may: the interpreter would follow them. */
import { cloneValue, present } from '../base/index.js';
import { codeTlbEntries, tlbEntry, tlbOffsets } from './layout.js';
import { packWords, unpackWords } from './packed_words.js';
import type { ProcessorValue } from './processor.js';
import type { TlbSetValue } from './tlb.js';

type Kind = 'code' | 'data';

/** `value` with a word of the first entry of a kind changed. Words: its index, the page's low and high half, the value, the rest. */
function withWord(
  value: ProcessorValue,
  kind: Kind,
  word: number,
  change: (old: number) => number,
): ProcessorValue {
  const changed = cloneValue(value);
  for (const set of changed.tlbs.sets.flat()) {
    const words = unpackWords(set.entries);
    for (let at = 0; at < words.length; at += 5) {
      if ((present(words[at], 'an index') < codeTlbEntries ? 'code' : 'data') !== kind) continue;
      words[at + word] = change(present(words[at + word], 'a word')) >>> 0;
      Object.assign(set, { entries: packWords(words) });
      return changed;
    }
  }
  throw new Error(`there is no entry for ${kind}`);
}

function withSets(value: ProcessorValue, change: (set: TlbSetValue) => Partial<TlbSetValue>): ProcessorValue {
  const changed = cloneValue(value);
  for (const set of changed.tlbs.sets.flat()) if (set.entries.length > 0) Object.assign(set, change(set));
  return changed;
}

/** Values that no processor with memory at `ramStart` saves, by what is wrong. `value` has entries for code and data. */
export function hostileTlbs(value: ProcessorValue, ramStart: number): ReadonlyMap<string, ProcessorValue> {
  const end = ramStart + value.sizes.ramBytes;
  return new Map([
    ['code in memory', withWord(value, 'code', 3, () => ramStart)],
    ['code between records', withWord(value, 'code', 3, (old) => old + 4)],
    ['code nowhere', withWord(value, 'code', 3, () => 0)],
    ['an index behind the tables', withWord(value, 'code', 0, () => tlbOffsets.size / tlbEntry.bytes)],
    ['an unaligned page', withWord(value, 'data', 1, (old) => old + 1)],
    ['data before memory', withWord(value, 'data', 3, (old) => old - end)],
    ['data behind memory', withWord(value, 'data', 3, (old) => old + value.sizes.ramBytes)],
    ['data in the middle of a page', withWord(value, 'data', 3, (old) => old + 8)],
    ['half an entry', withSets(value, ({ entries }) => ({ entries: entries.slice(0, -4) }))],
    ['entries of an unused set', withSets(value, () => ({ used: false }))],
  ]);
}
