import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import {
  newestFirst,
  packagesIn,
  parseDepends,
  parseRelease,
  parseReleaseDate,
  satisfies,
  signedText,
} from './debian_index.js';
import type { PackageEntry } from './debian_index.js';

test('the date of a release is in seconds since 1970', () => {
  assert.equal(parseReleaseDate('Thu, 01 Jan 1970 00:00:00 UTC'), 0);
  assert.equal(parseReleaseDate('Sat, 21 Nov 2026 00:53:02 UTC'), Date.UTC(2026, 10, 21, 0, 53, 2) / 1000);
  assert.equal(parseReleaseDate('1 Mar 2000 01:02:03 +0000'), Date.UTC(2000, 2, 1, 1, 2, 3) / 1000);
  for (const text of [
    '',
    'tomorrow',
    'Sat, 21 Nov 2026',
    'Sat, 21 Foo 2026 00:00:00 UTC',
    '21 Nov 2026 00:53:02 +0200',
  ]) {
    assert.equal(parseReleaseDate(text), null, text);
  }
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }), (date) => {
      const seconds = Math.floor(date.getTime() / 1000);
      assert.equal(parseReleaseDate(new Date(1000 * seconds).toUTCString()), seconds);
    }),
  );
});

const [begin, signature, end] = [
  '-----BEGIN PGP SIGNED MESSAGE-----',
  '-----BEGIN PGP SIGNATURE-----',
  '-----END PGP SIGNATURE-----',
];
const signed = (text: string): string => `${begin}\nHash: SHA256\n\n${text}\n${signature}\n\nabc=\n${end}\n`;

test('the text of a signed message is extracted, with its dashes unescaped', () => {
  assert.equal(signedText(signed('Origin: A\n- -dash\n- - two'), 'it'), 'Origin: A\n-dash\n- two');
  assert.equal(signedText('Origin: A\n', 'it'), 'Origin: A\n');
});

test('text outside the signed part is not accepted as signed', () => {
  for (const text of [
    `Origin: B\n${signed('Origin: A')}`,
    `${signed('Origin: A')}Origin: B\n`,
    `${signed('Origin: A')}${signed('Origin: B')}`,
    signed('Origin: A').replace(`${signature}\n`, ''),
    signed('Origin: A').replace(`${end}\n`, ''),
    `${begin}\nOrigin: B\n`,
  ]) {
    assert.throws(() => signedText(text, 'it'), InputError, text);
  }
});

const digest = (digit: string): string => digit.repeat(64);

test('the dates and index hashes of a Release file are parsed', () => {
  const text = `Origin: Debian
Suite: oldstable-security
Codename: bookworm-security
Date: Sat, 21 Nov 2026 00:53:02 UTC
Valid-Until: Sat, 28 Nov 2026 00:53:02 UTC
Acquire-By-Hash: yes
MD5Sum:
 0123 5 main/ignored
SHA256:
 ${digest('a')}       12 main/binary-arm64/Packages.xz
 nonsense
 ${digest('b')} 7 main/binary-arm64/Packages
`;
  const release = parseRelease(signedText(signed(text), 'it'), 'it');
  assert.deepEqual(release.files, [
    { sha256: digest('a'), bytes: 12, path: 'main/binary-arm64/Packages.xz' },
    { sha256: digest('b'), bytes: 7, path: 'main/binary-arm64/Packages' },
  ]);
  assert.equal(release.validUntil! - release.date!, 7 * 24 * 3600);
  assert.equal(release.acquireByHash, true);
  assert.deepEqual(
    [release.origin, release.suite, release.codename],
    ['Debian', 'oldstable-security', 'bookworm-security'],
  );
  const bare = parseRelease('SHA256:\n', 'it');
  assert.deepEqual([bare.date, bare.validUntil, bare.acquireByHash, bare.files], [null, null, false, []]);
});

test('text that is not a Release file is refused with one line', () => {
  for (const text of ['', '<html>\n', 'Origin: A\n']) {
    assert.throws(
      () => parseRelease(text, 'the index'),
      /^InputError: the index is not a Release file[^\n]*$/,
    );
  }
});

