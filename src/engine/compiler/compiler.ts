/**
 * The compiler: notes where time slices end, and compiles the regions where they often do. A compiled region is entered by the handler
 * number of its entry records, so the interpreter knows nothing of it (region_function.ts). What is compiled, and when, changes
 * nothing of what the vCPUs do.
 */
import { present } from '../../base/index.js';
import type { CodeModel } from '../architecture.js';
import type { CodeCache } from '../code_cache.js';
import { specialCount } from '../handlers.js';
import type { HandlerPlan } from '../handlers.js';
import { firstCalled } from '../interpreter.js';
import type { EngineMemory } from '../memory.js';
import type { Tlbs } from '../tlb.js';
import type { VcpuBlock } from '../vcpu_block.js';
import { Checker } from './check.js';
import { discover } from './discover.js';
import type { RegionCode } from './discover.js';
import type { RegionModel } from './region_model.js';
import { compileChecked, compileRegions } from './region_module.js';
import { Regions } from './regions.js';
import type { Region } from './regions.js';
import { unitAt } from './units.js';
import type { UnitSource } from './units.js';

/** When and how much to compile. It decides only how fast the vCPUs run. */
export interface CompilerPolicy {
  /** How many time slices must end at an instruction before its region is compiled. */
  readonly samples: number;
  /** How many regions to compile at once, and after how many samples to compile fewer than that. */
  readonly batch: number;
  readonly patience: number;
  /** The most regions, and the most bytes of WebAssembly for them. Beyond either, all are dropped. */
  readonly regions: number;
  readonly bytes: number;
  /** For tests: counts each entry of the interpreter as a sample, whatever ended the run before. */
  readonly everyEntry: boolean;
}

export const usualPolicy: CompilerPolicy = {
  samples: 24,
  batch: 32,
  patience: 200,
  regions: 8192,
  bytes: 32 << 20,
  everyEntry: false,
};

/** The most entries of a region. */
const mostEntries = 8;
/** The most places for which samples are counted. */
const mostPlaces = 8192;
/** A region that was dropped is compiled again after twice as many samples each time, up to this many times twice. */
const mostDoublings = 12;
const handlerNumbers = 2 ** 16;

export interface CompilerParts {
  readonly memory: EngineMemory;
  readonly tlbs: Tlbs;
  readonly code: CodeCache;
  readonly plan: HandlerPlan;
  readonly model: CodeModel;
  readonly regions: RegionModel;
  /** The function that calls the functions of instructions (interpreter.ts). */
  readonly callFunction: unknown;
  /** Whether to check what the compiled code does. */
  readonly checks: boolean;
  /** As {@link CpuArchitecture.prepare}. */
  prepare(memory: EngineMemory): void;
  /** Makes a function that of a handler number; null takes it away. */
  setFunction(handler: number, found: unknown): void;
}

export interface CompilerStatistics {
  /** How many regions there are, and how many have been compiled in all. */
  readonly regions: number;
  readonly compiled: number;
  /** Bytes of WebAssembly since all were dropped. */
  readonly bytes: number;
  /** How many instructions of compiled code were checked. */
  readonly checked: number;
}

export class Compiler {
  readonly #parts: CompilerParts;
  readonly #policy: CompilerPolicy;
  readonly #source: UnitSource;
  readonly #regions: Regions;
  readonly #checker: Checker | null;
  /** By record: how many samples are missing until it is compiled, and how often a region that began there was dropped. */
  readonly #missing = new Map<number, number>();
  readonly #dropped = new Map<number, number>();
  readonly #wanted = new Set<number>();
  /** Samples since something was wanted. */
  #waited = 0;
  #bytes = 0;
  #compiled = 0;

  constructor(parts: CompilerParts, policy: CompilerPolicy) {
    this.#parts = parts;
    this.#policy = policy;
    const { memory, plan, code, regions: model } = parts;
    const first = specialCount + plan.handlers.length;
    this.#regions = new Regions(memory, first, Math.min(policy.regions, handlerNumbers - first));
    this.#source = {
      memory,
      plan,
      model,
      instructionOf: (record) => code.instructionOf(record),
      handlerOf: (record) => this.#regions.handlerOf(record),
    };
    this.#checker = parts.checks ? new Checker({ ...parts, source: this.#source }, parts.callFunction) : null;
    code.tellOfResets?.((start, end) => this.#reset(start, end));
  }

