/**
 * Unusual behaviour that breaks no rule: guests may do it, although none is known to; Xen may offer it, although it
 * usually does not; or tables may contain it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  EVTCHNOP_bind_ipi,
  evtchn_bind_ipi,
  VCPUOP_is_up,
  VCPUOP_stop_periodic_timer,
} from '../../src/abi/index.js';
import { callingStep, eventChannelOp, vcpuOp } from '../../src/explore/index.js';
import type { Step, StepContext } from '../../src/explore/index.js';
import { sendFromRemote } from '../../src/hypervisor/index.js';
import { afterStep, find, inserted, skipped, twice, withMadt, withSteps } from './mutations.js';
import type { Mutation } from './mutations.js';
import { arm, cycle, kdump, pv, pvh, pvhvm, runBoth, withoutLiteral } from './runs.js';
import type { Change } from './runs.js';

/** Brings up the CPUs in reverse order, in routine `name`. */
function backwards(name: string): Mutation {
  return withSteps(name, (steps, hit) => {
    const up = find(steps, 'up');
    const first: Step = {
      label: 'first',
      run({ kernel, vars }) {
        hit();
        vars['cpu'] = kernel.cpus.length - 1;
        return { kind: 'next' };
      },
    };
    const upUnlessFirst: Step = {
      ...up,
      run: (context) => (context.vars['cpu'] === 0 ? { kind: 'goto', label: 'brought up' } : up.run(context)),
    };
    const back: Step = {
      label: 'next',
      run({ vars }) {
        vars['cpu'] = Number(vars['cpu']) - 1;
        return { kind: 'goto', label: 'up' };
      },
    };
    return [first, upUnlessFirst, back, find(steps, 'brought up')];
  });
}

/** The vCPU id that the calling CPU has recorded for itself. */
const ownRecord = ({ kernel, cpu }: StepContext): number =>
  kernel.map.entries[cpu.linuxCpu]?.value ?? kernel.map.initial;

const extraIpi = callingStep('one more IPI', (context) =>
  eventChannelOp(EVTCHNOP_bind_ipi, evtchn_bind_ipi, { vcpu: ownRecord(context) }),
);
const stopAgain = callingStep('stop the periodic timer again', (context) =>
  vcpuOp(VCPUOP_stop_periodic_timer, ownRecord(context)),
);
const probes = [0, 3, 4, 31, 32, 1000, 0xffff_ffff].map((id) =>
  callingStep(`is ${id} up?`, () => vcpuOp(VCPUOP_is_up, id)),
);

/** The MADT with CPU 3 present but disabled. */
const withoutLast = withMadt(pvhvm(), (madt) => ({
  ...madt,
  entries: madt.entries.map((entry, at) =>
    at === 3 && entry.kind === 'local_apic' ? { ...entry, flags: 0 } : entry,
  ),
}));

/** The MADT with its entries in reverse order. */
const madtBackwards = withMadt(pvhvm(), (madt) => ({ ...madt, entries: madt.entries.toReversed() }));

