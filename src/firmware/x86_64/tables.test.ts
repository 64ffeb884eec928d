import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { acpi_table_header, readMadt, viewOf } from '../../abi/index.js';
import { acpiTables } from './tables.js';
import type { AcpiTables } from './tables.js';

/** The APIC ids that Xen gives: twice the vCPU id. */
function tablesOf(vcpus: number): AcpiTables {
  return acpiTables(Array.from({ length: vcpus }, (_, vcpu) => 2 * vcpu));
}

/** All that Xen 4.17's toolstack put there for a guest of four vCPUs, except the DSDT, in hexadecimal. */
const reference: readonly (readonly [at: number, bytes: string])[] = [
  [0xfc00_0000, '000004000000000000000000797e00fc9c7e00fc0000000000000000000000000000000000000000'],
  [0xfc00_1000, `4641435340${'00'.repeat(27)}01${'00'.repeat(31)}`],
  [
    0xfc00_7ce0,
    `4641435074000000012858656e00000048564d00000000000000000048564d4c00000000001000fc401000fc000009000000000000000000
     00b000000000000004b00000000000000000000008b00000e0af0000000000000402000404000000ff0fff0f000000000000000000000000
     45810000`,
  ],
  [
    0xfc00_7d60,
    `464143500c01000005f158656e00000048564d00000000000000000048564d4c00000000001000fc401000fc000009000000000000000000
     00b000000000000004b00000000000000000000000000000e0af0000000000000402000004000000ff0fff0f000000000000000000240000
     7581000001080000f90c00000000000006000000001000fc00000000401000fc000000000120000000b00000000000000000000000000000
     000000000110000004b0${'00'.repeat(90)}`,
  ],
  [
    0xfc00_7e70,
    `415049434c000000023358656e00000048564d00000000000000000048564d4c000000000000e0fe01000000000800000100000000080102
     0100000000080204010000000008030601000000`,
  ],
  [
    0xfc00_7f70,
    `5853445434000000017858656e00000048564d00000000000000000048564d4c00000000607d00fc00000000707e00fc00000000`,
  ],
  [0xfc00_7fb0, '525344542c000000010758656e00000048564d00000000000000000048564d4c00000000e07c00fc707e00fc'],
  [0xfc00_8000, `52534420505452208958656e00000002b07f00fc24000000707f00fc00000000f1${'00'.repeat(31)}`],
];
const dsdtAt = 0xfc00_1040;

/** All of the modules from 0xfc000000 on, as in guest memory. */
function memoryOf({ modules }: AcpiTables): Uint8Array {
  const memory = new Uint8Array(0x1_0000);
  for (const { at, bytes } of modules) memory.set(bytes, Number(at - 0xfc00_0000n));
  return memory;
}

function tableAt(memory: Uint8Array, at: number): Uint8Array {
  const start = at - 0xfc00_0000;
  return memory.subarray(start, start + viewOf(memory).getUint32(start + 4, true));
}

describe('the ACPI tables of a PVH guest', () => {
  it('equal those of Xen 4.17 for four vCPUs in every byte but those of the DSDT', () => {
    const tables = tablesOf(4);
    const memory = memoryOf(tables);
    const expected = new Uint8Array(memory.length);
    for (const [at, text] of reference)
      expected.set(Buffer.from(text.replace(/\s/g, ''), 'hex'), at - 0xfc00_0000);
    const dsdt = tableAt(memory, dsdtAt);
    assert.equal(Buffer.from(dsdt.subarray(0, 4)).toString(), 'DSDT');
    // Xen's ends here, and its next table begins behind it.
    assert.ok(dsdt.length <= 0x6c9b);
    memory.fill(0, dsdtAt - 0xfc00_0000, dsdtAt - 0xfc00_0000 + dsdt.length);
    assert.deepEqual(memory, expected);
    assert.deepEqual(
      tables.modules.map(({ at, bytes }) => [at, bytes.length]),
      [
        [0xfc00_8000n, 0x40],
        [0xfc00_0000n, 0x1000],
        [0xfc00_1000n, 0x7000],
      ],
    );
    assert.equal(tables.rsdpAt, 0xfc00_8000n);
  });

  it('lead from the RSDP to each other, with right checksums, for any number of vCPUs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 128 }), (vcpus) => {
        const tables = tablesOf(vcpus);
        const memory = memoryOf(tables);
        const rsdp = viewOf(memory, Number(tables.rsdpAt - 0xfc00_0000n));
        const view = viewOf(memory);
        const xsdt = tableAt(memory, Number(rsdp.getBigUint64(24, true)));
        const rsdt = tableAt(memory, rsdp.getUint32(16, true));
        const [fadt, madt] = [0, 1].map((i) =>
          tableAt(memory, Number(viewOf(xsdt).getBigUint64(acpi_table_header.size + 8 * i, true))),
        ) as [Uint8Array, Uint8Array];
        const dsdt = tableAt(memory, Number(viewOf(fadt).getBigUint64(140, true)));
        const oldFadt = tableAt(memory, viewOf(rsdt).getUint32(acpi_table_header.size, true));
        for (const table of [xsdt, rsdt, fadt, oldFadt, madt, dsdt])
          assert.equal(
            table.reduce((sum, byte) => (sum + byte) & 0xff, 0),
            0,
          );
        const read = readMadt(madt);
        assert.deepEqual(read.warnings, []);
        assert.deepEqual(
          read.madt.entries.map((entry) =>
            entry.kind === 'local_apic' ? [entry.acpi_processor_uid, entry.apic_id, entry.flags] : [],
          ),
          Array.from({ length: vcpus }, (_, vcpu) => [vcpu, 2 * vcpu, 1]),
        );
        // What AML reads: the number of CPUs, the MADT's checksum, and its first entry.
        assert.equal(view.getUint16(2, true), vcpus);
        const madtAt = view.getUint32(16, true) - 44;
        assert.equal(view.getUint32(12, true), madtAt + 9);
        assert.deepEqual(tableAt(memory, madtAt), madt);
      }),
    );
  });
});
