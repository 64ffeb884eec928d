/**
 * What Xen must answer to a call that carries a vCPU id: a second, independent statement of the rules that the
 * hypervisor under test must follow, in Xen's order of checks. It knows only the trace, so it gives
 * every answer that may be right; a faulting address is always possible.
 */
import {
  EVTCHN_FIFO_MAX_QUEUES,
  NR_VIRQS,
  PSCI_RET_ALREADY_ON,
  PSCI_RET_INVALID_ADDRESS,
  PSCI_RET_INVALID_PARAMS,
  PSCI_RET_SUCCESS,
  XEN_EBUSY,
  XEN_EEXIST,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOENT,
  XEN_ENOSPC,
  XEN_ENOSYS,
  XEN_ENXIO,
  XEN_EOPNOTSUPP,
  vcpu_info,
} from '../abi/index.js';
import { isMovable } from './domain_view.js';
import type { DomainView, Sure } from './domain_view.js';
import { argument, isPerVcpuVirq, legacyVcpus, wideArgument } from './operations.js';
import type { HypercallEvent, StartEvent } from './trace.js';

/** The right answers, signed; null when the trace does not show which is right. */
export type Answers = readonly number[] | null;

interface Question {
  readonly view: DomainView;
  readonly event: HypercallEvent;
  /** The id in the call, which names a vCPU of the domain. */
  readonly vcpuId: number;
}

type Rule = (question: Question) => Answers;

const ok: Answers = [0];
const refusedWith = (...errors: number[]): number[] => errors.map((error) => -error);
const mayFault = (answers: Answers): Answers => answers && [...answers, -XEN_EFAULT];

/** An answer that depends on something that the trace may not show. */
function dependingOn(sure: Sure | undefined, ifYes: number, ifNo: number): Answers {
  if (sure === 'yes') return [ifYes];
  return sure === 'no' ? [ifNo] : [ifYes, ifNo];
}

const pageBytes = 4096;

/** Whether a vcpu_info at that offset stays within its page and is aligned. The struct is smaller on Arm. */
function fitsPage(view: DomainView, offset: number): boolean {
  const { size } = vcpu_info[view.platform.kind === 'arm' ? 'arm64' : 'x86_64'];
  return offset <= pageBytes - size && offset % 8 === 0;
}

/** Xen 4.17 common/domain.c, map_vcpu_info: it checks the address, then whether one is registered, then whose it is. */
function vcpuInfo417({ view, event, vcpuId }: Question): Answers {
  const offset = argument(event.call, 'offset') ?? 0;
  if (!fitsPage(view, offset)) return refusedWith(XEN_ENXIO);
  if (view.vcpuInfo.has(vcpuId)) return refusedWith(XEN_EINVAL);
  if (vcpuId === event.vcpu) return ok;
  return dependingOn(view.vcpus[vcpuId]?.up, -XEN_EINVAL, 0);
}

/** Xen 4.18 common/domain.c, common_vcpu_op and map_guest_area: any vCPU, up or not, but only once. */
function vcpuInfo418({ view, event, vcpuId }: Question): Answers {
  const offset = argument(event.call, 'offset') ?? 0;
  if (offset >= pageBytes) return refusedWith(XEN_EINVAL);
  if (view.vcpuInfo.has(vcpuId)) return refusedWith(XEN_EBUSY);
  if (!fitsPage(view, offset)) return refusedWith(XEN_ENXIO);
  return ok;
}

/** Since 4.18; before, x86 has no such operation. The guest chooses the address of the area. */
function physicalArea({ view, event }: Question): Answers {
  if (view.platform.release === '4.17') return refusedWith(XEN_ENOSYS);
  return event.call.returned < 0 ? null : ok;
}

const ownTimer: Rule = ({ event, vcpuId }) => (vcpuId === event.vcpu ? ok : refusedWith(XEN_EINVAL));

const minimalPeriodNs = 1_000_000n;
/** STIME_DELTA_MAX. */
const maximalPeriodNs = 2n ** 62n - 1n;

