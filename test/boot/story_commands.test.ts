/** The commands that the stories of the thread name are ones that the program takes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { stories } from '../../src/explore/index.js';
import { root } from '../files.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-stories-'));
after(() => rmSync(folder, { recursive: true }));

describe('the command that shows a story on a stock kernel', () => {
  const commands = stories.flatMap(({ onStock }) => (onStock === undefined ? [] : [onStock]));

  it('is there for the thread’s own case, on x86 and on Arm', () => {
    assert.ok(commands.length >= 6);
    assert.ok(commands.some((command) => command.endsWith('--what-if before-the-patch')));
  });

  for (const command of commands) {
    it(command, () => {
      const { PATH = '' } = process.env;
      const main = path.join(root, 'dist/src/cli/main.js');
      const { status, stderr } = spawnSync(
        process.execPath,
        [main, ...command.split(' '), '--kernel', path.join(folder, 'none')],
        { encoding: 'utf8', env: { PATH, HOME: folder, XDG_CACHE_HOME: folder } },
      );
      // All else was understood.
      assert.equal(status, 2);
      assert.match(stderr, /none cannot be read: there is no such file/);
    });
  }
});