const oddities: readonly Change[] = [
  {
    name: 'CPUs start from the last to the first, on Arm',
    scenario: arm(),
    change: backwards('arm-smp-init'),
  },
  {
    name: 'CPUs start from the last to the first, on PVHVM',
    scenario: pvhvm(),
    change: backwards('x86-smp-init'),
  },
  { name: 'CPUs start from the last to the first, on PV', scenario: pv(), change: backwards('pv-smp-init') },
  {
    name: 'the boot CPU sets its upcall vector twice',
    scenario: pvhvm(),
    change: twice('x86-boot', 'upcalls'),
  },
  {
    name: 'the upcall vector of every other CPU is set twice',
    scenario: pvh(),
    change: twice('x86-prepare', 'upcall'),
  },
  {
    name: 'every CPU but the first registers its runstate twice, on Arm',
    scenario: arm(),
    change: twice('arm-own-runstate', 'own'),
  },
  {
    name: 'the boot CPU registers its runstate twice, on PVHVM',
    scenario: pvhvm(),
    change: twice('x86-time-init', 'runstate'),
  },
  {
    name: 'the boot CPU registers its runstate twice, on PV, where others’ are registered for them',
    scenario: pv(),
    change: twice('x86-time-init', 'runstate'),
  },
  {
    name: 'the boot CPU asks for its time area twice',
    scenario: pvh(),
    change: twice('x86-time-init', 'VCPUOP_register_vcpu_time_memory_area'),
  },
  {
    name: 'a PVHVM guest asks which vCPUs are up, far beyond the last',
    scenario: pvhvm(),
    change: inserted('x86-boot', 'smp_init', probes),
  },
  {
    name: 'each CPU binds one IPI more than it needs',
    scenario: pvhvm(),
    change: inserted('x86-online', 'runstate', [extraIpi]),
  },
  {
    name: 'each CPU stops its periodic timer once more',
    scenario: pvhvm(),
    change: inserted('x86-online', 'spinlock', [stopAgain]),
  },
  {
    name: 'xenstore speaks without being asked',
    scenario: arm(),
    change: afterStep('idle', 'idle', ({ world, linuxCpu }) => {
      const port = world.guest.kernels[0]?.xenstore.port ?? 0;
      return linuxCpu === 1 && port > 0 && sendFromRemote(world.domain, port);
    }),
  },
  { name: 'a CPU goes offline and comes back, on Arm', scenario: arm(), change: arm(cycle) },
  { name: 'a CPU goes offline and comes back, on PVHVM', scenario: pvhvm(), change: pvhvm(cycle) },
  { name: 'a CPU goes offline and comes back, on PV', scenario: pv(), change: pv(cycle) },
  { name: 'the tables say that a CPU is not enabled', scenario: pvhvm(), change: withoutLast },
  { name: 'the MADT lists its CPUs from the last to the first', scenario: pvhvm(), change: madtBackwards },
  { name: 'Xen offers two-level events only, on Arm', scenario: arm(), change: arm({ events: '2l' }) },
  { name: 'Xen offers two-level events only, on PVHVM', scenario: pvhvm(), change: pvhvm({ events: '2l' }) },
  { name: 'Xen offers two-level events only, on PV', scenario: pv(), change: pv({ events: '2l' }) },
  { name: 'APIC ids have gaps', scenario: pvhvm(), change: pvhvm({ idPolicy: 'sparse' }) },
  { name: 'APIC ids are permuted', scenario: pvh(), change: pvh({ idPolicy: 'permuted' }) },
  { name: 'APIC ids are beyond 255', scenario: pvh(), change: pvh({ idPolicy: 'beyond-255' }) },
  {
    name: 'MPIDRs are permuted, and the tables list them in the order of the vCPUs',
    scenario: arm(),
    change: arm({ idPolicy: 'permuted' }),
  },
  {
    name: 'an Arm guest finds its CPUs in ACPI tables',
    scenario: arm({ idPolicy: 'sparse' }),
    change: arm({ idPolicy: 'sparse', tables: 'acpi', vcpus: 5 }),
  },
  { name: 'Xen is 4.18', scenario: pvhvm(cycle), change: pvhvm({ ...cycle, release: '4.18' }) },
  {
    name: 'a crash kernel on vCPU 2 has its CPUs in another order',
    scenario: pvhvm(),
    change: pvhvm(kdump),
  },
  {
    name: 'a crash kernel of 6.9 or later leaves the first CPU of the MADT out, and says so',
    scenario: pvhvm(kdump),
    change: pvhvm({ ...kdump, era: { ...withoutLiteral, numbering: '>=6.9' } }),
  },
  {
    name: 'a kernel makes no call for CPUs that it starts: they make their own',
    scenario: pvhvm(),
    change: pvhvm({ strategy: 'no-hypercalls-in-prepare' }),
  },
  { name: 'there is no grant table', scenario: pvhvm(), change: skipped('x86-boot', 'grant table') },
];

describe('an oddity', () => {
  for (const oddity of oddities) {
    it(`breaks no rule: ${oddity.name}`, () => {
      const { run, hits, differs } = runBoth(oddity);
      assert.ok(hits > 0, 'it never took effect');
      assert.ok(differs, 'the run with it is no other');
      assert.deepEqual(
        run.findings.map(({ rule, why }) => `${rule}: ${why}`),
        [],
      );
      assert.equal(run.outcome, 'userspace', run.ending);
    });
  }

  it('is one of at least 10, with unique names', () => {
    assert.ok(oddities.length >= 10);
    assert.equal(new Set(oddities.map(({ name }) => name)).size, oddities.length);
  });
});
