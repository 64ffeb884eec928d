// Measures the boot of an unmodified Debian kernel to user space, here and on QEMU's TCG, with the same kernel and
// initramfs: time, instructions per second, and memory besides the guest's.
//
// Usage: npm run bench:boot -- [--arch arm64|amd64] [ROUNDS] (default: arm64, 3). Rounds are interleaved: each runs every
// emulator once.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { domulator, memoryMiB, needTools, qemu, qemuVersion } from './support/emulators.js';
import { debianGuest, temporaryFolder } from './support/guests.js';
import {
  describeMachine,
  holds,
  leastAndMedian,
  median,
  printTable,
  roundsAsked,
} from './support/measure.js';
import { measureProcess } from './support/processes.js';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { arch: { type: 'string' } } });
const { arch = 'arm64' } = values;
const rounds = roundsAsked('npm run bench:boot', 3, positionals);
const folder = temporaryFolder();

/** By architecture: the boots, of which the last is held against the targets. */
const plans = {
  arm64: {
    tool: 'qemu-system-aarch64',
    claims: { timesQemu: 3, instructionsPerSecond: 150e6, memoryMiB: 300e6 / 2 ** 20 },
    async cells() {
      const guest = await debianGuest(folder);
      const kinds = { stock: 'console=ttyAMA0', 'cryptomgr.notests': 'console=ttyAMA0 cryptomgr.notests' };
      return Object.entries(kinds).flatMap(([kind, line]) =>
        [1, 4].map((vcpus) => ({ kind, vcpus, guest, lines: { here: line, qemu: line } })),
      );
    },
  },
  amd64: {
    tool: 'qemu-system-x86_64',
    claims: { timesQemu: 6, instructionsPerSecond: 120e6, memoryMiB: 300e6 / 2 ** 20 },
    async cells() {
      const lines = { here: 'console=hvc0', qemu: 'console=ttyS0' };
      const cells = [];
      for (const [kind, flavour] of [
        ['cloud', 'cloud'],
        ['generic', null],
      ]) {
        cells.push({ kind, vcpus: 4, guest: await debianGuest(folder, { arch, flavour }), lines });
      }
      return cells;
    },
  },
};
const plan = plans[arch];
if (plan === undefined) {
  console.error(`--arch ${arch}: it must be arm64 or amd64`);
  process.exit(2);
}
const { claims } = plan;
needTools(plan.tool);

/** The first line of the default initramfs (src/firmware/initramfs.ts). */
const userspace = /domulator-init: userspace/;
const emulators = {
  domulator: ({ guest, vcpus, lines }) => domulator({ ...guest, vcpus, commandLine: lines.here }),
  'qemu single': ({ guest, vcpus, lines }) =>
    qemu({ ...guest, vcpus, commandLine: lines.qemu, threads: 'single' }),
  'qemu multi': ({ guest, vcpus, lines }) =>
    qemu({ ...guest, vcpus, commandLine: lines.qemu, threads: 'multi' }),
};
const phasesScript = fileURLToPath(new URL('support/boot_phases.js', import.meta.url));

const cells = await plan.cells();
const times = new Map();

function note(key, value) {
  times.set(key, [...(times.get(key) ?? []), value]);
}

function inProcess({ guest, vcpus, lines }) {
  const args = [phasesScript, guest.kernel, guest.initrd, String(vcpus), lines.here];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`${path.basename(phasesScript)}: ${stderr}`);
  }
}

const guests = [...new Set(cells.map(({ guest }) => guest.name))].join(', ');
console.log(`${describeMachine()}\n${qemuVersion(arch)}; ${guests}; ${rounds} rounds`);
for (let round = 0; round < rounds; round += 1) {
  for (const cell of cells) {
    const { kind, vcpus } = cell;
    for (const [name, command] of Object.entries(emulators)) {
      const memory = name === 'domulator';
      const line = command(cell);
      const seen = await measureProcess(line, { marks: { userspace }, last: 'userspace' });
      note(`${kind} ${vcpus} ${name}`, seen.marks.userspace);
      if (memory && round === 0) {
        note('memory', (await measureProcess(line, { marks: { userspace }, memory })).memory);
      }
    }
    note(`${kind} ${vcpus} phases`, inProcess(cell));
  }
}

