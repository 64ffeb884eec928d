// Measures instructions per second in loops that keep the host busy: calls, device accesses, self-modifying code.
// Compares two builds of this project round by round: this one and another, for example that of the commit before a
// change. Start-up time is removed: each loop runs for few and for many instructions, and the difference is reported.
//
// Usage: npm run bench:hostile -- OTHER_CHECKOUT [ROUNDS] (default: 3; the other checkout must be built already)
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostileImage, hostileLoops } from '../dist/test/guest/hostile_loops.js';
import { temporaryFolder } from './support/guests.js';
import { describeMachine, leastAndMedian, median, printTable } from './support/measure.js';

const measured = [
  'uart: bytes are written',
  'uart: its flags are read',
  'smc PSCI_VERSION',
  'hvc PSCI_VERSION',
  'code: changes itself',
  'code: changes itself, each time otherwise',
  'hypercall XENVER_version',
  'hypercall VCPUOP_is_up',
  'hypercall EVTCHNOP_send',
];
const instructions = { few: 1_000_000, many: 7_000_000 };

const [other, roundsText = '3'] = process.argv.slice(2);
const rounds = Number(roundsText);
const builds = {
  here: fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url)),
  other: path.resolve(other ?? '', 'dist/src/cli/main.js'),
};
if (other === undefined || !existsSync(builds.other) || !(rounds > 0)) {
  console.error('usage: npm run bench:hostile -- OTHER_CHECKOUT [ROUNDS]; the other checkout must be built');
  process.exit(2);
}

const folder = temporaryFolder();
const file = (name) => path.join(folder, name);
writeFileSync(file('initrd'), new Uint8Array(16));
/** Makes the process report its resource usage at exit. */
const meter = `data:text/javascript,import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync(${JSON.stringify(file('usage'))},JSON.stringify(process.resourceUsage())))`;

/** Processor time of a run in seconds. */
function seconds(main, count) {
  const guest = ['--kernel', file('Image'), '--initrd', file('initrd'), '--memory', '16', '--vcpus', '2'];
  const rest = ['--limit', `1000000,${count}`, '--until', 'poweroff', '--quiet'];
  spawnSync(process.execPath, ['--import', meter, main, 'boot', ...guest, ...rest], { stdio: 'ignore' });
  const { userCPUTime, systemCPUTime } = JSON.parse(readFileSync(file('usage'), 'utf8'));
  return (userCPUTime + systemCPUTime) / 1e6;
}

const rate = (main) =>
  (instructions.many - instructions.few) /
  (seconds(main, instructions.many) - seconds(main, instructions.few)) /
  1e6;

const rows = [];
console.log(`${describeMachine()}\n${rounds} rounds`);
for (const name of measured) {
  const loop = hostileLoops().find((candidate) => candidate.name === name);
  if (loop === undefined) throw new Error(`no loop is called '${name}'`);
  writeFileSync(file('Image'), hostileImage(loop.program));
  const [here, there] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    there.push(rate(builds.other));
    here.push(rate(builds.here));
  }
  rows.push({ name, here: median(here), there: median(there), ratios: here.map((one, i) => one / there[i]) });
}

console.log('\nMillion instructions a second of processor time, median; times as fast, least / median');
printTable([
  ['', 'other', 'here', 'ratio'],
  ...rows.map(({ name, here, there, ratios }) => [
    name,
    there.toFixed(2),
    here.toFixed(2),
    leastAndMedian(ratios),
  ]),
]);
