import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import { fileType, readCpio, writeCpio } from './cpio.js';
import type { CpioEntry } from './cpio.js';

const example: CpioEntry = {
  path: 'init',
  mode: fileType.regular | 0o755,
  content: Uint8Array.from(Buffer.from('hello')),
  device: [0, 0],
};

test('a member, byte for byte', () => {
  const header =
    '070701' +
    '00000001' + // ino
    '000081ed' + // mode
    '00000000'.repeat(2) + // uid, gid
    '00000001' + // nlink
    '00000000' + // mtime
    '00000005' + // filesize
    '00000000'.repeat(4) + // the devices
    '00000005' + // namesize
    '00000000'; // check
  const text = Buffer.from(writeCpio([example])).toString('latin1');
  assert.ok(text.startsWith(`${header}init\x00\x00hello\x00\x00\x00070701`), text);
  assert.match(text, /00000000TRAILER!!!\0+$/);
  assert.equal(text.length % 4, 0);
});

const entry: fc.Arbitrary<CpioEntry> = fc.record(
  {
    path: fc.stringMatching(/^[a-z][a-z0-9/._-]{0,12}$/).map((path) => path),
    mode: fc.nat(0xffff),
    content: fc.uint8Array({ maxLength: 20 }),
    device: fc.tuple(fc.nat(0xffff), fc.nat(0xffff)),
  },
  { noNullPrototype: true },
);

test('an archive survives a round trip', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), (entries) => {
      assert.deepEqual(readCpio(writeCpio(entries)), entries);
    }),
  );
});

test('a truncated archive and one in another format are refused with one line', () => {
  const archive = writeCpio([example]);
  for (let length = 0; length < archive.length - 4; length += 1) {
    assert.throws(() => readCpio(archive.subarray(0, length)), InputError, String(length));
  }
  assert.throws(() => readCpio(Buffer.from('070707'.padEnd(200))), /no member begins at byte 0/);
  assert.throws(() => writeCpio([{ ...example, path: 'a\0b' }]), InputError);
});

test('a member without a name or with truncated content is refused', () => {
  const changed = (index: number, digits: string): Uint8Array => {
    const archive = Uint8Array.from(writeCpio([example]));
    archive.set(Buffer.from(digits), 6 + 8 * index);
    return archive;
  };
  assert.throws(() => readCpio(changed(11, '00000000')), /truncated/);
  assert.throws(() => readCpio(changed(6, '000000f0')), /truncated/);
  assert.throws(() => readCpio(changed(6, '0000000g')), /has no number at byte 0/);
});

test('random bytes and changed archives only throw InputError', () => {
  const archive = writeCpio([example, { ...example, path: 'other' }]);
  const bent = fc
    .array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { maxLength: 4 })
    .map((changes) => {
      const copy = archive.slice();
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), bent), (bytes) => {
      try {
        readCpio(bytes);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

const cpio = spawnSync('cpio', ['--version']).status === 0;

test('cpio lists what we wrote', { skip: cpio ? false : 'needs cpio' }, () => {
  const entries: CpioEntry[] = [
    { path: 'bin', mode: fileType.directory | 0o755, content: new Uint8Array(), device: [0, 0] },
    { ...example, path: 'bin/a' },
    { path: 'bin/b', mode: fileType.symlink | 0o777, content: Buffer.from('a'), device: [0, 0] },
  ];
  const { stdout } = spawnSync('cpio', ['--list', '--quiet'], {
    input: writeCpio(entries),
    encoding: 'utf8',
  });
  assert.equal(stdout, 'bin\nbin/a\nbin/b\n');
});
