/**
 * The last call that Xen refused on each vCPU, as long as the vCPU has done nothing since but print: what a kernel cannot do without,
 * it asks for once, and if it is refused, it panics or stops.
 */
import { XEN_errno_names } from '../abi/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';

/** Calls that output to a console may make, or the end of the kernel. */
const afterwards: ReadonlySet<string> = new Set([
  'EVTCHNOP_send',
  'EVTCHNOP_unmask',
  'SCHEDOP_block',
  'SCHEDOP_poll',
  'SCHEDOP_shutdown',
  'SCHEDOP_yield',
]);

interface Refused {
  readonly op: string;
  readonly returned: number;
  /** Its step in the trace. */
  readonly step: number;
}

/** A plain value. */
export type RefusedCallsState = readonly (readonly [vcpu: XenVcpuId, call: Refused])[];

export class RefusedCalls {
  readonly #last = new Map<XenVcpuId, Refused>();

  save(): RefusedCallsState {
    return [...this.#last];
  }

  load(state: RefusedCallsState): void {
    this.#last.clear();
    for (const [vcpu, call] of state) this.#last.set(vcpu, call);
  }

  /** A call was answered; `step` gives its step in the trace. */
  called(vcpu: XenVcpuId, { hypercall, op, returned }: CallRecord, step: () => number): void {
    if (returned < 0) this.#last.set(vcpu, { op, returned, step: step() });
    else if (hypercall !== 'console_io' && !afterwards.has(op)) this.#last.delete(vcpu);
  }

  /** Another kernel has taken over. */
  clear(): void {
    this.#last.clear();
  }

  /** The last of them, as a clause; null if there is none. `whereOf`: the place in the kernel that made the call of a step. */
  clause(whereOf: (step: number) => string | null): string | null {
    const [last] = [...this.#last].sort(([, a], [, b]) => b.step - a.step);
    if (last === undefined) return null;
    const [vcpu, { op, returned, step }] = last;
    const answer = XEN_errno_names[-returned] ?? -returned;
    const where = whereOf(step);
    return `the last call of vCPU ${vcpu}, ${op}${where === null ? '' : ` from ${where}`}, was refused: -${answer}`;
  }
}
