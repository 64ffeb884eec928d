// Measures how long busybox takes to process a tree of files under Debian's kernel, here and on QEMU's TCG, with the
// same kernel, initramfs and command line. It exercises user space code, system calls, the page cache and process
// creation.
//
// Usage: npm run bench:busybox [ROUNDS] (default: 3). Rounds are interleaved.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { domulator, needTools, qemu, qemuVersion } from './support/emulators.js';
import { debianGuest, temporaryFolder } from './support/guests.js';
import { describeMachine, leastAndMedian, median, printTable, roundsAsked } from './support/measure.js';
import { measureProcess } from './support/processes.js';

const applets = [
  'sh',
  'mount',
  'mkdir',
  'awk',
  'sha256sum',
  'gzip',
  'gunzip',
  'bzip2',
  'sort',
  'tar',
  'find',
  'cat',
  'wc',
  'poweroff',
];
/** Each job reports its end with a line that must be the same on every emulator. */
const jobs = {
  tree: `awk 'BEGIN { s = 1; for (f = 0; f < 60; f++) { name = "/t/" f % 6 "/" f; for (l = 0; l < 60; l++) { line = l; for (w = 0; w < 8; w++) { s = (s * 16807) % 2147483647; line = line " " s % 9973 }; print line > name }; close(name) } }'; find /t -type f | wc -l`,
  sha256sum: 'find /t -type f | sort | while read -r f; do sha256sum "$f"; done | sha256sum',
  gzip: 'tar -c -f - -C / t | wc -c; find /t -type f | sort | while read -r f; do cat "$f"; done | gzip | gunzip | sha256sum',
  bzip2: 'cat /t/0/* | bzip2 | wc -c',
  sort: 'cat /t/*/* | sort -k 3 -n | sha256sum',
  awk: `cat /t/*/* | awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (k in n) if (n[k] > m) m = n[k]; print m }'`,
};
const names = Object.keys(jobs);
const init = `#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mkdir -p /t/0 /t/1 /t/2 /t/3 /t/4 /t/5
echo "bench: begin"
${names.map((name) => `r=$(${jobs[name]})\necho "bench: ${name}" $r`).join('\n')}
echo "bench: end"
poweroff -f
`;
const marks = Object.fromEntries(
  ['begin', ...names, 'end'].map((name) => [name, new RegExp(`bench: ${name}\\b[^\\n]*\\n`)]),
);

const rounds = roundsAsked('npm run bench:busybox', 3);
needTools('qemu-system-aarch64');
const folder = temporaryFolder();
const guest = await debianGuest(folder, { contents: { applets, init } });
const report = path.join(folder, 'report.json');
const asked = { ...guest, vcpus: 4, commandLine: 'console=ttyAMA0 quiet cryptomgr.notests', report };
const emulators = {
  domulator: domulator(asked),
  'qemu single': qemu({ ...asked, threads: 'single' }),
  'qemu multi': qemu({ ...asked, threads: 'multi' }),
};

console.log(`${describeMachine()}\n${qemuVersion()}; ${guest.name}, 4 vCPUs; ${rounds} rounds`);
const runs = Object.fromEntries(Object.keys(emulators).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const [name, command] of Object.entries(emulators)) {
    runs[name].push(await measureProcess(command, { marks }));
  }
}

const said = Object.values(runs).flatMap((all) =>
  all.map(({ output }) => [...output.matchAll(/bench: .*/g)].map(([line]) => line.trim()).join('\n')),
);
if (new Set(said).size !== 1) throw new Error(`the results differ:\n${[...new Set(said)].join('\n---\n')}`);

const order = ['begin', ...names];
const took = (run, name, figure) =>
  run.marks[name][figure] - run.marks[order[order.indexOf(name) - 1]][figure];
const whole = (run, figure) => run.marks[names.at(-1)][figure] - run.marks.begin[figure];
const row = (name, of) => [
  name,
  ...Object.values(runs).flatMap((all) =>
    ['wall', 'processor'].map((figure) => leastAndMedian(all.map((run) => of(run, figure)))),
  ),
];
console.log('\nSeconds, least / median');
printTable([
  ['', ...Object.keys(emulators).flatMap((name) => [name, 'processor'])],
  ...names.map((name) => row(name, (run, figure) => took(run, name, figure))),
  row('all', whole),
]);
const [{ instructions }] = JSON.parse(readFileSync(report, 'utf8')).runs;
const seconds = median(runs.domulator.map(({ end }) => end.processor));
console.log(
  `\nHere, boot and work: ${(instructions / 1e6).toFixed(0)} M instructions, ${(instructions / seconds / 1e6).toFixed(0)} M/s of all the command's processor time`,
);
for (const name of Object.keys(emulators).slice(1)) {
  for (const figure of ['wall', 'processor']) {
    const ratios = runs.domulator.map((run, round) => whole(run, figure) / whole(runs[name][round], figure));
    console.log(`Times as long as ${name}, ${figure}: ${leastAndMedian(ratios)}`);
  }
}
