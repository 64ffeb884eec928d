/**
 * Compares the MADT declarations in src/abi/acpi with ACPICA's tools (Debian: acpica-tools): iasl disassembles the
 * output of writeMadt, field by field at the same offset; readMadt reads tables compiled by iasl and the output of
 * acpidump.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  acpi_madt,
  acpi_madt_gicc,
  acpi_madt_local_apic,
  acpi_madt_local_x2apic,
  acpi_table_header,
  isAcpidump,
  madtGicc,
  madtLocalApic,
  madtLocalX2apic,
  readAcpidump,
  readMadt,
  writeMadt,
} from '../../src/abi/index.js';
import type { MadtEntry } from '../../src/abi/index.js';
import {
  fitsXapic,
  hardwareIds,
  policies,
  vcpuIdsFromMadt,
  x86CpusOfMadt,
} from '../../src/identity/index.js';

const missing =
  spawnSync('iasl', ['-v'], { stdio: 'ignore' }).status === 0 ? false : 'no iasl (acpica-tools)';

let directory = '';

function iasl(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('iasl', args, { cwd: directory, encoding: 'utf8' });
  assert.equal(status, 0, `iasl ${args.join(' ')}\n${stdout}${stderr}`);
}

function disassembled(table: Uint8Array): string {
  writeFileSync(join(directory, 'table.dat'), table);
  iasl('-d', 'table.dat');
  return readFileSync(join(directory, 'table.dsl'), 'utf8');
}

interface Line {
  readonly at: number;
  readonly bytes: number;
  readonly name: string;
  readonly value: string;
}

/** The field lines of a disassembly: `[02Ch 0044   1]   Local Apic ID : 02`. Later versions write `001h`. */
function linesOf(listing: string): Line[] {
  const pattern = /^\[[0-9A-F]+h (?<at>\d+) +(?<bytes>[0-9A-F]+)(?<hex>h?)\] +(?<name>.+?) : (?<value>.*)$/gm;
  return [...listing.matchAll(pattern)].map(({ groups = {} }) => ({
    at: Number(groups['at']),
    bytes: Number.parseInt(groups['bytes'] ?? '', groups['hex'] === 'h' ? 16 : 10),
    name: groups['name'] ?? '',
    value: groups['value'] ?? '',
  }));
}

interface Layout {
  readonly offsets: Readonly<Record<string, number>>;
  readonly fields: Readonly<Record<string, { readonly size: number }>>;
}

function sameField(line: Line | undefined, what: string, size: number, value: unknown): void {
  assert.ok(line !== undefined, `iasl knows no field where ${what} is`);
  assert.equal(line.bytes, size, what);
  if (typeof value === 'string') assert.equal(line.value.split('"')[1], value, what);
  else assert.equal(BigInt(`0x${line.value.split(' ')[0] ?? ''}`), BigInt(value as number | bigint), what);
}

/** Compares each field of `layout` at `base` with iasl's line for the same byte. */
function sameFields(lines: readonly Line[], layout: Layout, base: number, value: object): void {
  for (const [field, { size }] of Object.entries(layout.fields)) {
    const at = base + (layout.offsets[field] ?? 0);
    const ours = (value as Record<string, unknown>)[field];
    if (typeof ours === 'object') continue;
    sameField(
      lines.find((line) => line.at === at),
      field,
      size,
      ours,
    );
  }
}

const layouts = {
  local_apic: acpi_madt_local_apic,
  local_x2apic: acpi_madt_local_x2apic,
  gicc: acpi_madt_gicc,
} as const;

/** iasl's names of the fields that contain ids. */
const idNames: Readonly<Record<string, readonly [field: string, name: string][]>> = {
  local_apic: [
    ['acpi_processor_uid', 'Processor ID'],
    ['apic_id', 'Local Apic ID'],
  ],
  local_x2apic: [
    ['acpi_processor_uid', 'Processor UID'],
    ['x2apic_id', 'Processor x2Apic ID'],
  ],
  gicc: [
    ['acpi_processor_uid', 'Processor UID'],
    ['cpu_interface_number', 'CPU Interface Number'],
    ['mpidr', 'ARM MPIDR'],
  ],
};

