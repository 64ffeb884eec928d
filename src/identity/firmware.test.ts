import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ACPI_MADT_ENABLED,
  ACPI_MADT_GICC_ONLINE_CAPABLE,
  ACPI_MADT_ONLINE_CAPABLE,
  madtGicc,
  madtLocalApic,
  madtLocalX2apic,
  readMadt,
  writeMadt,
} from '../abi/index.js';
import type { MadtEntry } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { armCpusOfMadt, x86CpusOfMadt } from './firmware.js';
import { vcpuIdsFromMadt } from './firmware_vcpus.js';
import { hardwareIds, policies } from './policies.js';

function madtOf(...entries: MadtEntry[]): Uint8Array {
  return writeMadt({ entries });
}

test('firmware: the table of a Xen HVM guest maps each APIC id to its vCPU', () => {
  const entries = hardwareIds(policies.xen, 'x86_64', 4).map((cpu) => madtLocalApic(cpu.acpiUid, cpu.apicId));
  const { vcpus, warnings } = vcpuIdsFromMadt(madtOf(...entries));
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    vcpus.map(({ vcpu, apicId, mpidr, enabled }) => [vcpu, apicId, mpidr, enabled]),
    [
      [0, 0, null, true],
      [1, 2, null, true],
      [2, 4, null, true],
      [3, 6, null, true],
    ],
  );
});

test('firmware: types 0, 9 and 11 are read, other types passed over, order kept', () => {
  const other: MadtEntry = { kind: 'other', type: 1, tail: new Uint8Array(10) };
  const { vcpus } = vcpuIdsFromMadt(
    madtOf(madtLocalX2apic(3, 0x1_0000), other, madtLocalApic(1, 2, 0), madtGicc(17, 0x101)),
  );
  assert.deepEqual(
    vcpus.map(({ vcpu, apicId, mpidr, enabled }) => ({ vcpu, apicId, mpidr, enabled })),
    [
      { vcpu: 3, apicId: 0x1_0000, mpidr: null, enabled: true },
      { vcpu: 1, apicId: 2, mpidr: null, enabled: false },
      { vcpu: 17, apicId: null, mpidr: 0x101, enabled: true },
    ],
  );
});

test('firmware: whatever the policy, the vCPU is the UID, and that is right exactly where the promise is kept', () => {
  for (const policy of Object.values(policies)) {
    const ids = hardwareIds(policy, 'x86_64', 8);
    const { vcpus } = vcpuIdsFromMadt(madtOf(...ids.map((cpu) => madtLocalX2apic(cpu.acpiUid, cpu.apicId))));
    const right = vcpus.every(({ vcpu }, i) => vcpu === ids[i]?.vcpu);
    assert.equal(right, policy.name !== 'uid-differs', policy.name);
  }
});

test('firmware: entries that name no CPU, repeated UIDs and a wrong checksum are warnings', () => {
  const bytes = madtOf(
    madtLocalApic(0, 0),
    madtLocalApic(1, 0xff, 0),
    madtLocalX2apic(2, 0xffff_ffff, 0),
    madtLocalX2apic(0xffff_ffff, 8),
    madtGicc(3, 1n << 31n),
    madtLocalApic(0, 2),
  );
  bytes[10] = 0; // part of the OEM id
  const { vcpus, warnings } = vcpuIdsFromMadt(bytes);
  assert.deepEqual(
    vcpus.map(({ vcpu, apicId }) => [vcpu, apicId]),
    [
      [0, 0],
      [0, 2],
    ],
  );
  assert.match(warnings[0] ?? '', /add up to/);
  assert.deepEqual(warnings.slice(1), [
    '4 of 6 CPU entries name no CPU',
    'more than one entry has the UID 0',
  ]);
});