  get statistics(): CompilerStatistics {
    const checked = this.#checker?.compared ?? 0;
    return { regions: this.#regions.size, compiled: this.#compiled, bytes: this.#bytes, checked };
  }

  /** Called before the interpreter is entered. */
  entering(block: VcpuBlock): void {
    if (this.#policy.everyEntry) this.sample(block);
  }

  /** Notes where a vCPU goes on whose budget is used up. */
  sample({ tlb, pcLow, pcHigh }: VcpuBlock): void {
    const records = this.#parts.tlbs.codeAt(tlb, pcLow, pcHigh);
    if (records >= 0) this.#note(this.#source.model.recordAt(records, pcLow));
    if (this.#wanted.size === 0) return;
    this.#waited += 1;
    if (this.#wanted.size >= this.#policy.batch || this.#waited >= this.#policy.patience) this.compileNow();
  }

  #note(record: number): void {
    if (this.#regions.isEntry(record) || this.#regions.handlerOf(record) < specialCount) return;
    const missing = (this.#missing.get(record) ?? this.#samplesFor(record)) - 1;
    if (missing > 0) {
      if (this.#missing.size >= mostPlaces) this.#missing.clear();
      this.#missing.set(record, missing);
    } else {
      this.#missing.delete(record);
      this.#wanted.add(record);
    }
  }

  #samplesFor(record: number): number {
    const doublings = Math.min(this.#dropped.get(record) ?? 0, mostDoublings);
    return this.#policy.samples * 2 ** doublings;
  }

  /** Compiles what has been asked for. No vCPU may be running. */
  compileNow(): void {
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    this.#waited = 0;
    if (this.#bytes > this.#policy.bytes || this.#regions.room < wanted.length) this.dropAll();
    const codes = this.#plan(wanted.slice(0, this.#regions.room));
    if (codes.length === 0) return;
    const plans = codes.map((code) => ({ code, handler: this.#regions.takeNumber() }));
    const { memory, plan, model, callFunction } = this.#parts;
    const checker = this.#checker;
    const surroundings = {
      source: this.#source,
      model,
      functionOf: (handler: number) => handler - firstCalled(plan),
    };
    const { bytes, functions } =
      checker === null
        ? compileRegions(plans, surroundings, memory, callFunction)
        : compileChecked(plans, surroundings, memory, checker);
    this.#bytes += bytes;
    this.#compiled += plans.length;
    for (const { code, handler } of plans) {
      this.#regions.add(handler, code);
      this.#parts.setFunction(handler, present(functions.get(handler), 'the function of a region'));
    }
  }

  /** The regions to compile for the records where they are wanted. A region that covers such a record gets it as another entry. */
  #plan(wanted: readonly number[]): RegionCode[] {
    const planned: RegionCode[] = [];
    for (const record of wanted) {
      if (this.#regions.isEntry(record) || this.#regions.handlerOf(record) < specialCount) continue;
      const entries = [record];
      const covering = this.#regions.covering(record);
      if (covering !== null && covering.displaced.size < mostEntries) {
        entries.unshift(...covering.displaced.keys());
        this.#remove(covering);
      }
      planned.push(discover(entries, (at) => unitAt(this.#source, at)));
    }
    return planned;
  }

  /** Drops all regions. */
  dropAll(): void {
    for (const region of this.#regions.all) this.#remove(region);
    this.#bytes = 0;
  }

  #remove(region: Region): void {
    this.#regions.remove(region);
    this.#parts.setFunction(region.handler, null);
  }

  /** Records are going to be reset: regions that cover them are no longer right. */
  #reset(start: number, end: number): void {
    for (const region of this.#regions.within(start, end)) {
      for (const record of region.displaced.keys()) {
        if (this.#dropped.size >= mostPlaces) this.#dropped.clear();
        this.#dropped.set(record, (this.#dropped.get(record) ?? 0) + 1);
      }
      this.#remove(region);
    }
  }
}
