/** The command from the user's view: run as a process, checked by its output and exit status. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { root } from './files.js';

const command = path.join(root, 'dist/src/cli/main.js');
const noNetwork = pathToFileURL(path.join(root, 'test/no_network.mjs')).href;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const endings = new Map<string, Ended>();

/** As {@link run}, but runs the same arguments only once. */
function runOnce(args: readonly string[]): Ended {
  const key = args.join('\0');
  const ended = endings.get(key) ?? run(args);
  endings.set(key, ended);
  return ended;
}

/** Runs the command without network and terminal and, unless requested, without colour. */
function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ended {
  const { PATH = '', HOME = '' } = process.env;
  return spawnSync(process.execPath, ['--import', noNetwork, command, ...args], {
    encoding: 'utf8',
    env: { PATH, HOME, ...env },
    maxBuffer: 256 * 2 ** 20,
  });
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-test-'));
after(() => rmSync(folder, { recursive: true }));

/** Like assert.equal, for texts too long to be shown. */
function assertSame(actual: string, expected: string): void {
  const at = Array.from(actual).findIndex((sign, i) => sign !== expected[i]);
  const place = at < 0 ? actual.length : at;
  assert.ok(actual === expected, `differ from character ${place} on: ${actual.slice(place, place + 60)}`);
}

/** Checks for one line on standard error, nothing on standard output, and status 2. */
function assertRefused({ status, stdout, stderr }: Ended, says: RegExp): void {
  assert.equal(status, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /^domulator: [^\n]+\n$/);
  assert.match(stderr, says);
  assert.doesNotMatch(stderr, /\n\s+at |node:internal/);
}

describe('bad arguments get one line and status 2', () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no command', [], /no command given.*--help/],
    ['unknown command', ['tread'], /unknown command 'tread'; did you mean thread\?/],
    ['unknown option', ['thread', '--jsno'], /unknown option '--jsno'.*--json/],
    ['unknown option of all', ['--colour'], /unknown option '--colour'/],
    ['excess argument', ['thread', '3'], /thread takes no '3'; see 'domulator thread --help'/],
    [
      'two releases',
      ['kernels', 'bookworm', 'trixie'],
      /kernels takes one RELEASE, but got 'trixie' too; see/,
    ],
    ['no file name', ['thread', '--html'], /--html <file>' argument missing/],
    ['empty file name', ['thread', '--html', ''], /empty/],
    [
      'an option as file name',
      ['thread', '--html', '--json'],
      /--html needs a value, but got the option --json/,
    ],
    ['an option as story', ['thread', '--story', '--json'], /--story needs a value/],
    ['a directory as file', ['thread', '--story', '1', '--html', folder], /is a directory/],
    [
      'a directory that is not there',
      ['thread', '--story', '1', '--html', `${folder}/no/x.html`],
      /does not exist/,
    ],
    ['a file as directory', ['thread', '--story', '1', '--html', `${command}/x.html`], /not a directory/],
    ['a name too long', ['thread', '--story', '1', '--html', `${folder}/${'x'.repeat(300)}`], /too long/],
    ['JSON and a page at once', ['thread', '--json', '--html', `${folder}/x.html`], /exclude each other/],
    ['no story', ['thread', '--story'], /--story <number\|name>' argument missing/],
    ['a story that is not there', ['thread', '--story', '99'], /no story '99'.*1 to \d+/],
    ['story 0', ['thread', '--story', '0'], /no story '0'/],
    ['a name of several lines', ['thread', '--story', 'a\nb'], /no story 'a b'/],
    ['a name that moves the cursor', ['thread', '--story', 'a\u001b[2Jb'], /no story 'a \[2Jb'/],
    ['explore what?', ['explore'], /--matrix/],
    ['an option of another command', ['explore', '--html', 'x'], /unknown option '--html'/],
    ['help on nothing known', ['help', 'tread'], /tread/],
  ];
  for (const [name, args, says] of cases) it(name, () => assertRefused(run(args), says));
});

describe('help and version', () => {
  it('teaches by examples', () => {
    for (const args of [
      ['--help'],
      ['thread', '--help'],
      ['explore', '--help'],
      ['help', 'thread'],
      ['help'],
    ]) {
      const { status, stdout, stderr } = run(args);
      assert.equal(status, 0, args.join(' '));
      assert.equal(stderr, '');
      assert.match(stdout, /Examples:\n {2}domulator /);
      assert.ok(
        stdout.split('\n').every((line) => line.length <= 100),
        'fits a terminal',
      );
    }
  });

  it('gives examples that work', () => {
    const pages = [['--help'], ['thread', '--help'], ['explore', '--help']].map(
      (args) => runOnce(args).stdout,
    );
    const examples = pages.flatMap((page) =>
      [...page.matchAll(/^ {2}domulator (.*)$/gm)].map(
        ([, words = '']) => words.split(/ {2,}| \| /)[0] ?? '',
      ),
    );
    assert.ok(examples.length >= 10, examples.join('\n'));
    // These commands run without a network here. `kernels` and `crash` need a mirror, and have tests of their own.
    for (const example of new Set(examples.filter((each) => !['kernels', 'crash'].includes(each)))) {
      const args = example
        .split(' ')
        .map((word) => (word === 'thread.html' ? path.join(folder, word) : word));
      assert.equal(runOnce(args).status, 0, example);
    }
  });

  it('prints its version', () => {
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    assert.equal(run(['--version']).stdout, `${version}\n`);
  });
});

describe('domulator thread', () => {
  const text = runOnce(['thread']);

  it('tells every story, without a network', () => {
    assert.equal(text.status, 0);
    assert.equal(text.stderr, '');
    const headings = [...text.stdout.matchAll(/^(\d+)\. .* ─+ (\S+)$/gm)].map(([, number, name]) => [
      number,
      name,
    ]);
    assert.ok(headings.length >= 12);
    assert.deepEqual(
      headings.map(([number]) => Number(number)),
      headings.map((_, i) => i + 1),
    );
  });

  it('keeps to 100 columns and uses no colour where there is no terminal', () => {
    const wide = text.stdout.split('\n').filter((line) => line.length > 100);
    assert.deepEqual(wide, []);
    assert.ok(!text.stdout.includes('\u001b'));
    assert.ok(!text.stdout.split('\n').some((line) => line !== line.trimEnd()), 'no blanks at line ends');
  });

  it('uses no colour in CI, or where NO_COLOR says so, and does where FORCE_COLOR does', () => {
    const one = ['thread', '--story', '1'];
    assert.ok(!run(one, { CI: '1' }).stdout.includes('\u001b'));
    assert.ok(!run(one, { NO_COLOR: '1', FORCE_COLOR: '1' }).stdout.includes('\u001b'));
    const coloured = run(one, { FORCE_COLOR: '1' }).stdout;
    assert.ok(coloured.includes('\u001b'));
    // eslint-disable-next-line no-control-regex
    assert.equal(coloured.replace(/\u001b\[\d+m/g, ''), run(one).stdout);
  });

  it('prints the same twice, to the byte', () => {
    assertSame(run(['thread']).stdout, text.stdout);
    const elsewhere = run(['thread', '--json'], { TZ: 'Asia/Tokyo', LANG: 'de_DE' });
    assertSame(elsewhere.stdout, runOnce(['thread', '--json']).stdout);
  });

  it('tells one story by number and by name', () => {
    const [, name = ''] = /^3\. .* (\S+)$/m.exec(text.stdout) ?? [];
    const byNumber = run(['thread', '--story', '3']).stdout;
    assertSame(byNumber, run(['thread', '--story', name]).stdout);
    assert.match(byNumber, /^3\. /m);
    assert.doesNotMatch(byNumber, /^2\. /m);
  });

  it('prints JSON with every call and its answer', () => {
    const { stdout } = runOnce(['thread', '--json']);
    const { stories } = JSON.parse(stdout) as {
      stories: {
        run: { events: { kind: string; call?: { op: string; returned: number } }[]; calls: unknown[] };
      }[];
    };
    assert.ok(stories.length >= 12);
    for (const { run: model } of stories) {
      assert.ok(model.calls.length > 0);
      assert.ok(
        model.events.some(({ kind, call }) => kind === 'hypercall' && typeof call?.returned === 'number'),
      );
    }
  });
});

describe('domulator thread --html', () => {
  const file = path.join(folder, 'page.html');
  const told = run(['thread', '--html', file]);
  const page = readFileSync(file, 'utf8');

  it('writes one file without external references', () => {
    assert.equal(told.status, 0);
    assert.match(told.stdout, /^wrote .*page\.html: \d+ stories; /);
    assert.ok(page.startsWith('<!doctype html>\n<html lang="en">'));
    assert.ok(
      page.includes(`Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"`),
    );
    assert.deepEqual(page.match(/<(script|img|link|iframe|object|embed|base|form)\b.*/gi), null);
    assert.deepEqual(page.match(/\b(src|srcset|action|xlink:href)=.*|url\(.*|@import.*|https?:.*/gi), null);
    for (const [, target = ''] of page.matchAll(/href="([^"]*)"/g)) {
      assert.ok(target.startsWith('#') && page.includes(`id="${target.slice(1)}"`), target);
    }
  });

  it('has its elements nested and its ids unique', () => {
    const open: string[] = [];
    for (const [, close = '', name = '', attributes = ''] of page.matchAll(
      /<(\/?)([a-z][a-z0-9]*)\b([^>]*)>/gi,
    )) {
      if (close !== '') assert.equal(open.pop(), name);
      else if (!attributes.endsWith('/') && name !== 'meta') open.push(name);
    }
    assert.deepEqual(open, []);
    const ids = [...page.matchAll(/\bid="([^"]*)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length);
  });

  it('has a text alternative for its drawing', () => {
    const drawings = page.match(/<svg viewBox="0 0 \d+ \d+(\.\d+)?" aria-hidden="true"/g) ?? [];
    assert.ok(drawings.length >= 12);
    assert.equal(page.match(/<summary>The same as a list</g)?.length, drawings.length);
    assert.equal(page.match(/<h1>/g)?.length, 1);
    assert.equal(page.match(/<article /g)?.length, drawings.length);
    assert.ok(page.includes('@media (prefers-color-scheme: dark)'));
  });

  it('is the same twice, to the byte', () => {
    const again = path.join(folder, 'again.html');
    run(['thread', '--html', again]);
    assertSame(readFileSync(again, 'utf8'), page);
  });
});

describe('domulator explore --matrix', () => {
  const text = runOnce(['explore', '--matrix']);

  it('prints a table of 110 columns at most', () => {
    assert.equal(text.status, 0);
    assert.equal(text.stderr, '');
    assert.deepEqual(
      text.stdout.split('\n').filter((line) => line.length > 110),
      [],
    );
  });

  it('prints the same twice, to the byte', () => {
    assertSame(run(['explore', '--matrix']).stdout, text.stdout);
  });

  it('prints the content of the table as JSON', () => {
    const { matrix } = JSON.parse(runOnce(['explore', '--matrix', '--json']).stdout) as {
      matrix: { passed: boolean | null }[];
    };
    const count = (passed: boolean | null): number => matrix.filter((row) => row.passed === passed).length;
    const sums = `${count(true) + count(false)} runs: ${count(true)} pass, ${count(false)} do not; ${count(null)} cells`;
    assert.ok(text.stdout.includes(sums), sums);
  });
});

describe('an error in domulator itself', () => {
  // Our own calls only, which pass a replacer: Node itself uses JSON while it starts.
  const broken =
    `data:text/javascript,const own = JSON.stringify; JSON.stringify = (value, replacer, space) => {
    if (replacer) throw new TypeError('seeded');
    return own(value, replacer, space);
  }`.replaceAll('\n', ' ');
  const fail = (env: Readonly<Record<string, string>>): Ended =>
    spawnSync(process.execPath, ['--import', broken, command, 'thread', '--json', '--story', '3'], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });

  it('gives one line that says how to report it, and status 70', () => {
    const { status, stdout, stderr } = fail({});
    assert.equal(status, 70);
    assert.equal(stdout, '');
    assert.match(stderr, /^domulator: internal error: TypeError: seeded; please report it [^\n]+\n$/);
  });

  it('shows its location on request', () => {
    assert.match(fail({ DOMULATOR_DEBUG: '1' }).stderr, /\n +at /);
  });
});

describe('a reader that exits', () => {
  it('is not an error', async () => {
    const child = spawn(process.execPath, [command, 'thread', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let complaints = '';
    child.stderr.on('data', (part: Buffer) => (complaints += part.toString()));
    child.stdout.once('data', () => child.stdout.destroy());
    const status = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(status, 0);
    assert.equal(complaints, '');
  });

  it(
    'a full disk is an error, reported in one line',
    { skip: process.platform !== 'linux' && 'there is no /dev/full here' },
    () => {
      const { status, stderr } = spawnSync(
        'sh',
        ['-c', `"$0" "$1" thread --story 1 > /dev/full`, process.execPath, command],
        {
          encoding: 'utf8',
        },
      );
      assert.equal(status, 74);
      assert.match(stderr, /^domulator: cannot write the output: ENOSPC\n$/);
    },
  );
});
