// Holds a report's findings against what a run expects of them.

const fields = ['rule', 'hypercall', 'linuxCpu', 'callingVcpu', 'passed', 'meant'];

/** The fields that a pattern may name. Each has one value, or a list of those that will do. */
export const patternFields = fields;

const listOf = (value) => (Array.isArray(value) ? value : [value]);

/** Whether a finding has one of the values of each field that the pattern names. */
export function matches(finding, pattern) {
  return Object.entries(pattern).every(([field, values]) => listOf(values).includes(finding[field]));
}

const shown = (pattern) =>
  Object.entries(pattern)
    .map(([field, values]) => `${field}=${listOf(values).join('|')}`)
    .join(' ');

/**
 * What is wrong with the findings, a line each: those that are expected and missing, and those that are neither expected nor
 * allowed, which blame what is right.
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
