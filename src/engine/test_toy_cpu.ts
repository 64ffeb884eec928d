/**
 * A toy CPU for the engine's tests (test_toy_instructions.ts), whose page table is a list in the test.
 */
import { invariant, present } from '../base/index.js';
import { commonSystemCalls, flowOf } from '../isa/index.js';
import type { FlagSet } from '../isa/index.js';
import type { Completion, ConditionLocals, CpuArchitecture, CpuParts, CpuSet } from './architecture.js';
import { emitFlag, flagOffset } from './flags.js';
import { specialHandlers } from './handlers.js';
import { accessFlags, accessResults, cpuOffsets } from './layout.js';
import type { PhysicalMemory } from './ports.js';
import { fillRecord, placedOperands } from './record.js';
import { crossesPage, StraightRuns } from './straight_runs.js';
import type { CodeBytes, DecodedInstruction, StraightRunsValue } from './straight_runs.js';
import type { FloatRegisters } from './float/index.js';
import { straightLayout } from './straight_layout.js';
import {
  decodeToy,
  lengthOf,
  stackPointer,
  toyConditions,
  toyFlags,
  toyInstructions,
} from './test_toy_instructions.js';
import { VcpuBlock } from './vcpu_block.js';
import { i32, load32, opcodes } from './wasm/code.js';
import type { Code } from './wasm/code.js';

/** Pushes the condition whose number is in byte `at` of the record. */
function emitCondition(code: Code, { record, flags }: ConditionLocals, at: number): void {
  code.constant(i32, 0);
  for (let condition = 0; condition < 8; condition += 1) {
    const flag = present(toyConditions[condition % toyConditions.length], 'a condition');
    code.get(record).memory(load32.byte, 0, at).constant(i32, condition).byte(opcodes[i32].eq);
    emitFlag(code, toyFlags, flags, flag);
    if (condition >= toyConditions.length) code.byte(opcodes[i32].eqz);
    code.byte(opcodes[i32].and).byte(opcodes[i32].or);
  }
}

/** The machine around toy CPUs. */
export interface ToyHost {
  readonly memory: PhysicalMemory;
  /** By page number of an address: the number of the physical page. The CPUs see changes after `Processor.flushTranslations`. */
  readonly pageTable: readonly (number | null)[];
}

/** Why a run was stopped: an address that is not mapped, an undefined instruction, or a system call of 128 and above. */
export type ToyStop =
  | { readonly kind: 'fault'; readonly access: 'fetch' | 'load' | 'store'; readonly address: bigint }
  | { readonly kind: 'undefined' }
  | { readonly kind: 'call'; readonly number: number };

type Pending = ToyStop | { readonly kind: 'completed' } | null;

const noAddress = 2 ** 40;

export class ToyView {
  stop: ToyStop | null = null;
  /** Numbers of the system calls so far. */
  readonly calls: number[] = [];
  pending: Pending = null;
  readonly block: VcpuBlock;

  constructor(block: VcpuBlock) {
    this.block = block;
  }

  get registers(): bigint[] {
    return [0, 1, 2, 3].map((index) => this.block.register(index));
  }

  /** The flags as 0 or 1, from their sources. */
  get flags(): Record<string, number> {
    const { view } = this.block.memory;
    const source = (name: string): bigint =>
      view.getBigUint64(this.block.offset + flagOffset(toyFlags, name), true);
    return Object.fromEntries(
      Object.entries(toyFlags).map(([name, form]) => {
        const value = form === 'sign' || form === 'zero' ? source(name) : source(name) & 0xffffffffn;
        return [name, flagFrom(form, value)];
      }),
    );
  }
}

/** A flag from its source. */
export function flagFrom(form: FlagSet[string], source: bigint): number {
  if (form === 'sign') return Number(source >> 63n);
  if (form === 'zero') return source === 0n ? 1 : 0;
  if (form === 'bit') return Number(source);
  if (form === 'bit4') return Number((source >> 4n) & 1n);
  return (source & 0xffn).toString(2).replaceAll('0', '').length % 2 === 0 ? 1 : 0;
}

interface ToyState {
  /** The registers, pc and flag sources of the vCPUs: their blocks up to the budget. */
  readonly blocks: readonly Uint8Array[];
  readonly calls: readonly (readonly number[])[];
  readonly code: StraightRunsValue;
}

