/** Compares the result of `numberCpus` for a table with the numbering of a Linux that was booted on it. */
import { readDeviceTree, readMadt } from '../../../src/abi/index.js';
import {
  apicId,
  armCpusOfDeviceTree,
  armCpusOfMadt,
  mpidr,
  numberCpus,
  x86CpusOfMadt,
} from '../../../src/identity/index.js';
import type { CpuLimits } from '../../../src/identity/index.js';
import type { NumberingCase } from './cases.js';
import type { DebianLinux } from './kernels.js';
import { machineCpus } from './machine.js';
import type { LinuxMachine, Observed, Tables } from './machine.js';
import { compiledMadt, compiledTree } from './tables.js';

/** A CPU in the result of `numberCpus`. NR_CPUS of Debian's kernels does not limit the few CPUs of a case. */
interface Said {
  readonly cpu: number;
  readonly id: number;
  readonly present: boolean;
  readonly started: boolean;
}

function tablesOf(one: NumberingCase, folder: string): Tables {
  return 'tree' in one
    ? { kind: 'devicetree', tree: one.tree }
    : { kind: 'acpi', madt: compiledMadt(one.madt, folder) };
}

/**
 * The result of `numberCpus` for the tables. The kernel is entered on CPU 0, which the emulated PC marks as the BSP.
 */
function saidOf({ arch, options = {} }: NumberingCase, tables: Tables, version: string): Said[] {
  const limits: CpuLimits = {
    version,
    ...(options.nr_cpus === undefined ? {} : { nrCpus: options.nr_cpus }),
    ...(options.maxcpus === undefined ? {} : { maxCpus: options.maxcpus }),
  };
  const arm = { platform: 'arm64', entryMpidr: mpidr(0), ...limits } as const;
  if (tables.kind === 'devicetree') {
    const blob = compiledTree(tables.tree, { commandLine: '', initrd: { start: 0, end: 0 } });
    const entries = armCpusOfDeviceTree(readDeviceTree(blob), version);
    return numberCpus({ ...arm, table: 'devicetree', entries }).cpus.map((cpu) => ({
      ...cpu,
      id: cpu.mpidr,
    }));
  }
  const { madt } = readMadt(tables.madt);
  if (arch === 'arm64') {
    const { cpus } = numberCpus({ ...arm, table: 'acpi', entries: armCpusOfMadt(madt) });
    return cpus.map((cpu) => ({ ...cpu, id: cpu.mpidr }));
  }
  const { cpus } = numberCpus({
    platform: 'x86_64',
    entries: x86CpusOfMadt(madt),
    entryApicId: apicId(0),
    entryHasBspBit: true,
    x2apicMode: false,
    ...(options.possible_cpus === undefined ? {} : { possibleCpus: options.possible_cpus }),
    ...limits,
  });
  return cpus.map((cpu) => ({ ...cpu, id: cpu.apicId }));
}

/** A CPU mask in the format of /sys: `0,2-3`. */
function maskText(cpus: readonly number[]): string {
  const starts = cpus.filter((cpu) => !cpus.includes(cpu - 1));
  return starts
    .map((start) => {
      let end = start;
      while (cpus.includes(end + 1)) end += 1;
      return end === start ? `${start}` : `${start}-${end}`;
    })
    .join(',');
}

/** The observable part of a numbering, as one line. */
export interface Shown {
  readonly said: string;
  readonly seen: string;
}

function shown(
  cpus: { possible: string; present: string; online: string },
  ids: ReadonlyMap<number, number>,
): string {
  const hardware = [...ids].sort(([a], [b]) => a - b).map(([cpu, id]) => `${cpu}=0x${id.toString(16)}`);
  return `possible ${cpus.possible}; present ${cpus.present}; online ${cpus.online}; ${hardware.join(' ')}`;
}

function compare(one: NumberingCase, said: readonly Said[], seen: Observed): Shown {
  const numbers = (cpus: readonly Said[]): number[] => cpus.map(({ cpu }) => cpu);
  // The emulated machine has only these CPUs, whatever a table lists.
  const online = said.filter(
    ({ cpu, id, started }) => started && id < machineCpus && one.neverComes?.includes(cpu) !== true,
  );
  // On x86 up to 6.8, the mask also includes CPUs without a number, which may be added later.
  const possible = one.arch === 'amd64' ? seen.possible : maskText(numbers(said));
  const present = maskText(numbers(said.filter((cpu) => cpu.present)));
  const ids = new Map(online.map(({ cpu, id }) => [cpu, id]));
  return {
    said: shown({ possible, present, online: maskText(numbers(online)) }, ids),
    seen: shown(seen, seen.hardware),
  };
}

/** Boots `kernel` on the tables of `one`, and returns the expected and the observed numbering. */
export function compareWithLinux(one: NumberingCase, kernel: DebianLinux, machine: LinuxMachine): Shown {
  const tables = tablesOf(one, machine.folder);
  const options = Object.entries(one.options ?? {}).map(([key, value]) => `${key}=${value}`);
  const seen = machine.boot(kernel.image, tables, options.join(' '));
  return compare(one, saidOf(one, tables, kernel.version), seen);
}

/** Whether the case applies to a kernel. */
export function isFor(one: NumberingCase, { version }: DebianLinux): boolean {
  return 'tree' in one || one.only === undefined || one.only.test(version);
}
