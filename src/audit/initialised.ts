/**
 * VCPUOP_initialise and VCPUOP_up, told apart where a kernel initialises several vCPUs before it brings the first of them up. It may
 * bring them up in any order, so that only the ids in its calls show what belongs together.
 */
import { xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Reign } from './history.js';
import type { HypercallEvent } from './trace.js';

/** By the step of a call: the vCPU that was meant; null where no VCPUOP_up tells. */
export type Initialised = ReadonlyMap<number, XenVcpuId | null>;

function isInitialise({ call }: HypercallEvent): boolean {
  return call.op === 'VCPUOP_initialise';
}

function idOf({ call }: HypercallEvent): number {
  return call.vcpuId ?? -1;
}

/** How often each id is in `calls`. */
function countIds(calls: readonly HypercallEvent[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const call of calls) counts.set(idOf(call), (counts.get(idOf(call)) ?? 0) + 1);
  return counts;
}

/** Calls of VCPUOP_initialise in a row. */
interface Row {
  readonly calls: readonly HypercallEvent[];
  /** The vCPUs that are brought up later, each once, in their order. */
  readonly ups: readonly number[];
}

/** The rows of several calls in `calls`, the last one first. */
function rowsOf(calls: readonly HypercallEvent[], vcpus: number): Row[] {
  const rows: Row[] = [];
  let ups: readonly number[] = [];
  let row: HypercallEvent[] = [];
  const endRow = (): void => {
    if (row.length > 1) rows.push({ calls: row.reverse(), ups });
    row = [];
  };
  for (const call of calls.toReversed()) {
    if (isInitialise(call)) row.push(call);
    else {
      endRow();
      const id = idOf(call);
      if (id >= 0 && id < vcpus) ups = [id, ...ups.filter((other) => other !== id)];
    }
  }
  endRow();
  return rows;
}

/** The calls that name a vCPU which is brought up later: of several with one id, the one at the place of its VCPUOP_up. */
function rightOf({ calls, ups }: Row): ReadonlyMap<HypercallEvent, number> {
  const claimed = new Set<number>();
  const right = new Map<HypercallEvent, number>();
  const claim = (call: HypercallEvent): void => {
    const id = idOf(call);
    if (claimed.has(id) || !ups.includes(id)) return;
    claimed.add(id);
    right.set(call, id);
  };
  for (const [at, call] of calls.entries()) if (idOf(call) === ups[at]) claim(call);
  for (const call of calls) if (!right.has(call)) claim(call);
  return right;
}

/**
 * What each call of a row meant: the vCPU that it names if that is brought up later; otherwise one of those that are brought up though
 * no call names them, in their order. A refused VCPUOP_up counts for a call whose own id another call has.
 */
function meantIn(
  row: Row,
  isStarted: (vcpu: number, step: number) => boolean,
  all: ReadonlyMap<number, number>,
): [number, XenVcpuId | null][] {
  const right = rightOf(row);
  const own = countIds(row.calls);
  const isElsewhere = (id: number): boolean => (all.get(id) ?? 0) > (own.get(id) ?? 0);
  const left = row.ups.filter((id) => !own.has(id) && !isElsewhere(id));
  return row.calls.map((call): [number, XenVcpuId | null] => {
    const named = right.get(call);
    if (named !== undefined) return [call.step, xenVcpuId(named)];
    const isTaken = (all.get(idOf(call)) ?? 0) > 1;
    const at = left.findIndex((id) => isTaken || isStarted(id, call.step));
    const [meant] = at < 0 ? [] : left.splice(at, 1);
    return [call.step, meant === undefined ? null : xenVcpuId(meant)];
  });
}

/** What the calls of VCPUOP_initialise meant that a kernel with `vcpus` vCPUs made in a row. */
export function initialisedTogether({ calls, starts }: Reign, vcpus: number): Initialised {
  const asked = calls.filter(({ call }) => ['VCPUOP_initialise', 'VCPUOP_up'].includes(call.op));
  const all = countIds(asked.filter(isInitialise));
  const lastStart = new Map(starts.map(({ target, step }) => [target as number | null, step]));
  const isStarted = (vcpu: number, step: number): boolean => (lastStart.get(vcpu) ?? -1) > step;
  return new Map(rowsOf(asked, vcpus).flatMap((row) => meantIn(row, isStarted, all)));
}
