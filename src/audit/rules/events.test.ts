import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { xenVcpuId } from '../../identity/index.js';
import { audit } from '../audit.js';
import type { Finding } from '../finding.js';
import { boots, bringsUp, reset, runOf, Teller, testPlatform } from '../test_trace.js';
import type { Draft } from '../test_trace.js';
import type { Outcome } from '../trace.js';

const arm = testPlatform('arm', 2);

function findings(drafts: readonly Draft[]): Finding[] {
  return audit(runOf(arm, drafts)).filter(({ rule }) => rule === 'event-is-heard');
}

function breaks(drafts: readonly Draft[]): void {
  assert.equal(findings(drafts).length, 1);
}

function keeps(drafts: readonly Draft[]): void {
  assert.deepEqual(findings(drafts), []);
}

describe('event-is-heard', () => {
  const lost: Draft = { kind: 'lost-upcall', vcpu: xenVcpuId(0), port: 2 };
  const heard: Draft = { kind: 'upcall-heard', vcpu: xenVcpuId(0), port: 2 };
  const entered = new Teller(arm, 0, [1, 0]);
  const begun = [entered.enters(), ...boots(entered)];
  const up = bringsUp(entered, 1);

  it('finds a vCPU that lost an event while it was down, and takes events since', () => {
    breaks([...begun, lost, ...up, entered.ends()]);
    const [finding] = findings([...begun, lost, ...up]);
    assert.match(finding?.why ?? '', /port 2 notified vCPU 0/);
    assert.equal(finding?.step, begun.length);
  });

  it('lets pass a vCPU that was started less than a second before the run was cut', () => {
    const { platform, events } = runOf(arm, [...begun, lost, ...up, entered.ends('hang')]);
    const cutAt = (timeNs: bigint): number => {
      const cut = events.map((event) =>
        event.kind === 'end' ? { ...event, timeNs, isCut: true as const } : event,
      );
      return audit({ platform, events: cut }).filter(({ rule }) => rule === 'event-is-heard').length;
    };
    assert.deepEqual([cutAt(900_000_000n), cutAt(2_000_000_000n)], [0, 1]);
  });

  it('lets pass a vCPU that is not yet online and was started less than a second before its kernel ends, but at a hang', () => {
    const early = up.filter(({ kind }) => kind !== 'online');
    const endsAt = (timeNs: bigint, ...last: Draft[]): number => {
      const { platform, events } = runOf(arm, [...begun, lost, ...early, ...last]);
      const late = events.map((event, at) =>
        at < events.length - last.length ? event : { ...event, timeNs: timeNs + BigInt(at) },
      );
      return audit({ platform, events: late }).filter(({ rule }) => rule === 'event-is-heard').length;
    };
    const next = new Teller(arm, 1);
    const ends = (['userspace', 'poweroff', 'panic', 'destroyed'] as const).map((o) => [entered.ends(o)]);
    for (const last of [...ends, [reset, next.enters()], [next.enters()]])
      assert.deepEqual([endsAt(900_000_000n, ...last), endsAt(2_000_000_000n, ...last)], [0, 1]);
    for (const [last] of ends) breaks([...begun, lost, ...up, last!]);
    assert.equal(endsAt(900_000_000n, entered.ends('hang')), 1);
  });

  it('finds one that has gone, or whose kernel is left for another, or whose domain ends', () => {
    const gone = [entered.is('offline', 1), entered.stops(1)];
    const next = new Teller(arm, 1);
    const reboot: Draft = { kind: 'reset', domain: 2 };
    breaks([...begun, lost, ...up, ...gone, entered.ends()]);
    for (const between of [[], [reset], [reboot]]) {
      breaks([...begun, lost, ...up, ...between, next.enters(), ...boots(next), ...bringsUp(next, 1)]);
      breaks([...begun, lost, ...up, ...gone, ...between, next.enters(), next.ends()]);
      keeps([...begun, lost, ...between, next.enters(), next.ends()]);
      keeps([...begun, lost, ...up, heard, ...gone, ...between, next.enters(), next.ends()]);
    }
  });

  it('finds one that is deaf time and again but once', () => {
    const gone = [entered.is('offline', 1), entered.stops(1)];
    breaks([...begun, lost, ...up, ...gone, ...up, ...gone, ...up, entered.ends()]);
    breaks([...begun, lost, ...up, ...gone, ...up, heard, ...gone, entered.ends()]);
  });

  it('finds one that lost its event when it was started', () => {
    breaks([...begun, ...up, lost, entered.ends()]);
    breaks([...begun, ...up, lost, entered.is('offline', 1), entered.stops(1), entered.ends()]);
  });

  it('finds that a next kernel, without a reset, is entered on one', () => {
    const next = new Teller(arm, 1, [0, 1]);
    breaks([...begun, lost, next.enters(), ...boots(next), next.ends()]);
    keeps([...begun, lost, reset, next.enters(), ...boots(next), next.ends()]);
  });

  it('lets pass a vCPU that hears again, never comes up, goes before it is online, or takes no events', () => {
    keeps([...begun, lost, ...up, heard, entered.ends()]);
    keeps([...begun, lost, entered.ends()]);
    const early = up.filter(({ kind }) => kind !== 'online');
    keeps([...begun, lost, ...early, entered.stops(1), entered.ends()]);
    keeps([...begun, ...up, entered.is('offline', 1), lost, entered.ends()]);
    keeps([...begun, lost, reset, ...up]);
    const silent = up.filter(
      (draft) => draft.kind !== 'hypercall' || draft.call.op !== 'VCPUOP_register_vcpu_info',
    );
    keeps([...begun, lost, ...silent]);
  });
});

