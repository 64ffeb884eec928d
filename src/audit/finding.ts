/** What the audit says. */
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { HypercallEvent, Platform, TraceEvent } from './trace.js';

/** One broken rule, at one place of the run. */
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
  /** The id that was meant; null where none can be right, or the rule has none. */
  readonly meant: XenVcpuId | null;
  readonly returned: number | null;
}

/** A rule: a name, one line that says why it is there, the source of the fact, and its check over a run. */
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
  /** null: no id can have been right here, or the call is not judged. */
  readonly meant: XenVcpuId | null;
  /** `silent`: answered 0 or more, yet it named another vCPU than was meant. `not-judged`: nothing tells what was meant. */
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
