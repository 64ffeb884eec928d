// Measures one boot of an amd64 guest with a crash on each of its four vCPUs, from forks of it, and the same kdump on QEMU's TCG, without
// Xen, which boots anew for each crash: wall time, processor time and memory.
//
// Usage: npm run bench:kdump [ROUNDS] (default: 1). Each round runs everything once.
import process from 'node:process';
import { crashMarkers } from '../dist/src/firmware/index.js';
import { modules, needTools, qemu, qemuVersion } from './support/emulators.js';
import { kdumpGuest, temporaryFolder } from './support/guests.js';
import { describeMachine, leastAndMedian, printTable, roundsAsked } from './support/measure.js';
import { measureProcess } from './support/processes.js';

const rounds = roundsAsked('npm run bench:kdump', 1);
const vcpus = 4;
const mib = 768;
const flavour = 'cloud';
needTools('qemu-system-x86_64');
const guest = await kdumpGuest(temporaryFolder(), flavour, 'ttyS0');

/** One after the other, as QEMU runs them. */
const here = [
  ...[process.execPath, modules, 'crash', '--arch', 'amd64', '--type', 'hvm', '--kernel', guest.name],
  ...['--vcpus', String(vcpus), '--memory', String(mib), '--jobs', '1', '--json'],
];
const loaded = new RegExp(crashMarkers.loaded);
/** Its user space says this only in the crash kernel. */
const done = /domulator-init: done/;

/** A boot on QEMU and a crash on that CPU: seconds of both parts, and memory. */
async function onQemu(threads, cpu) {
  const commandLine = 'console=ttyS0 crashkernel=192M';
  const command = qemu({ ...guest, vcpus, mib, commandLine, threads });
  const text = `sysrq ${(1 << cpu).toString(16)}\n`;
  const seen = await measureProcess(command, {
    marks: { loaded, done },
    last: 'done',
    memory: true,
    typed: { at: 'loaded', text },
  });
  const crash = (figure) => seen.marks.done[figure] - seen.marks.loaded[figure];
  return {
    boot: seen.marks.loaded,
    crash: { wall: crash('wall'), processor: crash('processor') },
    memory: seen.memory,
  };
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** All crashes on QEMU: as it runs them, and with one boot only. */
async function allOnQemu(threads) {
  const runs = [];
  for (let cpu = 0; cpu < vcpus; cpu += 1) runs.push(await onQemu(threads, cpu));
  const crashes = (figure) => sum(runs.map(({ crash }) => crash[figure]));
  const boots = (figure) => sum(runs.map(({ boot }) => boot[figure]));
  const times = (count) =>
    Object.fromEntries(
      ['wall', 'processor'].map((figure) => [figure, crashes(figure) + boots(figure) * count]),
    );
  return {
    all: times(1),
    once: times(1 / runs.length),
    memory: Math.max(...runs.map(({ memory }) => memory.total)),
  };
}

console.log(
  `${describeMachine()}\n${qemuVersion('amd64')}; ${guest.name} (${guest.version}); ${rounds} rounds`,
);
const results = [];
for (let round = 0; round < rounds; round += 1) {
  const seen = await measureProcess(here, { marks: { report: /"verdict": "pass"/ }, memory: true });
  const single = await allOnQemu('single');
  const multi = await allOnQemu('multi');
  results.push({ here: { time: seen.end, memory: seen.memory.total }, single, multi });
}

const of = (pick) => leastAndMedian(results.map(pick));
const row = (name, time, memory) => [name, of((r) => time(r).wall), of((r) => time(r).processor), of(memory)];
console.log(`\nOne boot and ${vcpus} crashes, to the end of each crash kernel's user space; least / median`);
printTable([
  ['', 'wall s', 'processor s', 'memory MiB'],
  row(
    'domulator, one boot',
    (r) => r.here.time,
    (r) => r.here.memory,
  ),
  row(
    'qemu single, a boot each',
    (r) => r.single.all,
    (r) => r.single.memory,
  ),
  row(
    'qemu multi, a boot each',
    (r) => r.multi.all,
    (r) => r.multi.memory,
  ),
  row(
    'qemu single, if it booted once',
    (r) => r.single.once,
    (r) => r.single.memory,
  ),
  row(
    'qemu multi, if it booted once',
    (r) => r.multi.once,
    (r) => r.multi.memory,
  ),
]);

console.log('\nTimes as much as QEMU, round by round; least / median');
const ratio = (name, kind, part) => [
  name,
  of((r) => r.here.time.wall / r[kind][part].wall),
  of((r) => r.here.time.processor / r[kind][part].processor),
  of((r) => r.here.memory / r[kind].memory),
];
printTable([
  ['', 'wall', 'processor', 'memory'],
  ratio('qemu single, a boot each', 'single', 'all'),
  ratio('qemu multi, a boot each', 'multi', 'all'),
  ratio('qemu single, if it booted once', 'single', 'once'),
  ratio('qemu multi, if it booted once', 'multi', 'once'),
]);
console.log(describeMachine());