class ToyCpus implements CpuSet<ToyView, never> {
  readonly views: readonly ToyView[];
  readonly code: StraightRuns;
  readonly #parts: CpuParts<ToyHost>;
  readonly #placed = new Map(toyInstructions.map((each) => [each, placedOperands(each)]));

  constructor(parts: CpuParts<ToyHost>) {
    this.#parts = parts;
    const { memory, tlbs, blocks, code, memoryEnd } = parts;
    this.views = blocks.map((offset) => new ToyView(new VcpuBlock(memory, offset)));
    this.code = new StraightRuns(memory, tlbs, code, memoryEnd, (bytes) => this.#decode(bytes));
  }

  #decode({ bytes, at, end, offset, record }: CodeBytes): DecodedInstruction | null {
    const { memory, plan, provide } = this.#parts;
    const found = decodeToy(bytes, at, end);
    if (found === 'incomplete') return null;
    if (found === null) {
      memory.view.setUint16(record, specialHandlers.undefined, true);
      return { bytes: 1, fallsThrough: false };
    }
    const { instruction, fields } = found;
    const choice = present(plan.choices.get(instruction.name), instruction.name);
    provide(choice.plain);
    fillRecord(memory.view, record, this.#placed.get(instruction) ?? [], fields);
    const target = offset + (fields['i'] ?? 0);
    const near = target >= 0 && target < 4096 ? choice.near : null;
    memory.view.setUint16(record, near ?? choice.plain, true);
    const { fallsThrough } = flowOf(instruction.semantics.statements);
    return { bytes: lengthOf(instruction), fallsThrough };
  }

  #view(vcpu: number): ToyView {
    return present(this.views[vcpu], 'a vCPU');
  }

  begin(): void {
    // Nothing depends on other vCPUs.
  }

  end(): void {
    // Nothing is kept.
  }

  prepareEntry(vcpu: number): boolean {
    const { block } = this.#view(vcpu);
    block.tlb = this.#parts.tlbs.privileged(vcpu);
    return true;
  }

  finish(vcpu: number): Completion {
    const view = this.#view(vcpu);
    const { pending } = view;
    invariant(pending !== null, 'something is pending');
    view.pending = null;
    if (pending.kind !== 'completed') {
      view.stop = pending;
      return 'stopped';
    }
    const before = view.block.pc;
    view.block.pc = before + 2n;
    return before >> 12n === (before + 2n) >> 12n ? 'goesOn' : 'schedulingPoint';
  }

  isStepping(): boolean {
    return false;
  }

  stepped(): void {
    // Nothing waits for it.
  }

  setLine(): void {
    // It has no interrupts.
  }

  hasOpenInterrupt(): boolean {
    return false;
  }

  flushFrames(): void {
    // Nothing is kept.
  }

  decode(): never {
    invariant(false, 'straight runs are decoded by fetches');
  }

