import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defaultLinux, linuxHas, linuxRules, parseLinuxVersion } from './linux_versions.js';
import type { LinuxRuleName } from './linux_versions.js';

const version = (major: number, minor: number, patch: number | null): object => ({ major, minor, patch });

test("linux: what kernels call themselves, the distributions' own numbers included", () => {
  for (const [text, expected] of [
    ['6.12.14', version(6, 12, 14)],
    ['6.1', version(6, 1, null)],
    ['6.1.0-56-arm64', version(6, 1, null)],
    ['6.8.0-45-generic', version(6, 8, null)],
    ['6.12.85+deb13-arm64-16k', version(6, 12, 85)],
    ['6.14.0', version(6, 14, 0)],
    ['6.14.0-rc3', version(6, 14, 0)],
    ['6.1.192-3', version(6, 1, 192)],
    ['v5.10', version(5, 10, null)],
    ['Linux version 6.1.0-56-arm64 (gcc-12) #1 SMP Debian 6.1.192-3 (2026-11-26)', version(6, 1, 192)],
    ['Linux version 6.8.0-45-generic #45-Ubuntu SMP (Ubuntu 6.8.0-45.45-generic 6.8.12)', version(6, 8, 12)],
    ['', null],
    ['arm64', null],
    ['6', null],
    ['1.2.3.4', null],
  ] as const) {
    assert.deepEqual(parseLinuxVersion(text), expected, text);
  }
});

test('linux: no text throws, and what is read of it is what it says', () => {
  const number = fc.nat(9999);
  fc.assert(
    fc.property(number, number, fc.integer({ min: 1, max: 9999 }), (major, minor, patch) => {
      assert.deepEqual(parseLinuxVersion(`${major}.${minor}.${patch}-amd64`), version(major, minor, patch));
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseLinuxVersion(text);
    }),
  );
});

/** Which of `versions` have the rule. */
function having(rule: LinuxRuleName, ...versions: string[]): string {
  return versions.filter((one) => linuxHas(one, rule)).join(' ');
}

test('linux: a rule holds from its release on, and in the stable releases that took it over', () => {
  assert.equal(
    having('online-capable-gicc', '6.1.0-56-arm64', '6.10.14', '6.11.0', '6.12.85'),
    '6.11.0 6.12.85',
  );
  assert.equal(
    having('bsp-bit-read', '6.8.12', '6.9.0', '6.9.3', '6.9.4', '6.9', '6.10.0', '7.1.2'),
    '6.9.4 6.9 6.10.0 7.1.2',
  );
  assert.equal(
    having('failed-nodes-skipped', '5.10.0-30-arm64', '5.16.9', '5.17.0', '6.1.1'),
    '5.17.0 6.1.1',
  );
});

test('linux: type 0 entries come first from 6.7 on, until 6.12.14, 6.13.3 and 6.14', () => {
  const without = ['6.1.0-56-amd64', '6.6.80', '6.12.14', '6.12.85', '6.13.3', '6.14.0', '6.15.2', '7.0'];
  const within = ['6.7.0', '6.8.12', '6.9.4', '6.11.11', '6.12.0', '6.12.13', '6.13.0', '6.13.2'];
  assert.equal(having('type-0-first', ...without), '');
  assert.equal(having('type-0-first', ...within), within.join(' '));
});

test('linux: a kernel whose version is not known follows the rules of the default', () => {
  for (const rule of Object.keys(linuxRules) as LinuxRuleName[]) {
    for (const unknown of [null, undefined, '', 'builtin', 'arm64']) {
      assert.equal(linuxHas(unknown, rule), linuxHas(defaultLinux, rule), `${rule} ${String(unknown)}`);
    }
  }
});

test('linux: every rule names commits of the mainline and releases in their order', () => {
  for (const { what, from, until } of Object.values(linuxRules)) {
    assert.ok(what.length < 100);
    for (const { commit, mainline, stable } of until === null ? [from] : [from, until]) {
      assert.match(commit, /^[0-9a-f]{12}$/);
      for (const release of [mainline, ...stable]) assert.notEqual(parseLinuxVersion(release), null, release);
      for (const release of stable) assert.match(release, /^\d+\.\d+\.\d+$/);
    }
  }
});
