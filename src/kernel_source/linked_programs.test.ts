import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { serveEachTest, suiteFiles, under } from '../../test/debian/archive.js';
import type { FakePackage, Files, Server } from '../../test/debian/archive.js';
import { debPackage } from '../../test/debian/files.js';
import { elfLibraries, readCpio } from '../firmware/index.js';
import { debianFiles, debianSettings, releaseSpec } from './index.js';
import type { DebianSettings } from './index.js';

/** An ELF file with a dynamic section that has these names, and is loaded at `address`. */
function elf(ownName: string | null, needed: readonly string[], address = 0x1000): Uint8Array {
  const names = [...(ownName === null ? [] : [ownName]), ...needed];
  const strings = `\0${names.map((name) => `${name}\0`).join('')}`;
  const offsetOf = (name: string): number => strings.indexOf(`\0${name}\0`) + 1;
  const [table, dynamic] = [0x100, 0x400];
  const entries = [
    ...needed.map((name) => [1, offsetOf(name)] as const),
    [5, address + table] as const,
    ...(ownName === null ? [] : [[14, offsetOf(ownName)] as const]),
    [0, 0] as const,
  ];
  const bytes = new Uint8Array(0x800);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setUint16(18, 183, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(56, 2, true);
  const segment = (index: number, type: number, offset: number, at: number, size: number): void => {
    view.setUint32(64 + 56 * index, type, true);
    view.setBigUint64(64 + 56 * index + 8, BigInt(offset), true);
    view.setBigUint64(64 + 56 * index + 16, BigInt(at), true);
    view.setBigUint64(64 + 56 * index + 32, BigInt(size), true);
  };
  segment(0, 1, 0, address, bytes.length);
  segment(1, 2, dynamic, address + dynamic, 16 * entries.length);
  bytes.set(Buffer.from(strings, 'latin1'), table);
  for (const [i, [tag, value]] of entries.entries()) {
    view.setBigUint64(dynamic + 16 * i, BigInt(tag), true);
    view.setBigUint64(dynamic + 16 * i + 8, BigInt(value), true);
  }
  return bytes;
}

describe('the libraries of an ELF file', () => {
  it('are those that it needs, and its own name', () => {
    assert.deepEqual(elfLibraries(elf(null, ['libb.so.1', 'libc.so.6'])), {
      needed: ['libb.so.1', 'libc.so.6'],
      ownName: null,
      interpreter: null,
    });
    const library = { needed: [], ownName: 'libb.so.1', interpreter: null };
    assert.deepEqual(elfLibraries(elf('libb.so.1', [], 0)), library);
  });

  it('are not known of other files, and of damaged ones', () => {
    assert.equal(elfLibraries(new Uint8Array(100)), null);
    const file = elf('libb.so.1', ['libc.so.6']);
    for (const length of [6, 40, 100]) assert.equal(elfLibraries(file.subarray(0, length)), null);
  });
});

const tool = elf(null, ['libown.so.2', 'libc.so.6']);

async function packaged(
  name: string,
  version: string,
  depends: string,
  files: Record<string, Uint8Array>,
): Promise<FakePackage> {
  return { name, version, depends, bytes: await debPackage({ Package: name }, files) };
}

/** kexec-tools, which needs a library whose own dependency is in a package with another name. */
async function archive(): Promise<Files> {
  const packages = [
    await packaged('kexec-tools', '1:2.0.25-3', 'libc6 (>= 2.34), libown2, debconf', { 'sbin/kexec': tool }),
    await packaged('libown2', '2.1-1', 'libc6, libodd1t64', {
      'usr/lib/aarch64-linux-gnu/libown.so.2.1': elf('libown.so.2', ['libinner.so.1']),
      'usr/share/doc/x': new Uint8Array(1),
    }),
    await packaged('libodd1t64', '1', 'libc6', {
      'lib/libinner.so.1.0': elf('libinner.so.1', ['libc.so.6']),
    }),
    await packaged('libc6', '2.36-9', '', { 'lib/libc.so.6': elf('libc.so.6', []) }),
    await packaged('libunused1', '1', '', { 'lib/libunused.so.1': elf('libunused.so.1', []) }),
    await packaged('debconf', '1', '', {}),
    await packaged('makedumpfile', '1:1.7.2-1', 'perl:any, libc6 (>= 2.34)', {
      'usr/bin/makedumpfile': elf(null, ['libc.so.6']),
    }),
  ];
  return under('debian', suiteFiles({ suite: 'bookworm', packages }));
}

let files: Files = {};
let server: Server;
let cacheFolder = '';
serveEachTest(archive, (mirror) => {
  ({ files, server, cacheFolder } = mirror);
});

function settings(): DebianSettings {
  return debianSettings({}, Date.UTC(2026, 10, 22) / 1000, () => undefined, {
    mirror: `${server.url}/debian`,
    keyrings: [],
    cacheFolder,
    fetch: { env: {}, idleMs: 30_000, retryMs: [] },
  });
}

describe('kexec-tools of a Debian release', () => {
  it('comes with all libraries that it needs, from the packages on which it depends', async () => {
    const { kexec } = await debianFiles(releaseSpec('bookworm'), ['kexec'], settings());
    const regular = readCpio(kexec.bytes).filter(({ content }) => content.length > 0);
    assert.deepEqual(
      regular.map(({ path }) => path),
      ['kexec', 'lib/libc.so.6', 'lib/libinner.so.1', 'lib/libown.so.2'].map((path) => `kexec-tools/${path}`),
    );
    assert.deepEqual(new Uint8Array(regular[0]?.content ?? []), tool);
    assert.equal(kexec.package.name, 'kexec-tools');
    assert.ok(!server.asked.some((path) => /debconf|libunused/.test(path)));
  });

  it('is in a folder of its own, but makedumpfile where programs are', async () => {
    const { makedumpfile } = await debianFiles(releaseSpec('bookworm'), ['makedumpfile'], settings());
    const paths = readCpio(makedumpfile.bytes).map(({ path }) => path);
    assert.deepEqual(paths, ['lib', 'bin/makedumpfile', 'lib/libc.so.6']);
    assert.equal(makedumpfile.package.name, 'makedumpfile');
  });

  it('is kept in the cache', async () => {
    const first = await debianFiles(releaseSpec('bookworm'), ['kexec'], settings());
    const asked = server.asked.length;
    const again = await debianFiles(releaseSpec('bookworm'), ['kexec'], settings());
    assert.deepEqual(again.kexec.bytes, first.kexec.bytes);
    assert.deepEqual([again.kexec.fromCache, server.asked.length], [true, asked]);
  });

  it('is refused if a library is in none of them, or not what the index says', async () => {
    const odd = 'debian/pool/main/libodd1t64_1_arm64.deb';
    const before = files[odd];
    files[odd] = new Uint8Array(before?.length ?? 0);
    await assert.rejects(
      debianFiles(releaseSpec('bookworm'), ['kexec'], settings()),
      /SHA-256 or size differs/,
    );
    Object.assign(
      files,
      under(
        'debian',
        suiteFiles({
          suite: 'bookworm',
          packages: [await packaged('kexec-tools', '2', 'libc6', { 'usr/sbin/kexec': tool })],
        }),
      ),
    );
    await assert.rejects(
      debianFiles(releaseSpec('bookworm'), ['kexec'], settings()),
      /no package on which kexec-tools depends contains libown\.so\.2/,
    );
  });
});
