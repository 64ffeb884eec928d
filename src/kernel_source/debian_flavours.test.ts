import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { serveEachTest, suiteFiles, under } from '../../test/debian/archive.js';
import type { FakePackage, Files, Server } from '../../test/debian/archive.js';
import { debPackage, kernelImage } from '../../test/debian/files.js';
import { debianSettings, loadDebianKernel, parseDebianSpec } from './index.js';
import type { DebianSettings } from './index.js';
import { refusal } from '../../test/refusal.js';

let files: Files = {};
let server: Server;
let cacheFolder = '';
serveEachTest(flavours, (mirror) => {
  ({ files, server, cacheFolder } = mirror);
});

interface Try {
  readonly settings: DebianSettings;
  readonly warnings: string[];
}

/**
 * Settings with a cache shared by the calls of one test. Release files are unsigned; warnings about that are dropped.
 */
function machine(more: Partial<DebianSettings> = {}): Try {
  const warnings: string[] = [];
  const warn = (line: string): void => {
    if (!line.includes('there is no Debian keyring')) warnings.push(line);
  };
  const settings = debianSettings({}, 0, warn, {
    mirror: `${server.url}/debian`,
    keyrings: [],
    cacheFolder,
    fetch: { env: {}, idleMs: 30_000, retryMs: [] },
    now: Date.UTC(2026, 10, 22) / 1000,
    ...more,
  });
  return { settings, warnings };
}

/** Kernels of two flavours in two versions, and one of a newer series without a `linux-image-arm64-16k`. */
async function flavours(): Promise<Files> {
  const kernelOf = async (release: string, version: string): Promise<FakePackage> => ({
    name: `linux-image-${release}`,
    version,
    bytes: await debPackage(
      { Package: 'x' },
      { [`boot/vmlinuz-${release}`]: kernelImage({ version: release }) },
    ),
  });
  const named = async (name: string, version: string, depends: string): Promise<FakePackage> => ({
    name,
    version,
    depends: `${depends} (= ${version})`,
    bytes: await debPackage({ Package: name }, {}),
  });
  const packages = [
    await kernelOf('6.1.0-1-arm64', '6.1.100-1'),
    await kernelOf('6.1.0-2-arm64', '6.1.200-1'),
    await kernelOf('6.1.0-1-cloud-arm64', '6.1.100-1'),
    await kernelOf('6.1.0-2-cloud-arm64', '6.1.200-1'),
    await kernelOf('6.12.9-arm64-16k', '6.12.9-1'),
    await named('linux-image-arm64', '6.1.200-1', 'linux-image-6.1.0-2-arm64'),
    await named('linux-image-cloud-arm64', '6.1.200-1', 'linux-image-6.1.0-2-cloud-arm64'),
    await named('linux-image-6.12-arm64-16k', '6.12.9-1', 'linux-image-6.12.9-arm64-16k'),
  ];
  return under('debian', suiteFiles({ suite: 'bookworm', packages }));
}

