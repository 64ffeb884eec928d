/** The tables for the comparison of Linux and `numberCpus`. The emulated machines have CPUs 0 to 3. */
import {
  ACPI_MADT_GICC_ONLINE_CAPABLE,
  madtGicc,
  madtLocalApic,
  madtLocalX2apic,
} from '../../../src/abi/index.js';
import type { MadtEntry } from '../../../src/abi/index.js';
import type { LinuxArch } from './machine.js';
import type { TreeSource } from './tables.js';

/** A comparison. `options` is appended to the command line and also passed to `numberCpus`. */
interface Compared {
  readonly name: string;
  /** Whether the test suite boots it. All others are for `scripts/numbering.js`. */
  readonly quick?: boolean;
  readonly options?: {
    readonly nr_cpus?: number;
    readonly maxcpus?: number;
    readonly possible_cpus?: number;
  };
  /** CPUs that Linux cannot start, because the emulated CPUs do not match the table. */
  readonly neverComes?: readonly number[];
}

export interface TreeCase extends Compared {
  readonly arch: 'arm64';
  readonly tree: TreeSource;
}

export interface MadtCase extends Compared {
  readonly arch: LinuxArch;
  readonly madt: readonly MadtEntry[];
  /**
   * Restricts the case to matching kernel series. The omitted ones have a rule for bare metal, and an emulated PC
   * counts as that.
   */
  readonly only?: RegExp;
}

export type NumberingCase = TreeCase | MadtCase;

const psci = 'enable-method = "psci";';

/** A CPU's node. */
function cpu(reg: number | string, more = psci, name = `cpu@${reg.toString().replaceAll(' ', '')}`): string {
  return `${name} { device_type = "cpu"; compatible = "arm,cortex-a57"; reg = <${reg}>; ${more} };`;
}

function tree(
  name: string,
  cpus: readonly string[],
  more: Partial<TreeCase> & Partial<TreeSource> = {},
): TreeCase {
  const { addressCells, cpusNode, psci: psciNode, ...compared } = more;
  const source: TreeSource = {
    cpus: cpus.join('\n    '),
    ...(addressCells === undefined ? {} : { addressCells }),
    ...(cpusNode === undefined ? {} : { cpusNode }),
    ...(psciNode === undefined ? {} : { psci: psciNode }),
  };
  return { name, arch: 'arm64', tree: source, ...compared };
}

const four = [cpu(0), cpu(1), cpu(2), cpu(3)];
const spinTable = 'enable-method = "spin-table";';

const trees: readonly TreeCase[] = [
  tree(
    'a tree with faulty nodes in all places',
    [
      cpu(2),
      cpu(0, ''),
      cpu(2, psci, 'cpu@20'),
      'cpu@5 { device_type = "cpu"; enable-method = "psci"; };',
      cpu('0x80000001'),
      cpu(3, 'enable-method = "parking-protocol";'),
      cpu(4, ''),
      cpu(1),
    ],
    { quick: true },
  ),
  tree('one CPU without an enable-method', [cpu(0), cpu(1, ''), cpu(2), cpu(3)]),
  tree('psci without a way to call it', four, {
    psci: 'compatible = "arm,psci-0.2"; method = "svc";',
  }),
  tree('four CPUs in order', four),
  tree('four CPUs in another order', [cpu(3), cpu(1), cpu(0), cpu(2)]),
  tree('the entry CPU is missing', [cpu(1), cpu(2), cpu(3)]),
  tree('no CPU but the entry CPU', [cpu(0)]),
  tree('the entry CPU twice', [cpu(0), cpu(1), cpu(0, psci, 'cpu@10'), cpu(2)]),
  tree('unknown enable-methods', [
    cpu(0),
    cpu(1, 'enable-method = "hlt";'),
    cpu(2, 'enable-method = "";'),
    cpu(3),
  ]),
  tree('two enable-methods: the first counts', [
    cpu(0),
    cpu(1, 'enable-method = "psci", "spin-table";'),
    cpu(2, 'enable-method = "hlt", "psci";'),
    cpu(3),
  ]),
  tree('spin tables without an address, with a short one and with zero', [
    cpu(0),
    cpu(1, spinTable),
    cpu(2, `${spinTable} cpu-release-addr = <0x40000000>;`),
    cpu(3, `${spinTable} cpu-release-addr = <0 0>;`),
  ]),
  tree(
    'a spin table that no CPU looks at',
    [cpu(0), cpu(1, `${spinTable} cpu-release-addr = <0 0x4f000000>;`), cpu(2)],
    {
      neverComes: [1],
    },
  ),
  tree('no node for PSCI that is available', four, {
    psci: 'compatible = "arm,psci-0.2"; method = "hvc"; status = "disabled";',
  }),
  tree('the first PSCI with its numbers', four, {
    psci: 'compatible = "arm,psci"; method = "hvc"; cpu_on = <0xc4000003>;',
  }),
  tree('the first PSCI without its numbers', four, { psci: 'compatible = "arm,psci"; method = "hvc";' }),
  tree('nodes that failed or are disabled', [
    cpu(0),
    cpu(1, `${psci} status = "fail";`),
    cpu(2, `${psci} status = "disabled";`),
    cpu(3, `${psci} status = "fail-hot";`),
  ]),
  tree('two cells to an address', [cpu('0 0'), cpu('0 2'), cpu('1 1'), cpu('0 1')], { addressCells: 2 }),
  tree('a reg of two threads', [cpu('0 1'), cpu(1, '', 'cpu@11'), cpu(2)]),
  tree('nodes of other names', [
    cpu(0),
    cpu(2, psci, 'processor@2'),
    `cpu-map { cluster0 { core0 { }; }; };`,
    `cpu@1 { reg = <1>; ${psci} };`,
  ]),
  tree('a node called cpus@0', four, { cpusNode: 'cpus@0' }),
  tree('nr_cpus=2', [cpu(3), cpu(0), cpu(1), cpu(2)], { options: { nr_cpus: 2 } }),
  tree('nr_cpus=3 with a faulty node', [cpu(0), cpu(1, ''), cpu(2), cpu(3)], { options: { nr_cpus: 3 } }),
  tree('maxcpus=2', [cpu(3), cpu(0), cpu(1), cpu(2)], { options: { maxcpus: 2 } }),
  tree(
    'maxcpus=2 with a CPU that is never present',
    [cpu(0), cpu(1, `${spinTable} cpu-release-addr = <0 0>;`), cpu(2), cpu(3)],
    {
      options: { maxcpus: 2 },
    },
  ),
  tree('maxcpus=0', four, { options: { maxcpus: 0 } }),
];

