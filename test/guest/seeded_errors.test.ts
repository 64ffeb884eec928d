/**
 * Errors put one at a time into guests, their maps of ids, their firmware and the hypervisor. Each is found by the
 * rule that is named beside it; without the error, the same run breaks no rule.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { XEN_EINVAL, XEN_ENOENT, XEN_ENOMEM, XEN_EPERM } from '../../src/abi/index.js';
import { present } from '../../src/base/index.js';
import { rules } from '../../src/audit/index.js';
import type { World } from '../../src/explore/index.js';
import {
  afterGrant,
  afterStep,
  both,
  byCpu,
  delayed,
  everywhere,
  ignoredError,
  inKernel,
  keptOverReset,
  skipped,
  together,
  withIdOf,
  withMadt,
  withRules,
  withStep,
  wrongAnswer,
  wrongId,
  wrongStart,
} from './mutations.js';
import { arm, brokenRules, cycle, kdump, pv, pvh, pvhvm, runBoth } from './runs.js';
import type { Change } from './runs.js';

interface Seed extends Change {
  /** The rule that must be among those found broken. */
  readonly rule: string;
}

const many = { vcpus: 20 };
const armReset = { ...kdump, hypotheticalReset: true, strategy: 'ids-from-firmware' } as const;
const next = (id: number): number => id + 1;
const zero = (): number => 0;
const vcpuInfo = 'VCPUOP_register_vcpu_info';
const control = 'EVTCHNOP_init_control';
const runstate = 'VCPUOP_register_runstate_memory_area';
const upcall = 'HVMOP_set_evtchn_upcall_vector';
const bindIpi = 'EVTCHNOP_bind_ipi';
const oneshot = 'VCPUOP_set_singleshot_timer';

