/**
 * Errors in the arguments of a guest's calls: an id of another CPU, an id of another kind, or an id that does not
 * exist.
 */
import { linux61 } from '../../src/explore/index.js';
import { both, byCpu, everywhere, inKernel, withIdOf, wrongId } from './mutations.js';
import { arm, cycle, kdump, pv, pvh, pvhvm } from './runs.js';
import { bindIpi, control, oneshot, runstate, upcall, vcpuInfo } from './seed.js';
import type { Seed } from './seed.js';

const many = { vcpus: 20 };
const next = (id: number): number => id + 1;
const zero = (): number => 0;

export const errorsInCalls: readonly Seed[] = [
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
    change: pvhvm({ ...kdump, era: linux61 }),
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