function gicc(mpidr: number, flags = 1): MadtEntry {
  return { ...madtGicc(mpidr & 0xff, mpidr, flags), tail: new Uint8Array(4) };
}

function giccs(name: string, madt: readonly MadtEntry[], more: Partial<MadtCase> = {}): MadtCase {
  return { name, arch: 'arm64', madt, ...more };
}

const onlineCapable = ACPI_MADT_GICC_ONLINE_CAPABLE;

const armMadts: readonly MadtCase[] = [
  giccs(
    'a MADT with faulty, disabled and online-capable entries',
    [gicc(3), gicc(1, onlineCapable), gicc(0), gicc(3), gicc(0x8000_0001), gicc(1, 0), gicc(2)],
    { quick: true },
  ),
  giccs('GICC entries in another order', [gicc(2), gicc(0), gicc(3), gicc(1)]),
  giccs('one entry that is only online-capable', [gicc(0), gicc(1, onlineCapable), gicc(2), gicc(3)]),
  giccs('one MPIDR twice', [gicc(0), gicc(1), gicc(1), gicc(3)]),
  giccs('an MPIDR twice, first disabled', [gicc(0), gicc(1, 0), gicc(2), gicc(1)]),
  giccs('no entry for the entry CPU', [gicc(1), gicc(2), gicc(3)]),
  giccs('the entry for the entry CPU is disabled', [gicc(0, 0), gicc(1), gicc(2)]),
  giccs('nr_cpus=2 from a MADT', [gicc(3), gicc(2), gicc(0), gicc(1)], { options: { nr_cpus: 2 } }),
];

function lapics(name: string, madt: readonly MadtEntry[], more: Partial<MadtCase> = {}): MadtCase {
  return { name, arch: 'amd64', madt, ...more };
}

const x86Madts: readonly MadtCase[] = [
  lapics(
    'a MADT of both types, with a duplicate and a broadcast id',
    [
      madtLocalApic(0, 0),
      madtLocalApic(9, 0xff),
      madtLocalX2apic(3, 3),
      madtLocalApic(2, 2),
      madtLocalApic(7, 2),
      madtLocalApic(1, 1),
    ],
    { quick: true },
  ),
  lapics(
    'type 0 entries in another order',
    [0, 3, 1, 2].map((id) => madtLocalApic(id, id)),
  ),
  lapics(
    'type 9 entries alone',
    [0, 2, 1, 3].map((id) => madtLocalX2apic(id, id)),
  ),
  lapics('type 9 entries beside an unusable type 0 one', [
    madtLocalApic(0, 0xff),
    ...[0, 2, 1].map((id) => madtLocalX2apic(id, id)),
  ]),
  lapics(
    'the entry CPU is not the first',
    [1, 0, 3, 2].map((id) => madtLocalApic(id, id)),
  ),
  lapics(
    'the entry CPU is missing',
    [1, 2, 3].map((id) => madtLocalApic(id, id)),
  ),
  lapics('ids that are too big', [
    madtLocalApic(0, 0),
    madtLocalX2apic(4, 300),
    madtLocalX2apic(5, 40_000),
    madtLocalApic(1, 1),
  ]),
  lapics(
    'nr_cpus=2 from a MADT',
    [3, 0, 2, 1].map((id) => madtLocalApic(id, id)),
    { options: { nr_cpus: 2 } },
  ),
  lapics(
    'nr_cpus=3 and a duplicate',
    [0, 1, 1, 2, 3].map((id) => madtLocalApic(id, id)),
    { options: { nr_cpus: 3 } },
  ),
  lapics(
    'possible_cpus=2',
    [3, 0, 2, 1].map((id) => madtLocalApic(id, id)),
    { options: { possible_cpus: 2 } },
  ),
  lapics(
    'maxcpus=2',
    [3, 0, 2, 1].map((id) => madtLocalApic(id, id)),
    { options: { maxcpus: 2 } },
  ),
  lapics(
    'maxcpus=0',
    [3, 0, 2, 1].map((id) => madtLocalApic(id, id)),
    { options: { maxcpus: 0 } },
  ),
  lapics('a disabled entry', [madtLocalApic(0, 0), madtLocalApic(1, 1, 0), madtLocalApic(2, 2)], {
    only: /^6\.1\./,
  }),
];

export const numberingCases: readonly NumberingCase[] = [...trees, ...armMadts, ...x86Madts];