/** The id with which the guest passes an id of another kind in its place. */
const calls: readonly Seed[] = [
  {
    name: 'CPU 1 registers the vcpu_info of its neighbour',
    scenario: arm(),
    change: wrongId(vcpuInfo, byCpu(1), next),
    rule: 'id-is-meant',
  },
  {
    name: 'every CPU registers its runstate for vCPU 0, which Xen takes',
    scenario: arm(),
    change: wrongId(runstate, everywhere, zero),
    rule: 'id-is-meant',
  },
  {
    name: 'the Linux number goes into one call only, in a crash kernel on vCPU 2',
    scenario: pvhvm(kdump),
    change: wrongId(runstate, inKernel(1), (_id, { linuxCpu }) => linuxCpu),
    rule: 'id-is-meant',
  },
  {
    name: 'the Linux number goes into the first timer call of a crash kernel',
    scenario: pvh(kdump),
    change: wrongId('VCPUOP_stop_singleshot_timer', inKernel(1), (_id, { linuxCpu }) => linuxCpu),
    rule: 'id-is-meant',
  },
  {
    name: 'the time area is asked for vCPU 0 by number, as Linux does, in a crash kernel on vCPU 2',
    scenario: pvhvm(kdump),
    change: wrongId('VCPUOP_register_vcpu_time_memory_area', inKernel(1), zero),
    rule: 'id-is-meant',
  },
  {
    name: 'an APIC id goes into the upcall vector in place of the vCPU id',
    scenario: pvhvm(),
    change: wrongId(upcall, withIdOf(1), (id) => 2 * id),
    rule: 'id-is-meant',
  },
  {
    name: 'an APIC id beyond the last vCPU goes into bind_ipi',
    scenario: pvhvm(),
    change: wrongId(bindIpi, withIdOf(3), (id) => 2 * id),
    rule: 'id-exists',
  },
  {
    name: 'an MPIDR goes into init_control in place of the vCPU id',
    scenario: arm(many),
    change: wrongId(control, everywhere, (id) => ((id >> 4) << 8) | (id & 15)),
    rule: 'id-exists',
  },
  {
    name: 'bind_ipi is off by one',
    scenario: pvhvm(),
    change: wrongId(bindIpi, byCpu(3), next),
    rule: 'id-exists',
  },
  {
    name: 'bind_vcpu counts CPUs from 1',
    scenario: arm(),
    change: wrongId('EVTCHNOP_bind_vcpu', byCpu(3), next),
    rule: 'id-exists',
  },
  {
    name: 'the interrupts of CPU 2 are bound by an id that is right, but CPU 1’s',
    scenario: pvhvm(),
    change: wrongId(bindIpi, withIdOf(2), () => 1),
    rule: 'event-reaches-its-cpu',
  },
  {
    name: 'the lock interrupt of CPU 3 is bound before the map knows it',
    scenario: pvhvm(),
    change: wrongId(bindIpi, both(byCpu(0), withIdOf(0)), () => 3),
    rule: 'id-is-meant',
  },
  {
    name: 'the timer of CPU 2 is bound to CPU 1, which has one',
    scenario: pvhvm(),
    change: wrongId('EVTCHNOP_bind_virq', withIdOf(2), () => 1),
    rule: 'all-vcpus-up',
  },
  {
    name: 'the ids in VCPUOP_initialise are swapped',
    scenario: pv(),
    change: wrongId('VCPUOP_initialise', withIdOf(1), () => 2),
    rule: 'id-is-meant',
  },
  {
    name: 'a PV CPU that dies takes CPU 0 down',
    scenario: pv(cycle),
    change: wrongId('VCPUOP_down', everywhere, zero),
    rule: 'id-is-meant',
  },
  {
    name: 'PV places the vcpu_info of its CPUs one too far',
    scenario: pv(),
    change: wrongId(vcpuInfo, everywhere, next),
    rule: 'id-exists',
  },
  {
    name: 'every CPU arms the timer of vCPU 0',
    scenario: pvh(),
    change: wrongId(oneshot, everywhere, zero),
    rule: 'id-is-meant',
  },
  {
    name: 'CPU 3 stops the periodic timer of CPU 2, silently',
    scenario: pvhvm(),
    change: wrongId('VCPUOP_stop_periodic_timer', byCpu(3), () => 2),
    rule: 'id-is-meant',
  },
  {
    name: 'the control block of CPU 1 goes to vCPU 3, which is fresh',
    scenario: arm(),
    change: wrongId(control, withIdOf(1), () => 3),
    rule: 'id-is-meant',
  },
  {
    name: 'the vcpu_info of CPU 2 goes to vCPU 3, which is fresh',
    scenario: pvh({ release: '4.18' }),
    change: wrongId(vcpuInfo, withIdOf(2), () => 3),
    rule: 'id-is-meant',
  },
  {
    name: 'the control block of every CPU is asked for vCPU 0, which has one',
    scenario: pvhvm(),
    change: wrongId(control, everywhere, zero),
    rule: 'no-second-registration',
  },
];

