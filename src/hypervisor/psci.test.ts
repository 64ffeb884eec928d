import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../abi/index.js';
import { mpidrOf, mpidrOfVcpu, namesOfVcpu, xenVcpuId } from '../identity/index.js';
import type { Mpidr } from '../identity/index.js';
import type { Domain } from './domain.js';
import { markEventsPending } from './event_channels/index.js';
import { takeStart } from './power.js';
import { psciCall } from './psci.js';
import { makeTestDomain } from './test_domain.js';

const vcpu0 = xenVcpuId(0);

function psci(domain: Domain, fn: number, ...args: (number | bigint)[]): number {
  return psciCall(domain, vcpu0, fn, args.map(BigInt)).returned;
}

const { PSCI_0_2_FN64_CPU_ON: cpuOn, PSCI_0_2_FN64_AFFINITY_INFO: affinityInfo } = abi;

test('CPU_ON: target, then Thumb bit, then whether it is down (do_common_cpu_on, Xen 4.17 arch/arm/vpsci.c)', () => {
  const domain = makeTestDomain('arm');
  assert.equal(psci(domain, cpuOn, 4, 1, 0), abi.PSCI_RET_INVALID_PARAMS);
  assert.equal(psci(domain, cpuOn, 0, 1, 0), abi.PSCI_RET_INVALID_ADDRESS);
  assert.equal(psci(domain, cpuOn, 0, 0x8000, 0), abi.PSCI_RET_ALREADY_ON);
  const record = psciCall(domain, vcpu0, cpuOn, [2n, 0x8000n, 77n]);
  assert.deepEqual(record, {
    name: 'PSCI_0_2_FN64_CPU_ON',
    returned: abi.PSCI_RET_SUCCESS,
    target: 2,
    power: { kind: 'start', how: 'psci', hardwareId: 2n, target: 2, returned: 0 },
  });
  assert.deepEqual(takeStart(domain, xenVcpuId(2)), { how: 'psci', entry: 0x8000n, contextId: 77n });
  assert.deepEqual([domain.state.vcpus[2]!.up, domain.state.vcpus[2]!.initialised], [true, true]);
  assert.equal(psci(domain, cpuOn, 2, 0x8000, 0), abi.PSCI_RET_ALREADY_ON);
});

test('a call’s power record says what was started or stopped, by the id that the guest passed', () => {
  const domain = makeTestDomain('arm', 2);
  const power = (by: number, fn: number, ...args: bigint[]): unknown =>
    psciCall(domain, xenVcpuId(by), fn, args).power;
  const start = { kind: 'start', how: 'psci' };
  const missing = power(0, cpuOn, 7n, 0n, 0n);
  assert.deepEqual(missing, {
    ...start,
    hardwareId: 7n,
    target: null,
    returned: abi.PSCI_RET_INVALID_PARAMS,
  });
  const running = power(0, abi.PSCI_0_2_FN_CPU_ON, 0n, 0n, 0n);
  assert.deepEqual(running, { ...start, hardwareId: 0n, target: 0, returned: abi.PSCI_RET_ALREADY_ON });
  assert.deepEqual(power(0, abi.PSCI_0_2_FN64_AFFINITY_INFO, 1n, 0n), { kind: 'other' });
  assert.deepEqual(power(0, cpuOn, 1n, 0x8000n, 0n), { ...start, hardwareId: 1n, target: 1, returned: 0 });
  assert.deepEqual(power(1, abi.PSCI_0_2_FN_CPU_OFF), { kind: 'stop', how: 'psci' });
  assert.deepEqual(power(0, abi.PSCI_0_2_FN_SYSTEM_OFF), { kind: 'other' });
});

test('CPU_ON again after CPU_OFF starts anew', () => {
  const domain = makeTestDomain('arm', 2);
  psci(domain, abi.PSCI_0_2_FN_CPU_ON, 1, 0x8000, 1);
  takeStart(domain, xenVcpuId(1));
  const off = psciCall(domain, xenVcpuId(1), abi.PSCI_0_2_FN_CPU_OFF, []);
  assert.deepEqual([off.returned, off.target, domain.state.vcpus[1]!.up], [0, null, false]);
  assert.equal(psci(domain, cpuOn, 1, 0x9000, 2), abi.PSCI_RET_SUCCESS);
  assert.equal(takeStart(domain, xenVcpuId(1))!.entry, 0x9000n);
});

test('CPU_OFF of the last vCPU leaves a domain in which nothing runs (do_psci_cpu_off)', () => {
  const domain = makeTestDomain('arm');
  assert.equal(psci(domain, abi.PSCI_0_2_FN_CPU_OFF), abi.PSCI_RET_SUCCESS);
  assert.deepEqual([domain.state.vcpus.some(({ up }) => up), domain.state.shutdown], [false, null]);
});

test("under Xen's affinities CPU_ON takes each name that Xen's decoding takes for a vCPU (vaffinity_to_vcpuid)", () => {
  for (const id of [0x10, 0x3f, 0x7f]) {
    for (const { aff1, aff0 } of namesOfVcpu(xenVcpuId(id))) {
      const domain = makeTestDomain('arm', 128);
      const target = BigInt(mpidrOf({ aff3: 3, aff2: 2, aff1, aff0 })) | (1n << 31n);
      assert.equal(psciCall(domain, vcpu0, cpuOn, [target, 0n, 0n]).target, id);
    }
  }
});

test('under other affinities CPU_ON looks for the affinity itself, and only that', () => {
  const hardwareIds: Mpidr[] = [mpidrOf({ aff2: 7 }), mpidrOf({ aff0: 0 }), mpidrOf({ aff3: 1, aff1: 2 })];
  const target = (affinity: bigint): number | null =>
    psciCall(makeTestDomain('arm', 3, { hardwareIds }), vcpu0, cpuOn, [affinity, 0n, 0n]).target;
  assert.equal(target(0n), 1);
  assert.equal(target(0x7_0000n), 0);
  assert.equal(target((1n << 32n) | 0x200n), 2);
  assert.equal(target(2n), null);
});

