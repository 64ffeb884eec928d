/**
 * Errors of the hypervisor: wrong answers, state kept over a reset, misdirected events and starts; and kernels that
 * ignore errors.
 */
import { XEN_EINVAL, XEN_ENOENT, XEN_ENOMEM, XEN_EPERM } from '../../src/abi/index.js';
import { present } from '../../src/base/index.js';
import { sendFromRemote } from '../../src/hypervisor/index.js';
import {
  afterGrant,
  afterStep,
  byCpu,
  ignoredError,
  keptOverReset,
  skipped,
  together,
  wrongAnswer,
  wrongId,
} from './mutations.js';
import { arm, cycle, kdump, pv, pvh, pvhvm } from './runs.js';
import { bindIpi, control, oneshot, upcall, vcpuInfo } from './seed.js';
import type { World } from '../../src/explore/index.js';
import type { Seed } from './seed.js';

const armReset = { ...kdump, hypotheticalReset: true, strategy: 'ids-from-firmware' } as const;

/** vCPU 2 is started in place of vCPU 1. */
function startsAnother({ domain }: World): boolean {
  const [, asked, other] = domain.state.vcpus;
  if (asked === undefined || other === undefined || asked.start === null || other.up) return false;
  Object.assign(other, { up: true, initialised: true, start: asked.start, waitForSipi: false });
  Object.assign(asked, { up: false, start: null });
  return true;
}

/** xenstore sends an event on a port that notifies vCPU 2, which is down after it was up. */
function notifiesDead({ domain, guest }: World): boolean {
  const port = guest.kernels[0]?.xenstore.port ?? 0;
  const channel = domain.state.events.channels[port];
  const vcpu = domain.state.vcpus[2];
  if (channel === undefined || vcpu === undefined || vcpu.up || vcpu.vcpuInfo === null) return false;
  channel.notifyVcpu = vcpu.id;
  return sendFromRemote(domain, port);
}

const unknown = (answer: number) => (record: { vcpuId: number | null }) =>
  (record.vcpuId ?? 0) >= 4 ? answer : null;

export const errorsInHypervisor: readonly Seed[] = [
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
    name: 'a port notifies a vCPU that is down',
    scenario: arm(cycle),
    change: afterStep('arm-cpu-up', 'prepare', ({ world }) => notifiesDead(world)),
    rule: 'event-is-heard',
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
