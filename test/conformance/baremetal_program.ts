/** What the bare-metal tests of both architectures share: reading their programs, and running them on QEMU. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** The loadable segments of a 64-bit little-endian ELF file, and its entry. */
export function readElf(elf: Uint8Array): { readonly entry: bigint; readonly segments: readonly Segment[] } {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const headers = Number(view.getBigUint64(32, true));
  const count = view.getUint16(56, true);
  const all = Array.from({ length: count }, (_, index) => headers + 56 * index);
  const segments = all
    .filter((at) => view.getUint32(at, true) === 1)
    .map((at) => {
      const offset = Number(view.getBigUint64(at + 8, true));
      const size = Number(view.getBigUint64(at + 32, true));
      return {
        address: Number(view.getBigUint64(at + 24, true)),
        bytes: elf.subarray(offset, offset + size),
      };
    });
  return { entry: view.getBigUint64(24, true), segments };
}

/** The standard output of a program on an emulator of QEMU, which gets `options` before the program. */
export function outputOnQemu(emulator: string, elf: Uint8Array, options: readonly string[]): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'domulator-baremetal-'));
  try {
    const file = path.join(directory, 'test.elf');
    writeFileSync(file, elf);
    const { stdout, error } = spawnSync(emulator, [...options, '-kernel', file], {
      encoding: 'utf8',
      timeout: 60_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return error === undefined ? stdout : `${stdout}\n${error.message}`;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
