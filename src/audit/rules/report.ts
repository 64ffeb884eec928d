/** Constructors of findings, for the rules. */
import { XEN_errno_names } from '../../abi/index.js';
import type { Finding, JudgedCall } from '../finding.js';
import type { HypercallEvent, TraceEvent } from '../trace.js';

type Place = Pick<Finding, 'op' | 'linuxCpu' | 'callingVcpu' | 'passed' | 'meant' | 'returned'>;

const nowhere: Place = {
  op: null,
  linuxCpu: null,
  callingVcpu: null,
  passed: null,
  meant: null,
  returned: null,
};

/** A finding at `event`; `place` adds what the rule knows beyond step and time. */
export function findingAt(event: TraceEvent, rule: string, why: string, place: Partial<Place> = {}): Finding {
  return { rule, why, step: event.step, timeNs: event.timeNs, ...nowhere, ...place };
}

/** A finding about a hypercall. */
export function findingOfCall(event: HypercallEvent, rule: string, why: string): Finding {
  const { call, linuxCpu, vcpu } = event;
  const place = { op: call.op, linuxCpu, callingVcpu: vcpu, passed: call.vcpuId, returned: call.returned };
  return findingAt(event, rule, why, place);
}

/** A finding about a judged call: with the id that was meant. */
export function findingOfJudged({ event, meant }: JudgedCall, rule: string, why: string): Finding {
  return { ...findingOfCall(event, rule, why), meant };
}

/** `-XEN_EINVAL` and the like for an error, the number for a success. */
export function answerName(returned: number): string {
  return returned < 0 ? `-${XEN_errno_names[-returned] ?? -returned}` : String(returned);
}

/** An id for a reader: in hexadecimal if it is 2^31 or more, because all ones is easier to recognise then. */
export function idName(id: number): string {
  return id >= 2 ** 31 ? `0x${id.toString(16)}` : String(id);
}
