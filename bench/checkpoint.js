// Measures a checkpoint of Debian's kernel at user space, with 4 vCPUs and 512 MiB: how long it takes to write, how much memory, and how
// long a command that goes on from it takes to the next line of the console. Its peer is Node with nothing to do.
//
// Usage: npm run bench:checkpoint [ROUNDS] (default: 5)
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { boot, checkpointBytes } from '../dist/src/library/index.js';
import { bundled } from './support/emulators.js';
import { temporaryFolder } from './support/guests.js';
import {
  describeMachine,
  holds,
  leastAndMedian,
  median,
  printTable,
  roundsAsked,
} from './support/measure.js';

/** Wall time from the start of the command to the next line, and processor time of writing, s; size of the file, MiB. */
const claims = { line: 0.5, writing: 2, size: 24 };
const rounds = roundsAsked('npm run bench:checkpoint', 5);
const folder = temporaryFolder();
const file = path.join(folder, 'checkpoint');

/** Processor time so far, s, and the largest memory of this process, MiB. */
function used() {
  const { user, system } = process.cpuUsage();
  return { processor: (user + system) / 1e6, memory: process.resourceUsage().maxRSS / 1024 };
}

/** Runs a command to its end: processor time as Linux counts it, wall time, and wall time to its first output, s. */
async function timesOf(args) {
  const began = performance.now();
  const child = spawn(
    'bash',
    ['-c', 'TIMEFORMAT="%3U %3S"; time "$@" 2> /dev/null', 'bash', process.execPath, ...args],
    {
      env: { ...process.env, LC_ALL: 'C' },
    },
  );
  let line = null;
  child.stdout.on('data', () => (line ??= (performance.now() - began) / 1000));
  let times = '';
  child.stderr.on('data', (text) => (times += text));
  const status = await new Promise((resolve) => child.on('close', resolve));
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
  const [user, system] = times.trim().split(' ').map(Number);
  return { processor: user + system, wall: (performance.now() - began) / 1000, line };
}

console.log(describeMachine());
const run = boot({
  kernel: 'debian:bookworm',
  vcpus: 4,
  memoryMiB: 512,
  warn: (line) => console.error(line),
});
if (!(await run.reach('userspace'))) throw new Error('the guest does not reach user space');
const before = used();
const bytes = checkpointBytes(await run.checkpoint());
writeFileSync(file, bytes);
const after = used();
run.stop();
await run.report();

const writing = after.processor - before.processor;
const size = bytes.length / 2 ** 20;
console.log(
  `written with ${writing.toFixed(2)} s of processor time (at most ${claims.writing} s ${holds(writing <= claims.writing)}) and ` +
    `${(after.memory - before.memory).toFixed(0)} MiB beside the ${before.memory.toFixed(0)} MiB of before: ` +
    `${size.toFixed(1)} MiB (at most ${claims.size} ${holds(size <= claims.size)})`,
);

const goesOn = [bundled, 'boot', '--from', file, '--until', 'line:.*'];
// Keeps the command's code.
await timesOf(goesOn);
const commands = { 'Node, nothing': ['-e', '0'], 'to the next line, and the report': goesOn };
const seen = new Map(Object.keys(commands).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1)
  for (const [name, args] of Object.entries(commands)) seen.get(name).push(await timesOf(args));

const rows = [...seen].map(([name, times]) => [
  name,
  leastAndMedian(times.map(({ processor }) => processor)),
  leastAndMedian(times.map(({ wall }) => wall)),
  times[0].line === null ? '' : leastAndMedian(times.map(({ line }) => line)),
]);
printTable([['least / median', 'processor s', 'wall s', 'wall s to the line'], ...rows]);
const figure = median(seen.get('to the next line, and the report').map(({ line }) => line));
console.log(`the next line within ${claims.line} s: ${figure.toFixed(2)} s, ${holds(figure <= claims.line)}`);
console.log(describeMachine());
