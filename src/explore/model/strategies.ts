/**
 * How a kernel learns which vCPU each of its CPUs is: when each record is set, for which CPUs, and from which
 * source. One strategy for each step of the history of the 2016 patch (Linux 88e957d6e47f and what led there),
 * and for the ways that the thread named without taking them.
 */
import { initialValues } from '../../identity/index.js';
import type { SourceName } from '../../identity/index.js';
import type { PlatformName, StrategyName } from '../scenario.js';

/** When in a kernel's life a record can be set, in the order in which they come. */
export type Moment =
  /** Before anything else: there is no map yet, the CPU number itself goes into calls. */
  | 'start'
  /** CPU 0 detects Xen (x86 `init_hvm_pv_info`, arm `xen_guest_init`, PV `xen_setup_vcpu_info_placement`). */
  | 'init'
  /** CPU 0 has parsed the firmware's tables. */
  | 'tables'
  /** A CPU is about to be started; another CPU runs this. */
  | 'prepare'
  /** The started CPU itself runs for the first time. */
  | 'starting';

export interface RecordRule {
  readonly at: Moment;
  /** `nr-cpus`: every number up to the kernel's NR_CPUS, possible or not. `this`: the CPU that is being started. */
  readonly cpus: 'cpu-0' | 'others' | 'possible' | 'nr-cpus' | 'this';
  /** `tables`: the MADT where there is one, else the device tree. */
  readonly source: SourceName | 'tables';
}

export interface Strategy {
  readonly name: StrategyName;
  /** One line for a reader. */
  readonly summary: string;
  /** What an unset record reads as. */
  readonly initial: number;
  /** Who makes a CPU's first calls: the CPU that starts it, or it itself. On PV always the former. */
  readonly firstCallsBy: 'starter' | 'itself';
  readonly rules: Readonly<Record<PlatformName, readonly RecordRule[]>>;
}

/** As the third version of the patch had it on x86, and as it was taken. */
const postedX86: readonly RecordRule[] = [
  { at: 'init', cpus: 'cpu-0', source: 'cpuid' },
  { at: 'prepare', cpus: 'this', source: 'madt' },
];

const postedPv: readonly RecordRule[] = [{ at: 'init', cpus: 'possible', source: 'direct' }];

const posted: Strategy['rules'] = {
  pv: postedPv,
  pvhvm: postedX86,
  pvh: postedX86,
  arm: [
    { at: 'init', cpus: 'cpu-0', source: 'direct' },
    { at: 'starting', cpus: 'this', source: 'direct' },
  ],
};

const numbers: readonly RecordRule[] = [{ at: 'start', cpus: 'possible', source: 'direct' }];

const ownX86: readonly RecordRule[] = [
  { at: 'init', cpus: 'cpu-0', source: 'cpuid' },
  { at: 'starting', cpus: 'this', source: 'cpuid' },
];

const firmwareX86: readonly RecordRule[] = [
  { at: 'init', cpus: 'cpu-0', source: 'cpuid' },
  { at: 'tables', cpus: 'others', source: 'tables' },
];

/** Every strategy, by name. */
export const strategies: Readonly<Record<StrategyName, Strategy>> = {
  'before-the-patch': {
    name: 'before-the-patch',
    summary: 'the CPU number goes into every call as it is',
    initial: initialValues.asTested,
    firstCallsBy: 'starter',
    rules: { pv: numbers, pvhvm: numbers, pvh: numbers, arm: numbers },
  },
  'as-posted': {
    name: 'as-posted',
    summary: 'as posted, in the third version of the patch: an unset record reads as all ones',
    initial: initialValues.asPosted,
    firstCallsBy: 'starter',
    rules: posted,
  },
  'as-tested': {
    name: 'as-tested',
    summary: 'as tested on 4.8-rc4: the same patch, but an unset record reads as 0',
    initial: initialValues.asTested,
    firstCallsBy: 'starter',
    rules: posted,
  },
  mend: {
    name: 'mend',
    summary: 'on Arm the records of all possible CPUs are set at init',
    initial: initialValues.asTested,
    firstCallsBy: 'starter',
    rules: { ...posted, arm: [{ at: 'init', cpus: 'possible', source: 'direct' }] },
  },
  'mend-nr-cpus': {
    name: 'mend-nr-cpus',
    summary: 'on Arm the records of all numbers below NR_CPUS are set at init',
    initial: initialValues.asTested,
    firstCallsBy: 'starter',
    rules: { ...posted, arm: [{ at: 'init', cpus: 'nr-cpus', source: 'direct' }] },
  },
  'no-hypercalls-in-prepare': {
    name: 'no-hypercalls-in-prepare',
    summary: 'the starting CPU asks CPUID or its MPIDR, and makes its own calls',
    initial: initialValues.asTested,
    firstCallsBy: 'itself',
    rules: {
      pv: postedPv,
      pvhvm: ownX86,
      pvh: ownX86,
      arm: [
        { at: 'init', cpus: 'cpu-0', source: 'mpidr' },
        { at: 'starting', cpus: 'this', source: 'mpidr' },
      ],
    },
  },
  'ids-from-firmware': {
    name: 'ids-from-firmware',
    summary: 'the ids are saved from the device tree or the ACPI tables when those are parsed',
    initial: initialValues.asTested,
    firstCallsBy: 'starter',
    rules: {
      pv: postedPv,
      pvhvm: firmwareX86,
      pvh: firmwareX86,
      arm: [{ at: 'init', cpus: 'possible', source: 'tables' }],
    },
  },
};