describe('event-is-heard of a second kernel', () => {
  const first = new Teller(arm, 0);
  const second = new Teller(arm, 1, [1, 0]);
  const begun = [first.enters(), ...boots(first), ...bringsUp(first, 1), second.enters()];
  const lost: Draft = { kind: 'lost-upcall', vcpu: xenVcpuId(0), port: 2 };
  const registers = second.calls(1, 'VCPUOP_register_vcpu_info', 0);
  const unheard = [{ port: 2, vcpu: xenVcpuId(0), sinceNs: 1n }];
  const hangs = { ...second.ends('hang'), unheard } as Draft;

  it('takes no account of what the first kernel registered', () => {
    keeps([...begun, lost, second.starts(0, 1), second.is('running', 1), second.ends()]);
    const online = [second.is('running', 1), second.is('online', 1)];
    breaks([...begun, lost, second.starts(0, 1), registers, ...online, second.ends()]);
    keeps([...begun, hangs]);
    breaks([...begun, registers, hangs]);
  });
});

describe('event-is-heard at a hang', () => {
  const entered = new Teller(arm, 0, [1, 0]);
  const begun = [entered.enters(), ...boots(entered)];
  const unheard = [{ port: 2, vcpu: xenVcpuId(0), sinceNs: 1n }];
  const ends = (outcome: Outcome): Draft => ({ ...entered.ends(outcome), unheard }) as Draft;

  it('finds an event for a vCPU that never comes up', () => {
    assert.deepEqual(
      findings([...begun, ends('hang')]).map(({ why, timeNs, meant }) => [why, timeNs, meant]),
      [
        [
          'port 2 notified vCPU 0 while it was down; vCPU 0 was never started after that, ' +
            'and the port still notifies it when the guest hangs',
          1n,
          0,
        ],
      ],
    );
    breaks([...begun, entered.starts(0, 1, 0, -1), ends('hang')]);
  });

  it('lets pass a guest that ends otherwise, started the vCPU since, or takes no events', () => {
    for (const outcome of ['userspace', 'poweroff', 'panic', 'destroyed'] as const)
      keeps([...begun, ends(outcome)]);
    keeps([...begun, entered.ends('hang')]);
    keeps([...begun, entered.starts(0, 1), ends('hang')]);
    keeps([entered.enters(), entered.is('running', 0), ends('hang')]);
  });
});
