import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareVersions } from './debian_version.js';

/** In ascending order. Includes the examples of the policy. */
const ordered = [
  '~~',
  '~~a',
  '~',
  '',
  '0.9',
  '1.0~rc1-1',
  '1.0~rc1-2',
  '1.0',
  '1.0-1~bpo12+1',
  '1.0-1',
  '1.0-1+b1',
  '1.0+dfsg-1',
  '1.0.1',
  '1.2',
  '1.10',
  '6.1.176-1',
  '6.1.192-2',
  '6.1.192-10',
  '6.12~rc1-1',
  '6.12-1',
  '7.2.12-1',
  'a',
  '1:0.1',
  '1:1.35.0-4+deb12u1',
  '1:1.35.0-4+deb12u1+b1',
  '10:1',
];

test('versions are ordered as the policy says', () => {
  for (const [i, a] of ordered.entries()) {
    for (const [k, b] of ordered.entries()) {
      assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - k), `${a} beside ${b}`);
    }
  }
});

test('leading zeros, an epoch of 0 and an empty revision make no difference', () => {
  for (const [a, b] of [
    ['1.02', '1.2'],
    ['0:1', '1'],
    ['1.0-0', '1.0'],
    ['1.a', '1.a0'],
    ['-1', '0-1'],
  ] as const) {
    assert.equal(compareVersions(a, b), 0, `${a} and ${b}`);
  }
});

const version = fc
  .tuple(
    fc.constantFrom('', '0:', '1:', '12:'),
    fc.stringMatching(/^[0-9][0-9a-zA-Z.+~]{0,6}$/),
    fc.constantFrom('', '-0', '-1', '-1+b1', '-1~bpo1', '-2', '-10'),
  )
  .map((parts) => parts.join(''));

test('the order is total and transitive, for any three versions', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(compareVersions(a, a), 0);
      assert.equal(Math.sign(compareVersions(a, b)), -Math.sign(compareVersions(b, a)) + 0);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0);
    }),
    { numRuns: 1000 },
  );
});

const dpkg = spawnSync('dpkg', ['--version']).status === 0;

test('dpkg orders them the same way', { skip: dpkg ? false : 'needs dpkg' }, () => {
  const pairs = fc.sample(fc.tuple(version, version), { numRuns: 60, seed: 7 });
  for (const [a, b] of pairs) {
    const relation = compareVersions(a, b) < 0 ? 'lt' : compareVersions(a, b) > 0 ? 'gt' : 'eq';
    assert.equal(
      spawnSync('dpkg', ['--compare-versions', a, relation, b]).status,
      0,
      `${a} ${relation} ${b}`,
    );
  }
});

test('no text throws', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => Number.isFinite(compareVersions(a, b))));
});
