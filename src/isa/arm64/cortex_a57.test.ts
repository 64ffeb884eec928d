import assert from 'node:assert/strict';
import { test } from 'node:test';
import { a64, cortexA57, systemRegisterNamed } from '../index.js';

/**
 * Where a feature is advertised: register, lowest bit of the field, and smallest value that means "implemented" (DDI
 * 0487, A2.2).
 */
const fields: Readonly<Record<string, readonly [register: string, shift: bigint, value: bigint]>> = {
  FEAT_AES: ['ID_AA64ISAR0_EL1', 4n, 1n],
  FEAT_PMULL: ['ID_AA64ISAR0_EL1', 4n, 2n],
  FEAT_SHA1: ['ID_AA64ISAR0_EL1', 8n, 1n],
  FEAT_SHA256: ['ID_AA64ISAR0_EL1', 12n, 1n],
  FEAT_CRC32: ['ID_AA64ISAR0_EL1', 16n, 1n],
};
/** Fields where 0 means "implemented" and 15 means "not implemented". */
const absences: Readonly<Record<string, readonly [register: string, shift: bigint]>> = {
  FEAT_FP: ['ID_AA64PFR0_EL1', 16n],
  FEAT_AdvSIMD: ['ID_AA64PFR0_EL1', 20n],
};

function field(register: string, shift: bigint): bigint {
  return ((cortexA57[register] ?? 0n) >> shift) & 15n;
}

test('every feature with a defined instruction is advertised', () => {
  const used = new Set(
    a64()
      .map(({ feature }) => feature)
      .filter((feature) => feature !== null),
  );
  for (const feature of used) {
    const [register = '', shift = 0n, value = 0n] = fields[feature] ?? [];
    const [otherRegister = '', otherShift = 0n] = absences[feature] ?? [];
    if (otherRegister !== '') assert.notEqual(field(otherRegister, otherShift), 15n, feature);
    else assert.ok(register !== '' && field(register, shift) >= value, feature);
  }
});

test('no feature is advertised without a defined instruction', () => {
  const used = new Set(a64().map(({ feature }) => feature));
  for (const [feature, [register, shift, value]] of Object.entries(fields)) {
    if (field(register, shift) >= value) assert.ok(used.has(feature), feature);
  }
  // Every field of these registers is one of those above.
  for (const register of ['ID_AA64ISAR0_EL1', 'ID_AA64ISAR1_EL1']) {
    for (let shift = 0n; shift < 64n; shift += 4n) {
      const known = Object.values(fields).filter(([name, at]) => name === register && at === shift);
      const most = known.reduce((value, [, , one]) => (one > value ? one : value), 0n);
      assert.ok(field(register, shift) <= most, `${register}, bit ${shift}`);
    }
  }
});

test('AArch32, big-endian data and later architecture versions are not advertised', () => {
  // EL3 to EL0: EL3 and EL2 not implemented, then AArch64 only.
  assert.equal((cortexA57['ID_AA64PFR0_EL1'] ?? 0n) & 0xffffn, 0x0111n);
  assert.equal(field('ID_AA64MMFR0_EL1', 8n), 0n, 'mixed byte order');
  // For 16 KiB pages, 1 means supported; for 64 KiB and 4 KiB pages, 0 does.
  assert.deepEqual(
    [20n, 24n, 28n].map((shift) => field('ID_AA64MMFR0_EL1', shift)),
    [1n, 0n, 0n],
  );
  for (const name of Object.keys(cortexA57))
    assert.doesNotMatch(name, /^(ID_(PFR|DFR|AFR|MMFR|ISAR)\d|MVFR\d)_/);
  for (const name of [
    'ID_AA64MMFR1_EL1',
    'ID_AA64MMFR2_EL1',
    'ID_AA64PFR1_EL1',
    'ID_ISAR0_EL1',
    'MVFR0_EL1',
  ]) {
    assert.ok(systemRegisterNamed(name) !== undefined, name);
    assert.equal(cortexA57[name] ?? 0n, 0n, name);
  }
});
