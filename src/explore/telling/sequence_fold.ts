/** Shortens repetitions in a sequence: the same items for one CPU after another, and identical items. */
import { present } from '../../base/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { AgainItem, SequenceItem } from './sequence.js';

const longestBlock = 16;

/** Items that end a part of the story; no repetition spans them. */
function isTurn({ kind }: SequenceItem): boolean {
  return ['kernel', 'quiet', 'reset', 'again', 'end'].includes(kind);
}

const vcpuFields = new Set(['from', 'target', 'passed', 'meant', 'vcpu']);
const cpuFields = new Set(['linuxCpu', 'runsAs', 'meantCpu', 'boundFor']);

/** A renaming of `from` to `to`, found while two blocks are compared; null while they are equal. */
interface Renaming {
  from: number;
  to: number;
}
interface Renamings {
  vcpu: Renaming | null;
  cpu: Renaming | null;
}

function renames(renamings: Renamings, which: keyof Renamings, a: unknown, b: unknown): boolean {
  const known = renamings[which];
  if (typeof a !== 'number' || typeof b !== 'number') return a === b;
  if (known !== null) return a === known.from ? b === known.to : a === b;
  if (a !== b) renamings[which] = { from: a, to: b };
  return true;
}

function sameButFor(renamings: Renamings, a: SequenceItem, b: SequenceItem): boolean {
  const [x, y] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    x.length === y.size &&
    x.every(([key, value]) => {
      if (vcpuFields.has(key)) return renames(renamings, 'vcpu', value, y.get(key));
      if (cpuFields.has(key)) return renames(renamings, 'cpu', value, y.get(key));
      return JSON.stringify(value) === JSON.stringify(y.get(key));
    })
  );
}

/** The difference of block `b` from block `a`: at most one vCPU and one CPU are renamed; else null. */
function compareBlocks(a: readonly SequenceItem[], b: readonly SequenceItem[]): Renamings | null {
  if (a.length !== b.length) return null;
  const renamings: Renamings = { vcpu: null, cpu: null };
  // Twice: items that were accepted before a renaming was found are checked against it the second time.
  const same = () => a.every((item, i) => sameButFor(renamings, item, present(b[i], 'the other item')));
  return same() && same() ? renamings : null;
}

interface Repetition {
  readonly length: number;
  readonly times: number;
  readonly vcpus: readonly XenVcpuId[];
}

/** How often the block of `length` items at `start` is repeated immediately after itself. */
function repetitionAt(items: readonly SequenceItem[], start: number, length: number): Repetition {
  const block = items.slice(start, start + length);
  const vcpus: XenVcpuId[] = [];
  let times = 0;
  if (!block.some(isTurn)) {
    for (let at = start + length; ; at += length) {
      const renamings = compareBlocks(block, items.slice(at, at + length));
      if (renamings === null) break;
      if (times > 0 && (renamings.vcpu === null) !== (vcpus.length === 0)) break;
      times += 1;
      if (renamings.vcpu !== null) vcpus.push(xenVcpuId(renamings.vcpu.to));
    }
  }
  return { length, times, vcpus };
}

/** Without a renaming, a count is added to the line; otherwise "again" has its own line. */
function linesSaved({ length, times, vcpus }: Repetition): number {
  return length * times - (length === 1 && vcpus.length === 0 ? 0 : 1);
}

function bestRepetition(items: readonly SequenceItem[], start: number): Repetition | null {
  const candidates = Array.from({ length: longestBlock }, (_, i) => repetitionAt(items, start, i + 1));
  const best = candidates.reduce((a, b) => (linesSaved(b) > linesSaved(a) ? b : a));
  return best.times > 0 && linesSaved(best) > 0 ? best : null;
}

/** Identical items become one item with a count. */
function counted(item: SequenceItem, times: number): SequenceItem | null {
  if (item.kind === 'stray') return { ...item, times: item.times + times };
  if (item.kind !== 'call') return null;
  const operations = item.operations.map(({ op, times: before }) => ({ op, times: before * (times + 1) }));
  return { ...item, operations };
}

/** `items` with each repetition shown once, and an {@link AgainItem} that lists the other vCPUs. */
export function foldSequence(items: readonly SequenceItem[]): SequenceItem[] {
  const folded: SequenceItem[] = [];
  for (let at = 0; at < items.length;) {
    const repetition = bestRepetition(items, at);
    const item = present(items[at], 'the next item');
    if (repetition === null) {
      folded.push(item);
      at += 1;
      continue;
    }
    const { length, times, vcpus } = repetition;
    const same = length === 1 && vcpus.length === 0 ? counted(item, times) : null;
    const again: AgainItem = { kind: 'again', items: length, times, vcpus };
    folded.push(...(same === null ? [...items.slice(at, at + length), again] : [same]));
    at += length * (times + 1);
  }
  return folded;
}
