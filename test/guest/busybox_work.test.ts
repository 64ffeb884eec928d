/**
 * Computation in a guest's user space: busybox hashes, compresses, sorts and calculates over a generated tree. The
 * results must equal those of the same program on another emulator, and of the host's own tools.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { busyboxInitramfs, fileType } from '../../src/firmware/index.js';
import type { CpioEntry } from '../../src/firmware/index.js';
import { Dice } from '../conformance/a64_draw.js';
import { root } from '../files.js';
import { bootStock, skip, stockKernel } from './kernel.js';

const script = readFileSync(path.join(root, 'test/guest/busybox_work.sh'), 'utf8');

/** The files of the tree by path: words, numbers, incompressible bytes, and compressible bytes. */
function makeTree(): ReadonlyMap<string, Buffer> {
  const dice = new Dice(2016);
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const word = (): string =>
    Array.from({ length: 1 + dice.below(9) }, () => letters[Math.min(dice.below(26), dice.below(26))]).join(
      '',
    );
  const words = Array.from({ length: 700 }, word);
  const line = (): string =>
    Array.from({ length: 1 + dice.below(10) }, () =>
      dice.below(6) === 0 ? `${dice.below(5000)}` : dice.pick(words),
    ).join(' ');
  const files = new Map<string, Buffer>();
  const lines = (count: number, one: (n: number) => string): Buffer =>
    Buffer.from(Array.from({ length: count }, (_, n) => `${one(n)}\n`).join(''));
  for (let n = 0; n < 12; n += 1) files.set(`tree/text/${n}.txt`, lines(20 + dice.below(120), line));
  for (let n = 0; n < 6; n += 1) {
    files.set(
      `tree/data/${n}.bin`,
      Buffer.from(Array.from({ length: dice.below(8000) }, () => dice.below(256))),
    );
  }
  files.set('tree/data/zeroes', Buffer.alloc(30_000));
  files.set('tree/data/empty', Buffer.alloc(0));
  const row = (n: number): string => `${n},${dice.pick(words)},${dice.below(100_000) / 8}`;
  files.set('tree/table.csv', lines(600, row));
  return files;
}

const tree = makeTree();
const folders = ['tree', 'tree/text', 'tree/data'];

/** The `work: NAME=VALUE` lines of an output, by name. */
function resultsIn(output: string): Map<string, string> {
  const lines = [...output.matchAll(/^work: ([^=\r]+)=([^\r\n]*)\r?$/gm)];
  return new Map(lines.map(([, name = '', value = '']) => [name, value]));
}

/** The script's results on this machine. */
function runHere(busybox: string): Map<string, string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'domulator-work-'));
  try {
    for (const one of folders) mkdirSync(path.join(folder, one));
    for (const [name, content] of tree) writeFileSync(path.join(folder, name), content);
    const options = { cwd: folder, encoding: 'utf8', env: { ...process.env, BB: busybox } } as const;
    const { stdout } = spawnSync('sh', ['-c', script], options);
    return resultsIn(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The results of the guest's own busybox on qemu; null if qemu is missing. */
function runOnQemu(busybox: Uint8Array): Map<string, string> | null {
  if (spawnSync('qemu-aarch64', ['--version']).status !== 0) return null;
  const folder = mkdtempSync(path.join(tmpdir(), 'domulator-busybox-'));
  try {
    const program = path.join(folder, 'busybox');
    writeFileSync(program, busybox);
    chmodSync(program, 0o755);
    return runHere(`qemu-aarch64 ${program}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const init = `#!/bin/busybox sh
export PATH=/bin BB=/bin/busybox
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs none /root
cd /root
cp -r /tree .
sh /work.sh
poweroff -f
`;

function initramfs(busybox: Uint8Array): Uint8Array {
  const directories = folders.map((name): CpioEntry => ({
    path: name,
    mode: fileType.directory | 0o755,
    content: new Uint8Array(),
    device: [0, 0],
  }));
  const regular = [...tree, ['work.sh', Buffer.from(script)] as const].map(([name, content]): CpioEntry => ({
    path: name,
    mode: fileType.regular | 0o644,
    content: new Uint8Array(content),
    device: [0, 0],
  }));
  const applets = ['sh', 'mount', 'cp', 'poweroff'];
  return busyboxInitramfs(busybox, 'arm64', { applets, init, entries: [...directories, ...regular] });
}

/** Whether a result does not depend on the compressor, and is not from a missing command. */
function isAnyones([name, value]: readonly [string, string]): boolean {
  return !name.startsWith('packed-') && value !== '' && value !== sha256([]);
}

test('busybox gives the same results in the guest as elsewhere', { skip }, (t) => {
  const { busybox } = stockKernel();
  const result = bootStock({ initrd: initramfs(busybox), vcpus: 2, xenstore: false });
  const { console } = result;
  const results = resultsIn(console);
  assert.equal(result.outcome, 'poweroff', console.slice(-2000));
  assert.equal(results.get('end'), 'yes', console.slice(-2000));
  assert.equal(results.get('tar-same'), 'yes');
  assert.deepEqual(
    [...results].filter(([, value]) => value === '' || value === sha256([])),
    [],
  );
  assert.equal(results.get('all'), sha256([...tree].sort(byPath).map(([, content]) => content)));
  t.diagnostic(`${results.size} results, ${result.instructions} instructions`);
  const reference = runOnQemu(busybox);
  if (reference === null) t.diagnostic('no qemu-aarch64 to compare with');
  else assert.deepEqual(results, reference);
  const tools = [...runHere('')].filter(isAnyones);
  assert.ok(tools.length > 15, `this machine's tools gave ${tools.length} results`);
  for (const [name, value] of tools) assert.equal(results.get(name), value, name);
});

type TreeFile = readonly [name: string, content: Buffer];

/** The order of `sort` in the C locale. */
function byPath([a]: TreeFile, [b]: TreeFile): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function sha256(contents: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(content);
  return hash.digest('hex');
}
