/** Finds the blocks of a region: straight code of one page that jumps within the page connect. */
import type { Unit } from './units.js';

/** Straight code. Only its last unit may jump within the region. */
export interface Block {
  readonly units: readonly Unit[];
  /** By number: the blocks that its last unit jumps to and that follow in sequence; null where that is outside the region. */
  readonly jump: number | null;
  readonly next: number | null;
}

export interface RegionCode {
  readonly blocks: readonly Block[];
  /** The blocks that begin with the entries, in their order. */
  readonly entries: readonly number[];
}

/** The most blocks and units of a region. What is beyond them is outside. */
export const regionLimits = { blocks: 64, units: 400 } as const;

/**
 * The code that is reached from `entries` (records). `unitAt` gives the unit of a record, or null where there is none. Entries
 * without a unit must not be asked for.
 */
export function discover(entries: readonly number[], unitAt: (record: number) => Unit | null): RegionCode {
  const { units, heads } = reach(entries, unitAt);
  const order = [...heads].filter((head) => units.has(head));
  const numbers = new Map(order.map((head, number) => [head, number]));
  const numberOf = (record: number | null): number | null =>
    record === null ? null : (numbers.get(record) ?? null);
  const blocks = order.map((head): Block => {
    const block: Unit[] = [];
    for (let record: number | null = head; record !== null;) {
      const unit = units.get(record);
      if (unit === undefined) break;
      block.push(unit);
      record = unit.next !== null && !numbers.has(unit.next) && unit.near === null ? unit.next : null;
    }
    const last = block.at(-1);
    return { units: block, jump: numberOf(last?.near ?? null), next: numberOf(last?.next ?? null) };
  });
  return { blocks, entries: entries.flatMap((entry) => numberOf(entry) ?? []) };
}

/** The units that belong to the region, and those of them that begin a block. */
function reach(
  entries: readonly number[],
  unitAt: (record: number) => Unit | null,
): { units: ReadonlyMap<number, Unit>; heads: ReadonlySet<number> } {
  const units = new Map<number, Unit>();
  // In the order in which they are found, so that what is near to the entries comes first.
  const heads = new Set(entries);
  for (const head of heads) {
    for (let record: number | null = head; record !== null && !units.has(record);) {
      const unit = unitAt(record);
      if (unit === null || units.size >= regionLimits.units) break;
      units.set(record, unit);
      if (unit.near !== null) {
        for (const target of [unit.near, unit.next]) {
          if (target !== null && (heads.has(target) || heads.size < regionLimits.blocks)) heads.add(target);
        }
        break;
      }
      record = unit.next;
    }
  }
  return { units, heads };
}

/** All units of a region. */
export function unitsOf({ blocks }: RegionCode): Unit[] {
  return blocks.flatMap(({ units }) => units);
}
