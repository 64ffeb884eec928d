/** The audit's findings, grouped by rule. */
import type { Finding } from '../../audit/index.js';

export interface BrokenRule {
  readonly rule: string;
  readonly times: number;
  /** The text of its first finding. */
  readonly first: string;
}

/** The broken rules, in order of first occurrence. */
export function brokenRules(findings: readonly Finding[]): BrokenRule[] {
  const rules = new Map<string, BrokenRule>();
  for (const { rule, why } of findings) {
    const before = rules.get(rule);
    rules.set(rule, { rule, times: (before?.times ?? 0) + 1, first: before?.first ?? why });
  }
  return [...rules.values()];
}
