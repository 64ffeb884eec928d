import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDepends } from './debian_index.js';
import type { PackageEntry } from './debian_index.js';
import {
  flavoursOf,
  isKernelPackage,
  kernelOffers,
  offersFor,
  parseKernelPackageName,
} from './debian_kernels.js';

function entry(name: string, version: string, depends = ''): PackageEntry {
  return {
    name,
    version,
    architecture: 'arm64',
    filename: 'f',
    bytes: 1,
    sha256: `${name}_${version}`,
    depends: parseDepends(depends),
  };
}

test('ABI, flavour and signing are parsed from the name of a kernel package', () => {
  const cases: readonly (readonly [string, string | null, string, boolean])[] = [
    ['linux-image-arm64', null, 'generic', true],
    ['linux-image-cloud-arm64', null, 'cloud', true],
    ['linux-image-rt-arm64', null, 'rt', true],
    ['linux-image-arm64-16k', null, '16k', true],
    ['linux-image-6.12-arm64', '6.12', 'generic', true],
    ['linux-image-6.12-arm64-16k', '6.12', '16k', true],
    ['linux-image-5.10.0-32-arm64', '5.10.0-32', 'generic', true],
    ['linux-image-6.1.0-50-cloud-arm64', '6.1.0-50', 'cloud', true],
    ['linux-image-6.1.0-0.deb11.48-rt-arm64', '6.1.0-0.deb11.48', 'rt', true],
    ['linux-image-6.1.0-50-rt-arm64-unsigned', '6.1.0-50', 'rt', false],
    ['linux-image-6.12.74+deb13+1-arm64-16k', '6.12.74+deb13+1', '16k', true],
    ['linux-image-6.12.90+deb12.1-arm64-16k-unsigned', '6.12.90+deb12.1', '16k', false],
    ['linux-image-7.3-rc5-arm64', '7.3-rc5', 'generic', true],
    ['linux-image-5.10.0-trunk-cloud-arm64', '5.10.0-trunk', 'cloud', true],
    ['linux-binary-7.2.12+deb14-arm64', '7.2.12+deb14', 'generic', true],
    ['linux-binary-unsigned-7.2.13+deb14-arm64-16k', '7.2.13+deb14', '16k', false],
  ];
  for (const [name, abi, flavour, isSigned] of cases) {
    const found = parseKernelPackageName(name, 'arm64');
    assert.deepEqual([found?.abi, found?.flavour, found?.isSigned], [abi, flavour, isSigned], name);
    assert.ok(isKernelPackage(name), name);
  }
  const names = cases.map(([name]) => parseKernelPackageName(name, 'arm64')?.release);
  assert.deepEqual(names.slice(6, 10), [
    '5.10.0-32-arm64',
    '6.1.0-50-cloud-arm64',
    '6.1.0-0.deb11.48-rt-arm64',
    '6.1.0-50-rt-arm64',
  ]);
});

test('other packages and other architectures are not kernel packages', () => {
  for (const name of [
    'linux-image-arm64-signed-template',
    'linux-image-6.12-arm64-signed-template',
    'linux-image-6.1.0-50-arm64-dbg',
    'linux-image-arm64-dbg',
    'linux-image-amd64',
    'linux-image-6.1.0-50-cloud-amd64',
    'linux-image-',
    'linux-headers-arm64',
    'linux-image-../arm64',
    'busybox-static',
    '',
  ]) {
    assert.equal(parseKernelPackageName(name, 'arm64'), null, name);
  }
  assert.deepEqual(parseKernelPackageName('linux-image-6.1.0-50-cloud-amd64', 'amd64'), {
    abi: '6.1.0-50',
    flavour: 'cloud',
    release: '6.1.0-50-cloud-amd64',
    isSigned: true,
  });
});

test('every name in Debian’s form is parsed into its parts', () => {
  const abi = fc.constantFrom('6.1.0-50', '5.10.0-0.deb10.9', '7.2.12+deb14', '6.12', '7.3-rc1');
  const before = fc.constantFrom('', 'cloud', 'rt', 'zz9');
  const after = fc.constantFrom('', '16k', '64k');
  fc.assert(
    fc.property(fc.option(abi), before, after, fc.boolean(), (abi, before, after, isSigned) => {
      const words = [...(abi === null ? [] : [abi]), before, 'arm64', after].filter((word) => word !== '');
      const release = words.join('-');
      const flavour = [before, after].filter((word) => word !== '').join('-') || 'generic';
      const name = `linux-image-${release}${isSigned ? '' : '-unsigned'}`;
      assert.deepEqual(parseKernelPackageName(name, 'arm64'), { abi, flavour, release, isSigned });
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseKernelPackageName(text, 'arm64');
      parseKernelPackageName(`linux-image-${text}`, 'arm64');
    }),
  );
});

