import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readText } from '../../test/files.js';
import { domulatorVersion } from './version.js';

test('the version is that of package.json', () => {
  const { version } = JSON.parse(readText('package.json')) as { version: string };
  assert.equal(domulatorVersion, version);
});
