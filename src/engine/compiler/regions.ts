/** The regions that are compiled: which records they cover, and the handlers that their entries displace. */
import { present } from '../../base/index.js';
import { recordBytes } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import { unitsOf } from './discover.js';
import type { RegionCode } from './discover.js';

export interface Region {
  /** The handler number of its entries. */
  readonly handler: number;
  /** The handlers that the entries had before, by record. */
  readonly displaced: ReadonlyMap<number, number>;
  /** All its records. */
  readonly records: ReadonlySet<number>;
}

/** Regions are found by parts of the memory of this size (its binary logarithm). */
const bucketShift = 14;
/** Up to how many bytes of records are looked up one by one. */
const fewBytes = 512;

export class Regions {
  readonly #memory: EngineMemory;
  readonly #first: number;
  readonly #byHandler = new Map<number, Region>();
  readonly #buckets = new Map<number, Set<Region>>();
  readonly #free: number[];

  /** Uses `count` handler numbers from `first` on. */
  constructor(memory: EngineMemory, first: number, count: number) {
    this.#memory = memory;
    this.#first = first;
    this.#free = Array.from({ length: count }, (_, index) => first + count - 1 - index);
  }

  get all(): readonly Region[] {
    return [...this.#byHandler.values()];
  }

  get size(): number {
    return this.#byHandler.size;
  }

  /** How many more there may be. */
  get room(): number {
    return this.#free.length;
  }

  /** A handler number that is free. It must be given to `add`. */
  takeNumber(): number {
    return present(this.#free.pop(), 'a free handler number');
  }

  isEntry(record: number): boolean {
    return this.#memory.view.getUint16(record, true) >= this.#first;
  }

  /** The handler that a record has without the regions. */
  handlerOf(record: number): number {
    const handler = this.#memory.view.getUint16(record, true);
    return this.#byHandler.get(handler)?.displaced.get(record) ?? handler;
  }

  /** A region that covers a record. */
  covering(record: number): Region | null {
    for (const region of this.#buckets.get(record >>> bucketShift) ?? []) {
      if (region.records.has(record)) return region;
    }
    return null;
  }

  /** From now on, the entries of a region lead to it. Another region may have had some of them; it must be removed before. */
  add(handler: number, code: RegionCode): void {
    const entries = code.entries.map((entry) => present(code.blocks[entry]?.units[0], 'a unit'));
    const records = new Set(unitsOf(code).map(({ record }) => record));
    const displaced = new Map(entries.map((unit) => [unit.record, unit.handler]));
    const region = { handler, displaced, records };
    this.#byHandler.set(handler, region);
    for (const record of records) {
      const bucket = record >>> bucketShift;
      const there = this.#buckets.get(bucket) ?? new Set();
      this.#buckets.set(bucket, there.add(region));
    }
    for (const { record } of entries) this.#memory.view.setUint16(record, handler, true);
  }

  /** Gives the entries of a region their own handlers. Its number is free again. */
  remove(region: Region): void {
    for (const [record, handler] of region.displaced) {
      if (this.#memory.view.getUint16(record, true) === region.handler) {
        this.#memory.view.setUint16(record, handler, true);
      }
    }
    this.#byHandler.delete(region.handler);
    for (const record of region.records) {
      const bucket = record >>> bucketShift;
      this.#buckets.get(bucket)?.delete(region);
      if (this.#buckets.get(bucket)?.size === 0) this.#buckets.delete(bucket);
    }
    this.#free.push(region.handler);
  }

  /** The regions with records from `start` up to `end`. */
  within(start: number, end: number): Region[] {
    const found = new Set<Region>();
    for (let bucket = start >>> bucketShift; bucket <= (end - 1) >>> bucketShift; bucket += 1) {
      for (const region of this.#buckets.get(bucket) ?? []) {
        if (covers(region, start, end)) found.add(region);
      }
    }
    return [...found];
  }
}

function covers({ records }: Region, start: number, end: number): boolean {
  if (end - start <= fewBytes) {
    for (let record = start; record < end; record += recordBytes) if (records.has(record)) return true;
    return false;
  }
  for (const record of records) if (record >= start && record < end) return true;
  return false;
}
