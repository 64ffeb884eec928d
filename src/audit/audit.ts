/** The audit of a whole run. */
import type { Finding, Run } from './finding.js';
import { rules } from './rules.js';

/**
 * Every rule that `run` breaks, at each place where it does, in order of step; at one step, in the order of
 * {@link rules}. Never throws, whatever the trace holds.
 */
export function audit(run: Run): Finding[] {
  return rules.flatMap((rule) => rule.check(run)).sort((a, b) => a.step - b.step);
}

/** The finding that comes first in the run; null when no rule is broken. */
export function firstBroken(findings: readonly Finding[]): Finding | null {
  const [first] = [...findings].sort((a, b) => a.step - b.step);
  return first ?? null;
}
