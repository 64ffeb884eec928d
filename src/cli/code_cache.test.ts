import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import { keepCode, keptCode } from './code_cache.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-code-'));
after(() => rmSync(folder, { recursive: true }));

const user = process.getuid?.() ?? null;
const code = new Uint8Array([1, 2, 3, 4, 5]);

let count = 0;
/** A file of this code, kept under the key `key`. */
function keptFile(): string {
  count += 1;
  const file = path.join(folder, String(count), 'deeper', 'code');
  keepCode(file, 'key', code);
  return file;
}

it('gives back what was kept under the same key, and leaves no other file', () => {
  const file = keptFile();
  assert.deepEqual(new Uint8Array(keptCode(file, 'key', user) ?? []), code);
  assert.equal(keptCode(file, 'another', user), undefined);
  assert.equal(keptCode(`${file}.not`, 'key', user), undefined);
  keepCode(file, 'another', code);
  assert.notEqual(keptCode(file, 'another', user), undefined);
  assert.deepEqual(readdirSync(path.dirname(file)), ['code']);
});

it('keeps the code of a few programs beside each other, and removes the oldest', () => {
  const place = path.join(folder, 'programs');
  const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `v20.1.2-linux-x64-${name}`);
  mkdirSync(place);
  writeFileSync(path.join(place, 'note'), 'not ours');
  for (const [i, name] of names.entries()) {
    const file = path.join(place, name);
    keepCode(file, name, code);
    // Older than all that follow.
    utimesSync(file, 1000 + i, 1000 + i);
  }
  assert.deepEqual(readdirSync(place).sort(), ['note', ...names.slice(-4)]);
  for (const name of names.slice(-4))
    assert.deepEqual(new Uint8Array(keptCode(path.join(place, name), name, user) ?? []), code);
});

it('uses no file in which any byte was changed, or that was cut or made longer', () => {
  const file = keptFile();
  const whole = readFileSync(file);
  const altered = [...whole.keys()].map((i) => {
    const bytes = Buffer.from(whole);
    bytes[i] = (bytes[i] ?? 0) ^ 0x10;
    return bytes;
  });
  const cut = [...whole.keys()].map((length) => whole.subarray(0, length));
  for (const bytes of [...altered, ...cut, Buffer.concat([whole, Buffer.alloc(1)])]) {
    writeFileSync(file, bytes);
    assert.equal(keptCode(file, 'key', user), undefined);
  }
  writeFileSync(file, whole);
  assert.notEqual(keptCode(file, 'key', user), undefined);
});

it('uses no file that another user owns or may write', { skip: user === null }, () => {
  const file = keptFile();
  assert.equal(keptCode(file, 'key', (user ?? 0) + 1), undefined);
  for (const mode of [0o620, 0o602]) {
    chmodSync(file, mode);
    assert.equal(keptCode(file, 'key', user), undefined, mode.toString(8));
  }
});

it('uses no folder, and does not wait for the writer of a pipe', () => {
  const pipe = path.join(folder, 'pipe');
  if (spawnSync('mkfifo', [pipe]).status === 0) assert.equal(keptCode(pipe, 'key', user), undefined);
  assert.equal(keptCode(folder, 'key', user), undefined);
});

it('keeps nothing where nothing can be written', () => {
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  keepCode(path.join(file, 'code'), 'key', code);
  assert.equal(readFileSync(file).length, 0);
  const taken = path.join(folder, 'taken');
  mkdirSync(taken);
  keepCode(taken, 'key', code);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.partial')),
    [],
  );
  if (existsSync('/proc/self')) keepCode('/proc/self/code/code', 'key', code);
});
