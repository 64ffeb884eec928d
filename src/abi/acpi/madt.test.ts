import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import {
  acpi_madt,
  acpi_madt_gicc,
  acpi_madt_local_apic,
  acpi_madt_local_x2apic,
  acpi_table_header,
  madtGicc,
  madtLocalApic,
  madtLocalX2apic,
  readMadt,
  writeMadt,
} from './madt.js';
import type { Madt, MadtEntry } from './madt.js';

test('madt: the layouts have the sizes and offsets that ACPI 6.5 gives', () => {
  assert.equal(acpi_table_header.size, 36);
  assert.equal(acpi_table_header.offsets.checksum, 9);
  assert.equal(acpi_madt.size, 44);
  // The specification counts an entry's type and length too.
  assert.equal(acpi_madt_local_apic.size + 2, 8);
  assert.equal(acpi_madt_local_x2apic.size + 2, 16);
  assert.equal(acpi_madt_local_x2apic.offsets.acpi_processor_uid + 2, 12);
  assert.equal(acpi_madt_gicc.offsets.gicr_base_address + 2, 60);
  assert.equal(acpi_madt_gicc.offsets.mpidr + 2, 68);
  assert.equal(acpi_madt_gicc.size + 2, 76);
});

test('madt: a written table, byte for byte', () => {
  const bytes = writeMadt({ entries: [madtLocalApic(1, 2), madtLocalX2apic(0x1234, 0x1_0001, 2)], flags: 1 });
  assert.equal(Buffer.from(bytes.subarray(0, 4)).toString(), 'APIC');
  assert.equal(bytes.length, 44 + 8 + 16);
  assert.equal(bytes[4], bytes.length);
  assert.equal(Buffer.from(bytes.subarray(36, 44)).toString('hex'), '0000e0fe01000000');
  assert.equal(Buffer.from(bytes.subarray(44, 52)).toString('hex'), '0008010201000000');
  assert.equal(Buffer.from(bytes.subarray(52)).toString('hex'), '09100000010001000200000034120000');
  assert.equal(
    bytes.reduce((sum, byte) => (sum + byte) % 256, 0),
    0,
  );
});

const u8 = fc.nat(255);
const u16 = fc.nat(0xffff);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const tail = fc.uint8Array({ maxLength: 8 });
const plain = { noNullPrototype: true } as const;

