// Goes on from many checkpoint files with errors in them (test/boot/mutated_checkpoints.ts), each of which must be refused with one
// line or run. Prints what became of them, and each that made an error, ran for too long or took too much memory. Exits with 1 if
// there was one.
//
// Usage: node scripts/mutated_checkpoints.js [COUNT] [FIRST] [FILE]    (after `npm run build`; FILE is a checkpoint to start from)
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { checkpointFile, goOnFrom, Mutants, unchangedReport } from '../dist/test/boot/mutated_checkpoints.js';

const [count = 1000, first = 1, name = ''] = process.argv.slice(2);
const last = Number(first) + Number(count) - 1;
/** How long a file may take, with its run, and how large the process may become. */
const mostMs = 60_000;
const mostMiB = 1024;

/** Goes on from the mutants from `from` on, and says what became of each. */
async function work(from) {
  const file = name === '' ? await checkpointFile() : readFileSync(name);
  const mutants = new Mutants(file);
  const unchanged = await unchangedReport(file);
  for (let number = from; number <= last; number += 1) {
    process.send({ number });
    const { kind, file: mutant } = mutants.mutant(number);
    const result = await goOnFrom(mutant, unchanged).catch((error) => ({ what: 'ERROR', line: error.stack }));
    const mib = Math.round(process.memoryUsage.rss() / 2 ** 20);
    await new Promise((resolve) => process.send({ number, kind, mib, ...result }, resolve));
  }
  process.disconnect();
}

/** Runs `work` in a process from a number on. The number at which it failed to answer, or null at the end. */
function workFrom(from, note) {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
      execArgv: [`--max-old-space-size=${mostMiB}`],
      env: { ...process.env, DOMULATOR_MUTANT: String(from) },
    });
    let at = from;
    let timer = null;
    child.on('message', (message) => {
      clearTimeout(timer);
      at = message.number;
      if (message.what !== undefined) note(message);
      timer = setTimeout(() => child.kill('SIGKILL'), mostMs);
    });
    child.on('exit', (status, signal) => {
      clearTimeout(timer);
      resolve(
        status === 0
          ? null
          : { at, why: signal === 'SIGKILL' ? 'took too long' : `ended with ${status ?? signal}` },
      );
    });
  });
}

if (process.env.DOMULATOR_MUTANT !== undefined) await work(Number(process.env.DOMULATOR_MUTANT));
else {
  const counts = {};
  let faults = 0;
  let largest = 0;
  const note = ({ number, kind, what, line, mib }) => {
    const key = `${kind}: ${what}`;
    counts[key] = (counts[key] ?? 0) + 1;
    largest = Math.max(largest, mib);
    const isFault = what === 'ERROR' || mib > mostMiB;
    if (isFault) faults += 1;
    if (isFault || process.env.DOMULATOR_DEBUG === '1')
      console.log(`${number} (${kind}, ${mib} MiB): ${what}: ${line}`);
  };
  for (let from = Number(first); from <= last;) {
    const failed = await workFrom(from, note);
    if (failed === null) break;
    faults += 1;
    console.log(`${failed.at}: ${failed.why}`);
    from = failed.at + 1;
  }
  for (const [key, number] of Object.entries(counts).sort())
    console.log(`${String(number).padStart(6)}  ${key}`);
  console.log(`${faults} faults; the largest process had ${largest} MiB`);
  process.exitCode = faults > 0 ? 1 : 0;
}