/** Xen 4.17 common/domain.c, VCPUOP_set_periodic_timer. */
const periodicTimer: Rule = ({ event }) => {
  const periodNs = wideArgument(event.call, 'period_ns');
  if (periodNs === null) return [0, -XEN_EINVAL];
  return periodNs < minimalPeriodNs || periodNs > maximalPeriodNs ? refusedWith(XEN_EINVAL) : ok;
};

/** First, a vCPU whose vcpu_info is Xen's dummy cannot be initialised (common_vcpu_op); then, nor can one that was before. */
const initialise: Rule = ({ view, vcpuId }) => {
  const { kind } = view.platform;
  if (vcpuId >= legacyVcpus(kind) && !view.vcpuInfo.has(vcpuId)) return refusedWith(XEN_EINVAL);
  const initialised = view.vcpus[vcpuId]?.initialised;
  const answers = dependingOn(initialised, -XEN_EEXIST, 0);
  // Xen also answers EINVAL to a context that it rejects.
  return initialised === 'yes' ? answers : [...(answers ?? []), -XEN_EINVAL];
};

const bringUp: Rule = ({ view, vcpuId }) => dependingOn(view.vcpus[vcpuId]?.initialised, 0, -XEN_EINVAL);

const isUp: Rule = ({ view, vcpuId }) => dependingOn(view.vcpus[vcpuId]?.up, 1, 0);

/** Operations of vcpu_op on a vCPU that exists. */
const vcpuOps: Readonly<Record<string, Rule>> = {
  VCPUOP_register_vcpu_info: (question) =>
    mayFault(question.view.platform.release === '4.17' ? vcpuInfo417(question) : vcpuInfo418(question)),
  VCPUOP_register_runstate_memory_area: () => mayFault(ok),
  VCPUOP_register_vcpu_time_memory_area: () => mayFault(ok),
  VCPUOP_register_runstate_phys_area: physicalArea,
  VCPUOP_register_vcpu_time_phys_area: physicalArea,
  // Xen checks whose timer it is before it reads the argument.
  VCPUOP_set_singleshot_timer: (question) =>
    question.vcpuId === question.event.vcpu ? mayFault(ok) : ownTimer(question),
  VCPUOP_stop_singleshot_timer: ownTimer,
  VCPUOP_set_periodic_timer: (question) => mayFault(periodicTimer(question)),
  VCPUOP_stop_periodic_timer: () => ok,
  VCPUOP_initialise: (question) => mayFault(initialise(question)),
  VCPUOP_up: bringUp,
  VCPUOP_down: () => ok,
  VCPUOP_is_up: isUp,
  VCPUOP_get_runstate_info: () => mayFault(ok),
  // The argument must be a null pointer, which the trace may not show.
  VCPUOP_send_nmi: () => [0, -XEN_EINVAL],
  // Xen answers only a hardware domain with pinned vCPUs; no guest here is one.
  VCPUOP_get_physid: () => refusedWith(XEN_EINVAL),
};

const onArm = ['VCPUOP_register_vcpu_info', 'VCPUOP_register_runstate_memory_area'];

/** Xen 4.17 arch/x86/domain.c and arch/arm/domain.c, do_vcpu_op: first the vCPU, then the operation. */
function vcpuOpAnswers(question: Question, exists: boolean): Answers {
  if (!exists) return refusedWith(XEN_ENOENT);
  const { op } = question.event.call;
  if (question.view.platform.kind === 'arm' && !onArm.includes(op)) return refusedWith(XEN_EINVAL);
  const rule = vcpuOps[op];
  return rule === undefined ? refusedWith(XEN_ENOSYS) : rule(question);
}

/** Xen 4.17 common/event_channel.c, evtchn_bind_virq. It is always possible that no port is free. */
function bindVirq({ view, event, vcpuId }: Question, exists: boolean): Answers {
  const virq = argument(event.call, 'virq') ?? 0;
  if (virq >= NR_VIRQS) return refusedWith(XEN_EINVAL);
  if (!isPerVcpuVirq(virq) && vcpuId !== 0) return refusedWith(XEN_EINVAL);
  if (!exists) return refusedWith(XEN_ENOENT);
  const bound = [...view.ports.values()].find((port) => port.kind === 'virq' && port.virq === virq);
  const isOnVcpu = [...view.ports.values()].some(
    (port) => port.kind === 'virq' && port.virq === virq && port.vcpu === vcpuId,
  );
  const isTaken = isPerVcpuVirq(virq) ? isOnVcpu : bound !== undefined;
  return isTaken ? refusedWith(XEN_EEXIST) : [0, -XEN_ENOSPC];
}

