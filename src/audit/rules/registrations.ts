/** Rules over what each vCPU must have registered, once, and before it counts as ready. */
import { HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_CALLBACK_TYPE_VECTOR, XEN_EEXIST } from '../../abi/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { replay, usesFifo } from '../domain_view.js';
import type { DomainView } from '../domain_view.js';
import type { Finding, Rule, Run } from '../finding.js';
import { judgeCalls } from '../judge.js';
import { argument, legacyVcpus, wideArgument } from '../operations.js';
import type { HypercallEvent, KernelEvent, OnlineEvent, TraceEvent } from '../trace.js';
import { answerName, findingAt, findingOfCall } from './report.js';

/** What can be registered only once, and the field of the view that says for whom it is. */
const onceOnly: Readonly<Record<string, 'vcpuInfo' | 'controlBlock'>> = {
  VCPUOP_register_vcpu_info: 'vcpuInfo',
  EVTCHNOP_init_control: 'controlBlock',
};

export const noSecondRegistration: Rule = {
  name: 'no-second-registration',
  reason: 'A vCPU registers one control block and one vcpu_info; a second one needs a domain reset first.',
  source: 'Xen 4.17 common/domain.c, map_vcpu_info, and common/event_fifo.c, map_control_block',
  check(run) {
    const findings: Finding[] = [];
    replay(run, (event, view) => {
      if (event.kind !== 'hypercall' || event.call.vcpuId === null) return;
      const { op, vcpuId } = event.call;
      const what = onceOnly[op];
      const earlier = what === undefined ? undefined : view[what].get(vcpuId);
      if (earlier === undefined) return;
      const by = earlier.kernel === event.kernel ? `step ${earlier.step}` : `kernel ${earlier.kernel}`;
      const why = `a second ${op} for vCPU ${vcpuId}: it has had one since ${by}, and no reset came between`;
      findings.push(findingOfCall(event, 'no-second-registration', why));
    });
    return findings;
  },
};

/** Something that a CPU needs before it can count as ready. */
interface Need {
  readonly op: string;
  readonly why: string;
}

/** Whether kernel `kernel` had something registered for the vCPU. */
function registeredBy(registered: DomainView['vcpuInfo'], kernel: number, vcpu: number): boolean {
  return registered.get(vcpu)?.kernel === kernel;
}

/** Whether kernel `kernel` bound a port of that kind to the vCPU; with `vcpu` null, to any. */
function bound(view: DomainView, kernel: number, kind: 'ipi' | 'timer', vcpu: number | null): boolean {
  return [...view.ports.values()].some((port) => {
    const isKind = kind === 'ipi' ? port.kind === 'ipi' : port.kind === 'virq' && port.virq === 0;
    return isKind && port.kernel === kernel && (vcpu === null || port.vcpu === vcpu);
  });
}

/** Whether a call asks for a vector by which each vCPU is told of its events: one of the vCPU's own, or one for all. */
function asksForVector({ call }: HypercallEvent): boolean {
  if (call.op === 'HVMOP_set_evtchn_upcall_vector') return true;
  if (call.op !== 'HVMOP_set_param' || argument(call, 'index') !== HVM_PARAM_CALLBACK_IRQ) return false;
  return (wideArgument(call, 'value') ?? 0n) >> 56n === BigInt(HVM_PARAM_CALLBACK_TYPE_VECTOR);
}

/**
 * The kernels whose vCPUs cannot all be told of events: those of PVHVM guests that never ask for a vector. Xen drives a line for
 * vCPU 0 alone then (Xen 4.17 arch/x86/hvm/irq.c, hvm_assert_evtchn_irq), and the kernel reaches its CPUs by their local APICs.
 */
function withoutVectors({ platform, events }: Run): ReadonlySet<number> {
  const found = new Set<number>();
  if (platform.kind !== 'pvhvm') return found;
  for (const event of events) {
    if (event.kind === 'kernel') found.add(event.kernel);
    if (event.kind === 'hypercall' && asksForVector(event)) found.delete(event.kernel);
  }
  return found;
}

