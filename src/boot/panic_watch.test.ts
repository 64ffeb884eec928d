import assert from 'node:assert/strict';
import { test } from 'node:test';
import { panicIn } from './panic_watch.js';

test('a panic is read from a record and from a line of the console', () => {
  for (const before of [
    '',
    '[    1.234567] ',
    '[    1.234567][    T1] ',
    '[    1.2][   C12] ',
    '\u001b[2J',
    '\u001b[31;1m[ 1.2] ',
  ])
    assert.equal(panicIn(`${before}Kernel panic - not syncing: VFS: no root`), 'VFS: no root', before);
});

test('words before it make it something that somebody says of a panic', () => {
  for (const before of ['user@host: ', 'grep says "', 'a ', '[ 1.2] note: '])
    assert.equal(panicIn(`${before}Kernel panic - not syncing: VFS: no root`), null, before);
});

test('a long line of brackets takes no long time', () => {
  assert.equal(panicIn('['.repeat(100_000)), null);
});
