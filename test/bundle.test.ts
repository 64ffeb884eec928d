/**
 * The command as it is published: one file with all modules, and the compiled code that an earlier run kept. It must do what the
 * modules do, whatever is in the cache, and wherever the package is installed.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { readText, root } from './files.js';

interface Package {
  readonly bin: { readonly domulator: string };
  readonly dependencies: Readonly<Record<string, string>>;
}

const { bin, dependencies } = JSON.parse(readText('package.json')) as Package;
const bundled = path.join(root, bin.domulator);
const modules = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-bundle-'));
after(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command with a cache of its own, in an empty folder. */
function run(
  command: string,
  args: readonly string[],
  cache: string,
  env: Readonly<Record<string, string>> = {},
): Ended {
  const { PATH = '' } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { PATH, XDG_CACHE_HOME: cache, ...env },
  });
  return { status, stdout, stderr };
}

const builtin = ['boot', '--kernel', 'builtin', '--json'];

let count = 0;
function emptyCache(): string {
  count += 1;
  const cache = path.join(folder, `cache-${count}`);
  mkdirSync(cache);
  return cache;
}

/** The files of kept code in a cache. */
function kept(cache: string): string[] {
  const code = path.join(cache, 'domulator', 'code');
  return existsSync(code) ? readdirSync(code).map((name) => path.join(code, name)) : [];
}

describe('the bundled command', () => {
  const fromModules = run(modules, builtin, emptyCache());
  const cache = emptyCache();

  it('does what its modules do, with and without kept code', () => {
    assert.equal(fromModules.status, 0, fromModules.stderr);
    assert.deepEqual(run(bundled, builtin, cache), fromModules);
    const files = kept(cache);
    assert.equal(files.length, 1, 'code was kept');
    const before = readFileSync(files[0]!);
    assert.deepEqual(run(bundled, builtin, cache), fromModules);
    assert.deepEqual(readFileSync(files[0]!), before, 'it was used, and not written again');
    for (const args of [['--help'], ['boot', '--vcpus', '0'], ['thread', '--story', '1'], ['nothing'], []]) {
      assert.deepEqual(run(bundled, args, cache), run(modules, args, cache), args.join(' '));
    }
  });

  it('asks an archive as its modules do, also with kept code', () => {
    assert.equal(kept(cache).length, 1, 'code was kept');
    // That takes each of Node's clients.
    const args = ['boot', '--kernel', 'debian:bookworm', '--mirror', 'https://127.0.0.1:9/debian'];
    const proxy = { https_proxy: 'http://127.0.0.1:9' };
    const { status, stderr } = run(bundled, args, cache, proxy);
    assert.deepEqual([status, stderr], [2, run(modules, args, cache, proxy).stderr]);
    assert.match(stderr, /ECONNREFUSED/);
  });

  it('keeps the code of two programs beside each other', () => {
    const other = path.join(folder, 'other', 'command');
    cpSync(path.dirname(bundled), other, { recursive: true });
    const [program, launcher] = ['program.cjs', 'domulator.cjs'].map((name) => path.join(other, name));
    assert.ok(program !== undefined && launcher !== undefined);
    const hash = (): string => createHash('sha256').update(readFileSync(program)).digest('hex');
    const before = hash();
    writeFileSync(program, readFileSync(program, 'utf8').replace(/\}\)\s*$/, '/* other */})'));
    assert.ok(readFileSync(launcher, 'utf8').includes(before));
    writeFileSync(launcher, readFileSync(launcher, 'utf8').replaceAll(before, hash()));
    const own = emptyCache();
    assert.deepEqual(run(bundled, builtin, own), fromModules);
    const [file = ''] = kept(own);
    const whole = readFileSync(file);
    assert.deepEqual(run(launcher, builtin, own), fromModules);
    assert.equal(kept(own).length, 2);
    assert.deepEqual(readFileSync(file), whole);
  });

  it('keeps no code of a run that used little of it', () => {
    const own = emptyCache();
    for (const args of [['--help'], ['boot', '--help'], ['boot', '--vcpus', '0'], ['thread', '--json']]) {
      run(bundled, args, own);
      assert.deepEqual(kept(own), [], args.join(' '));
    }
  });

  it('is not impressed by what is in the cache', () => {
    const [file = ''] = kept(cache);
    const whole = readFileSync(file);
    const flipped = Buffer.from(whole);
    for (let i = 40; i < flipped.length; i += 997) flipped[i] = (flipped[i] ?? 0) ^ 0xff;
    for (const bytes of [Buffer.alloc(0), whole.subarray(0, 1000), flipped, Buffer.alloc(5000, 7)]) {
      writeFileSync(file, bytes);
      assert.deepEqual(run(bundled, builtin, cache), fromModules);
    }
    rmSync(file);
    mkdirSync(file);
    assert.deepEqual(run(bundled, builtin, cache), fromModules);
    rmSync(file, { recursive: true });
  });

  it('works where nothing can be written', () => {
    const blocked = path.join(folder, 'blocked');
    writeFileSync(blocked, '');
    assert.deepEqual(run(bundled, builtin, blocked), fromModules);
  });

  it('shows the modules in the stack traces of internal errors', () => {
    const broken = path.join(folder, 'broken.cjs');
    writeFileSync(broken, 'WebAssembly.Module = function () { throw new TypeError("broken"); };');
    const env = { NODE_OPTIONS: `--require=${broken}` };
    const plain = run(bundled, builtin, cache, env);
    assert.equal(plain.status, 70, plain.stderr);
    assert.match(plain.stderr, /^domulator: internal error: TypeError: broken; /);
    const { status, stderr } = run(bundled, builtin, cache, { ...env, DOMULATOR_DEBUG: '1' });
    assert.equal(status, 70);
    assert.match(stderr, /\n {4}at .*dist\/src\/.*\.js:\d+:\d+/);
  });
});

describe('the published package', () => {
  it('has all that its command and its library need', () => {
    const npm = spawnSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      encoding: 'utf8',
      cwd: root,
    });
    assert.equal(npm.status, 0, npm.stderr);
    const [{ filename = '' } = {}] = JSON.parse(npm.stdout) as { filename?: string }[];
    assert.equal(spawnSync('tar', ['-xzf', filename], { cwd: folder }).status, 0);
    const installed = path.join(folder, 'package');
    // The dependencies are here already. Their own are found where these really are.
    for (const name of Object.keys(dependencies)) {
      const link = path.join(installed, 'node_modules', name);
      mkdirSync(path.dirname(link), { recursive: true });
      symlinkSync(path.join(root, 'node_modules', name), link);
    }
    const cache = emptyCache();
    const expected = run(modules, builtin, cache);
    assert.deepEqual(run(path.join(installed, bin.domulator), builtin, cache), expected);
    const program = path.join(installed, 'program.mjs');
    writeFileSync(
      program,
      `import { boot } from 'domulator';
       import { hashValue } from 'domulator/base';
       const { verdict } = await boot({ kernel: 'builtin' }).report();
       console.log(verdict, typeof hashValue);`,
    );
    assert.deepEqual(run(program, [], cache), { status: 0, stdout: 'pass function\n', stderr: '' });
  });
});