  /** The byte offset of an address in memory; -1 where it is not mapped. */
  #frame(low: number, high: number): number {
    const address = high * 2 ** 32 + low;
    const page = address < noAddress ? this.#parts.host.pageTable[Math.floor(address / 4096)] : null;
    return page === null || page === undefined ? -1 : this.#parts.host.memory.frame(page * 4096, false);
  }

  #fault(vcpu: number, access: 'fetch' | 'load' | 'store', address: bigint): number {
    this.#view(vcpu).pending = { kind: 'fault', access, address };
    return accessResults.faulted;
  }

  fetch(vcpu: number, low: number, high: number): number {
    const { code } = this;
    const frame = this.#frame(low, high);
    const address = (BigInt(high) << 32n) | BigInt(low);
    if (frame < 0) return this.#fault(vcpu, 'fetch', address);
    const instruction = frame + (low & 0xfff);
    let record = code.find(instruction, 0);
    if (record === crossesPage) {
      const next = (address | 0xfffn) + 1n;
      const second = this.#frame(Number(next & 0xffffffffn), Number(next >> 32n));
      if (second < 0) return this.#fault(vcpu, 'fetch', next);
      record = code.findCrossing(instruction, second, 0);
    }
    const { tlbs } = this.#parts;
    const set = tlbs.privileged(vcpu);
    tlbs.putCode(set, low, high, code.tableOf(record));
    tlbs.note(vcpu, set, low, high, 12, false);
    return record;
  }

  load(vcpu: number, low: number, high: number, flags: number): number {
    return this.#access(vcpu, low, high, flags & accessFlags.bytes, 'load');
  }

  store(vcpu: number, low: number, high: number, flags: number): number {
    return this.#access(vcpu, low, high, flags & accessFlags.bytes, 'store');
  }

  #access(vcpu: number, low: number, high: number, bytes: number, access: 'load' | 'store'): number {
    const { memory, tlbs } = this.#parts;
    const address = (BigInt(high) << 32n) | BigInt(low);
    const frame = this.#frame(low, high);
    if (frame < 0) return this.#fault(vcpu, access, address);
    const here = Math.min(bytes, 4096 - (low & 0xfff));
    const first = frame + (low & 0xfff);
    if (here === bytes) {
      const set = tlbs.privileged(vcpu);
      if (access === 'store') this.code.stored(first, bytes);
      if (access === 'load' || this.code.watched.letWrite(frame)) {
        tlbs.putData(set, access === 'load' ? 'read' : 'write', { low, high }, frame, false);
        tlbs.note(vcpu, set, low, high, 12, false);
      }
      return first;
    }
    const next = (address | 0xfffn) + 1n;
    const second = this.#frame(Number(next & 0xffffffffn), Number(next >> 32n));
    if (second < 0) return this.#fault(vcpu, access, next);
    const scratch = this.#view(vcpu).block.offset + cpuOffsets.scratch;
    if (access === 'store') {
      this.code.stored(first, here);
      this.code.stored(second, bytes - here);
      memory.bytes.copyWithin(first, scratch, scratch + here);
      memory.bytes.copyWithin(second, scratch + here, scratch + bytes);
      return accessResults.done;
    }
    memory.bytes.copyWithin(scratch, first, first + here);
    memory.bytes.copyWithin(scratch + here, second, second + bytes - here);
    return scratch;
  }

  saveState(): ToyState {
    const { memory } = this.#parts;
    const blocks = this.views.map(({ block: { offset } }) =>
      memory.bytes.slice(offset, offset + cpuOffsets.budget),
    );
    return { blocks, calls: this.views.map(({ calls }) => [...calls]), code: this.code.save() };
  }

  loadState({ blocks, calls, code }: ToyState): void {
    for (const [index, view] of this.views.entries()) {
      this.#parts.memory.bytes.set(present(blocks[index], 'a block'), view.block.offset);
      view.calls.splice(0, view.calls.length, ...(calls[index] ?? []));
    }
    this.code.load(code);
  }

  /** A call with an odd number leaves the interpreter although it completes. */
  system(vcpu: number, call: number, a: bigint): boolean {
    const view = this.#view(vcpu);
    if (call !== toySystemCalls.indexOf('call')) {
      view.pending = { kind: 'undefined' };
      return true;
    }
    const number = Number(a);
    view.calls.push(number);
    if (number >= 128) view.pending = { kind: 'call', number };
    else if (number % 2 === 1) view.pending = { kind: 'completed' };
    return view.pending !== null;
  }
}

const toySystemCalls = [...commonSystemCalls, 'call'] as const;

/** The toy has no floating-point instructions. */
const toyFloatRegisters: FloatRegisters = {
  rules: {
    negativeDefaultNan: false,
    prefersSignalling: true,
    tinyBeforeRounding: true,
    flushedIsInexact: false,
    inputDenormal: 'flushed',
  },
  modesOf: () => ({
    rounding: 'nearestEven',
    flushToZero: false,
    flushInputs: false,
    defaultNan: false,
    alternativeHalf: false,
  }),
  hostModes: 0,
  statusOf: (raised) => raised,
  saturation: null,
};

export const toy: CpuArchitecture<ToyView, ToyHost, never> = {
  model: {
    name: 'toy',
    instructions: toyInstructions,
    systemCalls: toySystemCalls,
    flags: toyFlags,
    layout: straightLayout(null),
    floatRegisters: toyFloatRegisters,
    unaligned: 'inline',
    stackPointer,
    emitCondition,
  },
  highMask: 0xffffffff,
  sizes: { registers: 4, state: 2 },
  prepare: () => undefined,
  codeBytes: (pages) => StraightRuns.bytes(pages),
  connect: (parts) => new ToyCpus(parts),
};