describe('flavours and versions of a release', () => {
  const versionOf = async (spec: string, settings = machine().settings): Promise<string | null> =>
    (await loadDebianKernel(parseDebianSpec(spec), settings)).version;

  it('are found by their names', async () => {
    const cases = [
      ['bookworm', '6.1.0-2-arm64'],
      ['bookworm/cloud', '6.1.0-2-cloud-arm64'],
      ['bookworm/cloud=6.1.0-1', '6.1.0-1-cloud-arm64'],
      ['bookworm=6.1.100-1', '6.1.0-1-arm64'],
      ['bookworm/16k', '6.12.9-arm64-16k'],
    ] as const;
    for (const [spec, version] of cases) assert.equal(await versionOf(spec), version, spec);
  });

  it('are cached side by side, and none needs the mirror again', async () => {
    const specs = [
      'bookworm/cloud',
      'bookworm',
      'bookworm=6.1.0-1',
      'bookworm/16k=6.12',
      'bookworm/cloud=6.1.0-1',
    ];
    const first: (string | null)[] = [];
    for (const spec of specs) first.push(await versionOf(spec));
    assert.equal(new Set(first).size, specs.length);
    await server.stop();
    const { settings, warnings } = machine();
    for (const [i, spec] of specs.entries()) {
      const again = await loadDebianKernel(parseDebianSpec(spec), settings);
      assert.deepEqual([again.version, again.name, again.fromCache], [first[i], `debian:${spec}`, true]);
    }
    // A cached kernel may be named by its version, its package's version, its series or its own name.
    for (const spec of [
      'bookworm=6.1.0-2',
      'bookworm=6.1.200-1',
      'bookworm=6.1.0-2-arm64',
      'bookworm/generic',
    ]) {
      assert.equal(await versionOf(spec, settings), '6.1.0-2-arm64', spec);
    }
    assert.equal(await versionOf('bookworm/cloud=6.1.200-1', settings), '6.1.0-2-cloud-arm64');
    assert.equal(await versionOf('bookworm/16k=6.12.9', settings), '6.12.9-arm64-16k');
    assert.deepEqual(warnings, []);
  });

  it('requesting an old version does not change the default version', async () => {
    await versionOf('bookworm=6.1.0-1');
    await server.stop();
    assert.match(
      await refusal(loadDebianKernel(parseDebianSpec('bookworm'), machine().settings)),
      /^debian:bookworm is not in the cache/,
    );
  });

  it('that do not exist are refused with a list of those that do', async () => {
    const cases = [
      ['bookworm/foo', "debian:bookworm has no flavour 'foo'; it has generic, 16k, cloud"],
      ['bookworm/foo=6.1.0-1', "debian:bookworm has no flavour 'foo'; it has generic, 16k, cloud"],
      ['bookworm=6.1.0-9', "debian:bookworm has no version '6.1.0-9'; it has 6.1.0-2, 6.1.0-1"],
      ['bookworm/16k=6.1.0-1', "debian:bookworm/16k has no version '6.1.0-1'; it has 6.12.9"],
    ] as const;
    for (const [spec, line] of cases) {
      assert.equal(await refusal(loadDebianKernel(parseDebianSpec(spec), machine().settings)), line);
    }
  });

  it('with a version that vanished are not replaced by another version', async () => {
    files['debian/pool/main/linux-image-6.1.0-1-arm64_6.1.100-1_arm64.deb'] = undefined;
    assert.match(
      await refusal(loadDebianKernel(parseDebianSpec('bookworm=6.1.0-1'), machine().settings)),
      /_arm64\.deb answers 404$/,
    );
  });

  it('come from an index that is fetched and decompressed once', async () => {
    await versionOf('bookworm');
    const before = server.asked.length;
    await versionOf('bookworm/cloud');
    assert.ok(!server.asked.slice(before).some((file) => file.includes('by-hash')), server.asked.join());
    // Another index is read again, and a damaged record counts as missing.
    const index = path.join(cacheFolder, 'indices', 'bookworm.json');
    const record = await readFile(index, 'utf8');
    for (const text of [record.replace(/"sha256": "./, '"sha256": "g'), '{}', record.slice(0, 99)]) {
      await writeFile(index, text);
      await versionOf('bookworm/cloud', machine({ refresh: true }).settings);
      assert.equal(await readFile(index, 'utf8'), record);
    }
  });

  it('of another architecture have separate records', async () => {
    await versionOf('bookworm/cloud');
    const name = 'linux-image-6.1.0-2-cloud-amd64';
    const image = kernelImage({ version: '6.1.0-2-cloud-amd64' });
    const bytes = await debPackage({ Package: name }, { 'boot/vmlinuz-6.1.0-2-cloud-amd64': image });
    const packages = [
      { name, version: '6.1.200-1', bytes },
      { name: 'linux-image-cloud-amd64', version: '6.1.200-1', depends: name, bytes },
    ];
    const suite = suiteFiles({ suite: 'bookworm', packages, architecture: 'amd64' });
    Object.assign(files, under('debian', suite));
    assert.equal(
      await versionOf('bookworm/cloud', machine({ architecture: 'amd64' }).settings),
      '6.1.0-2-cloud-amd64',
    );
    await server.stop();
    for (const architecture of ['arm64', 'amd64'] as const) {
      const { settings } = machine({ architecture });
      assert.equal(await versionOf('bookworm/cloud', settings), `6.1.0-2-cloud-${architecture}`);
    }
  });

  it('in a cache from before flavours existed still work', async () => {
    await versionOf('bookworm');
    await server.stop();
    const folder = cacheFolder;
    await rm(path.join(folder, 'debian', 'bookworm'), { recursive: true });
    await rm(path.join(folder, 'indices'), { recursive: true });
    const file = path.join(folder, 'debian', 'bookworm.json');
    const { versions, ...old } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    assert.deepEqual(versions, ['6.1.0-2', '6.1.200-1', '6.1.0-2-arm64']);
    await writeFile(file, JSON.stringify(old));
    for (const spec of ['bookworm', 'bookworm=6.1.0-2', 'bookworm=6.1.200-1']) {
      assert.equal(await versionOf(spec), '6.1.0-2-arm64', spec);
    }
  });
});