function needsVcpuInfo(view: DomainView, kernel: number, vcpu: number): boolean {
  if (registeredBy(view.vcpuInfo, kernel, vcpu)) return false;
  // Xen writes to an earlier kernel's page, or shared_info has no slot for this vCPU.
  return view.vcpuInfo.has(vcpu) || vcpu >= legacyVcpus(view.platform.kind);
}

/** What `vcpu` lacks as a CPU of kernel `kernel`; `isTold`: whether each vCPU of that kernel can be told of events. */
function lacks(view: DomainView, kernel: number, vcpu: number, isTold: boolean): Need[] {
  const needs: (Need | false)[] = [
    needsVcpuInfo(view, kernel, vcpu) && {
      op: 'VCPUOP_register_vcpu_info',
      why: 'Xen has no vcpu_info of this kernel for it',
    },
    usesFifo(view) &&
      !registeredBy(view.controlBlock, kernel, vcpu) && {
        op: 'EVTCHNOP_init_control',
        why: 'the domain uses FIFO events and it has no control block of this kernel',
      },
    [...view.upcallVector.values()].some((event) => event.kernel === kernel) &&
      !registeredBy(view.upcallVector, kernel, vcpu) && {
        op: 'HVMOP_set_evtchn_upcall_vector',
        why: 'other CPUs take upcalls by a vector of their own and it has none',
      },
    isTold &&
      bound(view, kernel, 'ipi', null) &&
      !bound(view, kernel, 'ipi', vcpu) && { op: 'EVTCHNOP_bind_ipi', why: 'no IPI is bound to it' },
    isTold &&
      bound(view, kernel, 'timer', null) &&
      !bound(view, kernel, 'timer', vcpu) && { op: 'EVTCHNOP_bind_virq', why: 'no timer is bound to it' },
  ];
  return needs.filter((need) => need !== false);
}

/** The vCPU that a call is about. */
type About = (event: HypercallEvent) => number;

/** The vCPU that was meant; if that is not known, the one that is named; if none is named, the caller. */
function aboutIn(run: Run): About {
  const meant = new Map(judgeCalls(run).map((call) => [call.event.step, call.meant]));
  const count = run.platform.hardwareIds.length;
  return ({ step, vcpu, call: { vcpuId } }) => {
    const named = vcpuId !== null && vcpuId < count ? vcpuId : vcpu;
    return meant.get(step) ?? named;
  };
}

/** A CPU that a kernel counts as ready, and what it lacks at that moment. */
interface Unready {
  readonly event: TraceEvent;
  readonly kernel: number;
  readonly vcpu: XenVcpuId;
  readonly cpu: OnlineEvent['linuxCpu'];
  readonly need: Need;
  /** The last refused call of that kind that was about the vCPU. */
  readonly refused: HypercallEvent | null;
}

type Visitor = (unready: Unready) => void;

/**
 * Finds every CPU that counts as ready without what it needs. A started CPU is checked when it goes online. The CPU on which
 * a kernel is entered is online from the beginning; it is checked when that kernel starts another CPU or ends.
 */
function eachUnready(run: Run, visit: Visitor): void {
  const refusals: HypercallEvent[] = [];
  const about = aboutIn(run);
  const refusedFor = (kernel: number, vcpu: number, op: string): HypercallEvent | null =>
    refusals.findLast((event) => event.kernel === kernel && event.call.op === op && about(event) === vcpu) ??
    null;
  const entered = new Map<number, KernelEvent>();
  const untold = withoutVectors(run);
  // If no call names any vCPU, the guest does not rely on Xen to reach one.
  let isSpokenTo = false;
  replay(run, (event, view) => {
    if (event.kind === 'hypercall' && event.call.returned < 0) refusals.push(event);
    if (event.kind === 'hypercall' && event.call.vcpuId !== null) isSpokenTo = true;
    if (event.kind === 'kernel') entered.set(event.kernel, event);
    const unready = (kernel: number, vcpu: XenVcpuId, cpu: OnlineEvent['linuxCpu']): void => {
      for (const need of isSpokenTo ? lacks(view, kernel, vcpu, !untold.has(kernel)) : []) {
        visit({ event, kernel, vcpu, cpu, need, refused: refusedFor(kernel, vcpu, need.op) });
      }
    };
    if (event.kind === 'online' && entered.get(event.kernel)?.entryVcpu !== event.vcpu) {
      unready(event.kernel, event.vcpu, event.linuxCpu);
    }
    const isUsed = event.kind === 'start' || (event.kind === 'end' && event.outcome === 'userspace');
    const first = isUsed ? entered.get(event.kernel) : undefined;
    if (first === undefined || !isUsed) return;
    entered.delete(event.kernel);
    unready(event.kernel, first.entryVcpu, 0 as OnlineEvent['linuxCpu']);
  });
}

