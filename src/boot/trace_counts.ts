/** Counts over a trace as it comes, including events that are not kept: the report's figures cover all calls. */
import type { HypercallEvent, TraceEvent } from '../audit/index.js';
import { loadRecord, savedRecord, ValueHash, valueToJson } from '../base/index.js';
import type { SavedRecord, ValueHashState } from '../base/index.js';

/** A guest may use 2^64 hypercall numbers and 2^32 ids: above these limits, names are counted together and ids are left out. */
export const countBounds = { names: 1000, idsPerCpu: 1024 } as const;
/** The name under which calls are counted when the limit of names is reached. */
const otherNames = '(others)';

/** How many hypercalls were made, over the whole trace. */
export interface CallCounts {
  readonly total: number;
  /** By the name of the operation, e.g. `VCPUOP_is_up`. Above 1000 names, the calls of all others count as `(others)`. */
  readonly byName: Readonly<Record<string, number>>;
  /** The calls that carry a vCPU id. */
  readonly carryingVcpuId: number;
  /** The calls whose answer is negative. */
  readonly refused: number;
}

/**
 * The part of an event that the guest can see, as the JSON text of a list; null for an event that it cannot see.
 * - A hypercall: its name, its argument, the answer, the vCPU id in it, the vCPU that made it, the system time in ns.
 * - A start: `"start"`, the vCPU that asked, the target, the answer, the time. A stop: `"stop"`, the vCPU, the time.
 */
export function visibleText(event: TraceEvent): string | null {
  if (event.kind === 'hypercall') {
    const { op, vcpuId, detail, returned } = event.call;
    return `["${op}",${valueToJson(detail)},${returned},${vcpuId},${event.vcpu},${event.timeNs}]`;
  }
  if (event.kind === 'stop') return `["stop",${event.vcpu},${event.timeNs}]`;
  if (event.kind !== 'start') return null;
  return `["start",${event.by},${event.target},${event.returned},${event.timeNs}]`;
}

interface State {
  readonly byName: Map<string, number>;
  total: number;
  carryingVcpuId: number;
  refused: number;
  eventAbi: 'fifo' | '2l' | null;
}

/** A plain value. */
export type CallCounterState = SavedRecord<State> & {
  /** By Linux CPU: the ids in its calls. */
  readonly ids: readonly (readonly [cpu: number, ids: readonly number[]])[];
};

