import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import {
  acpiUid,
  affinityOf,
  apicId,
  broadcastApicId,
  everyAcpiUid,
  formatAcpiUid,
  formatAffinity,
  formatApicId,
  formatLinuxCpu,
  formatMpidr,
  formatXenVcpuId,
  invalidVcpuNr,
  linuxCpu,
  mpidr,
  mpidrOf,
  xenVcpuId,
} from './ids.js';

const constructors = [
  { make: linuxCpu, last: 0x7fff_ffff },
  { make: xenVcpuId, last: 0xffff_fffe },
  { make: apicId, last: 0xffff_fffe },
  { make: acpiUid, last: 0xffff_fffe },
  { make: mpidrOfAff0, last: 255 },
];

function mpidrOfAff0(aff0: number): number {
  return mpidrOf({ aff0 });
}

test('each id takes whole numbers from 0 to its last, and nothing else', () => {
  for (const { make, last } of constructors) {
    for (const good of [0, 1, last]) assert.equal(make(good), good);
    for (const bad of [-1, last + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => make(bad), InputError, `${make.name}(${bad})`);
    }
  }
});

test('the values that mean no CPU are no ids', () => {
  assert.throws(() => xenVcpuId(invalidVcpuNr), /0 to 4294967294/);
  assert.throws(() => apicId(broadcastApicId), InputError);
  assert.throws(() => acpiUid(everyAcpiUid), InputError);
});

test('an MPIDR is kept without RES1, U and MT', () => {
  assert.equal(mpidr(0x8000_0102), 0x102);
  assert.equal(mpidr(0xc100_0102), 0x102);
  assert.equal(mpidr(0x12_8000_0003n), 0x12_0000_0003);
});

test('an MPIDR with a reserved bit is refused', () => {
  for (const bit of [25, 26, 27, 28, 29, 40, 63]) {
    assert.throws(() => mpidr(1n << BigInt(bit)), InputError, `bit ${bit}`);
  }
  assert.throws(() => mpidr(-1), InputError);
  assert.throws(() => mpidr(-1n), InputError);
  assert.throws(() => mpidr(1.5), InputError);
});

const level = fc.nat(255);
const affinities = fc.record(
  { aff3: level, aff2: level, aff1: level, aff0: level },
  { noNullPrototype: true },
);

test('an MPIDR is its affinity levels, and the levels are the MPIDR', () => {
  fc.assert(
    fc.property(affinities, fc.subarray([31n, 30n, 24n]), (affinity, flags) => {
      const id = mpidrOf(affinity);
      assert.deepEqual(affinityOf(id), affinity);
      const register = flags.reduce((value, bit) => value | (1n << bit), BigInt(id));
      assert.equal(mpidr(register), id);
    }),
  );
});

test('each id is printed as the people who use it print it', () => {
  assert.equal(formatLinuxCpu(linuxCpu(3)), 'CPU 3');
  assert.equal(formatXenVcpuId(xenVcpuId(3)), 'vCPU 3');
  assert.equal(formatApicId(apicId(10)), '0xa');
  assert.equal(formatAcpiUid(acpiUid(10)), '10');
  assert.equal(formatMpidr(mpidrOf({ aff1: 1, aff0: 2 })), '0x102');
  assert.equal(formatAffinity(mpidrOf({ aff3: 4, aff1: 1, aff0: 2 })), '4.0.1.2');
});
