import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { commandText } from './command_text.js';

/** The words that a shell makes of `text`. */
function words(text: string): string[] {
  const { stdout } = spawnSync('sh', ['-c', `printf '%s\\0' ${text}`], { encoding: 'utf8' });
  return stdout.split('\0').slice(0, -1);
}

describe('the command that would run a boot again', () => {
  it('is read by a shell as it was given', () => {
    const awkward = `console=hvc0 it's "quoted" $HOME \`id\` \\ *`;
    const text = commandText({
      xenstore: false,
      kernel: '/a b/Image',
      cmdline: awkward,
      until: 'line:^(a|b)$',
    });
    assert.deepEqual(words(text).slice(2), [
      ...['boot', '--quiet', '--no-xenstore', '--kernel', '/a b/Image', '--cmdline', awkward],
      ...['--until', 'line:^(a|b)$'],
    ]);
  });

  it('holds nothing that a terminal would obey', () => {
    const text = commandText({ xenstore: true, kernel: "it's \u001b[2Jone" });
    assert.equal(text, String.raw`npx domulator boot --quiet --kernel 'it'\''s  [2Jone'`);
  });

  it('leaves out what the first run wrote', () => {
    const args = { xenstore: true, vcpus: '2', report: 'r.json', trace: 't.jsonl' };
    assert.equal(commandText(args), 'npx domulator boot --quiet --vcpus 2');
  });
});
