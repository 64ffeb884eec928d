import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPlainPattern } from './saved_pattern.js';

void test('usual goals may be taken from a file', () => {
  for (const source of [
    'login:',
    '^Welcome to .*!$',
    'CPU \\d+ is up',
    'CPU [0-9]+?',
    'done|failed',
    '\\(none\\) login: \\{\\*\\+',
    '[(*+)] x',
    '',
  ])
    for (const flags of ['', 'i']) assert.ok(isPlainPattern(source, flags), source);
});

void test('what V8 can search for without end may not', () => {
  for (const source of [
    '(a+)+$',
    '(?:a|a)*b',
    '(a|a)(a|a)',
    'a*a*b',
    '.*.*x',
    'a?a?a?aaa',
    'a{1,100}a{1,100}b',
    '(?=a*)b',
    '[\\]]*a*b',
    '\\[a*]*b',
    '\\\\(a+)+$',
    'x'.repeat(201),
  ])
    assert.ok(!isPlainPattern(source, ''), source);
  for (const flags of ['u', 'v', 'g', 'iu']) assert.ok(!isPlainPattern('a', flags), flags);
});

void test('what may be taken ends soon on the longest line', () => {
  const line = 'a'.repeat(4096);
  const found = { 'a*b': -1, '[a]+?b': -1, 'a|a+b': 0, '.*\\bb': -1 };
  for (const [source, at] of Object.entries(found)) {
    assert.ok(isPlainPattern(source, ''), source);
    assert.equal(line.search(new RegExp(source)), at, source);
  }
});
