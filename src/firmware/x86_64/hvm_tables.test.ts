import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { acpi_madt, acpi_table_header, readMadt, viewOf } from '../../abi/index.js';
import { biosPlaces } from './hvm_bios_tables.js';
import { hvmAcpiTables } from './hvm_tables.js';
import type { Loaded } from './table_bytes.js';

/** The APIC ids that Xen gives: twice the vCPU id. */
function tablesOf(vcpus: number): readonly Loaded[] {
  const apicIds = Array.from({ length: vcpus }, (_, vcpu) => 2 * vcpu);
  return hvmAcpiTables(apicIds, biosPlaces(vcpus).rsdp).parts;
}

/**
 * What hvmloader of Xen 4.17 left for a guest of four vCPUs, in hexadecimal: FACS, the FADT to which the XSDT points, MADT, HPET, WAET and
 * two SSDTs.
 */
const reference: readonly (readonly [at: number, bytes: string])[] = [
  [0xfc00_1000, `4641435340${'00'.repeat(27)}01${'00'.repeat(31)}`],
  [
    0xfc00_a370,
    `46414350f400000004c858656e00000048564d00000000000000000048564d4c00000000001000fc401000fc000009
     ${'00'.repeat(10)}b000000000000004b0${'00'.repeat(10)}08b00000e0af0000000000000402000404000000ff0fff0f00
     00000000000000000200004581000001080000f90c00000000000006000000001000fc00000000401000fc000000000120000000
     b0${'00'.repeat(18)}0110000004b0${'00'.repeat(30)}0120000008b0${'00'.repeat(30)}`,
  ],
  [
    0xfc00_a470,
    `415049438000000002a058656e00000048564d00000000000000000048564d4c000000000000e0fe01000000020a000002000000
     0000020a0005050000000f00020a000a0a0000000f00020a000b0b0000000f00010c01000000c0fe000000000008000001000000
     000801020100000000080204010000000008030601000000`,
  ],
  [
    0xfc00_a570,
    `485045543800000001d258656e00000048564d00000000000000000048564d4c0000000001a28680000000000000d0fe00000000
     00000000`,
  ],
  [0xfc00_a5b0, `5741455428000000015658656e00000048564d00000000000000000048564d4c0000000003000000`],
  [
    0xfc00_a5e0,
    `5353445431000000020e58656e00000048564d000000000000000000494e544c25092020085c5f53335f12060401010000`,
  ],
  [
    0xfc00_a620,
    `5353445431000000020f58656e00000048564d000000000000000000494e544c25092020085c5f53345f12060400000000`,
  ],
];
const first = 0xfc00_0000;
const [dsdtAt, xsdtAt] = [0xfc00_1040, 0xfc00_a660];

/** All from 0xfc000000 on, as in guest memory. */
function memoryOf(tables: readonly Loaded[]): Uint8Array {
  const memory = new Uint8Array(0x1_0000);
  for (const { at, bytes } of tables) if (at >= first) memory.set(bytes, Number(at) - first);
  return memory;
}

function tableAt(memory: Uint8Array, at: number): Uint8Array {
  const start = at - first;
  return memory.subarray(start, start + viewOf(memory).getUint32(start + 4, true));
}

function rsdpOf([rsdp]: readonly Loaded[]): Loaded {
  assert.ok(rsdp);
  return rsdp;
}

/** The tables to which an XSDT or an RSDT points. */
function pointedTo(memory: Uint8Array, root: Uint8Array, bytesEach: 4 | 8): Uint8Array[] {
  const count = (root.length - acpi_table_header.size) / bytesEach;
  return Array.from({ length: count }, (_, i) => {
    const at = acpi_table_header.size + i * bytesEach;
    const address = bytesEach === 4 ? viewOf(root).getUint32(at, true) : viewOf(root).getBigUint64(at, true);
    return tableAt(memory, Number(address));
  });
}

const signatureOf = (table: Uint8Array): string => Buffer.from(table.subarray(0, 4)).toString();

describe('the ACPI tables of a PVHVM guest', () => {
  it('are those of Xen 4.17 for four vCPUs: seven in every byte and address, and RSDP, XSDT and DSDT at the same addresses', () => {
    const tables = tablesOf(4);
    const memory = memoryOf(tables);
    for (const [at, text] of reference) {
      const expected = Buffer.from(text.replace(/\s/g, ''), 'hex');
      assert.deepEqual(Buffer.from(memory.subarray(at - first, at - first + expected.length)), expected);
    }
    // Xen's ends at 0xfc00a2e3, and its next table begins behind it.
    const dsdt = tableAt(memory, dsdtAt);
    assert.deepEqual([signatureOf(dsdt), dsdt.length <= 0x92a3], ['DSDT', true]);
    const { at, bytes } = rsdpOf(tables);
    assert.equal(at, 0xf_5b10n);
    assert.equal(viewOf(bytes).getBigUint64(24, true), BigInt(xsdtAt));
    assert.equal(tableAt(memory, xsdtAt).length, 0x54);
  });

  it('lead from the RSDP to each other, with right checksums, for any number of vCPUs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 128 }), (vcpus) => {
        const tables = tablesOf(vcpus);
        const memory = memoryOf(tables);
        const rsdp = viewOf(rsdpOf(tables).bytes);
        const xsdt = tableAt(memory, Number(rsdp.getBigUint64(24, true)));
        const rsdt = tableAt(memory, rsdp.getUint32(16, true));
        const pointed = pointedTo(memory, xsdt, 8);
        const names = ['FACP', 'APIC', 'HPET', 'WAET', 'SSDT', 'SSDT'];
        assert.deepEqual(pointed.map(signatureOf), names);
        assert.deepEqual(pointedTo(memory, rsdt, 4).map(signatureOf), names);
        const [fadt = new Uint8Array(), madt = new Uint8Array()] = pointed;
        const dsdt = tableAt(memory, Number(viewOf(fadt).getBigUint64(140, true)));
        for (const table of [xsdt, rsdt, dsdt, ...pointed, ...pointedTo(memory, rsdt, 4)])
          assert.equal(
            table.reduce((sum, byte) => (sum + byte) & 0xff, 0),
            0,
            signatureOf(table),
          );
        const { madt: read, warnings } = readMadt(madt);
        assert.deepEqual(warnings, []);
        const cpus = read.entries.flatMap((entry) =>
          entry.kind === 'local_apic' ? [[entry.acpi_processor_uid, entry.apic_id, entry.flags]] : [],
        );
        assert.deepEqual(
          cpus,
          Array.from({ length: vcpus }, (_, vcpu) => [vcpu, 2 * vcpu, 1]),
        );
        // What AML reads: the HPET, the number of CPUs, PCI's window, the MADT's checksum and its first CPU.
        const page = viewOf(memory);
        assert.deepEqual([page.getUint16(0, true), page.getUint16(2, true)], [8, vcpus]);
        assert.deepEqual([page.getUint32(4, true), page.getUint32(8, true)], [0xf000_0000, 0xc00_0000]);
        const madtAt = page.getUint32(12, true) - acpi_table_header.offsets.checksum;
        assert.deepEqual(tableAt(memory, madtAt), madt);
        const firstCpu = page.getUint32(16, true) - madtAt;
        assert.ok(firstCpu > acpi_madt.size);
        assert.deepEqual(Array.from(madt.subarray(firstCpu, firstCpu + 4)), [0, 8, 0, 0]);
      }),
    );
  });
});
