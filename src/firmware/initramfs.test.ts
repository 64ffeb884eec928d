import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { InputError } from '../base/index.js';
import { fileType, readCpio } from './cpio.js';
import { busyboxInitramfs, defaultInitramfs, initMarker, isBusyboxPath } from './initramfs.js';

/** The header fields that mark a file as a program for a machine, and nothing else. */
function program(machine: number): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  bytes[18] = machine;
  return bytes;
}

const entries = readCpio(defaultInitramfs(program(183), 'arm64'));
const find = (path: string): (typeof entries)[number] => entries.find((entry) => entry.path === path)!;

test('every file comes after its directory', () => {
  for (const [i, { path }] of entries.entries()) {
    const parent = path.split('/').slice(0, -1).join('/');
    const at = entries.findIndex((entry) => entry.path === parent);
    assert.ok(parent === '' || (at >= 0 && at < i && (entries[at]!.mode & fileType.directory) !== 0), path);
  }
});

test('the console exists, and the commands are links to busybox', () => {
  assert.deepEqual(find('dev/console').device, [5, 1]);
  assert.equal(find('dev/console').mode & 0o170000, fileType.character);
  assert.equal(find('bin/sh').mode & 0o170000, fileType.symlink);
  assert.equal(Buffer.from(find('bin/sh').content).toString(), 'busybox');
  assert.deepEqual(find('bin/busybox').content, program(183));
});

test('/init is executable, a valid shell script, and uses only commands that exist', () => {
  const { mode, content } = find('init');
  const script = Buffer.from(content).toString();
  assert.equal(mode & 0o111, 0o111);
  assert.match(script, /^#!\/bin\/sh\n/);
  assert.ok(script.includes(`${initMarker} $*`));
  const { status, stderr } = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const known = new Set(
    entries.filter(({ path }) => path.startsWith('bin/')).map(({ path }) => path.slice(4)),
  );
  for (const command of ['mount', 'nproc', 'uname', 'poweroff', 'sleep']) {
    assert.ok(known.has(command) && script.includes(command), command);
  }
});

test('a busybox for another machine is refused', () => {
  for (const bytes of [program(62), new Uint8Array(), Buffer.from('#!/bin/sh\n')]) {
    assert.throws(() => defaultInitramfs(bytes, 'arm64'), InputError);
  }
  assert.throws(() => defaultInitramfs(program(183), 'amd64'), /busybox is not an amd64 program/);
  const amd64 = readCpio(defaultInitramfs(program(62), 'amd64'));
  assert.deepEqual(amd64.find(({ path }) => path === 'bin/busybox')!.content, program(62));
});

test('an initramfs can have another /init, other commands, and more files', () => {
  const made = readCpio(
    busyboxInitramfs(program(183), 'arm64', {
      applets: ['awk'],
      init: '#!/bin/awk',
      entries: [
        { path: 'root/more', mode: fileType.regular | 0o644, content: Uint8Array.of(1), device: [0, 0] },
      ],
    }),
  );
  const paths = made.map(({ path }) => path);
  assert.ok(paths.includes('bin/awk') && !paths.includes('bin/sh'));
  assert.equal(Buffer.from(made.find(({ path }) => path === 'init')!.content).toString(), '#!/bin/awk');
  assert.deepEqual(made.find(({ path }) => path === 'root/more')!.content, Uint8Array.of(1));
});

test('busybox is found in /bin and in /usr/bin', () => {
  for (const path of ['bin/busybox', 'usr/bin/busybox']) assert.ok(isBusyboxPath(path));
  for (const path of ['usr/share/doc/busybox', 'bin/busybox2', 'x/bin/busybox'])
    assert.ok(!isBusyboxPath(path));
});
