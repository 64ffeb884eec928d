import assert from 'node:assert/strict';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { serveEachTest, sha256, suiteFiles, under } from '../../test/debian/archive.js';
import type { FakePackage, FakeSuite, Files, Server } from '../../test/debian/archive.js';
import { bytesOf, debPackage, kernelImage } from '../../test/debian/files.js';
import {
  debianFiles,
  debianSettings,
  kernelPackageFiles,
  loadDebianKernel,
  NotGenuineError,
  parseDebianSpec,
  releaseSpec,
} from './index.js';
import type { DebianSettings } from './index.js';
import { refusal } from '../../test/refusal.js';

const now = Date.UTC(2026, 10, 22) / 1000;
const bookworm = parseDebianSpec('bookworm');
const kernel = kernelImage({ version: '6.1.0-2-arm64' });
const olderKernel = kernelImage({ version: '6.1.0-1-arm64' });

function busybox(): Uint8Array {
  return bytesOf('busybox');
}

/** The metapackage for the newest kernel, and the kernel's package, as in Debian up to 13. */
async function kernelPair(abi: number, version: string, image: Uint8Array): Promise<FakePackage[]> {
  const name = `linux-image-6.1.0-${abi}-arm64`;
  const depends = `${name} (= ${version})`;
  return [
    {
      name: 'linux-image-arm64',
      version,
      depends,
      bytes: await debPackage({ Package: 'linux-image-arm64' }, {}),
    },
    {
      name,
      version,
      depends: 'kmod, linux-base (>= 4.3~)',
      bytes: await debPackage(
        { Package: name, Version: version },
        { [`boot/vmlinuz-6.1.0-${abi}-arm64`]: image },
      ),
    },
  ];
}

/** The archive of the tests: an older kernel in the release and a newer one in its security updates. */
async function archive(more: Partial<FakeSuite> = {}): Promise<Files> {
  const applet: FakePackage = {
    name: 'busybox-static',
    version: '1:1.35.0-4',
    bytes: await debPackage(
      { Package: 'busybox-static' },
      { 'bin/busybox': busybox(), 'usr/share/doc/x': bytesOf('') },
    ),
  };
  const main = [...(await kernelPair(1, '6.1.100-1', olderKernel)), applet];
  const security = await kernelPair(2, '6.1.200-1', kernel);
  return {
    ...under('debian', suiteFiles({ suite: 'bookworm', packages: main, ...more })),
    ...under('debian-security', suiteFiles({ suite: 'bookworm-security', packages: security })),
  };
}

const newestDeb = 'debian-security/pool/main/linux-image-6.1.0-2-arm64_6.1.200-1_arm64.deb';

let root = '';
let files: Files = {};
let server: Server;
let cacheFolder = '';
serveEachTest(archive, (mirror) => {
  ({ root, files, server, cacheFolder } = mirror);
});

interface Try {
  readonly settings: DebianSettings;
  readonly warnings: string[];
}

/** Settings of a machine without keyrings and with an empty cache. */
function machine(more: Partial<DebianSettings> = {}): Try {
  const warnings: string[] = [];
  const settings = debianSettings({}, now, (line) => warnings.push(line), {
    mirror: `${server.url}/debian`,
    keyrings: [],
    cacheFolder,
    fetch: { env: {}, idleMs: 30_000, retryMs: [] },
    ...more,
  });
  return { settings, warnings };
}

const noSignature = (suite: string): string =>
  `the signature of ${suite}'s Release file was not checked: there is no Debian keyring`;
const usual = [noSignature('bookworm'), noSignature('bookworm-security')];

