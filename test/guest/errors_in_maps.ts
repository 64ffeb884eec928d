/** Errors in a guest's records of its CPUs: from its own rules, or from the firmware's tables. */
import { withMadt, withRules } from './mutations.js';
import { arm, kdump, pvh, pvhvm } from './runs.js';
import type { Seed } from './seed.js';

/** The MADT with the UIDs that `uid` returns. */
function madtUids(uid: (right: number) => number): Seed['change'] {
  return withMadt(pvhvm(), (madt) => ({
    ...madt,
    entries: madt.entries.map((entry) =>
      entry.kind === 'local_apic' ? { ...entry, acpi_processor_uid: uid(entry.acpi_processor_uid) } : entry,
    ),
  }));
}

export const errorsInMaps: readonly Seed[] = [
  {
    name: 'the UIDs of two MADT entries are swapped',
    scenario: pvhvm(),
    change: madtUids((uid) => [0, 2, 1, 3][uid] ?? uid),
    rule: 'record-true',
  },
  {
    name: 'the MADT has APIC ids where UIDs belong',
    scenario: pvhvm(),
    change: madtUids((uid) => 2 * uid),
    rule: 'record-true',
  },
  {
    name: 'two MADT entries have one UID',
    scenario: pvhvm(),
    change: madtUids((uid) => Math.min(uid, 2)),
    rule: 'records-distinct',
  },
  {
    name: 'the toolstack breaks the promise that UID is vCPU id',
    scenario: pvhvm(),
    change: pvhvm({ idPolicy: 'uid-differs' }),
    rule: 'record-true',
  },
  {
    name: 'MPIDR is taken for the vCPU id where Xen hands MPIDRs out otherwise',
    scenario: arm({ strategy: 'no-hypercalls-in-prepare' }),
    change: arm({ strategy: 'no-hypercalls-in-prepare', idPolicy: 'permuted' }),
    rule: 'record-true',
  },
  {
    name: 'CPUID is asked for all CPUs by CPU 0',
    scenario: pvhvm(),
    change: withRules('as-posted', 'pvhvm', [{ at: 'init', cpus: 'possible', source: 'cpuid' }]),
    rule: 'records-distinct',
  },
  {
    name: 'CPUID is asked for the CPU that is to start by the one that starts it',
    scenario: pvh(),
    change: withRules('as-posted', 'pvh', [
      { at: 'init', cpus: 'cpu-0', source: 'cpuid' },
      { at: 'prepare', cpus: 'this', source: 'cpuid' },
    ]),
    rule: 'record-true',
  },
  {
    name: 'the records of Arm’s other CPUs are set as they start, which is late',
    scenario: arm(),
    change: withRules('mend', 'arm', [
      { at: 'init', cpus: 'cpu-0', source: 'direct' },
      { at: 'starting', cpus: 'this', source: 'direct' },
    ]),
    rule: 'record-set-before-use',
  },
  {
    name: 'nobody looks whether the record is set: CPU 0 alone is recorded',
    scenario: pvhvm(),
    change: withRules('as-posted', 'pvhvm', [{ at: 'init', cpus: 'cpu-0', source: 'cpuid' }]),
    rule: 'record-set-before-use',
  },
  {
    name: 'the boot CPU of a crash kernel takes itself for vCPU 0',
    scenario: pvhvm(kdump),
    change: withRules('as-posted', 'pvhvm', [
      { at: 'init', cpus: 'cpu-0', source: 'direct' },
      { at: 'prepare', cpus: 'this', source: 'madt' },
    ]),
    rule: 'record-true',
  },
];
