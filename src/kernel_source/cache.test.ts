import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { bytesOf } from '../../test/debian/files.js';
import { Cache, cacheFolder, sha256 } from './cache.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cache-'));
});
after(() => rm(folder, { recursive: true }));

it('is in the user’s cache folder', () => {
  assert.equal(cacheFolder({ XDG_CACHE_HOME: '/x' }), '/x/domulator');
  for (const env of [{}, { XDG_CACHE_HOME: '' }, { XDG_CACHE_HOME: 'relative' }]) {
    assert.equal(cacheFolder(env), path.join(os.homedir(), '.cache', 'domulator'));
  }
});

it('keeps files by their hash, and leaves nothing else behind', async () => {
  const cache = new Cache(path.join(folder, 'a'));
  const hash = await cache.keep(bytesOf('kernel'));
  assert.equal(hash, sha256(bytesOf('kernel')));
  assert.equal(await cache.keep(bytesOf('kernel')), hash);
  assert.deepEqual(await cache.object(hash), { state: 'there', bytes: bytesOf('kernel') });
  assert.deepEqual(await cache.object(sha256(bytesOf('other'))), { state: 'missing' });
  assert.deepEqual(await readdir(path.join(folder, 'a', 'sha256')), [hash]);
});

it('tells a damaged file, once; then it is gone', async () => {
  const cache = new Cache(path.join(folder, 'b'));
  const hash = await cache.keep(bytesOf('kernel'));
  await writeFile(path.join(folder, 'b', 'sha256', hash), 'kernem');
  assert.deepEqual(await cache.object(hash), { state: 'damaged' });
  assert.deepEqual(await cache.object(hash), { state: 'missing' });
});

it('keeps records, and has none where there is no JSON', async () => {
  const cache = new Cache(path.join(folder, 'c'));
  assert.equal(await cache.record('bookworm'), null);
  await cache.writeRecord('bookworm', { version: 1 });
  assert.deepEqual(await cache.record('bookworm'), { version: 1 });
  await writeFile(path.join(folder, 'c', 'debian', 'bookworm.json'), '{"version": 1');
  assert.equal(await cache.record('bookworm'), null);
});

it('throws what the file system says when it cannot write', async () => {
  await writeFile(path.join(folder, 'file'), '');
  await assert.rejects(new Cache(path.join(folder, 'file', 'd')).keep(bytesOf('x')), /ENOTDIR/);
});
