/**
 * The matrix: every strategy on every platform through every kind of scenario. What cannot be, or says nothing
 * new, stands in it with the reason.
 */
import { firstBroken } from '../audit/index.js';
import type { Finding, Outcome } from '../audit/index.js';
import { linux48, linux517, linux61, linux69 } from './eras.js';
import { runScenario } from './run.js';
import type { PlatformName, Plot, Scenario, StrategyName } from './scenario.js';
import { strategies } from './model/strategies.js';

/** A column: what happens, and to how big a guest. */
interface Kind {
  readonly name: string;
  readonly part: Partial<Scenario> & { readonly plot: Plot };
  /** Why it says nothing on that platform; null where it does. */
  without?(platform: PlatformName): string | null;
}

/** A cell before it is run. */
export interface MatrixCell {
  readonly strategy: StrategyName;
  readonly platform: PlatformName;
  /** The kind of scenario: the column. */
  readonly kind: string;
  /** Null where the cell does not apply. */
  readonly scenario: Scenario | null;
  /** Why it does not apply; null where it does. */
  readonly notApplicable: string | null;
}

/** A cell that was run, or that does not apply. */
export interface MatrixRow extends MatrixCell {
  /** The guest reached user space in its last kernel, and no rule was broken. Null where nothing was run. */
  readonly passed: boolean | null;
  readonly outcome: Outcome | null;
  /** What became of the guest, in one line. */
  readonly ending: string | null;
  /** The rule that was broken first; null when none was. */
  readonly firstBroken: Finding | null;
}

const boot: Plot = { name: 'boot' };
const crashOn = (vcpu: number, resetFirst = true): Plot => ({ name: 'kdump', vcpu, resetFirst });

const noPv = (why: string) => (platform: PlatformName) => (platform === 'pv' ? why : null);
const x86Only = (why: string) => (platform: PlatformName) => {
  return platform === 'pv' || platform === 'arm' ? why : null;
};
const noReset = noPv('a PV domain cannot be soft-reset, so no second kernel');
/** 40 CPUs are slow to run, and PVH takes the same way through the same code. */
const pvhvmOnly = (platform: PlatformName): string | null => {
  if (platform === 'pvh') return 'as on PVHVM';
  return platform === 'arm' ? 'only x86 reads its clock from vcpu_info' : noReset(platform);
};

const bootKinds: readonly Kind[] = (['fifo', '2l'] as const).flatMap((events) =>
  [2, 4, 8].map((vcpus) => ({ name: `boot ${events} ${vcpus}`, part: { plot: boot, vcpus, events } })),
);

const policyKinds: readonly Kind[] = ['sparse', 'permuted', 'beyond-255', 'uid-differs'].map((idPolicy) => ({
  name: `boot, ids ${idPolicy}`,
  part: { plot: boot, idPolicy },
  without: noPv('PV has no hardware ids'),
}));

const kinds: readonly Kind[] = [
  ...bootKinds,
  { name: 'offline and online', part: { plot: { name: 'offline-online', linuxCpu: 2 } } },
  { name: 'kexec', part: { plot: { name: 'kexec' }, hypotheticalReset: true }, without: noReset },
  { name: 'kdump on vCPU 0', part: { plot: crashOn(0), hypotheticalReset: true }, without: noReset },
  { name: 'kdump on vCPU 2', part: { plot: crashOn(2), hypotheticalReset: true }, without: noReset },
  {
    name: 'kdump on vCPU 2, Xen 4.18',
    part: { plot: crashOn(2), hypotheticalReset: true, release: '4.18' },
    without: noReset,
  },
  {
    name: 'kdump on vCPU 2, 2l',
    part: { plot: crashOn(2), hypotheticalReset: true, events: '2l' },
    without: noReset,
  },
  { name: 'kdump on vCPU 2, no reset', part: { plot: crashOn(2, false) }, without: noReset },
  {
    name: 'kdump on vCPU 2, Linux 6.9',
    part: { plot: crashOn(2), era: linux69 },
    without: x86Only('what changed in 6.9 is the numbering from an x86 MADT'),
  },
  {
    name: 'kdump on vCPU 2, Linux 4.8',
    part: { plot: crashOn(2), era: linux48 },
    without: x86Only('the time area, which came in 4.15, is x86 alone'),
  },
  {
    name: 'kdump on vCPU 33 of 40, Linux 5.17',
    part: { plot: crashOn(33), vcpus: 40, era: linux517 },
    without: pvhvmOnly,
  },
  {
    name: 'kdump on vCPU 33 of 40, Linux 5.18',
    part: { plot: crashOn(33), vcpus: 40 },
    without: pvhvmOnly,
  },
  ...policyKinds,
  {
    name: 'kdump on vCPU 2, ACPI',
    part: { plot: crashOn(2), hypotheticalReset: true, tables: 'acpi' },
    without: (platform) => (platform === 'arm' ? null : 'only Arm has a choice between device tree and ACPI'),
  },
];

const allPlatforms: readonly PlatformName[] = ['pv', 'pvhvm', 'pvh', 'arm'];

/** Why that strategy is another one by a new name on that platform; null where it is not. */
function repeats(strategy: StrategyName, platform: PlatformName): string | null {
  if (platform === 'arm') return null;
  if (strategy === 'mend' || strategy === 'mend-nr-cpus') return 'as posted: the fix changes only Arm';
  if (platform !== 'pv') return null;
  if (strategy === 'ids-from-firmware') return 'as posted: PV has no firmware tables';
  if (strategy === 'no-hypercalls-in-prepare') {
    return 'as posted: a PV CPU cannot start before another has named it in VCPUOP_initialise and VCPUOP_up';
  }
  return null;
}

function nameOf(strategy: StrategyName, platform: PlatformName, kind: string): string {
  return `${platform}-${strategy}-${kind.replaceAll(/[^\w.]+/g, '-')}`.toLowerCase();
}

function cellOf(strategy: StrategyName, platform: PlatformName, kind: Kind): MatrixCell {
  const { name, part } = kind;
  const notApplicable = repeats(strategy, platform) ?? kind.without?.(platform) ?? null;
  const scenario: Scenario = {
    name: nameOf(strategy, platform, name),
    strategy,
    platform,
    vcpus: 4,
    events: 'fifo',
    release: '4.17',
    era: linux61,
    idPolicy: 'xen',
    ...part,
    hypotheticalReset: platform === 'arm' && part.hypotheticalReset === true,
  };
  return {
    strategy,
    platform,
    kind: name,
    scenario: notApplicable === null ? scenario : null,
    notApplicable,
  };
}

/** Every cell: strategy by strategy, in each platform by platform, in each all kinds. */
export function matrixScenarios(): MatrixCell[] {
  const names = Object.values(strategies).map(({ name }) => name);
  return names.flatMap((strategy) =>
    allPlatforms.flatMap((platform) => kinds.map((kind) => cellOf(strategy, platform, kind))),
  );
}

function runCell(cell: MatrixCell): MatrixRow {
  if (cell.scenario === null)
    return { ...cell, passed: null, outcome: null, ending: null, firstBroken: null };
  const { findings, outcome, ending } = runScenario(cell.scenario);
  const passed = outcome === 'userspace' && findings.length === 0;
  return { ...cell, passed, outcome, ending, firstBroken: firstBroken(findings) };
}

/** Runs every cell by the canonical schedule. */
export function runMatrix(cells: readonly MatrixCell[] = matrixScenarios()): MatrixRow[] {
  return cells.map(runCell);
}
