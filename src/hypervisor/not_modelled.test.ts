import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notModelled } from './not_modelled.js';
import { hypercallTable } from './table.js';
import { makeTestDomain } from './test_domain.js';

test('no operation that is modelled is listed as one that is not', () => {
  const domain = makeTestDomain('arm', 1);
  const listed = hypercallTable.flatMap(({ number, operations }) =>
    operations.filter(({ command }) => notModelled(domain, number, command) !== null),
  );
  assert.deepEqual(
    listed.map(({ name }) => name),
    [],
  );
});