const steps: readonly Seed[] = [
  {
    name: 'a CPU that comes back asks for its control block again',
    scenario: arm(cycle),
    change: withStep('control-block', 'allocate', (step, hit) => ({
      ...step,
      run(context) {
        const cpu = present(context.kernel.cpus[Number(context.vars['cpu'])], 'the CPU');
        if (cpu.controlGfn !== null) hit();
        cpu.controlGfn = null;
        return step.run(context);
      },
    })),
    rule: 'no-second-registration',
  },
  {
    name: 'a CPU that comes back registers its vcpu_info again',
    scenario: pvhvm(cycle),
    change: skipped('vcpu-info', 'registered before?'),
    rule: 'no-second-registration',
  },
  {
    name: 'no control block is asked for CPU 1',
    scenario: arm(),
    change: skipped('arm-prepare', 'control block', ({ vars }) => vars['cpu'] === 1),
    rule: 'registered-before-online',
  },
  {
    name: 'CPU 2 does not register its vcpu_info',
    scenario: arm(),
    change: skipped('arm-secondary', 'xen_starting_cpu', ({ cpu }) => Number(cpu.linuxCpu) === 2),
    rule: 'registered-before-online',
  },
  {
    name: 'CPU 34 relies on a slot of shared_info that there is not',
    scenario: pvhvm({ vcpus: 36 }),
    change: skipped('x86-prepare', 'xen_vcpu_setup', ({ vars }) => vars['cpu'] === 34),
    rule: 'registered-before-online',
  },
  {
    name: 'no upcall vector is set for CPU 2',
    scenario: pvh(),
    change: skipped('percpu-upcall', 'by vector?', ({ vars }) => vars['cpu'] === 2),
    rule: 'registered-before-online',
  },
  {
    name: 'CPUs are started before they are prepared',
    scenario: arm(),
    change: delayed('arm-cpu-up', 'prepare', 'CPU_ON'),
    rule: 'id-is-meant',
  },
  {
    name: 'CPUs count as online before they have registered their vcpu_info',
    scenario: arm(),
    change: delayed('arm-secondary', 'xen_starting_cpu', 'online'),
    rule: 'registered-before-online',
  },
  {
    name: 'the record is set after the call that it is for',
    scenario: pvhvm(),
    change: delayed('x86-prepare', 'records: prepare', 'xen_vcpu_setup'),
    rule: 'record-set-before-use',
  },
  {
    name: 'the last CPU is forgotten',
    scenario: pvhvm(),
    change: withStep('x86-smp-init', 'up', (step, hit) => ({
      ...step,
      run(context) {
        if (context.vars['cpu'] !== 3) return step.run(context);
        hit();
        return { kind: 'goto', label: 'brought up' };
      },
    })),
    rule: 'all-vcpus-up',
  },
  {
    name: 'the crash kernel is entered without a reset',
    scenario: pvhvm(kdump),
    change: skipped('crash', 'SCHEDOP_shutdown'),
    rule: 'reset-before-reuse',
  },
  {
    name: 'the refusal of FIFO events is ignored',
    scenario: arm({ events: '2l' }),
    change: ignoredError(control),
    rule: 'refusal-has-consequence',
  },
  {
    name: 'CPU 1 is started with the MPIDR of CPU 2',
    scenario: arm(),
    change: wrongStart('arm-cpu-up', 'CPU_ON', 1, () => 2),
    rule: 'start-names-its-cpu',
  },
  {
    name: 'CPU 17 is started by its number, which is no MPIDR',
    scenario: arm(many),
    change: wrongStart('arm-cpu-up', 'CPU_ON', 17, () => 0x700),
    rule: 'start-names-its-cpu',
  },
  {
    name: 'CPU 1 is started by its vCPU id, which is no APIC id',
    scenario: pvhvm(),
    change: wrongStart('x86-cpu-up', 'SIPI', 1, () => 1),
    rule: 'start-names-its-cpu',
  },
];

/** The MADT with its UIDs as `uid` gives them. */
function madtUids(uid: (right: number) => number): Seed['change'] {
  return withMadt(pvhvm(), (madt) => ({
    ...madt,
    entries: madt.entries.map((entry) =>
      entry.kind === 'local_apic' ? { ...entry, acpi_processor_uid: uid(entry.acpi_processor_uid) } : entry,
    ),
  }));
}

