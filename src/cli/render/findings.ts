/** What the audit found, rule by rule. */
import type { Finding } from '../../audit/index.js';

export interface BrokenRule {
  readonly rule: string;
  readonly times: number;
  /** What the first of its findings says. */
  readonly first: string;
}

/** The rules that were broken, in the order in which each first was. */
export function brokenRules(findings: readonly Finding[]): BrokenRule[] {
  const rules = new Map<string, BrokenRule>();
  for (const { rule, why } of findings) {
    const before = rules.get(rule);
    rules.set(rule, { rule, times: (before?.times ?? 0) + 1, first: before?.first ?? why });
  }
  return [...rules.values()];
}
