/** `domulator kernels` from the user's view: with a local mirror, without one, and with bad arguments. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { serveFiles, suiteFiles, under } from '../debian/archive.js';
import type { Server } from '../debian/archive.js';
import { debPackage, kernelImage } from '../debian/files.js';
import { root } from '../files.js';

const command = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-kernels-'));
after(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const nobody = 'http://127.0.0.1:9/debian';

/** Runs the command asynchronously, because this process serves the mirror. */
async function run(args: readonly string[], mirror: string): Promise<Ended> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    XDG_CACHE_HOME: path.join(folder, 'cache'),
    DOMULATOR_MIRROR: mirror,
  };
  const child = spawn(process.execPath, [command, ...args], { env });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes.toString()));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, stdout: stdout.join(''), stderr: stderr.join('') };
}

let server: Server;
before(async () => {
  const kernel = (release: string): Promise<Uint8Array> =>
    debPackage({ Package: release }, { [`boot/vmlinuz-${release}`]: kernelImage({ version: release }) });
  const packages = [
    { name: 'linux-image-6.1.0-1-arm64', version: '6.1.100-1', bytes: await kernel('6.1.0-1-arm64') },
    { name: 'linux-image-6.1.0-2-arm64', version: '6.1.200-1', bytes: await kernel('6.1.0-2-arm64') },
    {
      name: 'linux-image-arm64',
      version: '6.1.200-1',
      depends: 'linux-image-6.1.0-2-arm64',
      bytes: await kernel('x'),
    },
  ];
  server = await serveFiles(under('debian', suiteFiles({ suite: 'bookworm', packages })));
});
after(() => server.stop());

describe('domulator kernels', () => {
  it('lists all kernels of a release, or the newest kernels of all releases', async () => {
    const one = await run(['kernels', 'bookworm'], `${server.url}/debian`);
    assert.equal(one.status, 0, one.stderr);
    assert.match(one.stdout, /^ +release +flavour +version +package +default +cached$/m);
    assert.match(one.stdout, /^ +bookworm +generic +6\.1\.0-2 +linux-image-6\.1\.0-2-arm64 +yes$/m);
    assert.match(one.stdout, /^ +bookworm +generic +6\.1\.0-1 +linux-image-6\.1\.0-1-arm64$/m);
    const all = await run(['kernels'], `${server.url}/debian`);
    assert.equal(all.status, 0, all.stderr);
    assert.doesNotMatch(all.stdout, /6\.1\.0-1/);
    assert.match(all.stdout, /^1 older version is not shown; name a RELEASE to see it\.$/m);
  });

  it('prints the list as JSON', async () => {
    const { status, stdout } = await run(['kernels', '--json', '--mirror', `${server.url}/debian`], nobody);
    assert.equal(status, 0);
    const { kernels, notAsked } = JSON.parse(stdout) as {
      kernels: { kernel: string }[];
      notAsked: unknown[];
    };
    assert.deepEqual(notAsked, []);
    assert.deepEqual(
      kernels.map(({ kernel }) => kernel),
      ['debian:bookworm=6.1.0-2', 'debian:bookworm=6.1.0-1'],
    );
  });

  it('lists the cached kernels without a network, and says so', async () => {
    // These bytes are not a bootable kernel, but they are fetched and stored before that is noticed.
    await run(
      [
        'boot',
        '--kernel',
        'debian:bookworm=6.1.0-1',
        '--initrd',
        command,
        '--memory',
        '16',
        '--limit',
        ',1000',
        '--quiet',
      ],
      `${server.url}/debian`,
    );
    const { status, stdout, stderr } = await run(['kernels', 'bookworm'], nobody);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^ +bookworm +generic +6\.1\.0-1 +linux-image-6\.1\.0-1-arm64 +yes$/m);
    assert.doesNotMatch(stdout, /6\.1\.0-2/);
    assert.match(
      stderr,
      /^domulator: warning: 127\.0\.0\.1:9 cannot be reached: .*; of bookworm, only kernels in the cache are listed\n$/,
    );
  });

  it('refuses a release that it cannot list with one line and status 2', async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['trixie'], /^domulator: debian:trixie is not in the cache .*cannot be reached/],
      [['../etc'], /is not the name of a Debian release/],
      [['bookworm', 'trixie'], /see 'domulator kernels --help'$/m],
      [['--all'], /unknown option '--all'; see 'domulator kernels --help'$/m],
      [['--mirror', 'ftp://x'], /"ftp:\/\/x" is not an http or https address/],
      [['--mirror', '--json'], /--mirror needs a value/],
      [['bookworm', '--mirror', ''], /--mirror needs a value/],
    ];
    for (const [args, says] of cases) {
      const { status, stdout, stderr } = await run(['kernels', ...args], nobody);
      assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
      assert.equal(stdout, '');
      assert.match(stderr, /^domulator: [^\n]+\n$/);
      assert.match(stderr, says);
    }
  });
});
