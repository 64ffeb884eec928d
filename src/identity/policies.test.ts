import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, valueFromJson, valueToJson } from '../base/index.js';
import { vcpuOfApicId } from './apic.js';
import { affinityOf } from './ids.js';
import { isXenMpidr, vcpuOfMpidr } from './mpidr.js';
import { hardwareIds, keepsUidPromise, policies, policyNamed } from './policies.js';
import type { Policy } from './policies.js';

const anyPolicy: fc.Arbitrary<Policy> = fc.oneof(
  fc.constant<Policy>({ name: 'xen' }),
  fc.integer({ min: 3, max: 64 }).map((stride): Policy => ({ name: 'sparse', stride })),
  fc.integer({ min: 0, max: 0xffff_ffff }).map((seed): Policy => ({ name: 'permuted', seed })),
  fc.constant<Policy>({ name: 'beyond-255' }),
  fc.integer({ min: 1, max: 255 }).map((offset): Policy => ({ name: 'uid-differs', offset })),
);
const anyCount = fc.integer({ min: 1, max: 300 });

test("policies: Xen's gives 2 x vCPU, four bits of AFF0, and UID = vCPU", () => {
  assert.deepEqual(hardwareIds(policies.xen, 'x86_64', 3), [
    { vcpu: 0, apicId: 0, acpiUid: 0 },
    { vcpu: 1, apicId: 2, acpiUid: 1 },
    { vcpu: 2, apicId: 4, acpiUid: 2 },
  ]);
  assert.deepEqual(hardwareIds(policies.xen, 'arm64', 18).slice(15), [
    { vcpu: 15, mpidr: 0xf, acpiUid: 15 },
    { vcpu: 16, mpidr: 0x100, acpiUid: 16 },
    { vcpu: 17, mpidr: 0x101, acpiUid: 17 },
  ]);
});

test('policies: under each no two vCPUs share an id, and vCPU ids are dense', () => {
  fc.assert(
    fc.property(anyPolicy, anyCount, (policy, count) => {
      const x86 = hardwareIds(policy, 'x86_64', count);
      const arm = hardwareIds(policy, 'arm64', count);
      assert.deepEqual(
        x86.map(({ vcpu }) => vcpu),
        Array.from({ length: count }, (_, i) => i),
      );
      for (const ids of [x86.map((c) => c.apicId), x86.map((c) => c.acpiUid), arm.map((c) => c.mpidr)]) {
        assert.equal(new Set<number>(ids).size, count);
      }
    }),
  );
});

test('policies: a GICv3 can address every vCPU, for AFF0 stays below 16', () => {
  fc.assert(
    fc.property(anyPolicy, anyCount, (policy, count) => {
      for (const { mpidr } of hardwareIds(policy, 'arm64', count)) assert.ok(affinityOf(mpidr).aff0 < 16);
    }),
  );
});

test('policies: the UID is the vCPU id exactly where the promise is kept', () => {
  fc.assert(
    fc.property(anyPolicy, anyCount, (policy, count) => {
      const differing = hardwareIds(policy, 'x86_64', count).filter(
        ({ vcpu, acpiUid }) => (vcpu as number) !== (acpiUid as number),
      );
      assert.equal(differing.length, keepsUidPromise(policy) ? 0 : count);
    }),
  );
});

test('policies: a permutation leaves no vCPU its own id, for any seed, and is the same each time', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 2, max: 128 }), (seed, count) => {
      const policy: Policy = { name: 'permuted', seed };
      for (const { vcpu, apicId } of hardwareIds(policy, 'x86_64', count)) {
        const named = vcpuOfApicId(apicId);
        assert.ok(named !== null && named < count && named !== vcpu);
      }
      for (const { vcpu, mpidr } of hardwareIds(policy, 'arm64', count)) {
        assert.ok(isXenMpidr(mpidr) && vcpuOfMpidr(mpidr) < count && vcpuOfMpidr(mpidr) !== vcpu);
      }
      assert.deepEqual(hardwareIds(policy, 'x86_64', count), hardwareIds(policy, 'x86_64', count));
    }),
  );
  const orders = [1, 2, 3].map((seed) => valueToJson(hardwareIds({ name: 'permuted', seed }, 'x86_64', 8)));
  assert.ok(new Set(orders).size > 1, 'the seed matters');
});

test('policies: beyond 255 no id fits 8 bits', () => {
  for (const { apicId } of hardwareIds(policies['beyond-255'], 'x86_64', 8)) assert.ok(apicId > 255);
  for (const { vcpu, mpidr } of hardwareIds(policies['beyond-255'], 'arm64', 40)) {
    assert.equal(affinityOf(mpidr).aff2, 1);
    assert.equal(vcpuOfMpidr(mpidr), vcpu, 'Xen does not look at AFF2');
  }
});

test('policies: sparse ids have gaps, so halving one does not give the vCPU', () => {
  assert.deepEqual(
    hardwareIds(policies.sparse, 'x86_64', 4).map(({ apicId }) => apicId),
    [0, 3, 6, 9],
  );
  assert.deepEqual(
    hardwareIds({ name: 'sparse', stride: 64 }, 'arm64', 66)
      .slice(-3)
      .map(({ mpidr }) => mpidr),
    [0xfc00, 0x1_0000, 0x1_0400],
  );
});

test('policies: a policy is plain data and is found by its name', () => {
  for (const policy of Object.values(policies)) {
    assert.deepEqual(policyNamed(policy.name), policy);
    assert.deepEqual(valueFromJson(valueToJson(policy)), policy);
  }
  assert.throws(
    () => policyNamed('random'),
    /unknown id policy "random"; the known policies are xen, sparse/,
  );
});

test('policies: parameters and counts out of range are refused', () => {
  const bad: [Policy, number][] = [
    [{ name: 'sparse', stride: 2 }, 4],
    [{ name: 'sparse', stride: 65 }, 4],
    [{ name: 'permuted', seed: -1 }, 4],
    [{ name: 'permuted', seed: 1.5 }, 4],
    [{ name: 'uid-differs', offset: 0 }, 4],
    [{ name: 'xen' }, 0],
    [{ name: 'xen' }, 4097],
  ];
  for (const [policy, count] of bad) {
    assert.throws(() => hardwareIds(policy, 'arm64', count), InputError, JSON.stringify(policy));
  }
  assert.equal(hardwareIds(policies.xen, 'arm64', 4096).length, 4096);
});
