/** Judged calls in short, for the tests of this module. */
import type { JudgedCall } from './finding.js';
import { judgeCalls } from './judge.js';
import { runOf } from './test_trace.js';
import type { Draft } from './test_trace.js';
import type { Platform } from './trace.js';

/** The judged calls of `op`, as `caller passed>meant`. */
export function told(calls: readonly JudgedCall[], op: string): string[] {
  return calls
    .filter(({ event }) => event.call.op === op)
    .map(({ event, passed, meant }) => `${event.vcpu} ${passed}>${meant ?? 'null'}`);
}

/** The calls of `drafts` as a run, judged. */
export function judged(platform: Platform, drafts: readonly Draft[]): JudgedCall[] {
  return judgeCalls(runOf(platform, drafts));
}