test('firmware: two entries with one APIC id or MPIDR are a warning', () => {
  const warningsOf = (...entries: MadtEntry[]): string[] => vcpuIdsFromMadt(madtOf(...entries)).warnings;
  assert.deepEqual(warningsOf(madtLocalApic(0, 0), madtLocalApic(1, 2), madtLocalApic(2, 2)), [
    'more than one entry has the APIC id 0x2',
  ]);
  assert.deepEqual(warningsOf(madtLocalApic(0, 0), madtLocalX2apic(1, 0), madtLocalX2apic(2, 0)), [
    'more than one entry has the APIC id 0x0',
  ]);
  assert.deepEqual(warningsOf(madtGicc(0, 0), madtGicc(1, 0x101), madtGicc(2, 0x101, 0)), [
    'more than one entry has the MPIDR 0x101',
  ]);
});

test('firmware: UIDs that no Xen domain has are a warning', () => {
  const warningsOf = (...uids: number[]): string[] =>
    vcpuIdsFromMadt(madtOf(...uids.map((uid, i) => madtLocalX2apic(uid, 2 * i)))).warnings;
  const gap = 'its vCPUs are numbered from 0 on without gaps, and';
  assert.deepEqual(warningsOf(3, 1, 0, 2), []);
  assert.deepEqual(warningsOf(0, 1, 4), [`no Xen domain has the UID 4: ${gap} 3 are listed`]);
  assert.deepEqual(warningsOf(0, 128, 127), [
    'no Xen domain has the UID 128: it has at most 128 vCPUs, from 0 on',
    `no Xen domain has the UID 127: ${gap} 3 are listed`,
  ]);
  const all = Array.from({ length: 128 }, (_, uid) => uid);
  assert.deepEqual(warningsOf(...all), [], 'the most vCPUs that a domain has');
  assert.equal(warningsOf(...all, 128).length, 1);
  const arm = vcpuIdsFromMadt(madtOf(madtGicc(0, 0), madtGicc(300, 1)));
  assert.deepEqual(arm.warnings, ['no Xen domain has the UID 300: it has at most 128 vCPUs, from 0 on']);
});

test('firmware: what is not a MADT with a CPU fails with one line', () => {
  for (const [bytes, message] of [
    [new Uint8Array(), /has 0/],
    [new Uint8Array(44), /not a MADT/],
    [madtOf(), /no entry of type 0, 9 or 11/],
  ] as const) {
    assert.throws(
      () => vcpuIdsFromMadt(bytes),
      (error: unknown) =>
        error instanceof InputError && message.test(error.message) && !error.message.includes('\n'),
    );
  }
});

test('firmware: flags and sentinels of MADT entries', () => {
  const x86 = readMadt(
    madtOf(
      madtLocalApic(5, 0xff, ACPI_MADT_ONLINE_CAPABLE),
      madtLocalX2apic(0xff, 0xff, ACPI_MADT_ENABLED),
      madtLocalX2apic(0xffff_ffff, 0xffff_ffff, 0),
    ),
  ).madt;
  assert.deepEqual(x86CpusOfMadt(x86), [
    { type: 'local_apic', apicId: null, acpiUid: 5, enabled: false, onlineCapable: true },
    { type: 'local_x2apic', apicId: 255, acpiUid: 255, enabled: true, onlineCapable: false },
    { type: 'local_x2apic', apicId: null, acpiUid: null, enabled: false, onlineCapable: false },
  ]);
  const arm = readMadt(
    madtOf(
      madtGicc(0, 0x1_0000_0000n, ACPI_MADT_GICC_ONLINE_CAPABLE),
      madtGicc(1, 0x8000_0001n, ACPI_MADT_ENABLED | ACPI_MADT_ONLINE_CAPABLE),
    ),
  ).madt;
  assert.deepEqual(armCpusOfMadt(arm), [
    { mpidr: 0x1_0000_0000, acpiUid: 0, enabled: false, onlineCapable: true },
    { mpidr: null, acpiUid: 1, enabled: true, onlineCapable: false },
  ]);
});

test('firmware: any bytes give a table or an InputError', () => {
  const valid = madtOf(madtLocalApic(0, 0), madtLocalX2apic(1, 300), madtGicc(2, 2));
  const mutated = fc
    .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 8 })
    .map((changes) => changes.reduce((bytes, [at, value]) => bytes.with(at, value), valid));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
      try {
        vcpuIdsFromMadt(bytes);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
