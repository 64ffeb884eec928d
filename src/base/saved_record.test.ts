import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError } from './assert.js';
import { loadRecord, savedRecord } from './saved_record.js';
import { valueFromJson, valueToJson } from './value.js';

function example(): {
  count: number;
  when: bigint | null;
  readonly names: Map<string, number>;
  readonly seen: Set<number>;
} {
  return { count: 3, when: 7n, names: new Map([['b', 2]]).set('a', 1), seen: new Set([5, 4]) };
}

test('a record comes back through JSON, with its maps and sets in their order', () => {
  const text = valueToJson(savedRecord(example()));
  const other = { count: 0, when: null, names: new Map([['gone', 1]]), seen: new Set([1]) };
  loadRecord<ReturnType<typeof example>>(other, valueFromJson(text) as never);
  assert.deepEqual(other, example());
  assert.deepEqual([...other.names.keys(), ...other.seen], ['b', 'a', 5, 4]);
});

test('a record that lacks a member is refused', () => {
  const { count, when, names } = savedRecord(example());
  assert.throws(() => loadRecord(example(), { count, when, names } as never), InputError);
});
