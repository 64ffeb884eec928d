/**
 * A bounded trace is judged like the full trace: runs of the models, right and wrong, are folded as far as possible.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { audit } from '../../src/audit/index.js';
import type { Finding, Platform, TraceEvent } from '../../src/audit/index.js';
import { traceBounds, TraceStore } from '../../src/boot/trace_store.js';
import { matrixScenarios, platformOf, runScenario } from '../../src/explore/index.js';

/** Drops everything that may be dropped, and keeps one call of several identical ones. */
const tight = { ...traceBounds, unreadCalls: 0, rounds: 1 };

/** Each event, with three more copies of each call that may be folded. */
function withRepeats(events: readonly TraceEvent[]): TraceEvent[] {
  return events.flatMap((event) => {
    const repeats = event.kind === 'hypercall' && event.call.returned < 0 ? 4 : 1;
    return Array.from({ length: repeats }, () => event);
  });
}

function said(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ rule, why, step }) => `${rule} at ${step}: ${why}`))].sort();
}

function assertSame(platform: Platform, whole: readonly TraceEvent[]): number {
  const store = new TraceStore(tight);
  for (const event of whole) store.add(event);
  assert.deepEqual(said(audit({ platform, events: store.events })), said(audit({ platform, events: whole })));
  return whole.length - store.events.length;
}

describe('a folded trace', () => {
  it('shows the same broken rules at the same steps', () => {
    const scenarios = matrixScenarios()
      .flatMap(({ scenario }) => scenario ?? [])
      .filter(({ platform }, index) => platform === 'arm' && index % 3 === 0);
    let left = 0;
    for (const scenario of scenarios) {
      const { events } = runScenario(scenario);
      left +=
        assertSame(platformOf(scenario), events) + assertSame(platformOf(scenario), withRepeats(events));
    }
    assert.ok(scenarios.length > 5 && left > scenarios.length, `${left} of ${scenarios.length} runs`);
  });
});
