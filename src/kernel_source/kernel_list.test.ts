import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { serveEachTest, suiteFiles, under } from '../../test/debian/archive.js';
import type { FakePackage, Files, Server } from '../../test/debian/archive.js';
import { debPackage, kernelImage } from '../../test/debian/files.js';
import { InputError } from '../base/index.js';
import { debianSettings, listKernels, loadDebianKernel, parseDebianSpec } from './index.js';
import type { DebianSettings, ListedKernel } from './index.js';

async function kernelOf(release: string, version: string, suffix = ''): Promise<FakePackage> {
  const image = kernelImage({ version: release });
  const bytes = await debPackage(
    { Package: 'x', Version: version + suffix },
    { [`boot/vmlinuz-${release}`]: image },
  );
  return { name: `linux-image-${release}${suffix}`, version, bytes };
}

async function named(name: string, version: string, kernel: string): Promise<FakePackage> {
  return {
    name,
    version,
    depends: `${kernel} (= ${version})`,
    bytes: await debPackage({ Package: name }, {}),
  };
}

/** Two suites with copies of a kernel, an ABI version with two packages, and one that also exists unsigned. */
async function archive(): Promise<Files> {
  const both = await kernelOf('6.1.0-1-arm64', '6.1.100-1');
  const main = [
    both,
    await kernelOf('6.1.0-1-arm64', '6.1.100-1', '-unsigned'),
    await kernelOf('6.1.0-1-cloud-arm64', '6.1.100-1'),
    await named('linux-image-arm64', '6.1.100-1', 'linux-image-6.1.0-1-arm64'),
    await named('linux-image-cloud-arm64', '6.1.100-1', 'linux-image-6.1.0-1-cloud-arm64'),
  ];
  const security = [
    both,
    await kernelOf('6.1.0-2-arm64', '6.1.200-1'),
    await kernelOf('6.1.0-2-arm64', '6.1.200-2'),
    await named('linux-image-arm64', '6.1.200-2', 'linux-image-6.1.0-2-arm64'),
  ];
  return {
    ...under('debian', suiteFiles({ suite: 'bookworm', packages: main })),
    ...under('debian-security', suiteFiles({ suite: 'bookworm-security', packages: security })),
    ...under('debian', suiteFiles({ suite: 'trixie', packages: [both] })),
  };
}

let root = '';
let files: Files = {};
let server: Server;
let cacheFolder = '';
serveEachTest(archive, (mirror) => {
  ({ root, files, server, cacheFolder } = mirror);
});

function machine(more: Partial<DebianSettings> = {}): DebianSettings {
  return debianSettings({}, Date.UTC(2026, 10, 22) / 1000, () => undefined, {
    mirror: `${server.url}/debian`,
    keyrings: [],
    cacheFolder,
    fetch: { env: {}, idleMs: 30_000, retryMs: [] },
    ...more,
  });
}

/** A summary of each kernel: its specification, and `default`, `cached`, `listed` where they apply. */
function inWords(kernels: readonly ListedKernel[]): string[] {
  return kernels.map(({ kernel, isDefault, isCached, isListed }) =>
    [
      kernel,
      ...(isDefault ? ['default'] : []),
      ...(isCached ? ['cached'] : []),
      ...(isListed === true ? ['listed'] : []),
    ].join(' '),
  );
}

