/** The table of a kernel's CPUs: the recorded and the true vCPU of each. */
import type { Platform } from '../../audit/index.js';
import { formatHardwareId, xenVcpuId } from '../../identity/index.js';
import type { HardwareId, HardwareIdKind } from '../../identity/index.js';
import { idText } from '../../explore/index.js';
import type { CpuRow, ModelRun } from '../../explore/index.js';

/** A row of the table, or several consecutive similar rows: `2 to 32`. */
export interface CpuLine {
  readonly cpu: string;
  readonly hardwareId: string;
  readonly vcpu: string;
  readonly recorded: string;
  /** Whether the record is correct; null if there is none. */
  readonly isTrue: boolean | null;
  readonly online: boolean;
}

export interface CpuTable {
  /** The kernel of the table: the last that ran. */
  readonly kernel: string;
  readonly head: readonly string[];
  readonly lines: readonly CpuLine[];
}

/** Up to this number, rows are never combined. */
const fewest = 4;

function isTrue({ vcpu, recorded }: CpuRow): boolean | null {
  return recorded === null ? null : recorded === vcpu;
}

/** Whether `b` continues `a` for the next CPU. */
function goesOn(a: CpuRow, b: CpuRow): boolean {
  const follows = (x: number | null, y: number | null): boolean => (x === null ? y === null : y === x + 1);
  const alike = a.online === b.online && isTrue(a) === isTrue(b);
  return alike && b.linuxCpu === a.linuxCpu + 1 && follows(a.vcpu, b.vcpu) && follows(a.recorded, b.recorded);
}

function stretches(rows: readonly CpuRow[]): CpuRow[][] {
  const found: CpuRow[][] = [];
  for (const row of rows) {
    const open = found.at(-1);
    const last = open?.at(-1);
    if (open !== undefined && last !== undefined && goesOn(last, row)) open.push(row);
    else found.push([row]);
  }
  return found.flatMap((rows) => (rows.length < fewest ? rows.map((row) => [row]) : [rows]));
}

const hardwareIdKinds: Readonly<Record<Platform['kind'], HardwareIdKind | null>> = {
  arm: 'mpidr',
  pv: null,
  pvhvm: 'apicId',
  pvh: 'apicId',
};

const heads = { mpidr: 'MPIDR', apicId: 'APIC id' } as const;

function hardwareName(id: HardwareId | null, kind: HardwareIdKind | null): string {
  return id === null || kind === null ? '-' : formatHardwareId(kind, id);
}

function lineOf(rows: readonly CpuRow[], kind: HardwareIdKind | null): CpuLine[] {
  const [first] = rows;
  const last = rows.at(-1);
  if (first === undefined || last === undefined) return [];
  const range = (name: (row: CpuRow) => string): string => {
    const [from, to] = [name(first), name(last)];
    return from === to ? from : `${from} to ${to}`;
  };
  return [
    {
      cpu: range((row) => String(row.linuxCpu)),
      hardwareId: range((row) => hardwareName(row.hardwareId, kind)),
      vcpu: range((row) => (row.vcpu === null ? '-' : String(row.vcpu))),
      recorded: range((row) => (row.recorded === null ? 'not set' : idText(row.recorded))),
      isTrue: isTrue(first),
      online: first.online,
    },
  ];
}

/** A CPU that never ran is the vCPU with its hardware id. */
function withTruth(row: CpuRow, { hardwareIds }: ModelRun['platform']): CpuRow {
  const vcpu = hardwareIds.findIndex((id) => id === row.hardwareId);
  return row.vcpu !== null || vcpu < 0 ? row : { ...row, vcpu: xenVcpuId(vcpu) };
}

/** The CPUs of the last kernel of `run`. */
export function cpuTable({ cpus, events, platform }: ModelRun): CpuTable {
  const last = Math.max(0, ...cpus.map(({ kernel }) => kernel));
  const own = cpus.filter((row) => row.kernel === last);
  const kernel = events.find((event) => event.kind === 'kernel' && event.kernel === last);
  const kind = hardwareIdKinds[platform.kind];
  const hardware = kind === null ? 'hardware id' : heads[kind];
  return {
    kernel: kernel?.kind === 'kernel' ? kernel.name : `kernel ${last}`,
    head: ['Linux CPU', hardware, 'is vCPU', 'recorded id', 'online'],
    lines: stretches(own.map((row) => withTruth(row, platform))).flatMap((rows) => lineOf(rows, kind)),
  };
}