const of = (key, figure) => times.get(key).map((value) => value[figure]);
const label = ({ kind, vcpus }) => `${kind}, ${vcpus} vCPU${vcpus === 1 ? '' : 's'}`;
const names = Object.keys(emulators);

console.log("\nTo the first line of user space, from the command's start: seconds, least / median");
printTable([
  ['', ...names.flatMap((name) => [name, 'processor'])],
  ...cells.map((cell) => [
    label(cell),
    ...names.flatMap((name) =>
      ['wall', 'processor'].map((figure) => leastAndMedian(of(`${cell.kind} ${cell.vcpus} ${name}`, figure))),
    ),
  ]),
]);

console.log('\nTimes as long as QEMU, round by round: least / median');
const against = names.slice(1).flatMap((name) => ['wall', 'processor'].map((figure) => ({ name, figure })));
printTable([
  ['', ...against.map(({ name, figure }) => `${name}, ${figure}`)],
  ...cells.map((cell) => {
    const key = `${cell.kind} ${cell.vcpus}`;
    const ratios = ({ name, figure }) => {
      const theirs = of(`${key} ${name}`, figure);
      return of(`${key} domulator`, figure).map((ours, round) => ours / theirs[round]);
    };
    return [label(cell), ...against.map((which) => leastAndMedian(ratios(which)))];
  }),
]);
console.log("QEMU's guest is not under Xen: its kernel makes no hypercalls.");

console.log(
  '\nHere, to power-off: processor time in seconds, median; instructions a second of processor time',
);
const parts = ['node', 'modules', 'files', 'build', 'run', 'result'];
printTable([
  ['', ...parts, 'instructions', 'of run', 'of all'],
  ...cells.map(({ kind, vcpus }) => {
    const all = times.get(`${kind} ${vcpus} phases`);
    const phase = (name) => median(all.map(({ phases }) => phases[name].processor));
    const [{ instructions }] = all;
    const total = parts.reduce((sum, name) => sum + phase(name), 0);
    const rate = (seconds) => `${(instructions / seconds / 1e6).toFixed(0)} M/s`;
    const shown = parts.map((name) => phase(name).toFixed(2));
    return [
      label({ kind, vcpus }),
      ...shown,
      `${(instructions / 1e6).toFixed(0)} M`,
      rate(phase('run')),
      rate(total),
    ];
  }),
]);

const memory = times.get('memory').reduce((a, b) => (b.total > a.total ? b : a));
// Count all of the engine's memory except the guest's, resident or not.
const beside = memory.total - memory.largest.resident + Math.max(memory.largest.size - memoryMiB, 0);
console.log(
  `\nMemory: ${memory.total.toFixed(0)} MiB resident at most, of which ${memory.largest.resident.toFixed(0)} MiB in the mapping of ${memory.largest.size.toFixed(0)} MiB that holds the guest's ${memoryMiB} MiB; at most ${beside.toFixed(0)} MiB beside the guest's`,
);

const { kind: lastKind, vcpus: lastVcpus } = cells.at(-1);
const key = `${lastKind} ${lastVcpus}`;
const rates = times
  .get(`${key} phases`)
  .map(({ instructions, phases }) => instructions / phases.run.processor);
console.log(`\nTargets, ${lastKind} with ${lastVcpus} vCPUs, by the median of the rounds:`);
for (const name of names.slice(1)) {
  const theirs = of(`${key} ${name}`, 'wall');
  const ratio = median(of(`${key} domulator`, 'wall').map((ours, round) => ours / theirs[round]));
  console.log(
    `  within ${claims.timesQemu} times the time of ${name}: ${ratio.toFixed(2)}: ${holds(ratio <= claims.timesQemu)}`,
  );
}
const rate = median(rates);
console.log(
  `  ${claims.instructionsPerSecond / 1e6} million instructions a second of processor time over the run: ${(rate / 1e6).toFixed(0)} (most ${(Math.max(...rates) / 1e6).toFixed(0)}): ${holds(rate >= claims.instructionsPerSecond)}`,
);
console.log(`  at most 300 MB beside the guest's memory: ${holds(beside <= claims.memoryMiB)}`);
