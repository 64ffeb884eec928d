/**
 * The map that the 2016 patch introduced (Linux 88e957d6e47f, `xen_vcpu_id`): for each Linux CPU, the vCPU id that
 * its hypercalls carry. Whether a record is set, and from which source, is stored separately, because the value does
 * not show it: in the patch as posted an unset record read as all ones, which is no vCPU; since 4.8-rc4 it reads as 0,
 * which is one.
 */
import { InputError } from '../base/index.js';
import { linuxCpu, invalidVcpuNr } from './ids.js';
import type { LinuxCpu, XenVcpuId } from './ids.js';
import type { SourceName } from './sources.js';

/** What was written for a CPU. `value` is what the kernel believes, so it need not be a vCPU's id at all. */
export interface RecordedId {
  /** Unsigned, 32 bits: Linux keeps it in a `uint32_t`. */
  readonly value: number;
  /** The source of the value; null where the record was marked as empty. */
  readonly source: SourceName | null;
}

/** The map as a plain value (base/value.ts). No function here changes a map; each returns a new one. */
export interface IdMap {
  /** The value of an unset record. */
  readonly initial: number;
  /** By Linux CPU number; null while nothing has been written. */
  readonly entries: readonly (RecordedId | null)[];
}

/** The value of an unset record: all ones in the patch as posted; 0 as tested on 4.8-rc4 and since then. */
export const initialValues = { asPosted: invalidVcpuNr, asTested: 0 } as const;

function u32Value(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
  throw new InputError(`a record of a vCPU id holds 0 to 0xffffffff, not ${value}`);
}

function checkedCpu(map: IdMap, cpu: LinuxCpu): LinuxCpu {
  if (cpu < map.entries.length) return cpu;
  throw new InputError(`CPU ${cpu} is not in a map of ${map.entries.length} CPUs`);
}

/** A map of CPUs 0 to `cpus` - 1, none recorded. Throws {@link InputError} when a number is out of range. */
export function emptyIdMap(cpus: number, initial: number): IdMap {
  return { initial: u32Value(initial), entries: Array.from({ length: linuxCpu(cpus) }, () => null) };
}

/**
 * `map` with `value` recorded for `cpu`, replacing an earlier record. Throws {@link InputError} when the map has no such
 * CPU or `value` is not an unsigned 32-bit number.
 */
export function recordVcpuId(map: IdMap, cpu: LinuxCpu, value: number, source: SourceName): IdMap {
  const record = { value: u32Value(value), source };
  return { ...map, entries: map.entries.with(checkedCpu(map, cpu), record) };
}

/**
 * `map` with the record of `cpu` marked as empty: it reads as all ones and counts as not recorded. Linux's PVHVM code
 * does this for CPUs that it has not prepared yet (`XEN_VCPU_ID_INVALID` in xen_hvm_smp_prepare_cpus).
 */
export function markUnset(map: IdMap, cpu: LinuxCpu): IdMap {
  const none = { value: invalidVcpuNr, source: null };
  return { ...map, entries: map.entries.with(checkedCpu(map, cpu), none) };
}

/** The record of `cpu`; null if none was written. Throws {@link InputError} when the map has no such CPU. */
export function recordOf(map: IdMap, cpu: LinuxCpu): RecordedId | null {
  return map.entries[checkedCpu(map, cpu)] ?? null;
}

/** Whether an id was recorded for `cpu`. Throws {@link InputError} when the map has no such CPU. */
export function isRecorded(map: IdMap, cpu: LinuxCpu): boolean {
  return (recordOf(map, cpu)?.source ?? null) !== null;
}

/**
 * The id that the kernel puts into a hypercall for `cpu` (Linux: `xen_vcpu_nr`): the record, or the initial value if
 * there is none. Unsigned, 32 bits; it is not a {@link XenVcpuId}, because it need not be a valid id.
 */
export function xenVcpuNr(map: IdMap, cpu: LinuxCpu): number {
  return recordOf(map, cpu)?.value ?? map.initial;
}

function cpusWhere(map: IdMap, holds: (cpu: LinuxCpu) => boolean): LinuxCpu[] {
  return map.entries.map((_, cpu) => linuxCpu(cpu)).filter(holds);
}

/** The CPUs for which `id` was recorded, in ascending order. A correct map has at most one. */
export function linuxCpusRecording(map: IdMap, id: XenVcpuId): LinuxCpu[] {
  return cpusWhere(map, (cpu) => isRecorded(map, cpu) && xenVcpuNr(map, cpu) === id);
}

/** The CPUs whose hypercalls carry `value`, from a record or as the initial value. */
export function linuxCpusPassing(map: IdMap, value: number): LinuxCpu[] {
  return cpusWhere(map, (cpu) => xenVcpuNr(map, cpu) === value);
}
