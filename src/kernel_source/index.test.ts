import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { sha256 } from '../../test/debian/archive.js';
import { debPackage, kernelImage } from '../../test/debian/files.js';
import { InputError } from '../base/index.js';
import { debianSettings, loadKernelFile } from './index.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'kernel-'));
});
after(() => rm(folder, { recursive: true }));

it('loads a kernel from a file in any format, and hashes the packaged file', async () => {
  const image = kernelImage();
  const zipped = Uint8Array.from(gzipSync(image));
  const deb = await debPackage({ Package: 'linux-image-x', Version: '1' }, { 'boot/vmlinuz-x': zipped });
  for (const [name, bytes, packed] of [
    ['Image', image, image],
    ['Image.gz', zipped, zipped],
    ['x.deb', deb, zipped],
  ] as const) {
    const file = path.join(folder, name);
    await writeFile(file, bytes);
    const loaded = await loadKernelFile(file);
    assert.equal(loaded.name, file);
    assert.equal(loaded.version, '6.1.0-99-arm64');
    assert.equal(loaded.sha256, sha256(packed), name);
    assert.deepEqual(loaded.image.bytes, image);
  }
});

it('says in one line why a file is not a kernel', async () => {
  const empty = path.join(folder, 'empty');
  await writeFile(empty, '');
  const cases: [string, RegExp][] = [
    [path.join(folder, 'none'), /^the kernel .*none cannot be read: there is no such file$/],
    [folder, /cannot be read: it is a directory$/],
    [path.join(empty, 'x'), /a part of its path is not a directory$/],
    [empty, /empty is empty$/],
  ];
  for (const [file, message] of cases) {
    await assert.rejects(loadKernelFile(file), (error: unknown) => {
      assert.ok(error instanceof InputError, String(error));
      return message.test(error.message);
    });
  }
});

it('takes mirror and cache from the environment', () => {
  const warn = (): void => undefined;
  assert.equal(debianSettings({}, 0, warn).mirror, null);
  assert.equal(debianSettings({ DOMULATOR_MIRROR: '' }, 0, warn).mirror, null);
  const set = debianSettings({ DOMULATOR_MIRROR: 'http://m.example', XDG_CACHE_HOME: '/c' }, 0, warn);
  assert.deepEqual([set.mirror, set.cacheFolder], ['http://m.example', '/c/domulator']);
  assert.equal(debianSettings({}, 0, warn, { mirror: 'http://x.example' }).mirror, 'http://x.example');
});
