import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GUEST_MAX_VCPUS } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { affinityOf, mpidrOf, xenVcpuId } from './ids.js';
import type { XenVcpuId } from './ids.js';
import {
  encodableVcpus,
  isXenMpidr,
  mpidrOfVcpu,
  mpidrRegisterOfVcpu,
  namesOfVcpu,
  vcpuOfMpidr,
  vcpuOfTarget,
  vcpusOfSgi,
} from './mpidr.js';

const everyVcpu = Array.from({ length: encodableVcpus }, (_, id) => xenVcpuId(id));
const bytes = Array.from({ length: 256 }, (_, value) => value);
const everyLowAffinity = bytes.flatMap((aff1) => bytes.map((aff0) => ({ aff1, aff0 })));

test('mpidr: encode then decode gives every vCPU id 0 to 4095 back', () => {
  for (const id of everyVcpu) assert.equal(vcpuOfMpidr(mpidrOfVcpu(id)), id);
});

test('mpidr: an encoded id has four bits in AFF0, the rest in AFF1, and nothing above', () => {
  for (const id of everyVcpu) {
    assert.deepEqual(affinityOf(mpidrOfVcpu(id)), { aff3: 0, aff2: 0, aff1: id >> 4, aff0: id % 16 });
  }
  assert.throws(() => mpidrOfVcpu(xenVcpuId(4096)), InputError);
});

test('mpidr: the values that vCPUs 0, 15, 16, 127 and 4095 read', () => {
  const expected: Record<number, bigint> = {
    0: 0x8000_0000n,
    15: 0x8000_000fn,
    16: 0x8000_0100n,
    127: 0x8000_070fn,
    4095: 0x8000_ff0fn,
  };
  for (const [id, register] of Object.entries(expected)) {
    assert.equal(mpidrRegisterOfVcpu(xenVcpuId(Number(id))), register);
  }
});

test("mpidr: Xen's last vCPUs, 127 on arm64 and 7 with a GICv2, have an AFF1 below 8", () => {
  assert.equal(mpidrOfVcpu(xenVcpuId(GUEST_MAX_VCPUS - 1)), 0x70f);
  assert.equal(mpidrOfVcpu(xenVcpuId(7)), 7);
});

test('mpidr: decode then encode gives every AFF1.AFF0 back whose AFF0 is below 16, and no other', () => {
  for (const { aff1, aff0 } of everyLowAffinity) {
    const affinity = mpidrOf({ aff1, aff0 });
    const again = mpidrOfVcpu(vcpuOfMpidr(affinity));
    assert.equal(again === affinity, aff0 < 16, `${aff1}.${aff0}`);
    assert.equal(isXenMpidr(affinity), aff0 < 16);
  }
});

test('mpidr: decoding never leaves 0 to 4095, for any AFF1.AFF0', () => {
  for (const affinity of everyLowAffinity) {
    const id = vcpuOfMpidr(mpidrOf(affinity));
    assert.equal(id, affinity.aff0 | (affinity.aff1 * 16));
    assert.ok(id < encodableVcpus);
  }
});

test('mpidr: AFF2 and AFF3 change nothing of what is named, and are never handed out', () => {
  const level = fc.nat(255);
  fc.assert(
    fc.property(level, level, level, level, (aff3, aff2, aff1, aff0) => {
      const affinity = mpidrOf({ aff3, aff2, aff1, aff0 });
      assert.equal(vcpuOfMpidr(affinity), vcpuOfMpidr(mpidrOf({ aff1, aff0 })));
      assert.equal(isXenMpidr(affinity), aff3 === 0 && aff2 === 0 && aff0 < 16);
    }),
  );
});

test('mpidr: the affinities that name one vCPU are the listed ones, for all 4096 ids', () => {
  const naming = new Map<XenVcpuId, { aff1: number; aff0: number }[]>();
  for (const affinity of everyLowAffinity) {
    const id = vcpuOfMpidr(mpidrOf(affinity));
    naming.set(id, [...(naming.get(id) ?? []), affinity]);
  }
  for (const id of everyVcpu) {
    assert.deepEqual(namesOfVcpu(id), naming.get(id), `vCPU ${id}`);
    const sharedBits = bytes.slice(0, 4).filter((bit) => ((id >> (4 + bit)) & 1) === 1).length;
    assert.equal(namesOfVcpu(id).length, 3 ** sharedBits);
  }
});

test('mpidr: the halves are ORed, not added: 1.16 names vCPU 16, as 1.0 and 0.16 do', () => {
  const low = [
    { aff1: 0, aff0: 16 },
    { aff1: 1, aff0: 0 },
    { aff1: 1, aff0: 16 },
  ];
  assert.deepEqual(namesOfVcpu(xenVcpuId(16)), low);
  assert.deepEqual(namesOfVcpu(xenVcpuId(15)), [{ aff1: 0, aff0: 15 }]);
});

test('mpidr: a target register is read for its affinity bits alone', () => {
  assert.equal(vcpuOfTarget(0x8000_0102n), 18);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
      const [aff1, aff0] = [Number((value >> 8n) & 0xffn), Number(value & 0xffn)];
      assert.equal(vcpuOfTarget(value), vcpuOfMpidr(mpidrOf({ aff1, aff0 })));
    }),
  );
});

test('mpidr: an SGI names sixteen vCPUs of one AFF1, and each vCPU can be named by one', () => {
  assert.deepEqual(vcpusOfSgi(0x0001_8001n), [16, 31]);
  assert.deepEqual(vcpusOfSgi(0n), []);
  for (const id of everyVcpu) {
    const { aff1, aff0 } = affinityOf(mpidrOfVcpu(id));
    const others = (0xffn << 48n) | (0xffn << 32n) | (1n << 44n); // AFF3, AFF2 and the range selector
    assert.deepEqual(vcpusOfSgi((BigInt(aff1) << 16n) | (1n << BigInt(aff0)) | others), [id]);
  }
});
