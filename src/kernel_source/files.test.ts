import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { InputError } from '../base/index.js';
import { readInputFile } from './files.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-files-'));
after(() => rmSync(folder, { recursive: true }));

const MiB = 2 ** 20;

/** A named pipe into which `count` zeros are written. */
function pipeOfZeros(name: string, count: number): string {
  const pipe = path.join(folder, name);
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  spawn('sh', ['-c', 'head -c "$1" /dev/zero > "$2"', 'sh', `${count}`, pipe], { stdio: 'ignore' });
  return pipe;
}

async function refused(file: string, says: RegExp, limit?: number): Promise<void> {
  await assert.rejects(readInputFile(file, 'kernel', limit), (error) => {
    assert.ok(error instanceof InputError);
    assert.match(error.message, says);
    return true;
  });
}

describe('an input file', () => {
  it('is read to its end in several chunks', async () => {
    const file = path.join(folder, 'parts');
    const bytes = Uint8Array.from({ length: 2 * MiB + 3 }, (_, at) => at % 251);
    writeFileSync(file, bytes);
    assert.deepEqual(await readInputFile(file, 'kernel'), bytes);
  });

  it('may be a pipe', async () => {
    const bytes = await readInputFile(pipeOfZeros('pipe', MiB + 1), 'kernel');
    assert.equal(bytes.length, MiB + 1);
  });

  it('is refused if it is a device, which may be endless', async () => {
    await refused('/dev/zero', /^the kernel \/dev\/zero cannot be read: it is neither a file nor a pipe$/);
  });

  it('is refused if it has more than 3072 MiB', async () => {
    const file = path.join(folder, 'sparse');
    writeFileSync(file, '');
    truncateSync(file, 3072 * MiB + 1);
    await refused(file, /is larger than 3072 MiB$/);
  });

  it('is refused as soon as a pipe exceeds the limit', async () => {
    await refused(pipeOfZeros('endless', 64 * MiB), /is larger than 2 MiB$/, 2 * MiB);
  });
});
