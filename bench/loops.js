// Measures instructions per second in six loops of plain code, here and on QEMU's TCG. No device, kernel or exception
// is involved. Each loop is an image (loops/), compiled for each board with no difference except the UART's address.
// The number of instructions is counted here and holds for both.
//
// Both engines of this project are measured. Usage: npm run bench:loops -- [ROUNDS] [TIMES] (default: 3 and 1). Rounds are interleaved;
// TIMES makes the loops that many times as long, so that what is done once counts less.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { domulator, needTools, qemu, qemuVersion } from './support/emulators.js';
import { temporaryFolder } from './support/guests.js';
import { describeMachine, leastAndMedian, median, printTable, roundsAsked } from './support/measure.js';
import { measureProcess } from './support/processes.js';

const compiler = 'aarch64-linux-gnu-gcc';
/** In the order of their numbers in loops.c. */
const loops = ['integer', 'memory copy', 'branches', 'multiply, divide', 'floating point', 'SIMD'];
/** GUEST_PL011_BASE of Xen's public/arch-arm.h, and VIRT_UART of QEMU's board. */
const uarts = { domulator: '0x22000000', qemu: '0x09000000' };
const marks = { begin: /begin\r?\n/, end: /end ([0-9a-f]{16})\r?\n/ };

const rounds = roundsAsked('npm run bench:loops', 3);
const times = roundsAsked('npm run bench:loops ROUNDS', 1, process.argv.slice(3));
needTools('qemu-system-aarch64', compiler);
const sources = fileURLToPath(new URL('loops', import.meta.url));
const folder = temporaryFolder();
/** Ten times the longest loop would run into the usual limits. */
const unlimited = ['--limit', '1000,100000000000'];

/** Compiles a loop to a flat image and returns its path. */
function compile(number, board) {
  const elf = path.join(folder, `${board}${number}.elf`);
  const options = ['-O2', '-fno-tree-vectorize', '-ffreestanding', '-nostdlib', '-static', '-fpie'];
  const link = [
    '-Wl,--build-id=none',
    '-Wl,-z,noexecstack',
    '-Wl,--no-warn-rwx-segments',
    '-Wl,--no-dynamic-linker',
  ];
  const script = ['-T', path.join(sources, 'loops.lds')];
  const defines = [`-DLOOP=${number}`, `-DUART=${uarts[board]}`, `-DTIMES=${times}`];
  const inputs = ['start.S', 'loops.c'].map((file) => path.join(sources, file));
  execFileSync(compiler, [...options, ...link, ...script, ...defines, '-o', elf, ...inputs]);
  const image = elf.replace('.elf', '.img');
  execFileSync('aarch64-linux-gnu-objcopy', ['-O', 'binary', elf, image]);
  return image;
}

/** The time between `begin` and `end`, and the result that the loop printed. */
async function measure(command) {
  const { marks: at, output } = await measureProcess(command, { marks });
  const between = (figure) => at.end[figure] - at.begin[figure];
  return { wall: between('wall'), processor: between('processor'), result: marks.end.exec(output)[1] };
}

const report = path.join(folder, 'report.json');
const rows = [];
console.log(`${describeMachine()}\n${qemuVersion()}; ${rounds} rounds, loops ${times} times as long`);
for (const [index, name] of loops.entries()) {
  const images = { domulator: compile(index + 1, 'domulator'), qemu: compile(index + 1, 'qemu') };
  const [ours, compiled, theirs] = [[], [], []];
  const run = (engine) =>
    domulator({ kernel: images.domulator, vcpus: 1, report, more: ['--engine', engine, ...unlimited] });
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await measure(run('interpreter')));
    compiled.push(await measure(run('compiler')));
    theirs.push(await measure(qemu({ kernel: images.qemu, vcpus: 1, threads: 'single' })));
  }
  const results = new Set([...ours, ...compiled, ...theirs].map(({ result }) => result));
  if (results.size !== 1) throw new Error(`${name}: the results differ: ${[...results].join(' ')}`);
  const [{ instructions }] = JSON.parse(readFileSync(report, 'utf8')).runs;
  const rate = (runs) => instructions / median(runs.map(({ processor }) => processor)) / 1e6;
  const to = (runs, peers) => runs.map(({ processor }, round) => processor / peers[round].processor);
  rows.push({
    name,
    instructions,
    ours: rate(ours),
    compiled: rate(compiled),
    theirs: rate(theirs),
    ratios: { ours: to(ours, theirs), compiled: to(compiled, theirs), gain: to(compiled, ours) },
  });
}

const mean = (figure) => Math.exp(rows.reduce((sum, row) => sum + Math.log(row[figure]), 0) / rows.length);
const shown = (rate) => `${rate.toFixed(0)} M/s`;
console.log('\nInstructions a second of processor time, median; times as long as a peer, least / median');
printTable([
  [
    '',
    'instructions',
    'interpreter',
    'compiler',
    'qemu',
    'interpreter/qemu',
    'compiler/qemu',
    'compiler/interpreter',
  ],
  ...rows.map(({ name, instructions, ours, compiled, theirs, ratios }) => [
    name,
    `${(instructions / 1e6).toFixed(0)} M`,
    shown(ours),
    shown(compiled),
    shown(theirs),
    leastAndMedian(ratios.ours, 1),
    leastAndMedian(ratios.compiled, 1),
    leastAndMedian(ratios.gain),
  ]),
  ['geometric mean', '', shown(mean('ours')), shown(mean('compiled')), shown(mean('theirs')), '', '', ''],
]);
