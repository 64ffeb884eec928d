import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../abi/index.js';
import { InputError, InvariantError, SparseMemory } from '../base/index.js';
import { apicId, xenVcpuId } from '../identity/index.js';
import { createDomain } from './create_domain.js';
import type { DomainConfig } from './domain.js';
import { allocateXenFrame, freeXenFrame, gfnOfMfn } from './physmap.js';
import { isRunnable, takeStart } from './power.js';
import { cloneDomain, domainFromJson, domainToJson, equalDomains, hashDomain } from './snapshot.js';
import { makeTestDomain, testXenFrames } from './test_domain.js';
import { sharedInfoView, vcpuInfoLocation } from './vcpu_info.js';

test('one vCPU is up, and starts where the builder says', () => {
  const domain = makeTestDomain('pvh', 4, { entryVcpu: xenVcpuId(2) });
  assert.deepEqual(
    domain.state.vcpus.map(({ up, initialised }) => up && initialised),
    [false, false, true, false],
  );
  assert.ok(isRunnable(domain, xenVcpuId(2)) && !isRunnable(domain, xenVcpuId(0)));
  assert.deepEqual(takeStart(domain, xenVcpuId(2)), { how: 'built', entry: 0n, contextId: 0n });
  assert.equal(takeStart(domain, xenVcpuId(2)), null);
});

test('a PV guest sees shared_info from the start, with every upcall masked; others do not', () => {
  const pv = makeTestDomain('pv');
  assert.equal(gfnOfMfn(pv, pv.state.sharedInfoMfn), pv.state.sharedInfoMfn);
  const { vcpu_info } = abi.shared_info.x86_64.read(sharedInfoView(pv, false), 0);
  assert.ok(vcpu_info.every(({ evtchn_upcall_mask }) => evtchn_upcall_mask === 1));
  for (const kind of ['pvhvm', 'pvh', 'arm'] as const) {
    const domain = makeTestDomain(kind);
    assert.equal(gfnOfMfn(domain, domain.state.sharedInfoMfn), null);
  }
});

test('32 vCPUs have a slot in shared_info on x86, one on Arm (XEN_LEGACY_MAX_VCPUS)', () => {
  const slots = (kind: 'pvhvm' | 'arm'): number[] => {
    const domain = makeTestDomain(kind, 40);
    return domain.state.vcpus.flatMap((vcpu) => vcpuInfoLocation(domain, vcpu)?.offset ?? []);
  };
  assert.deepEqual(
    slots('pvhvm'),
    Array.from({ length: 32 }, (_, id) => 64 * id),
  );
  assert.deepEqual(slots('arm'), [0]);
});

test('a configuration that contradicts itself is refused in one line', () => {
  const wrong: [Partial<DomainConfig>, RegExp][] = [
    [{ hardwareIds: [] }, /1 to 128 vCPUs, not 0/],
    [{ hardwareIds: Array.from({ length: 129 }, (_, id) => apicId(id)) }, /not 129/],
    [{ entryVcpu: xenVcpuId(4) }, /entry vCPU 4/],
    [{ xenFrames: { start: testXenFrames.start, count: 1 } }, /two frames/],
    [{ maxGrantFrames: 0 }, /at least one frame/],
    [{ xenFrames: { start: 200, count: 100 } }, /lie in the guest's RAM/],
    [{ clock: { tscKHz: 0, tscStable: false, wallclockSec: 0 } }, /1000 kHz/],
    [{ clock: { tscKHz: 1e6, tscStable: false, wallclockSec: -1 } }, /1970/],
  ];
  for (const [overrides, message] of wrong) {
    assert.throws(
      () => makeTestDomain('pvh', 4, overrides),
      (error: unknown) => error instanceof InputError && message.test(error.message),
    );
  }
  const { config } = makeTestDomain('pvh').state;
  assert.throws(() => createDomain(config, new SparseMemory([config.xenFrames])), InputError);
  assert.ok(makeTestDomain('pv', 300).state.vcpus.length === 300);
});

test("Xen's own frames are given out zeroed, those that came back first, and then no more", () => {
  const domain = makeTestDomain('pvh', 1, { xenFrames: { start: testXenFrames.start, count: 4 } });
  const [a, b] = [allocateXenFrame(domain), allocateXenFrame(domain)];
  assert.deepEqual([a, b, allocateXenFrame(domain)], [0x10002, 0x10003, null]);
  domain.memory.writable(a!)!.fill(1);
  freeXenFrame(domain, a!);
  assert.equal(allocateXenFrame(domain), a);
  assert.equal(domain.memory.readable(a!)![9], 0);
});

test('a clone is equal and shares nothing; JSON brings the same domain back', () => {
  const domain = makeTestDomain('pvhvm');
  const clone = cloneDomain(domain);
  assert.ok(equalDomains(domain, clone));
  assert.equal(hashDomain(domain), hashDomain(clone));
  clone.memory.writable(3)![7] = 1;
  assert.equal(domain.memory.readable(3)![7], 0);
  assert.ok(!equalDomains(domain, clone));
  const other = cloneDomain(domain);
  other.state.vcpus[1]!.up = true;
  assert.equal(domain.state.vcpus[1]!.up, false);
  assert.notEqual(hashDomain(other), hashDomain(domain));
  assert.ok(equalDomains(domainFromJson(domainToJson(clone)), clone));
});

test('what is no saved domain is refused, and a memory that is no value cannot be cloned', () => {
  for (const text of [
    '',
    '[]',
    '{}',
    '{"state":{"config":{},"vcpus":[]}}',
    '{"state":1,"memory":{"ranges":[]}}',
  ]) {
    assert.throws(() => domainFromJson(text), InputError, text);
  }
  const { state } = makeTestDomain('pvh');
  const memory = { readable: () => undefined, writable: () => undefined };
  assert.throws(() => cloneDomain({ state, memory }), InvariantError);
});