/** A GICC entry of 80 bytes, ACPI 6.0's length. Every field has a different value. */
const wholeGicc: MadtEntry = {
  ...madtGicc(0x1122, 0x12_0003_0405n, 0x0f),
  cpu_interface_number: 0x3344,
  parking_protocol_version: 1,
  performance_interrupt_gsiv: 0x17,
  parked_address: 0x1111_0000n,
  physical_base_address: 0x2222_0000n,
  gicv: 0x3333_0000n,
  gich: 0x4444_0000n,
  vgic_maintenance_interrupt: 0x19,
  gicr_base_address: 0x5_5555_0000n,
  tail: new Uint8Array(4),
};

before(() => {
  if (missing === false) directory = mkdtempSync(join(tmpdir(), 'domulator-madt-'));
});
after(() => {
  if (missing === false) rmSync(directory, { recursive: true, force: true });
});

test(
  'iasl: finds the header and every field of the three entry types at the declared offsets',
  { skip: missing },
  () => {
    const entries = [madtLocalApic(0x11, 0x22, 1), madtLocalX2apic(0x1234, 0x1_0001, 2), wholeGicc];
    const table = writeMadt({ entries, flags: 1, oem_revision: 0x0102_0304 });
    const lines = linesOf(disassembled(table));
    sameFields(lines, acpi_table_header, 0, acpi_table_header.decode(table));
    sameFields(lines, acpi_madt, 0, acpi_madt.decode(table));
    let at = acpi_madt.size;
    for (const entry of entries) {
      const layout = layouts[entry.kind];
      sameFields(lines, layout, at + 2, entry);
      for (const [field, name] of idNames[entry.kind] ?? []) {
        const place = at + 2 + ((layout.offsets as Record<string, number>)[field] ?? 0);
        assert.equal(lines.find((line) => line.at === place)?.name, name);
      }
      at += table[at + 1] ?? 0;
    }
  },
);

test('iasl: compiles its disassembly of our table to the same bytes', { skip: missing }, () => {
  for (const policy of Object.values(policies)) {
    const entries = hardwareIds(policy, 'x86_64', 4).map(({ acpiUid, apicId }) =>
      fitsXapic(apicId) ? madtLocalApic(acpiUid, apicId) : madtLocalX2apic(acpiUid, apicId),
    );
    const table = writeMadt({ entries });
    disassembled(table);
    iasl('table.dsl');
    const again = readFileSync(join(directory, 'table.aml'));
    // The compiler puts its own name and version into the header, so the checksum differs too.
    assert.deepEqual(readMadt(again).warnings, []);
    assert.deepEqual(readMadt(again).madt.entries, readMadt(table).madt.entries, policy.name);
    assert.deepEqual(vcpuIdsFromMadt(again), vcpuIdsFromMadt(table));
  }
});

test('iasl: its own template table can be read', { skip: missing }, () => {
  iasl('-p', join(directory, 'apic'), '-T', 'APIC');
  iasl('apic.asl');
  const { madt, warnings } = readMadt(readFileSync(join(directory, 'apic.aml')));
  assert.deepEqual(warnings, []);
  const kinds = new Set(madt.entries.map(({ kind }) => kind));
  for (const kind of Object.keys(layouts)) assert.ok(kinds.has(kind as MadtEntry['kind']), kind);
  assert.ok(x86CpusOfMadt(madt).every(({ enabled }) => enabled));
});

/** acpidump's output for the tables in these files. */
function dumped(...files: string[]): Uint8Array {
  const { status, stdout, stderr } = spawnSync(
    'acpidump',
    files.flatMap((file) => ['-f', file]),
    {
      cwd: directory,
    },
  );
  assert.equal(status, 0, stderr.toString());
  return stdout;
}

test(
  'acpidump: its output for a MADT, alone or among other tables, is read as the table',
  { skip: missing },
  () => {
    const entries = [madtLocalApic(0x11, 0x22, 1), madtLocalX2apic(0x1234, 0x1_0001, 2), wholeGicc];
    const table = writeMadt({ entries });
    writeFileSync(join(directory, 'madt.dat'), table);
    iasl('-p', join(directory, 'facp'), '-T', 'FACP');
    iasl('facp.asl');
    for (const text of [dumped('madt.dat'), dumped('facp.aml', 'madt.dat', 'facp.aml')]) {
      assert.ok(isAcpidump(text));
      assert.deepEqual(readMadt(text), readMadt(table));
    }
    const others = dumped('facp.aml');
    assert.deepEqual(readAcpidump(others), [
      { signature: 'FACP', bytes: Uint8Array.from(readFileSync(join(directory, 'facp.aml'))) },
    ]);
    assert.throws(() => readMadt(others), /contains no table "APIC", only FACP/);
  },
);