test('dependencies: alternatives, versions, architectures', () => {
  assert.deepEqual(parseDepends('kmod, linux-base (>= 4.3~), a:any (= 1) | b [arm64] , , c<!x>'), [
    [{ name: 'kmod', constraint: '' }],
    [{ name: 'linux-base', constraint: '>= 4.3~' }],
    [
      { name: 'a', constraint: '= 1' },
      { name: 'b', constraint: '' },
    ],
    [{ name: 'c', constraint: '' }],
  ]);
  assert.deepEqual(parseDepends(''), []);
});

test('version constraints are evaluated', () => {
  const cases: [string, boolean][] = [
    ['', true],
    ['= 6.1-1', true],
    ['6.1-1', true],
    ['= 6.1', false],
    ['<< 6.1-1', false],
    ['<= 6.1-1', true],
    ['>= 6.2', false],
    ['>> 6.1~', true],
  ];
  for (const [constraint, holds] of cases) assert.equal(satisfies('6.1-1', constraint), holds, constraint);
});

const stanza = (name: string, version: string, more = ''): string =>
  `Package: ${name}\nVersion: ${version}\nArchitecture: arm64\nFilename: pool/${name}_${version}.deb\nSize: 5\nSHA256: ${digest('c')}\n${more}`;

test('packagesIn selects the wanted packages', () => {
  const text = [stanza('a', '1'), stanza('b', '2', 'Depends: a\nPre-Depends: c\n'), stanza('a', '3')].join(
    '\n',
  );
  assert.deepEqual(
    packagesIn(text, (name) => name === 'a').map(({ version }) => version),
    ['1', '3'],
  );
  const [b] = packagesIn(text, (name) => name === 'b');
  assert.deepEqual(b, {
    name: 'b',
    version: '2',
    architecture: 'arm64',
    filename: 'pool/b_2.deb',
    bytes: 5,
    sha256: digest('c'),
    depends: [[{ name: 'c', constraint: '' }], [{ name: 'a', constraint: '' }]],
  });
});

test('a package that cannot be fetched, or not from this archive, is skipped', () => {
  const whole = stanza('a', '1');
  for (const [from, to] of [
    ['Size: 5', 'Size: 0'],
    ['Size: 5', 'Size: -5'],
    ['Size: 5\n', ''],
    [digest('c'), 'abc'],
    ['pool/', '/pool/'],
    ['pool/', '../pool/'],
    ['pool/', 'pool/../../'],
    ['pool/a', 'pool/a%2fb?'],
    ['Version: 1\n', ''],
  ] as const) {
    assert.deepEqual(
      packagesIn(whole.replace(from, to), () => true),
      [],
      to,
    );
  }
  assert.equal(packagesIn(whole, () => true).length, 1);
});

function entry(name: string, version: string, depends = ''): PackageEntry {
  const sha256 = `${name}_${version}`;
  return {
    name,
    version,
    architecture: 'arm64',
    filename: 'f',
    bytes: 1,
    sha256,
    depends: parseDepends(depends),
  };
}

test('the newest version comes first; equal versions keep their order', () => {
  const order = newestFirst([entry('b', '1'), entry('a', '1:0'), entry('c', '1'), entry('d', '2~')]);
  assert.deepEqual(
    order.map(({ name }) => name),
    ['a', 'd', 'b', 'c'],
  );
});

test('any text only throws InputError', () => {
  const words = [
    'Package',
    ':',
    ' ',
    '\n',
    'SHA256',
    'Size',
    '5',
    digest('a'),
    begin,
    signature,
    end,
    'Version',
    '-',
    'pool/a',
    ',',
    '|',
    '(',
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 40 }), (parts) => {
      const text = parts.join('');
      packagesIn(text, () => true);
      parseDepends(text);
      satisfies(text, text);
      parseReleaseDate(text);
      for (const parse of [parseRelease, signedText]) {
        try {
          parse(text, 'it');
        } catch (error) {
          assert.ok(error instanceof InputError, String(error));
        }
      }
    }),
    { numRuns: 1000 },
  );
});
