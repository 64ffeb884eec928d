// Compares a report's findings with those that a run expects.

const fields = ['rule', 'hypercall', 'linuxCpu', 'callingVcpu', 'passed', 'meant'];

/** The fields that a pattern may have. Each is one value, or a list of acceptable values. */
export const patternFields = fields;

const listOf = (value) => (Array.isArray(value) ? value : [value]);

/** Whether a finding matches all fields of the pattern. */
export function matches(finding, pattern) {
  return Object.entries(pattern).every(([field, values]) => listOf(values).includes(finding[field]));
}

const shown = (pattern) =>
  Object.entries(pattern)
    .map(([field, values]) => `${field}=${listOf(values).join('|')}`)
    .join(' ');

/**
 * The problems with the findings, one line each: expected findings that are missing, and findings that are neither
 * expected nor allowed, which blame correct behaviour.
 */
export function complaintsOf(findings, { expect = [], allow = [] }) {
  const missing = expect.filter((pattern) => !findings.some((finding) => matches(finding, pattern)));
  const extra = findings.filter(
    (finding) => ![...expect, ...allow].some((pattern) => matches(finding, pattern)),
  );
  return [
    ...missing.map((pattern) => `not found: ${shown(pattern)}`),
    ...extra.map(({ rule, why }) => `false: ${rule}: ${why}`),
  ];
}