test('AFFINITY_INFO: on when any vCPU is up that agrees from that level on (do_psci_0_2_affinity_info)', () => {
  const domain = makeTestDomain('arm', 40);
  psci(domain, cpuOn, mpidrOfVcpu(xenVcpuId(0x23)), 0, 0);
  const [on, off] = [abi.PSCI_0_2_AFFINITY_LEVEL_ON, abi.PSCI_0_2_AFFINITY_LEVEL_OFF];
  assert.equal(psci(domain, affinityInfo, 0x203, 0), on);
  assert.equal(psci(domain, affinityInfo, 0x204, 0), off);
  assert.equal(psci(domain, affinityInfo, 0x204, 1), on);
  assert.equal(psci(domain, affinityInfo, 0x104, 1), off);
  assert.equal(psci(domain, affinityInfo, 0x904, 2), on);
  assert.equal(psci(domain, affinityInfo, 0x1_0904, 2), off);
  assert.equal(psci(domain, affinityInfo, 0x1_0904, 3), on);
  assert.equal(psci(domain, affinityInfo, 1n << 32n, 3), off);
  assert.equal(psci(domain, affinityInfo, 0, 4), abi.PSCI_RET_INVALID_PARAMS);
  assert.equal(psci(domain, affinityInfo, 0, (1n << 32n) | 0n), on, 'the level is 32 bits');
});

test('SYSTEM_OFF and SYSTEM_RESET shut the domain down, and read as failures should the caller go on', () => {
  for (const [fn, reason] of [
    [abi.PSCI_0_2_FN_SYSTEM_OFF, abi.SHUTDOWN_poweroff],
    [abi.PSCI_0_2_FN_SYSTEM_RESET, abi.SHUTDOWN_reboot],
  ] as const) {
    const domain = makeTestDomain('arm');
    assert.equal(psci(domain, fn), abi.PSCI_RET_INTERNAL_FAILURE);
    assert.deepEqual(domain.state.shutdown, { reason, by: 0 });
  }
});

test('CPU_SUSPEND waits for an event, unless one is pending', () => {
  const domain = makeTestDomain('arm');
  domain.state.vcpus[0]!.vcpuInfo = { mfn: 5, offset: 0 };
  assert.equal(psci(domain, abi.PSCI_0_2_FN64_CPU_SUSPEND, 0, 0, 0), abi.PSCI_RET_SUCCESS);
  assert.deepEqual(domain.state.vcpus[0]!.blocked, { why: 'block' });
  markEventsPending(domain, domain.state.vcpus[0]!);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
  psci(domain, abi.PSCI_0_2_FN_CPU_SUSPEND, 0, 0, 0);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
});

test('PSCI_FEATURES says which functions there are, and each that it names answers', () => {
  const domain = makeTestDomain('arm');
  const numbers = Object.keys(abi.PSCI_FN_names).map(Number);
  const there = numbers.filter((fn) => psci(domain, abi.PSCI_1_0_FN_PSCI_FEATURES, fn) === 0);
  const names = there.map((fn) => abi.PSCI_FN_names[fn]!.replace(/^PSCI_\d_\d_FN/, '')).sort();
  assert.deepEqual(names, [
    ...['64_AFFINITY_INFO', '64_CPU_ON', '64_CPU_SUSPEND', '_AFFINITY_INFO', '_CPU_OFF', '_CPU_ON'],
    ...[
      '_CPU_SUSPEND',
      '_MIGRATE_INFO_TYPE',
      '_PSCI_FEATURES',
      '_PSCI_VERSION',
      '_SYSTEM_OFF',
      '_SYSTEM_RESET',
    ],
  ]);
  assert.equal(psci(domain, abi.PSCI_1_0_FN_PSCI_FEATURES, abi.ARM_SMCCC_VERSION_FID), 0);
  assert.equal(psci(domain, abi.ARM_SMCCC_VERSION_FID), 0x1_0001);
  assert.equal(psci(domain, abi.PSCI_0_2_FN_PSCI_VERSION), 0x1_0001);
  assert.equal(psci(domain, abi.PSCI_0_2_FN_MIGRATE_INFO_TYPE), abi.PSCI_0_2_TOS_MP);
  for (const fn of numbers.filter((number) => !there.includes(number))) {
    assert.equal(psci(makeTestDomain('arm'), fn), abi.ARM_SMCCC_ERR_UNKNOWN_FUNCTION);
  }
});

test('an x86 guest has no PSCI, and a number without a name is named by its digits', () => {
  const domain = makeTestDomain('pvh');
  const record = psciCall(domain, vcpu0, 0x8400_0099, []);
  assert.deepEqual(record, {
    name: 'psci_0x84000099',
    returned: -1,
    target: null,
    power: { kind: 'other' },
  });
  assert.equal(psci(domain, abi.PSCI_0_2_FN_PSCI_VERSION), -1);
});

test('no argument makes a PSCI call throw', () => {
  const numbers = Object.keys(abi.PSCI_FN_names).map(Number);
  const value = fc.oneof(fc.bigInt({ min: 0n, max: 300n }), fc.bigInt({ min: -(1n << 70n), max: 1n << 70n }));
  fc.assert(
    fc.property(fc.constantFrom(...numbers), fc.array(value, { maxLength: 3 }), (fn, args) => {
      const { returned } = psciCall(makeTestDomain('arm', 40), vcpu0, fn, args);
      assert.ok(Number.isInteger(returned));
    }),
  );
});
