import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { arArchive, bytesOf, concat, debPackage, tarArchive } from '../../../test/debian/files.js';
import { InputError } from '../../base/index.js';
import { debControl, debFiles, findInDeb, isDeb, isKernelPath, openDeb } from './deb.js';

const files = {
  'boot/System.map-6.1': bytesOf('map'),
  'boot/vmlinuz-6.1': bytesOf('kernel'),
  'usr/share/doc/readme': bytesOf('text'),
};
const control = { Package: 'linux-image-6.1', Version: '6.1-1', Depends: 'kmod' };
const plain = { suffix: '', compress: (bytes: Uint8Array) => bytes };

async function listed(bytes: Uint8Array): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of debFiles(openDeb(bytes, 'it'), () => true)) paths.push(path);
  return paths;
}

test('control fields and files are read from a package, with gzip and uncompressed', async () => {
  for (const pack of [undefined, plain]) {
    const bytes = await debPackage(control, files, pack);
    assert.ok(isDeb(bytes));
    const deb = openDeb(bytes, 'it');
    assert.deepEqual(
      [...(await debControl(deb))],
      Object.entries(control).map(([name, value]) => [name.toLowerCase(), value]),
    );
    assert.deepEqual(await listed(bytes), Object.keys(files));
    assert.deepEqual(await findInDeb(deb, isKernelPath), {
      path: 'boot/vmlinuz-6.1',
      bytes: bytesOf('kernel'),
    });
    assert.equal(await findInDeb(deb, (path) => path === 'boot'), null, 'a directory is no file');
  }
});

test('a wanted file after unwanted files is complete', { timeout: 60_000 }, async () => {
  const small = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`a/${n}`, bytesOf(`small ${n}`)]));
  const large = new Uint8Array(300_000).fill(7);
  const bytes = await debPackage(control, { ...small, 'b/large': large, 'b/last': bytesOf('end') }, plain);
  const found: Record<string, number> = {};
  for await (const file of debFiles(openDeb(bytes, 'it'), (path) => path.startsWith('b/'))) {
    found[file.path] = file.bytes.length;
  }
  assert.deepEqual(found, { 'b/large': 300_000, 'b/last': 3 });
});

test('isKernelPath knows the kernel paths of Debian’s packages', () => {
  for (const path of [
    'boot/vmlinuz-6.1.0-56-arm64',
    'boot/vmlinux-6.1',
    'usr/lib/modules/7.2/vmlinuz',
    'lib/modules/7.2/vmlinuz',
  ]) {
    assert.ok(isKernelPath(path), path);
  }
  for (const path of [
    'boot/System.map-6.1',
    'boot/vmlinuz-6.1/x',
    'usr/lib/debug/boot/vmlinux-6.1',
    'boot/vmlinuz',
  ]) {
    assert.ok(!isKernelPath(path), path);
  }
});

test('a long path is complete', async () => {
  const path = `usr/${'long/'.repeat(40)}file`;
  assert.deepEqual(await listed(await debPackage(control, { [path]: bytesOf('x') })), [path]);
});

test('a file that is not a package, or a truncated one, is refused with one line', async () => {
  const whole = await debPackage(control, files);
  const tar = await tarArchive(files);
  const wrong: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /^it is not a Debian package$/],
    [bytesOf('!<arch>\n'), /not a Debian package of format 2/],
    [arArchive({ 'debian-binary': bytesOf('3.0\n') }), /format 2/],
    [arArchive({ 'debian-binary': bytesOf('2.0\n'), 'data.tar': tar }), /no control\.tar/],
    [arArchive({ 'debian-binary': bytesOf('2.0\n'), 'control.tar': tar }), /no data\.tar/],
    [whole.subarray(0, whole.length - 100), /truncated: it has \d+ bytes, but should have \d+$/],
    [whole.subarray(0, 100), /no archive member begins at byte 72/],
    [concat(bytesOf('!<arch>\n'), bytesOf('x'.repeat(60))), /no archive member begins at byte 8/],
  ];
  for (const [bytes, message] of wrong) {
    assert.throws(
      () => openDeb(bytes, 'it'),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      String(message),
    );
  }
});

test('unreadable archives in a package are refused when they are read', async () => {
  const parts = (data: Uint8Array, name = 'data.tar.gz'): Uint8Array =>
    arArchive({ 'debian-binary': bytesOf('2.0\n'), 'control.tar': data, [name]: data });
  await assert.rejects(listed(parts(bytesOf('not packed'))), /uses an unknown compression: data\.tar\.gz/);
  await assert.rejects(listed(parts(bytesOf('x'.repeat(2000)), 'data.tar')), InputError);
  const tar = await tarArchive(files);
  await assert.rejects(listed(parts(tar.subarray(0, 600), 'data.tar')), InputError);
  const noControl = openDeb(parts(tar, 'data.tar'), 'it');
  await assert.rejects(debControl(noControl), /^InputError: it has no control file$/);
});

test('random bytes and changed packages only throw InputError', async () => {
  const whole = await debPackage(control, files, plain);
  const bent = fc
    .array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
    .map((changes) => {
      const copy = whole.slice();
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
  const cut = fc.nat(whole.length).map((length) => whole.subarray(0, length));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 300 }), bent, cut), async (bytes) => {
      try {
        const deb = openDeb(bytes, 'it');
        await debControl(deb);
        await findInDeb(deb, () => false);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
        assert.ok(!error.message.includes('\n'));
      }
    }),
    { numRuns: 400 },
  );
});