describe('a Debian release', () => {
  it('gives its newest kernel from any of its archives, and says where it came from', async () => {
    const { settings, warnings } = machine();
    const loaded = await loadDebianKernel(bookworm, settings);
    assert.equal(loaded.name, 'debian:bookworm');
    assert.equal(loaded.version, '6.1.0-2-arm64');
    assert.equal(loaded.sha256, sha256(kernel));
    assert.deepEqual(loaded.package, {
      name: 'linux-image-6.1.0-2-arm64',
      version: '6.1.200-1',
      sha256: sha256(files[newestDeb]!),
    });
    assert.deepEqual(
      loaded.suites.map(({ suite, expired, signature }) => [suite, expired, signature.state]),
      [
        ['bookworm', false, 'unchecked'],
        ['bookworm-security', false, 'unchecked'],
      ],
    );
    assert.deepEqual(warnings, usual);
  });

  it('is fetched once: the second time the cache gives the same without a request', async () => {
    const first = await debianFiles(bookworm, ['kernel', 'busybox'], machine().settings);
    const asked = server.asked.length;
    await server.stop();
    const { settings, warnings } = machine();
    const second = await debianFiles(bookworm, ['kernel', 'busybox'], settings);
    assert.equal(server.asked.length, asked);
    assert.deepEqual(warnings, []);
    assert.deepEqual(second.kernel, { ...first.kernel, fromCache: true });
    assert.deepEqual(second.busybox, { ...first.busybox, fromCache: true });
    assert.deepEqual(second.busybox.bytes, busybox());
  });

  it('is found in the archive that apt’s sources name', async () => {
    const apt = path.join(root, 'apt');
    await rm(apt, { recursive: true, force: true });
    await (await import('node:fs/promises')).mkdir(apt);
    await writeFile(
      path.join(apt, 'sources.list'),
      `deb ${server.url}/debian bookworm main\ndeb ${server.url}/debian-security bookworm-security main\n`,
    );
    const { settings } = machine({ mirror: null, aptFolder: apt });
    assert.equal((await loadDebianKernel(bookworm, settings)).version, '6.1.0-2-arm64');
    assert.ok(!server.asked.includes('debian/dists/bookworm-updates/InRelease'), 'only what is named');
  });

  it('adds busybox to the cache together with a kernel, if it has one', async () => {
    await loadDebianKernel(bookworm, machine().settings);
    await server.stop();
    assert.equal((await debianFiles(bookworm, ['busybox'], machine().settings)).busybox.fromCache, true);
  });

  it('requests only the files that are not in the cache', async () => {
    await debianFiles(bookworm, ['busybox'], machine().settings);
    const before = server.asked.length;
    const both = await debianFiles(bookworm, ['kernel', 'busybox'], machine().settings);
    assert.deepEqual([both.kernel.fromCache, both.busybox.fromCache], [false, true]);
    assert.ok(!server.asked.slice(before).some((file) => file.includes('busybox')));
    assert.equal((await debianFiles(bookworm, ['busybox'], machine().settings)).busybox.fromCache, true);
  });

  it('gives other files of the kernel’s package, and fetches it only once', async () => {
    const wanted = (file: string): boolean => file.startsWith('boot/');
    const [first] = await kernelPackageFiles(bookworm, wanted, machine().settings);
    assert.deepEqual(first, { path: 'boot/vmlinuz-6.1.0-2-arm64', bytes: kernel });
    await server.stop();
    assert.deepEqual(await kernelPackageFiles(bookworm, wanted, machine().settings), [first]);
    assert.deepEqual(await kernelPackageFiles(bookworm, () => false, machine().settings), []);
  });

  it('refuses files of a package that the mirror no longer has', async () => {
    await loadDebianKernel(bookworm, machine().settings);
    files[newestDeb] = undefined;
    await assert.rejects(
      kernelPackageFiles(bookworm, () => true, machine().settings),
      /6\.1\.200-1_arm64\.deb answers 404$/,
    );
  });

  it('falls back to the next older version when the newest has vanished', async () => {
    files[newestDeb] = undefined;
    const { settings, warnings } = machine();
    assert.equal((await loadDebianKernel(bookworm, settings)).version, '6.1.0-1-arm64');
    assert.match(
      warnings.at(-1)!,
      /linux-image-6\.1\.0-2-arm64_6\.1\.200-1_arm64\.deb answers 404; trying linux-image-6\.1\.0-1-arm64 6\.1\.100-1 instead$/,
    );
  });

  it('refuses a package that does not match the index', async () => {
    files[newestDeb] = bytesOf('something else');
    const { settings, warnings } = machine();
    assert.equal((await loadDebianKernel(bookworm, settings)).version, '6.1.0-1-arm64');
    assert.match(
      warnings.at(-1)!,
      /is not what the archive's index says: its SHA-256 or size differs; trying .* instead$/,
    );
  });

  it('finds the package that contains the image by dependencies, as needed from 2026 on', async () => {
    const depends = (name: string): string => `${name} (= 7.2-1)`;
    const empty = await debPackage({ Package: 'x' }, {});
    const packages: FakePackage[] = [
      {
        name: 'linux-image-arm64',
        version: '7.2-1',
        depends: depends('linux-image-7.2-arm64'),
        bytes: empty,
      },
      {
        name: 'linux-image-7.2-arm64',
        version: '7.2-1',
        depends: depends('linux-binary-7.2-arm64'),
        bytes: empty,
      },
      {
        name: 'linux-binary-7.2-arm64',
        version: '7.2-1',
        bytes: await debPackage({ Package: 'x' }, { 'usr/lib/modules/7.2-arm64/vmlinuz': kernel }),
      },
    ];
    Object.assign(files, under('debian', suiteFiles({ suite: 'forky', packages })));
    const { kernel: file } = await debianFiles(parseDebianSpec('forky'), ['kernel'], machine().settings);
    assert.deepEqual(
      [file.path, file.package.name],
      ['usr/lib/modules/7.2-arm64/vmlinuz', 'linux-binary-7.2-arm64'],
    );
  });

  it('warns of a Release file that expired or is from the future, and uses it', async () => {
    const dates = { date: 'Sat, 21 Nov 2027 00:00:00 UTC', validUntil: 'Fri, 20 Nov 2026 00:00:00 UTC' };
    Object.assign(files, await archive(dates));
    const { settings, warnings } = machine();
    const { suites } = await loadDebianKernel(bookworm, settings);
    assert.deepEqual(
      suites.map(({ expired }) => expired),
      [true, false],
    );
    assert.ok(warnings.includes('the Release file of bookworm expired on 2026-11-20'), warnings.join());
    assert.ok(warnings.includes('the Release file of bookworm has a date in the future: 2027-11-21'));
    const again = await loadDebianKernel(bookworm, machine().settings);
    assert.equal(again.suites[0]!.expired, true, 'the cache remembers');
  });

  it('fetches an index by its name if the mirror has none by hash', async () => {
    Object.assign(files, await archive({ byHash: false }));
    assert.equal((await loadDebianKernel(bookworm, machine().settings)).version, '6.1.0-2-arm64');
    for (const file of Object.keys(files)) if (file.includes('by-hash')) files[file] = undefined;
    const { settings } = machine({ cacheFolder: path.join(root, 'by-name') });
    assert.equal((await loadDebianKernel(bookworm, settings)).version, '6.1.0-2-arm64');
  });
});

