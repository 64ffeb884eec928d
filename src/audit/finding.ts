/** The audit's results. */
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { HypercallEvent, Platform, TraceEvent } from './trace.js';

/** One broken rule, at one point of the run. */
export interface Finding {
  /** The rule's name, e.g. `id-is-meant`. */
  readonly rule: string;
  /** One sentence for a reader who knows the rule. */
  readonly why: string;
  readonly step: number;
  readonly timeNs: bigint;
  /** `EVTCHNOP_init_control` and the like; null for rules over the whole run. */
  readonly op: string | null;
  readonly linuxCpu: LinuxCpu | null;
  readonly callingVcpu: XenVcpuId | null;
  /** The id in the call, unsigned. */
  readonly passed: number | null;
  /** The id that was meant; null where no id can be right, or where the rule is not about an id. */
  readonly meant: XenVcpuId | null;
  readonly returned: number | null;
}

/** A rule: a name, its reason in one line, the source of the fact, and its check over a run. */
export interface Rule {
  readonly name: string;
  readonly reason: string;
  readonly source: string;
  check(run: Run): Finding[];
}

/** A run as the rules see it. */
export interface Run {
  readonly platform: Platform;
  readonly events: readonly TraceEvent[];
}

/** A call that carries a vCPU id, judged. */
export interface JudgedCall {
  readonly event: HypercallEvent;
  readonly passed: number;
  /** null: no id could have been right here, or the call is not judged. */
  readonly meant: XenVcpuId | null;
  /** `silent`: answered 0 or more, although it named the wrong vCPU. `not-judged`: nothing shows what was meant. */
  readonly verdict: 'right' | 'refused' | 'silent' | 'not-judged';
  /** Why the call is not judged, in one line that begins in lower case; null for all other verdicts. */
  readonly reason: string | null;
}

/** Calls of one operation that were not judged, for one reason. */
export interface NotJudged {
  readonly op: string;
  readonly calls: number;
  readonly why: string;
}
