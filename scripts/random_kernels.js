// Boots x86-64 kernels of random code (test/boot/random_x86_kernels.ts), each of which must end in time, without an error, and within
// the memory that a guest may take. Prints what became of them by mode, and each that did not. Exits with 1 if there was one.
//
// Usage: node scripts/random_kernels.js [--log FILE] [COUNT] [FIRST]    (after `npm run build`)
// With --log, a line for each kernel is appended to FILE, and a kernel that FILE has already is not run again.
import { fork } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { log: { type: 'string' } } });
const [count = 1000, first = 1] = positionals.map(Number);
/** How long a kernel may take, and how large the process may become. */
const mostMs = 120_000;
const mostMiB = 1024;

/** Boots the kernels of the seeds that the parent sends. */
async function work() {
  const { loadArchitecture } = await import('../dist/src/boot/index.js');
  const { bootRandomX86Kernel } = await import('../dist/test/boot/random_x86_kernels.js');
  await loadArchitecture('amd64');
  process.on('message', (seed) => {
    let result;
    try {
      result = bootRandomX86Kernel(seed);
    } catch (error) {
      result = { outcome: 'ERROR', error: error.stack };
    }
    process.send({ seed, ...result, mib: Math.round(process.memoryUsage.rss() / 2 ** 20) });
  });
  process.send({ ready: true });
}

const known = new Map();
function note(result, isNew = true) {
  known.set(result.seed, result);
  if (isNew && values.log !== undefined) appendFileSync(values.log, `${JSON.stringify(result)}\n`);
}
const isBad = ({ outcome, mib = 0 }) => ['ERROR', 'HUNG', 'DIED'].includes(outcome) || mib > mostMiB;

/** Runs seeds in one process, until all are done or the process failed. */
function runSome(seeds) {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(import.meta.url), [], {
      execArgv: [`--max-old-space-size=${mostMiB}`],
      env: { ...process.env, DOMULATOR_RANDOM_KERNEL: '1' },
    });
    let current = null;
    let timer = null;
    let failure = 'DIED';
    const next = () => {
      clearTimeout(timer);
      current = seeds.shift() ?? null;
      if (current === null) {
        child.kill();
        return;
      }
      child.send(current);
      timer = setTimeout(() => {
        failure = 'HUNG';
        child.kill('SIGKILL');
      }, mostMs);
    };
    child.on('message', (message) => {
      if (message.ready !== true) note(message);
      next();
    });
    child.on('exit', () => {
      clearTimeout(timer);
      if (current !== null) note({ seed: current, outcome: failure });
      resolve();
    });
  });
}

if (process.env.DOMULATOR_RANDOM_KERNEL === '1') await work();
else {
  if (values.log !== undefined && existsSync(values.log)) {
    for (const line of readFileSync(values.log, 'utf8').trim().split('\n')) note(JSON.parse(line), false);
  }
  const wanted = Array.from({ length: count }, (_, index) => first + index);
  const seeds = wanted.filter((seed) => !known.has(seed));
  while (seeds.length > 0) await runSome(seeds);
  const results = wanted.map((seed) => known.get(seed));
  const counts = {};
  for (const { mode, outcome } of results) {
    const key = `${mode ?? '-'}: ${outcome}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  for (const [key, number] of Object.entries(counts).sort()) console.log(`${number}\t${key}`);
  for (const result of results.filter(isBad))
    console.log(`seed ${result.seed}: ${result.outcome} ${result.error ?? ''}`);
  const sum = (field) => results.reduce((total, result) => total + (result[field] ?? 0), 0);
  console.log(
    `${results.length} kernels, ${sum('instructions')} instructions, ${sum('hypercalls')} hypercalls`,
  );
  console.log(`the largest process had ${Math.max(...results.map(({ mib = 0 }) => mib))} MiB`);
  process.exitCode = results.some(isBad) ? 1 : 0;
}