const maps: readonly Seed[] = [
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

/** vCPU 2 gets the start that was vCPU 1's. */
function startsAnother({ domain }: World): boolean {
  const [, asked, other] = domain.state.vcpus;
  if (asked === undefined || other === undefined || asked.start === null || other.up) return false;
  Object.assign(other, { up: true, initialised: true, start: asked.start, waitForSipi: false });
  Object.assign(asked, { up: false, start: null });
  return true;
}

const unknown = (answer: number) => (record: { vcpuId: number | null }) =>
  (record.vcpuId ?? 0) >= 4 ? answer : null;

const hypervisor: readonly Seed[] = [
  {
    name: 'VCPUOP_is_up says of an unknown vCPU that it is down',
    scenario: pv(),
    change: wrongAnswer('VCPUOP_is_up', unknown(0)),
    rule: 'answer-as-xen',
  },
  {
    name: 'an unknown vCPU is refused by the wrong error',
    scenario: pv(),
    change: wrongAnswer('VCPUOP_is_up', unknown(-XEN_EINVAL)),
    rule: 'answer-as-xen',
  },
  {
    name: 'a vCPU that is down is said to be up',
    scenario: pv(cycle),
    change: wrongAnswer('VCPUOP_is_up', ({ vcpuId, returned }) =>
      vcpuId === 1 && returned === 0 ? 1 : null,
    ),
    rule: 'answer-as-xen',
  },
  {
    name: 'FIFO events that are not offered are refused as if the vCPU were unknown',
    scenario: arm({ events: '2l' }),
    change: wrongAnswer(control, () => -XEN_ENOENT),
    rule: 'answer-as-xen',
  },
  {
    name: 'a fresh vcpu_info is refused',
    scenario: pvhvm(),
    change: wrongAnswer(vcpuInfo, ({ vcpuId }) => (vcpuId === 2 ? -XEN_EINVAL : null)),
    rule: 'answer-as-xen',
  },
  {
    name: 'the right timer is refused',
    scenario: pvh(),
    change: wrongAnswer('VCPUOP_stop_singleshot_timer', ({ vcpuId }) => (vcpuId === 3 ? -XEN_EPERM : null)),
    rule: 'answer-as-xen',
  },
  {
    name: 'the timer of another vCPU is accepted',
    scenario: pvh(),
    change: together(
      wrongId(oneshot, byCpu(3), () => 1),
      wrongAnswer(oneshot, ({ returned }) => (returned < 0 ? 0 : null)),
    ),
    rule: 'answer-as-xen',
  },
  {
    name: 'a second vcpu_info is accepted',
    scenario: arm(cycle),
    change: together(
      skipped('vcpu-info', 'registered before?'),
      wrongAnswer(vcpuInfo, ({ returned }) => (returned < 0 ? 0 : null)),
    ),
    rule: 'answer-as-xen',
  },
  {
    name: 'there is no memory for an upcall vector, and the kernel goes on',
    scenario: pvhvm(),
    change: together(
      wrongAnswer(upcall, ({ vcpuId }) => (vcpuId === 2 ? -XEN_ENOMEM : null)),
      ignoredError(upcall),
    ),
    rule: 'refusal-has-consequence',
  },
  {
    name: 'a control block is refused, and the kernel starts the CPU all the same',
    scenario: arm(),
    change: together(
      wrongAnswer(control, ({ vcpuId }) => (vcpuId === 3 ? -XEN_ENOMEM : null)),
      ignoredError(control),
    ),
    rule: 'refusal-has-consequence',
  },
  {
    name: 'a timer is refused, and the CPU goes to user space all the same',
    scenario: pvhvm(),
    change: together(
      wrongAnswer('VCPUOP_stop_singleshot_timer', ({ vcpuId }) => (vcpuId === 1 ? -XEN_EINVAL : null)),
      ignoredError('VCPUOP_stop_singleshot_timer'),
    ),
    rule: 'refusal-has-consequence',
  },
  {
    name: 'a soft reset keeps every vcpu_info',
    scenario: pvhvm(kdump),
    change: keptOverReset(({ domain }, before) => {
      for (const vcpu of domain.state.vcpus) vcpu.vcpuInfo = before.vcpus[vcpu.id]?.vcpuInfo ?? null;
    }),
    rule: 'answer-as-xen',
  },
  {
    name: 'a soft reset keeps the control blocks',
    scenario: pvhvm(kdump),
    change: keptOverReset(({ domain }, before) => {
      domain.state.events.abi = before.events.abi;
      for (const vcpu of domain.state.vcpus) vcpu.fifo = before.vcpus[vcpu.id]?.fifo ?? null;
    }),
    rule: 'answer-as-xen',
  },
  {
    name: 'a soft reset keeps the ports',
    scenario: pvh(kdump),
    change: keptOverReset(({ domain }, before) => {
      domain.state.events.channels = before.events.channels;
      for (const vcpu of domain.state.vcpus) vcpu.virqPorts = before.vcpus[vcpu.id]?.virqPorts ?? {};
    }),
    rule: 'answer-as-xen',
  },
  {
    name: 'a reset that Arm’s Xen does not have keeps the control blocks',
    scenario: arm(armReset),
    change: keptOverReset(({ domain }, before) => {
      domain.state.events.abi = before.events.abi;
      for (const vcpu of domain.state.vcpus) vcpu.fifo = before.vcpus[vcpu.id]?.fifo ?? null;
    }),
    rule: 'answer-as-xen',
  },
  {
    name: 'an IPI for vCPU 2 is delivered to vCPU 1',
    scenario: pvhvm(),
    change: afterGrant(bindIpi, ({ domain }, { vcpuId, detail }) => {
      const channel = domain.state.events.channels[Number(detail['port'])];
      if (vcpuId !== 2 || channel === undefined) return false;
      channel.notifyVcpu = present(domain.state.vcpus[1], 'vCPU 1').id;
      return true;
    }),
    rule: 'upcall-reaches-its-vcpu',
  },
  {
    name: 'CPU_ON starts another vCPU',
    scenario: arm(),
    change: afterStep('arm-cpu-up', 'CPU_ON', ({ world }) => startsAnother(world)),
    rule: 'runs-only-when-started',
  },
  {
    name: 'a SIPI starts another vCPU',
    scenario: pvhvm(),
    change: afterStep('x86-cpu-up', 'SIPI', ({ world }) => startsAnother(world)),
    rule: 'cpu-is-its-hardware',
  },
  {
    name: 'CPU_ON says of a vCPU that is down that it is up',
    scenario: arm(),
    change: afterStep('arm-cpu-up', 'prepare', ({ world }) => {
      const vcpu = present(world.domain.state.vcpus[3], 'vCPU 3');
      vcpu.up = true;
      return true;
    }),
    rule: 'answer-as-xen',
  },
];

const seeds: readonly Seed[] = [...calls, ...steps, ...maps, ...hypervisor];

describe('an error that is put into a run', () => {
  for (const seed of seeds) {
    it(`is found by ${seed.rule}: ${seed.name} (${seed.scenario.platform})`, () => {
      const { sound, run, hits, differs } = runBoth(seed);
      assert.deepEqual(
        sound.findings.map(({ rule, why }) => `${rule}: ${why}`),
        [],
        'without the error, no rule is broken',
      );
      assert.ok(hits > 0, 'the error never took effect');
      assert.ok(differs, 'the run with the error is no other');
      const broken = brokenRules(run);
      assert.ok(broken.includes(seed.rule), `${seed.rule} is not among: ${broken.join(', ')}`);
    });
  }
});

describe('the list of errors', () => {
  it('has 40 of them or more, each with a name of its own', () => {
    assert.ok(seeds.length >= 40, `${seeds.length}`);
    assert.equal(new Set(seeds.map(({ name }) => name)).size, seeds.length);
  });

  it('has every rule find one', () => {
    assert.deepEqual(new Set(seeds.map(({ rule }) => rule)), new Set(rules.map(({ name }) => name)));
  });

  it('has every platform', () => {
    const platforms = new Set(seeds.map(({ scenario }) => scenario.platform));
    assert.deepEqual(platforms, new Set(['arm', 'pv', 'pvh', 'pvhvm']));
  });
});