describe('the list of kernels', () => {
  it('has each kernel of a release once, by flavour and age, with its specification', async () => {
    const { kernels, notAsked } = await listKernels('bookworm', machine());
    assert.deepEqual(notAsked, []);
    assert.deepEqual(inWords(kernels), [
      'debian:bookworm=6.1.0-2 default listed',
      'debian:bookworm=6.1.200-1 listed',
      'debian:bookworm=6.1.0-1 listed',
      'debian:bookworm/cloud=6.1.0-1 default listed',
    ]);
    assert.deepEqual(kernels[2], {
      kernel: 'debian:bookworm=6.1.0-1',
      release: 'bookworm',
      flavour: 'generic',
      version: '6.1.0-1',
      package: { name: 'linux-image-6.1.0-1-arm64', version: '6.1.100-1' },
      isDefault: false,
      isCached: false,
      isListed: true,
    });
  });

  it('is accurate: each entry loads the package that it names', async () => {
    const { kernels } = await listKernels('bookworm', machine());
    for (const { kernel, package: package_ } of kernels) {
      const loaded = await loadDebianKernel(parseDebianSpec(kernel.replace('debian:', '')), machine());
      assert.deepEqual(
        [loaded.package?.name, loaded.package?.version],
        [package_.name, package_.version],
        kernel,
      );
    }
  });

  it('shows which kernels are cached, and marks them as default', async () => {
    await loadDebianKernel(parseDebianSpec('bookworm=6.1.0-1'), machine());
    await loadDebianKernel(parseDebianSpec('bookworm'), machine());
    // The archive changes, but `debian:bookworm` keeps its meaning here until a refresh.
    const packages = [
      await kernelOf('6.1.0-3-arm64', '6.1.300-1'),
      await named('linux-image-arm64', '6.1.300-1', 'linux-image-6.1.0-3-arm64'),
    ];
    Object.assign(files, under('debian-security', suiteFiles({ suite: 'bookworm-security', packages })));
    const { kernels } = await listKernels('bookworm', machine());
    assert.deepEqual(inWords(kernels), [
      'debian:bookworm=6.1.0-3 listed',
      'debian:bookworm=6.1.0-2 default cached',
      'debian:bookworm=6.1.0-1 cached listed',
      'debian:bookworm/cloud=6.1.0-1 default listed',
    ]);
  });

  it('without a release skips releases that the archive does not have', async () => {
    const { kernels, notAsked } = await listKernels(null, machine());
    assert.deepEqual(notAsked, []);
    assert.deepEqual([...new Set(kernels.map(({ release }) => release))], ['bookworm', 'trixie']);
  });

  it('has the cached kernels if no archive is reachable, and says so', async () => {
    await loadDebianKernel(parseDebianSpec('bookworm/cloud'), machine());
    await loadDebianKernel(parseDebianSpec('trixie'), machine());
    await server.stop();
    const { kernels, notAsked } = await listKernels(null, machine());
    assert.deepEqual(inWords(kernels), [
      'debian:bookworm/cloud=6.1.0-1 default cached',
      'debian:trixie=6.1.0-1 default cached',
    ]);
    assert.equal(kernels[0]?.isListed, null);
    assert.deepEqual(
      notAsked.map(({ release }) => release),
      ['bullseye', 'bookworm', 'trixie', 'forky', 'sid'],
    );
    for (const { why } of notAsked) assert.match(why, /127\.0\.0\.1:\d+ cannot be reached/);
    // The same holds if the machine names no mirror at all.
    const alone = machine({ mirror: null, aptFolder: path.join(root, 'no-apt') });
    assert.equal((await listKernels('trixie', alone)).kernels.length, 1);
  });

  it('is refused with one line if it would be empty', async () => {
    const refused = async (release: string | null, says: RegExp): Promise<void> => {
      await assert.rejects(listKernels(release, machine()), (error) => {
        assert.ok(error instanceof InputError, String(error));
        assert.match(error.message, says);
        return !error.message.includes('\n');
      });
    };
    Object.assign(files, under('debian', suiteFiles({ suite: 'bare', packages: [] })));
    await refused('potato', /no release "potato" at /);
    await refused('bare', /^debian:bare has no kernel for arm64$/);
    await refused('No', /^"No" is not the name of a Debian release/);
    await server.stop();
    await refused('bookworm', /^debian:bookworm is not in the cache .* cannot be reached/);
    await refused(null, /^debian:bullseye, bookworm, .* not in the cache .* cannot be reached/);
  });
});
