import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { StatusLine } from './status_line.js';
import type { StatusOptions } from './status_line.js';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const progress = { phase: 'kernel', instructions: 5_000_000, guestTimeNs: 1_230_000_000n } as const;

/** What `act` makes a status line write, to the two outputs in their order. */
function written(options: Partial<StatusOptions>, act: (status: StatusLine) => void): string[] {
  const seen: string[] = [];
  const keep = (text: unknown): boolean => seen.push(String(text)) > 0;
  const mocks = [mock.method(process.stdout, 'write', keep), mock.method(process.stderr, 'write', keep)];
  try {
    act(new StatusLine({ showConsole: true, interactive: false, columns: 60, ...options }));
  } finally {
    for (const each of mocks) each.mock.restore();
  }
  return seen;
}

describe('the status line', () => {
  it('stands between whole lines of the console, and goes before each', () => {
    const seen = written({}, (status) => {
      status.print(bytes('one\ntw'));
      status.show(progress, 1000);
      status.print(bytes('o\n'));
      status.clear();
    });
    assert.deepEqual(seen, [
      'one\n',
      '\r\u001b[Kkernel · 1.23 s of guest time · 5 MIPS',
      '\r\u001b[K',
      'two\n',
    ]);
  });

  it('shows the last line of a console that is not shown, cut to the terminal', () => {
    const seen = written({ showConsole: false }, (status) => {
      status.print(bytes(`[    0.000000] ${'long '.repeat(20)}\n\n`));
      status.show(progress, 1000);
      status.clear();
    });
    assert.equal(seen.length, 2);
    assert.match(seen[0] ?? '', /MIPS · long long/);
    assert.equal(seen[0]?.length, '\r\u001b[K'.length + 59);
  });

  it('is nowhere without a terminal', () => {
    assert.deepEqual(
      written({ columns: 0 }, (status) => status.show(progress, 1000)),
      [],
    );
  });

  it('lets nothing through that a terminal would obey, and leaves no line open', () => {
    const seen = written({}, (status) => {
      status.print(bytes('a\u001b[2J\u0007b\u001b[1;3'));
      status.print(bytes('1mc'));
      status.clear();
    });
    assert.deepEqual(seen, ['abc\n']);
  });

  it('keeps no more of a line that never ends than of a long one, and comes not within it', () => {
    const seen = written({}, (status) => {
      for (let i = 0; i < 10_000; i += 1) status.print(bytes('x'));
      status.show(progress, 1000);
    });
    assert.equal(seen.join(''), 'x'.repeat(2 * 4097));
  });

  it('leaves the screen to a user space that somebody types into', () => {
    const seen = written({ interactive: true }, (status) => {
      status.print(bytes('\u001b[1mls\n'));
      status.show({ ...progress, phase: 'user space' }, 1000);
    });
    assert.deepEqual(seen, ['\u001b[1mls\n']);
  });

  it('shows at once what is typed, and does not come within a line', () => {
    const seen = written({ interactive: true }, (status) => {
      status.print(bytes('$ '));
      status.show(progress, 1000);
      status.print(bytes('ls'));
      status.clear();
    });
    assert.deepEqual(seen, ['$ ', 'ls', '\n']);
  });
});