const anyEntry: fc.Arbitrary<MadtEntry> = fc.oneof(
  fc.record(
    { kind: fc.constant('local_apic' as const), acpi_processor_uid: u8, apic_id: u8, flags: u32, tail },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant('local_x2apic' as const),
      reserved: u16,
      x2apic_id: u32,
      flags: u32,
      acpi_processor_uid: u32,
      tail,
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant('gicc' as const),
      reserved: u16,
      cpu_interface_number: u32,
      acpi_processor_uid: u32,
      flags: u32,
      parking_protocol_version: u32,
      performance_interrupt_gsiv: u32,
      parked_address: u64,
      physical_base_address: u64,
      gicv: u64,
      gich: u64,
      vgic_maintenance_interrupt: u32,
      gicr_base_address: u64,
      mpidr: u64,
      tail,
    },
    plain,
  ),
  fc.record(
    { kind: fc.constant('other' as const), type: u8.filter((type) => ![0, 9, 11].includes(type)), tail },
    plain,
  ),
);
const text = (length: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((bytes) => Buffer.from(bytes).toString('latin1'));
const anyMadt: fc.Arbitrary<Madt> = fc.record(
  {
    revision: u8,
    oem_id: text(6),
    oem_table_id: text(8),
    oem_revision: u32,
    creator_id: text(4),
    creator_revision: u32,
    local_apic_address: u32,
    flags: u32,
    entries: fc.array(anyEntry, { maxLength: 6 }),
  },
  plain,
);

test('madt: what was written is read back, whatever it was', () => {
  fc.assert(
    fc.property(anyMadt, (madt) => {
      const bytes = writeMadt(madt);
      assert.deepEqual(readMadt(bytes), { madt, warnings: [] });
      assert.deepEqual(writeMadt(readMadt(bytes).madt), bytes);
    }),
  );
});

test('madt: bytes behind the table are not looked at', () => {
  const bytes = writeMadt({ entries: [madtLocalApic(0, 0)] });
  assert.deepEqual(readMadt(Uint8Array.from([...bytes, 1, 2, 3])), readMadt(bytes));
});

test('madt: reading takes copies, so that later changes to the bytes do not show', () => {
  const bytes = Buffer.from(writeMadt({ entries: [{ kind: 'other', type: 1, tail: new Uint8Array([7]) }] }));
  const { madt } = readMadt(bytes);
  bytes.fill(0);
  assert.deepEqual(madt.entries, [{ kind: 'other', type: 1, tail: new Uint8Array([7]) }]);
});

test('madt: a wrong checksum is a warning, and changes nothing else', () => {
  const bytes = writeMadt({ entries: [madtGicc(1, 1)] });
  const { madt } = readMadt(bytes);
  const bent = bytes.with(acpi_table_header.offsets.checksum, (bytes[9] ?? 0) + 1);
  assert.deepEqual(readMadt(bent), { madt, warnings: ["the MADT's bytes add up to 1, not to 0 modulo 256"] });
});

test('madt: each way in which a table is broken has its line', () => {
  const valid = writeMadt({ entries: [madtLocalApic(0, 0), madtLocalX2apic(1, 2)] });
  const withLength = (length: number): Uint8Array => valid.with(4, length);
  const broken: [string, Uint8Array, RegExp][] = [
    ['no bytes', new Uint8Array(), /at least 44 bytes, this has 0/],
    ['a header cut short', valid.subarray(0, 43), /at least 44 bytes, this has 43/],
    ['another table', valid.with(0, 0x46), /its signature is "FPIC", not "APIC"/],
    ['a length below the header', withLength(43), /says it is 43 bytes long; its header has 44/],
    ['a table cut short', valid.subarray(0, 60), /says it is 68 bytes long, but only 60 are here/],
    ['an entry of no length', valid.with(45, 0), /entry at byte 44 says it is 0 bytes long/],
    ['an entry of one byte', valid.with(45, 1), /entry at byte 44 says it is 1 bytes long/],
    ['an entry cut short by the table', withLength(60), /byte 52 is 16 bytes long and ends past the table/],
    ['an entry one byte too long', withLength(67), /byte 52 is 16 bytes long and ends past the table/],
    ['an entry header cut short', withLength(53), /ends within the entry at byte 52/],
    ['an entry too short for its type', valid.with(45, 7), /byte 44 is of type 0 and has 7 bytes, not 8/],
    ['a GICC as ACPI 5.0 had it', valid.with(52, 11), /byte 52 is of type 11 and has 16 bytes, not 76/],
  ];
  for (const [what, bytes, message] of broken) {
    assert.throws(
      () => readMadt(bytes),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      what,
    );
  }
});

test('madt: a GICC list as libxl 4.17 leaves it for three vCPUs, its last entry all zero, is refused', () => {
  const bytes = writeMadt({ entries: [madtGicc(0, 0), madtGicc(2, 2), madtGicc(0, 0)] });
  bytes.fill(0, 44 + 2 * 76);
  assert.throws(() => readMadt(bytes), /the MADT entry at byte 196 says it is 0 bytes long/);
});

test('madt: any bytes, and any change to a good table, give a table or an InputError', () => {
  const good = anyMadt.map((madt) => writeMadt(madt));
  const changes = fc.array(fc.tuple(fc.nat(), u8), { minLength: 1, maxLength: 6 });
  const bent = fc
    .tuple(good, changes, fc.nat(40))
    .map(([bytes, list, cut]) =>
      list
        .reduce((copy, [at, value]) => copy.with(at % copy.length, value), bytes)
        .subarray(0, bytes.length - cut),
    );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 128 }), bent), (bytes) => {
      try {
        const { madt } = readMadt(bytes);
        assert.ok(Array.isArray(madt.entries));
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
        assert.ok(!error.message.includes('\n'));
      }
    }),
    { numRuns: 2000 },
  );
});

test('madt: what does not fit its field is not written', () => {
  const unwritable: (() => Uint8Array)[] = [
    () => writeMadt({ entries: [madtLocalApic(0, 256)] }),
    () => writeMadt({ entries: [madtLocalApic(256, 0)] }),
    () => writeMadt({ entries: [madtLocalX2apic(0, 2 ** 32)] }),
    () => writeMadt({ entries: [madtGicc(0, 1n << 64n)] }),
    () => writeMadt({ entries: [madtGicc(-1, 0)] }),
    () => writeMadt({ entries: [{ kind: 'other', type: 1, tail: new Uint8Array(254) }] }),
    () => writeMadt({ entries: [{ kind: 'other', type: 256, tail: new Uint8Array() }] }),
    () => writeMadt({ entries: [], oem_id: 'short' }),
    () => writeMadt({ entries: [], revision: 256 }),
    () => writeMadt({ entries: [], flags: 0.5 }),
  ];
  for (const write of unwritable) assert.throws(write, InputError, String(write));
});
