import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { present } from '../../src/base/index.js';
import type { BootReport } from '../../src/library/index.js';
import { onlyRun } from '../boot/reports.js';
import { hostileImage, hostileLoops } from './hostile_loops.js';

const command = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
/** Node aborts with less than about 30 MiB. Before the trace was bounded, these loops made it keep about 150 MiB. */
const heapMiB = 80;
const instructions = 2_000_000;

const loops = [
  'hypercall VCPUOP_is_up',
  'changing: vCPU ids',
  'changing: lines for the console of Xen',
  'uart: lines are written',
  'a vCPU that is started and stops, again and again',
];

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-hostile-'));
const file = (kind: string): string => path.join(folder, kind);
after(() => {
  rmSync(folder, { recursive: true });
});

for (const name of loops) {
  test(`a guest in a loop needs only a small heap: ${name}`, () => {
    const { program } = present(
      hostileLoops().find((loop) => loop.name === name),
      `the loop '${name}'`,
    );
    writeFileSync(file('Image'), hostileImage(program));
    writeFileSync(file('initrd'), new Uint8Array(16));
    const guest = ['--kernel', file('Image'), '--initrd', file('initrd'), '--memory', '16', '--vcpus', '2'];
    const rest = [
      '--limit',
      `1000000,${instructions}`,
      '--until',
      'poweroff',
      '--quiet',
      '--report',
      file('report'),
    ];
    const { status, stderr } = spawnSync(
      process.execPath,
      [`--max-old-space-size=${heapMiB}`, command, 'boot', ...guest, ...rest],
      { encoding: 'utf8', maxBuffer: 2 ** 26 },
    );
    assert.ok([1, 3].includes(status ?? -1), `status ${status}: ${stderr.slice(-500)}`);
    const report = JSON.parse(readFileSync(file('report'), 'utf8')) as BootReport;
    assert.ok(onlyRun(report).instructions >= instructions);
  });
}
