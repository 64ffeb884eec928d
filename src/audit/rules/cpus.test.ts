import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { xenVcpuId } from '../../identity/index.js';
import { audit } from '../audit.js';
import { boots, healthy, runOf, Teller, testPlatform } from '../test_trace.js';
import type { Draft } from '../test_trace.js';
import type { Platform } from '../trace.js';

const arm = testPlatform('arm', 2);
const tellArm = new Teller(arm);
const upArm = healthy(tellArm);

function brokenRules(platform: Platform, drafts: readonly Draft[]): string[] {
  return audit(runOf(platform, drafts)).map(({ rule }) => rule);
}

function breaks(rule: string, platform: Platform, drafts: readonly Draft[]): void {
  assert.ok(brokenRules(platform, drafts).includes(rule));
}

function keeps(rule: string, platform: Platform, drafts: readonly Draft[]): void {
  assert.ok(!brokenRules(platform, drafts).includes(rule));
}

describe('CPUs', () => {
  it('start-names-its-cpu: the id of another, or of none', () => {
    const platform = testPlatform('arm', 3);
    const teller = new Teller(platform);
    const before = [teller.enters(), ...boots(teller)];
    breaks('start-names-its-cpu', platform, [...before, teller.starts(0, 1, 2)]);
    breaks('start-names-its-cpu', platform, [...before, teller.starts(0, 1, null, -2)]);
    keeps('start-names-its-cpu', platform, [...before, teller.starts(0, 2), teller.starts(0, 1)]);
  });

  it('runs-only-when-started, cpu-is-its-hardware: another vCPU comes to run', () => {
    const platform = testPlatform('arm', 3);
    const teller = new Teller(platform);
    const started = [teller.enters(), ...boots(teller), teller.starts(0, 1)];
    for (const rule of ['runs-only-when-started', 'cpu-is-its-hardware']) {
      breaks(rule, platform, [...started, teller.is('running', 1, 2)]);
      keeps(rule, platform, [...started, teller.is('running', 1)]);
    }
    breaks('runs-only-when-started', platform, [
      ...started.slice(0, -1),
      teller.starts(0, 1, 1, -3),
      teller.is('running', 1),
    ]);
  });

  it('runs-only-when-started: a vCPU that turned itself off, started again or not', () => {
    const gone = [...upArm, tellArm.is('offline', 1), tellArm.stops(1)];
    breaks('runs-only-when-started', arm, [...gone, tellArm.is('running', 1)]);
    keeps('runs-only-when-started', arm, [...gone, tellArm.starts(0, 1), tellArm.is('running', 1)]);
  });

  it('answer-as-xen: CPU_ON of a vCPU that turned itself off, and of one that did not', () => {
    const dying = [...upArm, tellArm.is('offline', 1), tellArm.calls(1, 'EVTCHNOP_send', null)];
    const again = [tellArm.starts(0, 1), tellArm.is('running', 1), tellArm.is('online', 1)];
    keeps('answer-as-xen', arm, [...dying, tellArm.stops(1), ...again]);
    keeps('answer-as-xen', arm, [...dying, tellArm.starts(0, 1, 1, -4), tellArm.stops(1), ...again]);
    breaks('answer-as-xen', arm, [...dying, ...again]);
    breaks('answer-as-xen', arm, [...dying, tellArm.stops(1), tellArm.starts(0, 1, 1, -4)]);
    breaks('answer-as-xen', arm, [...dying, tellArm.stops(1), ...again, tellArm.starts(0, 1)]);
  });

  it('all-vcpus-up: one stays down, with and without a reason', () => {
    const alone = [...boots(tellArm), tellArm.ends()];
    breaks('all-vcpus-up', arm, [tellArm.enters(), ...alone]);
    keeps('all-vcpus-up', arm, [tellArm.enters([1]), ...alone]);
    // To run is not to be up.
    const runs = upArm.filter((draft) => draft.kind !== 'online');
    breaks('all-vcpus-up', arm, runs);
    keeps('all-vcpus-up', arm, [...upArm, tellArm.is('offline', 1), tellArm.ends()]);
    // Where nobody sees which CPUs are online, one that was started may be.
    const unread: Draft = {
      ...(tellArm.enters() as Extract<Draft, { kind: 'kernel' }>),
      online: 'unreadable',
    };
    keeps('all-vcpus-up', arm, [unread, ...runs.slice(1)]);
    breaks('all-vcpus-up', arm, [unread, ...alone]);
    breaks('all-vcpus-up', arm, [unread, ...boots(tellArm), tellArm.starts(0, 1, 1, -9), tellArm.ends()]);
  });

  it('all-vcpus-up: what a kernel settles later on counts, and not what was known before', () => {
    const settles = (leftOut: readonly number[]): Draft => {
      const { possible } = tellArm.enters() as Extract<Draft, { kind: 'kernel' }>;
      const left = leftOut.map((vcpu) => ({ vcpu: xenVcpuId(vcpu), why: 'nr_cpus=1' }));
      return { kind: 'limits', kernel: 0, possible: possible.slice(0, 2 - leftOut.length), leftOut: left };
    };
    const alone = [...boots(tellArm), tellArm.ends()];
    keeps('all-vcpus-up', arm, [tellArm.enters(), settles([1]), ...alone]);
    breaks('all-vcpus-up', arm, [tellArm.enters([1]), settles([]), ...alone]);
    // Nothing is claimed of a CPU that the kernel does not count.
    const claims = [tellArm.enters(), ...boots(tellArm), tellArm.records(1, 0)];
    breaks('record-true', arm, claims);
    keeps('record-true', arm, [...claims, settles([1])]);
    breaks('records-distinct', arm, [...claims, tellArm.calls(0, 'EVTCHNOP_bind_ipi', 0)]);
    keeps('records-distinct', arm, [...claims, settles([1]), tellArm.calls(0, 'EVTCHNOP_bind_ipi', 0)]);
  });

  it('all-vcpus-up: every kernel of a run is held to it', () => {
    const crash = new Teller(arm, 1, [1, 0]);
    breaks('all-vcpus-up', arm, [...upArm, crash.enters(), ...boots(crash), crash.ends()]);
    breaks('all-vcpus-up', arm, [tellArm.enters(), ...boots(tellArm), ...healthy(crash)]);
  });
});