/** Xen 4.17 common/event_channel.c, evtchn_bind_vcpu: it checks the vCPU before the port. The toolstack's ports are not known. */
function bindVcpu({ view, event }: Question, exists: boolean): Answers {
  if (!exists) return refusedWith(XEN_ENOENT);
  const port = view.ports.get(argument(event.call, 'port') ?? -1);
  if (port === undefined) return [0, -XEN_EINVAL];
  return isMovable(port) ? ok : refusedWith(XEN_EINVAL);
}

/** `ready`, an unused word, and a head for each queue. */
const controlBlockBytes = 8 + 4 * EVTCHN_FIFO_MAX_QUEUES;

/** Xen 4.17 common/event_fifo.c, evtchn_fifo_init_control. A Xen without FIFO events has no such operation. */
function initControl({ view, event, vcpuId }: Question, exists: boolean): Answers {
  if (!view.platform.fifo) return refusedWith(XEN_EOPNOTSUPP, XEN_ENOSYS);
  if (!exists) return refusedWith(XEN_ENOENT);
  const offset = argument(event.call, 'offset') ?? 0;
  if (offset > pageBytes - controlBlockBytes || offset % 8 !== 0) return refusedWith(XEN_EINVAL);
  return view.controlBlock.has(vcpuId) ? refusedWith(XEN_EINVAL) : ok;
}

/** Xen 4.17 arch/x86/hvm/hvm.c, hvmop_set_evtchn_upcall_vector; on Arm there is none (arch/arm/hvm.c). */
function upcallVector({ view, event }: Question, exists: boolean): Answers {
  const { kind } = view.platform;
  if (kind === 'arm') return refusedWith(XEN_ENOSYS);
  if (kind === 'pv') return refusedWith(XEN_EINVAL);
  if ((argument(event.call, 'vector') ?? 0xff) < 0x10) return refusedWith(XEN_EINVAL);
  return exists ? ok : refusedWith(XEN_ENOENT);
}

const others: Readonly<Record<string, (question: Question, exists: boolean) => Answers>> = {
  EVTCHNOP_bind_ipi: (_question, exists) => (exists ? [0, -XEN_ENOSPC] : refusedWith(XEN_ENOENT)),
  EVTCHNOP_bind_virq: bindVirq,
  EVTCHNOP_bind_vcpu: bindVcpu,
  EVTCHNOP_init_control: initControl,
  HVMOP_set_evtchn_upcall_vector: upcallVector,
};

/** The answers that Xen may give to a call that carries a vCPU id; null for calls that are not covered here. */
export function answersTo(view: DomainView, event: HypercallEvent): Answers {
  const { hypercall, op, vcpuId } = event.call;
  if (vcpuId === null) return null;
  const exists = vcpuId < view.platform.hardwareIds.length;
  const question = { view, event, vcpuId };
  if (hypercall === 'vcpu_op') return vcpuOpAnswers(question, exists);
  // Xen copies the argument struct in before it checks anything else.
  return mayFault(others[op]?.(question, exists) ?? null);
}

/** The answers to PSCI CPU_ON (Xen 4.17 arch/arm/vpsci.c, do_common_cpu_on); null for other ways to start a vCPU. */
export function answersToStart(view: DomainView, { how, target }: StartEvent): Answers {
  if (how !== 'psci') return null;
  if (target === null) return [PSCI_RET_INVALID_PARAMS];
  const answers = dependingOn(view.vcpus[target]?.up, PSCI_RET_ALREADY_ON, PSCI_RET_SUCCESS);
  // Xen refuses an odd entry address before it checks whether the vCPU is up; the trace does not contain the address.
  return answers === null ? null : [...answers, PSCI_RET_INVALID_ADDRESS];
}