/** Counts the calls of a run, or of one of its kernels. */
export class CallCounter {
  readonly #ids = new Map<number, Set<number>>();
  readonly #state: State = {
    byName: new Map(),
    total: 0,
    carryingVcpuId: 0,
    refused: 0,
    eventAbi: null,
  };

  save(): CallCounterState {
    const ids = [...this.#ids].map(([cpu, used]) => [cpu, [...used]] as const);
    return { ...savedRecord(this.#state), ids };
  }

  load(state: CallCounterState): void {
    loadRecord(this.#state, state);
    this.#ids.clear();
    for (const [cpu, used] of state.ids) this.#ids.set(cpu, new Set(used));
  }

  add({ linuxCpu, call: { op, vcpuId, returned } }: HypercallEvent): void {
    this.#state.total += 1;
    const hasRoom = this.#state.byName.has(op) || this.#state.byName.size < countBounds.names;
    const name = hasRoom ? op : otherNames;
    this.#state.byName.set(name, (this.#state.byName.get(name) ?? 0) + 1);
    if (returned < 0) this.#state.refused += 1;
    else this.#noteEventAbi(op);
    if (vcpuId === null) return;
    this.#state.carryingVcpuId += 1;
    if (linuxCpu !== null) this.#noteId(linuxCpu, vcpuId);
  }

  /** The ABI is two-level until a FIFO control block is registered. */
  #noteEventAbi(op: string): void {
    if (op === 'EVTCHNOP_init_control') this.#state.eventAbi = 'fifo';
    else if (op.startsWith('EVTCHNOP_') || op === 'VCPUOP_register_vcpu_info') this.#state.eventAbi ??= '2l';
  }

  #noteId(cpu: number, id: number): void {
    const ids = this.#ids.get(cpu) ?? new Set();
    this.#ids.set(cpu, ids);
    if (ids.size < countBounds.idsPerCpu) ids.add(id);
  }

  get calls(): CallCounts {
    const byName = Object.fromEntries(this.#state.byName);
    return {
      total: this.#state.total,
      byName,
      carryingVcpuId: this.#state.carryingVcpuId,
      refused: this.#state.refused,
    };
  }

  /** The event ABI that the guest uses; null if it set up none. */
  get eventAbi(): 'fifo' | '2l' | null {
    return this.#state.eventAbi;
  }

  /** The ids in the calls of a Linux CPU; unsigned, each once, in ascending order, at most 1024. */
  idsOf(cpu: number): readonly number[] {
    return [...(this.#ids.get(cpu) ?? [])].sort((a, b) => a - b);
  }
}

/** A plain value. */
export interface TraceCountsState {
  readonly whole: CallCounterState;
  readonly kernels: readonly (readonly [kernel: number, counted: CallCounterState])[];
  readonly hash: ValueHashState;
}

/** Counts over the whole trace. */
export class TraceCounts {
  readonly #hash = new ValueHash();
  #digest: string | null = null;
  readonly #whole = new CallCounter();
  /** By kernel; empty while there is only one, whose counts are those of the whole. */
  readonly #kernels = new Map<number, CallCounter>();

  /** Before {@link sha256} is read. */
  save(): TraceCountsState {
    const kernels = [...this.#kernels].map(([kernel, counter]) => [kernel, counter.save()] as const);
    return { whole: this.#whole.save(), kernels, hash: this.#hash.save() };
  }

  load({ whole, kernels, hash }: TraceCountsState): void {
    this.#whole.load(whole);
    this.#kernels.clear();
    for (const [kernel, counted] of kernels) this.#counterOf(kernel).load(counted);
    this.#hash.load(hash);
  }

  add(event: TraceEvent): void {
    const visible = visibleText(event);
    if (visible !== null) this.#hash.addText(visible);
    if (event.kind === 'kernel' && event.kernel > 0) this.#begin(event.kernel);
    if (event.kind !== 'hypercall') return;
    this.#whole.add(event);
    this.#kernels.get(event.kernel)?.add(event);
  }

  /** From now on the kernels are counted apart. */
  #begin(kernel: number): void {
    if (this.#kernels.size === 0) this.#counterOf(kernel - 1).load(this.#whole.save());
    this.#counterOf(kernel);
  }

  #counterOf(kernel: number): CallCounter {
    const counter = this.#kernels.get(kernel) ?? new CallCounter();
    this.#kernels.set(kernel, counter);
    return counter;
  }

  /** The counts of one kernel. */
  ofKernel(kernel: number): CallCounter {
    return this.#kernels.get(kernel) ?? this.#whole;
  }

  get calls(): CallCounts {
    return this.#whole.calls;
  }

  /** The ids in the calls of a Linux CPU, by whichever kernel; unsigned, each once, in ascending order, at most 1024. */
  idsOf(cpu: number): readonly number[] {
    return this.#whole.idsOf(cpu);
  }

  /**
   * SHA-256 of what the guest could see: its calls and their answers, in order, each with its time. Nothing can be added
   * after this.
   */
  get sha256(): string {
    this.#digest ??= this.#hash.digest();
    return this.#digest;
  }
}

/** The sums of two lists of counts, by name. */
export function addCounts(
  sum: Readonly<Record<string, number>>,
  more: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const added = Object.entries(more).map(([name, calls]) => [name, (sum[name] ?? 0) + calls] as const);
  return { ...sum, ...Object.fromEntries(added) };
}
