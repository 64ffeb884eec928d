import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { pvhEntry } from './entry.js';
import type { PvhParts } from './entry.js';
import { memoryBanks, memoryMap } from './memory_map.js';

const acpi = [
  { start: 0xfc00_8000n, size: 0x40n },
  { start: 0xfc00_0000n, size: 0x1000n },
  { start: 0xfc00_1000n, size: 0x7000n },
];

/** The guest whose start_info was read under Xen 4.17. */
const reference: PvhParts = {
  kernel: { start: 0x100_0000n, size: 0x3a0_0000n },
  commandLine: 'console=hvc0 loglevel=8 mode=dump ksyms=1 ',
  initrd: new Uint8Array(0x4b_d010),
  rsdpAt: 0xfc00_8000n,
  memoryMap: memoryMap(memoryBanks(512), acpi),
  lowRam: { start: 0n, size: 0x2000_0000n },
};

/** Its bytes from 0 to 0x88 and from 0x8a8 on, in hexadecimal; zeros are between them. */
const head = `78c56e3301000000000000000100000068 00a004000000003800a004000000000080 00fc00000000a808a00400000000
  0500000000000000 636f6e736f6c653d68766330206c6f676c6576656c3d38206d6f64653d64756d70206b73796d733d31 20000000000000
  0010a0040000000010d04b0000000000 00000000000000000000000000000000`;
const map = `0000000000000000 0000002000000000 0100000000000000 0080fffe00000000 0080000000000000 0200000000000000
  008000fc00000000 4000000000000000 0300000000000000 000000fc00000000 0010000000000000 0300000000000000
  001000fc00000000 0070000000000000 0300000000000000`;

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

test('start_info and the initrd are where Xen 4.17’s toolstack put them, with the same bytes', () => {
  const { startInfoAt, load } = pvhEntry(reference);
  assert.equal(startInfoAt, 0x4a0_0000n);
  const [info, initrd] = load as [(typeof load)[number], (typeof load)[number]];
  assert.equal(info.at, startInfoAt);
  const expected = new Uint8Array(0x920);
  expected.set(bytesOf(head));
  expected.set(bytesOf(map), 0x8a8);
  assert.deepEqual(info.bytes, expected);
  assert.deepEqual([initrd.at, initrd.bytes.length], [0x4a0_1000n, 0x4b_d010]);
});

test('a guest without an initrd has no module', () => {
  const { load } = pvhEntry({ ...reference, initrd: null });
  assert.equal(load.length, 1);
  const info = hvm_start_info.decode(load[0]?.bytes ?? new Uint8Array());
  assert.deepEqual([info.nr_modules, info.modlist_paddr], [0, 0n]);
});

test('what a guest finds through start_info is what it was given, and all of it is in RAM', () => {
  const text = fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)) });
  fc.assert(
    fc.property(text, fc.nat(5000), fc.nat(0x400_0000), (commandLine, initrdBytes, kernelBytes) => {
      const kernel = { start: 0x100_0000n, size: BigInt(kernelBytes) };
      const { startInfoAt, load } = pvhEntry({
        ...reference,
        kernel,
        commandLine,
        initrd: new Uint8Array(initrdBytes),
      });
      const [{ at, bytes }, initrd] = load as [(typeof load)[number], (typeof load)[number]];
      assert.ok(at >= kernel.start + kernel.size && at % 0x1000n === 0n);
      assert.ok(initrd.at >= at + BigInt(bytes.length) && initrd.at % 0x1000n === 0n);
      const info = hvm_start_info.decode(bytes);
      const place = (address: bigint): number => Number(address - startInfoAt);
      const from = place(info.cmdline_paddr);
      const line = bytes.subarray(from, bytes.indexOf(0, from));
      assert.equal(Buffer.from(line).toString('latin1'), commandLine);
      const module = hvm_modlist_entry.decode(bytes, place(info.modlist_paddr));
      assert.deepEqual([module.paddr, module.size], [initrd.at, BigInt(initrdBytes)]);
      const entries = Array.from({ length: info.memmap_entries }, (_, i) =>
        hvm_memmap_table_entry.decode(bytes, place(info.memmap_paddr) + i * hvm_memmap_table_entry.size),
      );
      assert.deepEqual(
        entries.map(({ addr, size, type }) => ({ start: addr, size, type })),
        reference.memoryMap,
      );
    }),
  );
});

test('too little memory and a command line that is no text are refused with one line', () => {
  const lowRam = { start: 0n, size: 0x4e0_0000n };
  assert.throws(() => pvhEntry({ ...reference, lowRam }), {
    name: 'InputError',
    message: '78 MiB of memory is too little: the kernel and the initrd alone take 79 MiB',
  });
  for (const commandLine of ['a\0b', 'a\u0100'])
    assert.throws(() => pvhEntry({ ...reference, commandLine }), InputError);
});
