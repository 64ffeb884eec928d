import assert from 'node:assert/strict';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { cachePlace } from './index.js';

it('is in the user’s cache directory', () => {
  const at = (env: Record<string, string>): unknown => cachePlace(env);
  assert.deepEqual(at({ XDG_CACHE_HOME: '/x', HOME: '/h' }), { folder: '/x/domulator', note: null });
  for (const env of [{}, { XDG_CACHE_HOME: '' }]) {
    assert.deepEqual(at({ ...env, HOME: '/h' }), { folder: '/h/.cache/domulator', note: null });
  }
  assert.deepEqual(at({ XDG_CACHE_HOME: './rel', HOME: '/h' }), {
    folder: '/h/.cache/domulator',
    note: 'XDG_CACHE_HOME is ignored, because "./rel" is not an absolute path; the cache is /h/.cache/domulator',
  });
  // Without a usable HOME, the system's user database gives the home directory.
  const listed = path.join(os.userInfo().homedir, '.cache', 'domulator');
  for (const env of [{}, { HOME: '' }, { HOME: 'relative' }]) {
    assert.deepEqual(at(env), { folder: listed, note: null });
  }
});
