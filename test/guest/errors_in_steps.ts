/** Errors in a guest's steps: a step omitted, repeated or out of order, or an ignored answer. */
import { present } from '../../src/base/index.js';
import { delayed, ignoredError, skipped, withStep, wrongStart } from './mutations.js';
import { arm, cycle, kdump, pvh, pvhvm } from './runs.js';
import { control } from './seed.js';
import type { Seed } from './seed.js';

const many = { vcpus: 20 };

export const errorsInSteps: readonly Seed[] = [
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
