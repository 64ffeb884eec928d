/** The audit of a whole run. */
import type { Finding, Run } from './finding.js';
import { rules } from './rules.js';

/**
 * A finding for each place where `run` breaks a rule, in order of step; at the same step, in the order of
 * {@link rules}. Never throws, whatever the trace contains.
 */
export function audit(run: Run): Finding[] {
  return rules.flatMap((rule) => rule.check(run)).sort((a, b) => a.step - b.step);
}

/** The earliest finding of the run; null when no rule is broken. */
export function firstBroken(findings: readonly Finding[]): Finding | null {
  const [first] = [...findings].sort((a, b) => a.step - b.step);
  return first ?? null;
}