function unreadyFinding({ event, vcpu, cpu, need, refused }: Unready, rule: string, why: string): Finding {
  const call =
    refused === null
      ? {}
      : { callingVcpu: refused.vcpu, passed: refused.call.vcpuId, returned: refused.call.returned };
  return findingAt(event, rule, why, { op: need.op, linuxCpu: cpu, meant: vcpu, ...call });
}

export const registeredBeforeOnline: Rule = {
  name: 'registered-before-online',
  reason:
    'Before a CPU goes online it has what Xen needs to reach it: vcpu_info, control block, upcall, ports.',
  source:
    'public/vcpu.h (register_vcpu_info), arch-arm.h (XEN_LEGACY_MAX_VCPUS), Xen 4.17 common/event_fifo.c',
  check(run) {
    const findings: Finding[] = [];
    eachUnready(run, (unready) => {
      if (unready.refused !== null) return;
      const why = `CPU ${unready.cpu} on vCPU ${unready.vcpu} is online, but ${unready.need.why}`;
      findings.push(unreadyFinding(unready, 'registered-before-online', why));
    });
    return findings;
  },
};

/**
 * Calls whose refusal a kernel must not ignore. (After the refusal of another call, it can fall back on two-level events, on a
 * callback for the whole domain or on shared_info, or the call was a question. The check above finds what a CPU then lacks.)
 */
const fatal = [
  'EVTCHNOP_bind_ipi',
  'EVTCHNOP_bind_virq',
  'VCPUOP_initialise',
  'VCPUOP_set_singleshot_timer',
  'VCPUOP_stop_singleshot_timer',
];

/** Calls that were refused and have not succeeded since, by the vCPU that they are about and by operation. */
type Open = Map<number, Map<string, HypercallEvent>>;

function track(open: Open, vcpu: number, event: HypercallEvent): void {
  if (!fatal.includes(event.call.op)) return;
  const ofVcpu = open.get(vcpu) ?? new Map<string, HypercallEvent>();
  open.set(vcpu, ofVcpu);
  // A VIRQ that is already bound has a port, which Linux then searches for (bind_virq_to_irq).
  if (event.call.returned >= 0 || event.call.returned === -XEN_EEXIST) ofVcpu.delete(event.call.op);
  else ofVcpu.set(event.call.op, event);
}

/** The vCPUs that `event` shows the kernel to consider ready, and how to say so. `up` are those that are online. */
function goOn(up: ReadonlySet<number>, event: TraceEvent): (readonly [vcpu: number, words: string])[] {
  if (event.kind === 'start') {
    const by = [event.by, `vCPU ${event.by} starts another`] as const;
    if (event.target === null || event.returned < 0 || event.target === event.by) return [by];
    return [by, [event.target, `vCPU ${event.by} starts vCPU ${event.target}`]];
  }
  if (event.kind === 'online') return [[event.vcpu, `vCPU ${event.vcpu} goes online`]];
  if (event.kind !== 'end' || event.outcome !== 'userspace') return [];
  return [...up].map((vcpu) => [vcpu, `vCPU ${vcpu} goes on to user space`]);
}

/** The refused call in words: the caller, if it is not the vCPU that the call is about, and the answer. */
function refusalWords({ vcpu, call }: HypercallEvent, about: number): string {
  const { op, vcpuId, returned } = call;
  const made =
    vcpu === about
      ? `its ${op} of vCPU ${vcpuId ?? '-'}`
      : `${op} for it, by vCPU ${vcpu} with id ${vcpuId ?? '-'},`;
  return `${made} was answered ${answerName(returned)}`;
}

