import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import { isAcpidump, readAcpidump } from './acpidump.js';
import type { DumpedTable } from './acpidump.js';
import { madtLocalApic, readMadt, writeMadt } from './madt.js';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

/** A table as acpidump prints it. */
function dumped({ signature, bytes }: DumpedTable, end = '\n'): string {
  const rows = Array.from({ length: Math.ceil(bytes.length / 16) }, (_, row) => {
    const part = [...bytes.subarray(16 * row, 16 * row + 16)];
    const pairs = part.map((byte) => `${hex(byte, 2)} `).join('');
    const characters = part.map((byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : '.'));
    return `    ${hex(16 * row, 4)}: ${pairs.padEnd(48)} ${characters.join('')}`;
  });
  return [`${signature} @ 0x0000000000000000`, ...rows, '', ''].join(end);
}

const madt = writeMadt({ entries: [madtLocalApic(0, 0), madtLocalApic(1, 2), madtLocalApic(2, 4)] });
const facp = { signature: 'FACP', bytes: bytesOf('FACP and so on') };

const table: fc.Arbitrary<DumpedTable> = fc.record(
  {
    signature: fc.stringMatching(/^[A-Z0-9_!-]{4}$/),
    bytes: fc.uint8Array({ maxLength: 100 }),
  },
  { noNullPrototype: true },
);

test('acpidump: any tables, printed, are read again', () => {
  fc.assert(
    fc.property(fc.array(table, { maxLength: 4 }), fc.constantFrom('\n', '\r\n'), (tables, end) => {
      const text = tables.map((one) => dumped(one, end)).join('');
      assert.deepEqual(readAcpidump(bytesOf(text)), tables);
    }),
  );
});

test('acpidump: any text gives tables or an InputError of one line', () => {
  const noise = fc.string({
    unit: fc.constantFrom('APIC', ' @ ', '0x0', '\n', '0000:', ' 41', '  ', 'x', '\r', '0010: 00'),
  });
  const check = (bytes: Uint8Array): void => {
    try {
      readAcpidump(bytes);
    } catch (error) {
      assert.ok(error instanceof InputError && !error.message.includes('\n'), String(error));
    }
  };
  fc.assert(fc.property(noise, (text) => check(bytesOf(text))));
  fc.assert(fc.property(fc.uint8Array(), check));
});

test('acpidump: older forms and short signatures with blanks', () => {
  const text = 'RSD PTR  @ 0xf6a10\n  0000: 52 53 44 20 50 54 52 20  RSD PTR \n\n';
  assert.deepEqual(readAcpidump(bytesOf(text)), [{ signature: 'RSD PTR', bytes: bytesOf('RSD PTR ') }]);
});

test('acpidump: a table is no text, and text is no table', () => {
  assert.ok(!isAcpidump(madt));
  assert.ok(!isAcpidump(new Uint8Array()));
  assert.ok(!isAcpidump(bytesOf('APIC is the signature of a MADT')));
  assert.ok(isAcpidump(bytesOf(dumped(facp))));
  assert.ok(isAcpidump(bytesOf(`# from a server\n\n${dumped(facp)}`)));
});

test('acpidump: the MADT is picked out of a dump', () => {
  const apic = dumped({ signature: 'APIC', bytes: madt });
  const whole = readMadt(madt);
  assert.deepEqual(readMadt(bytesOf(apic)), whole);
  assert.deepEqual(readMadt(bytesOf(dumped(facp) + apic + dumped(facp))), whole);
  const other = dumped({ signature: 'APIC', bytes: writeMadt({ entries: [] }) });
  assert.deepEqual(readMadt(bytesOf(apic + other)), {
    ...whole,
    warnings: ['the acpidump text has 2 MADTs; the first is read'],
  });
});

test('acpidump: a dump without a MADT, or a damaged one, fails with one line that says what is wrong', () => {
  const apic = dumped({ signature: 'APIC', bytes: madt });
  const lines = apic.split('\n');
  for (const [text, message] of [
    [dumped(facp), /contains no table "APIC", only FACP$/],
    [lines.toSpliced(2, 1).join('\n'), /^line 3 .* offset 32, but 16 bytes come before/],
    [lines.with(2, '    0010: 41 4').join('\n'), /^line 3 .* is no row of bytes, like "0010: 41 50 49 43"$/],
    [lines.slice(0, 3).join('\n'), /at least 44 bytes, this has 32/],
    ['APIC @ 0x0\n', /at least 44 bytes, this has 0/],
  ] as const) {
    assert.throws(
      () => readMadt(bytesOf(text)),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      text,
    );
  }
});