describe('a request that fails with one line', () => {
  it('a release that the mirror does not have', async () => {
    assert.match(
      await refusal(loadDebianKernel(parseDebianSpec('potato'), machine().settings)),
      /^no release "potato" at .*\/debian.*; 'domulator kernels' lists/,
    );
  });

  it('an invalid release name', () => {
    for (const release of ['', '../x', 'Bookworm', 'book worm']) {
      for (const parse of [parseDebianSpec, releaseSpec])
        assert.throws(() => parse(release), /is not the name of a Debian release/);
    }
  });

  it('a release without packages for arm64, or without a kernel', async () => {
    Object.assign(files, under('debian', suiteFiles({ suite: 'old', packages: [], architecture: 'armel' })));
    Object.assign(files, under('debian', suiteFiles({ suite: 'bare', packages: [] })));
    for (const release of ['old', 'bare']) {
      const line = await refusal(loadDebianKernel(parseDebianSpec(release), machine().settings));
      assert.equal(line, `debian:${release} has no kernel for arm64`);
    }
  });

  it('any release, without network and cache', async () => {
    await server.stop();
    const { settings } = machine();
    assert.match(
      await refusal(loadDebianKernel(bookworm, settings)),
      /^debian:bookworm is not in the cache \(.*\), and 127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED.*--kernel FILE$/,
    );
  });

  it('any release, if apt names no mirror', async () => {
    const { settings } = machine({ mirror: null, aptFolder: path.join(root, 'no-apt') });
    assert.match(await refusal(loadDebianKernel(bookworm, settings)), /apt sources name no Debian mirror/);
  });

  it('a package that is damaged on every mirror', async () => {
    for (const file of Object.keys(files)) if (file.includes('linux-image-6')) files[file] = bytesOf('x');
    await assert.rejects(loadDebianKernel(bookworm, machine().settings), (error) => {
      assert.ok(error instanceof NotGenuineError);
      assert.match(error.message, /6\.1\.100-1 is not what the archive's index says/);
      return true;
    });
  });

  it('an index that does not match the Release file, or an invalid Release file', async () => {
    for (const file of Object.keys(files))
      if (file.includes('debian/') && file.includes('Packages')) files[file] = bytesOf('x');
    for (const file of Object.keys(files))
      if (file.includes('bookworm/main/binary-arm64/by-hash')) files[file] = bytesOf('x');
    assert.match(
      await refusal(loadDebianKernel(bookworm, machine().settings)),
      /Packages\.gz of bookworm is not what/,
    );
    files['debian/dists/bookworm/InRelease'] = bytesOf('<html>');
    assert.match(await refusal(loadDebianKernel(bookworm, machine().settings)), /is not a Release file/);
  });

  it('a release whose Release file is for another release', async () => {
    files['debian/dists/trixie/InRelease'] = files['debian/dists/bookworm/InRelease'];
    assert.equal(
      await refusal(loadDebianKernel(parseDebianSpec('trixie'), machine().settings)),
      'the Release file of trixie says that it is bookworm',
    );
  });

  it('a release with a wrong signature', async () => {
    const gpgv = path.join(root, 'gpgv');
    await writeFile(gpgv, "#!/bin/sh\ncat >/dev/null\necho '[GNUPG:] BADSIG 12 x'\n");
    await chmod(gpgv, 0o755);
    const { settings } = machine({ gpgv, keyrings: [gpgv] });
    assert.equal(
      await refusal(loadDebianKernel(bookworm, settings)),
      'the Release file of bookworm is not genuine: the signature by 12 is wrong',
    );
    // No other file may silently replace it.
    await assert.rejects(loadDebianKernel(bookworm, settings), NotGenuineError);
  });
});

describe('the cache', () => {
  it('that was damaged is fetched again, with a warning', async () => {
    await loadDebianKernel(bookworm, machine().settings);
    const object = path.join(cacheFolder, 'sha256', sha256(kernel));
    await writeFile(object, 'damaged');
    const { settings, warnings } = machine();
    assert.equal((await loadDebianKernel(bookworm, settings)).fromCache, false);
    assert.ok(
      warnings.includes(
        'the cached boot/vmlinuz-6.1.0-2-arm64 of debian:bookworm is damaged and was ignored',
      ),
    );
    assert.deepEqual(new Uint8Array(await readFile(object)), kernel);
    await writeFile(object, 'damaged');
    await server.stop();
    assert.match(await refusal(loadDebianKernel(bookworm, machine().settings)), /is damaged in the cache/);
  });

  it('with an invalid record counts as empty', async () => {
    const file = path.join(cacheFolder, 'debian', 'bookworm.json');
    for (const text of [
      '',
      '[]',
      '{"version":1}',
      '{"version":2}',
      'null',
      '{"version":1,"fetched":1,"suites":[1],"files":{}}',
      ...['../../../secret', 12, null, 'AB'.repeat(32)].map((hash) => {
        const file = {
          path: 'boot/vmlinuz',
          sha256: hash,
          package: { name: 'a', version: '1', sha256: hash },
        };
        return JSON.stringify({ version: 1, fetched: 1, suites: [], files: { kernel: file } });
      }),
    ]) {
      await loadDebianKernel(bookworm, machine().settings);
      await writeFile(file, text);
      assert.equal((await loadDebianKernel(bookworm, machine().settings)).fromCache, false, text);
    }
  });

  it('that cannot be written does not stop the command', async () => {
    const blocked = path.join(root, 'blocked');
    await writeFile(blocked, '');
    const { settings, warnings } = machine({ cacheFolder: path.join(blocked, 'x') });
    assert.equal((await loadDebianKernel(bookworm, settings)).version, '6.1.0-2-arm64');
    assert.match(
      warnings.at(-1)!,
      /^the cache .*x cannot be written: part of its path is not a directory; the next run/,
    );
  });

  it('is bypassed by a refresh, unless there is no network', async () => {
    await loadDebianKernel(bookworm, machine().settings);
    files[newestDeb] = undefined;
    const refreshed = await loadDebianKernel(bookworm, machine({ refresh: true }).settings);
    assert.deepEqual([refreshed.version, refreshed.fromCache], ['6.1.0-1-arm64', false]);
    await server.stop();
    const { settings, warnings } = machine({ refresh: true });
    const old = await loadDebianKernel(bookworm, settings);
    assert.deepEqual([old.version, old.fromCache], ['6.1.0-1-arm64', true]);
    assert.match(warnings.at(-1)!, /cannot be reached: .*; using the cached files$/);
  });
});
