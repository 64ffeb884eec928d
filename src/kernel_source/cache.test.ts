import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { bytesOf } from '../../test/debian/files.js';
import { Cache, cacheReason, sha256 } from './cache.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cache-'));
});
after(() => rm(folder, { recursive: true }));

it('without a directory, it has nothing and keeps nothing', async () => {
  const cache = new Cache(null);
  const hash = await cache.keep(bytesOf('kernel'));
  await cache.writeRecord('debian/bookworm', { version: 1 });
  assert.deepEqual(await cache.object(hash), { state: 'missing' });
  assert.equal(await cache.hasObject(hash), false);
  assert.equal(await cache.record('debian/bookworm'), null);
  assert.deepEqual(await cache.namesIn('debian'), []);
});

it('keeps files by their hash, and leaves no other files behind', async () => {
  const cache = new Cache(path.join(folder, 'a'));
  const hash = await cache.keep(bytesOf('kernel'));
  assert.equal(hash, sha256(bytesOf('kernel')));
  assert.equal(await cache.keep(bytesOf('kernel')), hash);
  assert.deepEqual(await cache.object(hash), { state: 'there', bytes: bytesOf('kernel') });
  assert.deepEqual(await cache.object(sha256(bytesOf('other'))), { state: 'missing' });
  assert.deepEqual(await readdir(path.join(folder, 'a', 'sha256')), [hash]);
});

it('reports a damaged file once, and removes it', async () => {
  const cache = new Cache(path.join(folder, 'b'));
  const hash = await cache.keep(bytesOf('kernel'));
  await writeFile(path.join(folder, 'b', 'sha256', hash), 'kernem');
  assert.deepEqual(await cache.object(hash), { state: 'damaged' });
  assert.deepEqual(await cache.object(hash), { state: 'missing' });
});

it('keeps records, and ignores one that is not JSON', async () => {
  const cache = new Cache(path.join(folder, 'c'));
  assert.equal(await cache.record('debian/bookworm'), null);
  await cache.writeRecord('debian/bookworm', { version: 1 });
  await cache.writeRecord('debian/bookworm/cloud', { version: 2 });
  assert.deepEqual(await cache.record('debian/bookworm'), { version: 1 });
  assert.deepEqual(await cache.record('debian/bookworm/cloud'), { version: 2 });
  assert.deepEqual(await cache.namesIn('debian'), ['bookworm']);
  assert.deepEqual(await cache.namesIn('debian/bookworm'), ['cloud']);
  assert.deepEqual(await cache.namesIn('debian/none'), []);
  await writeFile(path.join(folder, 'c', 'debian', 'bookworm.json'), '{"version": 1');
  assert.equal(await cache.record('debian/bookworm'), null);
});

/** The error from keeping a file in `place`. */
async function refusal(place: string): Promise<string> {
  const attempt = new Cache(place).keep(bytesOf('x'));
  return await attempt.then(
    () => assert.fail(`${place} was written to`),
    (error: unknown) => cacheReason(error),
  );
}

it('fails with the file system’s error where nothing can be kept', async () => {
  await writeFile(path.join(folder, 'file'), '');
  await symlink(path.join(folder, 'nowhere', 'x'), path.join(folder, 'dangling'));
  await symlink(path.join(folder, 'loop'), path.join(folder, 'loop'));
  const notFolder = 'part of its path is not a directory';
  const nothing = 'nothing can be created there';
  const cases: readonly (readonly [string, string])[] = [
    [path.join(folder, 'file', 'domulator'), notFolder],
    [path.join(folder, 'file'), notFolder],
    [path.join(folder, 'dangling'), nothing],
    [path.join(folder, 'dangling', 'domulator'), nothing],
    [path.join(folder, 'loop', 'domulator'), 'its path has a loop of symbolic links'],
    [path.join(folder, 'n'.repeat(300)), 'its path is too long'],
    ['/dev/null/domulator', notFolder],
    // In /proc, a directory exists but nothing can be created in it. The error is "no such file or directory".
    ['/proc/domulator', nothing],
    ['/proc/self/a/b/c', nothing],
    ['/proc', nothing],
  ];
  for (const [place, reason] of cases) assert.equal(await refusal(place), reason, place);
});

it('says why a disk accepts no more data', () => {
  assert.equal(cacheReason(Object.assign(new Error('x'), { code: 'ENOSPC' })), 'the disk is full');
  assert.equal(cacheReason(Object.assign(new Error('x'), { code: 'EROFS' })), 'its file system is read-only');
  assert.equal(cacheReason(Object.assign(new Error('x'), { code: 'EXXX' })), 'EXXX');
  assert.equal(cacheReason(new Error('x')), 'x');
  assert.equal(cacheReason('x'), 'x');
});