function ignored(open: Open, up: ReadonlySet<number>, event: TraceEvent): Finding[] {
  return goOn(up, event).flatMap(([vcpu, words]) => {
    const refusals = [...(open.get(vcpu)?.values() ?? [])];
    open.delete(vcpu);
    return refusals.map((refused) => {
      const { op, vcpuId, returned } = refused.call;
      const place = { op, linuxCpu: refused.linuxCpu, callingVcpu: refused.vcpu, passed: vcpuId, returned };
      const why = `${words} although ${refusalWords(refused, vcpu)}`;
      return findingAt(event, 'refusal-has-consequence', why, place);
    });
  });
}

/** Refusals of {@link fatal} calls about vCPUs that continue anyway. A CPU that the kernel gives up needs nothing. */
function passedOver(run: Run): Finding[] {
  const about = aboutIn(run);
  const open: Open = new Map();
  const up = new Set<number>();
  return run.events.flatMap((event) => {
    if (event.kind === 'kernel') {
      open.clear();
      up.clear();
      up.add(event.entryVcpu);
    }
    if (event.kind === 'online') up.add(event.vcpu);
    if (event.kind === 'offline') up.delete(event.vcpu);
    if (event.kind === 'hypercall') track(open, about(event), event);
    return ignored(open, up, event);
  });
}

/** FIFO events, used by a kernel whose requests for a control block were all refused. */
function fifoUnasked(run: Run): Finding[] {
  const findings: Finding[] = [];
  const refused = new Map<number, HypercallEvent>();
  replay(run, (event, view) => {
    if (event.kind !== 'hypercall') return;
    const { op, returned } = event.call;
    if (op === 'EVTCHNOP_init_control' && returned < 0) refused.set(event.kernel, event);
    const refusal = op === 'EVTCHNOP_expand_array' ? refused.get(event.kernel) : undefined;
    const granted = [...view.controlBlock.values()].some(({ kernel }) => kernel === event.kernel);
    if (refusal === undefined || granted) return;
    const why = `${op}, as if FIFO events were there, after init_control was answered ${answerName(refusal.call.returned)}`;
    findings.push(findingOfCall(event, 'refusal-has-consequence', why));
  });
  return findings;
}

export const refusalHasConsequence: Rule = {
  name: 'refusal-has-consequence',
  reason: 'When Xen refuses something that a CPU needs, the kernel does not continue as if it had succeeded.',
  source:
    'Linux xen_cpu_up_prepare_hvm, evtchn_fifo_percpu_init, xen_starting_cpu and xen_vcpuop_set_next_event',
  check(run) {
    const findings: Finding[] = [];
    eachUnready(run, (unready) => {
      if (unready.refused === null) return;
      const words = refusalWords(unready.refused, unready.vcpu);
      const why = `CPU ${unready.cpu} on vCPU ${unready.vcpu} is online although ${words}`;
      findings.push(unreadyFinding(unready, 'refusal-has-consequence', why));
    });
    return [...findings, ...passedOver(run), ...fifoUnasked(run)];
  },
};

export const resetBeforeReuse: Rule = {
  name: 'reset-before-reuse',
  reason: 'A kernel takes over a domain only after a reset, if one exists; old registrations stay otherwise.',
  source: 'public/sched.h, SHUTDOWN_soft_reset; Xen 4.17 common/domain.c, domain_soft_reset',
  check({ platform, events }) {
    if (!platform.softReset) return [];
    let wasReset = true;
    return events.flatMap((event): Finding[] => {
      if (event.kind === 'reset') wasReset = true;
      if (event.kind !== 'kernel') return [];
      const found = wasReset
        ? []
        : [
            findingAt(
              event,
              'reset-before-reuse',
              `the ${event.name} takes over a domain that was not reset`,
            ),
          ];
      wasReset = false;
      return found;
    });
  },
};
