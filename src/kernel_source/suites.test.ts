import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError } from '../base/index.js';
import type { AptSource } from './apt_sources.js';
import { suiteChoices } from './suites.js';

function source(uri: string, suite: string, components = ['main']): AptSource {
  return { uri, suite, components, keyrings: [`/keys/${suite}`] };
}

const [a, b] = ['http://a.example/debian', 'http://b.example/debian-security'] as const;

function places(choice: ReturnType<typeof suiteChoices>[number]): string[] {
  return [choice.main, ...choice.others].map(({ base, suite }) => `${base} ${suite}`);
}

test('a release in the sources is taken from there, with its companion suites', () => {
  const sources = [
    source(a, 'bookworm-backports'),
    source(b, 'bookworm-security'),
    source(a, 'bookworm'),
    source(a, 'bookworm-updates'),
    source(a, 'trixie'),
    source('http://c.example', 'bookworm', ['contrib']),
  ];
  const choices = suiteChoices('bookworm', sources, null);
  assert.equal(choices.length, 1);
  assert.deepEqual(places(choices[0]!), [`${a} bookworm`, `${b} bookworm-security`, `${a} bookworm-updates`]);
  assert.deepEqual(choices[0]!.main.keyrings, ['/keys/bookworm']);
});

test('a release that is not in the sources is looked for in each archive of the sources', () => {
  const choices = suiteChoices(
    'bookworm',
    [source(a, 'trixie'), source(b, 'trixie-security'), source(a, 'sid')],
    null,
  );
  assert.deepEqual(
    choices.map(({ main }) => `${main.base} ${main.suite}`),
    [`${a} bookworm`, `${b} bookworm`],
  );
  assert.ok(places(choices[0]!).includes(`${a}-security bookworm-security`));
});

test('a given mirror takes precedence over all sources', () => {
  const choices = suiteChoices('bookworm', [source(a, 'bookworm')], 'https://m.example/debian//');
  assert.deepEqual(
    choices.map(({ main }) => main.base),
    ['https://m.example/debian'],
  );
});

test('no archive to search, or an invalid mirror address, gives one line', () => {
  assert.throws(
    () => suiteChoices('bookworm', [], null),
    /^InputError: this machine's apt sources name no [^\n]*$/,
  );
  assert.throws(() => suiteChoices('bookworm', [source(a, 'x', ['contrib'])], null), InputError);
  for (const mirror of ['mirror', 'ftp://m.example', 'file:///x', '']) {
    assert.throws(() => suiteChoices('bookworm', [], mirror), InputError);
  }
});