/** Two releases of a generic kernel, one of another flavour, and a newer series with its own flavour. */
const archive: readonly PackageEntry[] = [
  entry('linux-image-arm64', '6.1.176-1', 'linux-image-6.1.0-50-arm64 (= 6.1.176-1)'),
  entry('linux-image-6.1.0-50-arm64', '6.1.176-1', 'kmod, linux-base (>= 4.3~)'),
  entry('linux-image-6.1.0-50-arm64-unsigned', '6.1.176-1', 'kmod'),
  entry('linux-image-cloud-arm64', '6.1.192-2', 'linux-image-6.1.0-56-cloud-arm64 (= 6.1.192-2)'),
  entry('linux-image-6.1.0-56-cloud-arm64', '6.1.192-2'),
  entry('linux-image-arm64', '6.1.192-2', 'linux-image-6.1.0-56-arm64 (= 6.1.192-2)'),
  entry('linux-image-6.1.0-56-arm64', '6.1.190-1'),
  entry('linux-image-6.1.0-56-arm64', '6.1.192-2'),
  entry('linux-image-arm64', '6.1.200-1', 'linux-image-6.1.0-60-arm64 (= 6.1.200-1)'),
  entry('linux-image-6.12-arm64-16k', '6.12.117-1', 'linux-image-6.12.117-arm64-16k (= 6.12.117-1)'),
  entry('linux-image-6.12.117-arm64-16k', '6.12.117-1'),
  entry('linux-image-6.12.100-arm64-16k', '6.12.100-1'),
];
const offers = kernelOffers(archive, 'arm64');

function picked(flavour: string, version: string | null): string[] {
  return offersFor(offers, flavour, version).map(({ entry }) => entry.sha256);
}

test('offers are sorted by flavour and age, signed ones first', () => {
  assert.deepEqual(
    offers.map(({ flavour, abi, entry, isNamed }) => [flavour, abi, entry.version, isNamed]),
    [
      ['generic', '6.1.0-56', '6.1.192-2', true],
      ['generic', '6.1.0-56', '6.1.190-1', false],
      ['generic', '6.1.0-50', '6.1.176-1', true],
      ['generic', '6.1.0-50', '6.1.176-1', false],
      ['16k', '6.12.117', '6.12.117-1', false],
      ['16k', '6.12.100', '6.12.100-1', false],
      ['cloud', '6.1.0-56', '6.1.192-2', true],
    ],
  );
  assert.equal(offers[3]?.entry.name, 'linux-image-6.1.0-50-arm64-unsigned');
  assert.deepEqual(flavoursOf(offers), ['generic', '16k', 'cloud']);
});

test('without a version, the kernels that the flavour’s metapackage depends on are meant, the newest available first', () => {
  assert.deepEqual(picked('generic', null), [
    'linux-image-6.1.0-56-arm64_6.1.192-2',
    'linux-image-6.1.0-50-arm64_6.1.176-1',
  ]);
  assert.deepEqual(picked('cloud', null), ['linux-image-6.1.0-56-cloud-arm64_6.1.192-2']);
});

test('a flavour without a metapackage means all its kernels', () => {
  assert.deepEqual(picked('16k', null), [
    'linux-image-6.12.117-arm64-16k_6.12.117-1',
    'linux-image-6.12.100-arm64-16k_6.12.100-1',
  ]);
});

test('a version is an ABI, a package version, a series, or what uname -r prints', () => {
  const of = ['linux-image-6.1.0-50-arm64_6.1.176-1', 'linux-image-6.1.0-50-arm64-unsigned_6.1.176-1'];
  for (const version of ['6.1.0-50', '6.1.176-1', '6.1.0-50-arm64']) {
    assert.deepEqual(picked('generic', version), of, version);
  }
  assert.deepEqual(picked('16k', '6.12'), ['linux-image-6.12.117-arm64-16k_6.12.117-1']);
  assert.deepEqual(picked('16k', '6.12.117-arm64-16k'), ['linux-image-6.12.117-arm64-16k_6.12.117-1']);
  for (const version of ['6.1', '6.1.0', '6.1.0-5', '6.1.0-500', '6.1.176']) {
    assert.deepEqual(picked('generic', version), [], version);
  }
  assert.deepEqual(picked('rt', null), []);
});

test('if the image package is small, the kernel is in a package that it depends on', () => {
  const entries = [
    entry('linux-image-arm64', '7.2.12-1', 'linux-image-7.2.12-arm64 (= 7.2.12-1)'),
    entry('linux-image-7.2.12-arm64', '7.2.12-1', 'kmod, linux-binary-7.2.12-arm64 (= 7.2.12-1)'),
    entry('linux-binary-7.2.12-arm64', '7.2.12-1'),
    entry('linux-image-7.2.13-arm64', '7.2.13-1', 'linux-binary-7.2.13-arm64 (= 7.2.13-1)'),
  ];
  assert.deepEqual(
    kernelOffers(entries, 'arm64').map(({ abi, entry }) => [abi, entry.name]),
    [['7.2.12', 'linux-binary-7.2.12-arm64']],
  );
});

test('packages with circular dependencies have no kernel', () => {
  const entries = [
    entry('linux-image-arm64', '1', 'linux-image-1-arm64'),
    entry('linux-image-1-arm64', '1', 'linux-binary-1-arm64'),
    entry('linux-binary-1-arm64', '1', 'linux-image-1-arm64'),
  ];
  assert.deepEqual(kernelOffers(entries, 'arm64'), []);
  assert.deepEqual(kernelOffers([entry('linux-image-arm64', '1', 'linux-image-arm64')], 'arm64'), []);
});
