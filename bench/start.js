// Measures how long a start takes: processor time and wall time of whole runs that do next to nothing, here and on QEMU's TCG. The
// published command is measured, with the code that an earlier run kept and without it, and from its modules.
//
// Usage: npm run bench:start [ROUNDS] (default: 10). Rounds are interleaved: each runs every command once.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { image, powerOff } from '../dist/test/boot/tiny_kernels.js';
import { bundled, modules, needTools, qemu, qemuVersion } from './support/emulators.js';
import { temporaryFolder } from './support/guests.js';
import {
  describeMachine,
  holds,
  leastAndMedian,
  median,
  printTable,
  roundsAsked,
} from './support/measure.js';

/** Processor time of the builtin guest's whole run, s. */
const claim = 0.45;
const rounds = roundsAsked('npm run bench:start', 10);
needTools('qemu-system-aarch64', 'bash');

const folder = temporaryFolder();
const kernel = path.join(folder, 'Image');
writeFileSync(kernel, image(powerOff));
const cache = path.join(folder, 'cache');
const builtin = ['boot', '--kernel', 'builtin', '--quiet'];
/** Zeros, which Linux takes for an empty initramfs. */
const empty = path.join(folder, 'empty');
writeFileSync(empty, new Uint8Array(16));
const tiny = [
  'boot',
  '--kernel',
  kernel,
  '--initrd',
  empty,
  '--vcpus',
  '1',
  '--until',
  'poweroff',
  '--quiet',
];

const peer = 'QEMU, a kernel that powers off';
const commands = {
  [peer]: qemu({ kernel, vcpus: 1, threads: 'single' }),
  'Node, nothing': [process.execPath, '-e', '0'],
  'a kernel that powers off': [process.execPath, bundled, ...tiny],
  'the builtin guest': [process.execPath, bundled, ...builtin],
  'the builtin guest, no kept code': [process.execPath, bundled, ...builtin],
  'the builtin guest, from modules': [process.execPath, modules, ...builtin],
  '--help': [process.execPath, bundled, '--help'],
};

/** Processor and wall time of a command, s. Bash reports them to the millisecond. */
function timesOf(command) {
  const script = 'TIMEFORMAT="%3U %3S %3R"; time "$@" > /dev/null 2> /dev/null';
  const env = { ...process.env, LC_ALL: 'C', XDG_CACHE_HOME: cache };
  const { status, stderr } = spawnSync('bash', ['-c', script, 'bash', ...command], { encoding: 'utf8', env });
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}`);
  const [user, system, wall] = stderr.trim().split(' ').map(Number);
  return { processor: user + system, wall };
}

console.log(`${describeMachine()}\n${qemuVersion()}; ${rounds} rounds`);
const seen = new Map(Object.keys(commands).map((name) => [name, []]));
timesOf(commands['the builtin guest']); // keeps the code
for (let round = 0; round < rounds; round += 1) {
  for (const [name, command] of Object.entries(commands)) {
    const isWithout = name.endsWith('no kept code');
    if (isWithout) rmSync(cache, { recursive: true });
    seen.get(name).push(timesOf(command));
  }
}

const rows = [...seen].map(([name, times]) => {
  const processor = times.map((time) => time.processor);
  const ratios = processor.map((time, round) => time / seen.get(peer)[round].processor);
  const wall = times.map((time) => time.wall);
  return [name, leastAndMedian(processor, 3), leastAndMedian(wall, 3), median(ratios).toFixed(1)];
});
printTable([['least / median', 'processor s', 'wall s', "times QEMU's"], ...rows]);
const figure = median(seen.get('the builtin guest').map(({ processor }) => processor));
console.log(
  `the builtin guest within ${claim} s of processor time: ${figure.toFixed(3)} s, ${holds(figure <= claim)}`,
);
console.log(describeMachine());
