// Runs guests in endless loops, each for 200 million instructions with a small heap. Every run must end with a
// documented status, and the host's memory must stay within its bound (src/boot/trace_store.ts).
//
// Usage: npm run build && node scripts/hostile.js [--instructions N] [--jobs N] [--log FILE] [--list] [PART_OF_A_NAME ...]
// Prints a line for each loop as it ends, and finally `N passed, N failed`. Exits with status 0 only if none failed.
// All loops take hours. With --log, each line is also appended to FILE, and a loop that FILE has already is not run again.
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { inTurns, jobsOf } from './jobs.js';
import { hostileImage, hostileLoops } from '../dist/test/guest/hostile_loops.js';

const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    instructions: { type: 'string', default: '200000000' },
    jobs: { type: 'string' },
    log: { type: 'string' },
    list: { type: 'boolean' },
  },
});
const heapMiB = 400;
/** Bound of the host's memory besides the guest's. */
const boundMiB = 300;
const guestMiB = 16;
/**
 * The documented statuses: no error; a broken rule; a guest that did not reach its goal; a feature that only Xen has.
 */
const documented = [0, 1, 3, 4];

const command = new URL('../dist/src/cli/main.js', import.meta.url).pathname;
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-hostile-'));
const initrd = path.join(folder, 'initrd');
writeFileSync(initrd, new Uint8Array(16));

/** Makes the process report its resource usage at exit. */
function meter(file) {
  const code = `process.on('exit',()=>writeFileSync(${JSON.stringify(file)},JSON.stringify(process.resourceUsage())))`;
  return `data:text/javascript,import{writeFileSync}from'node:fs';${code}`;
}

/** Runs Node and returns its exit status and its stderr. Drops its standard output. */
function runNode(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stdout.resume();
    child.stderr.on('data', (data) => (stderr = `${stderr}${data}`.slice(-4096)));
    child.on('close', (status) => resolve({ status, stderr }));
  });
}

const jsonOf = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null);

async function run({ name, program, vcpus = 2 }) {
  const own = mkdtempSync(path.join(folder, 'run-'));
  const file = (kind) => path.join(own, kind);
  writeFileSync(file('Image'), hostileImage(program));
  const node = [`--max-old-space-size=${heapMiB}`, '--import', meter(file('usage'))];
  const input = ['--kernel', file('Image'), '--initrd', initrd, '--memory', String(guestMiB)];
  const limits = ['--vcpus', String(vcpus), '--limit', `1000000,${values.instructions}`];
  const output = ['--until', 'poweroff', '--quiet', '--report', file('report')];
  const { status, stderr } = await runNode([...node, command, 'boot', ...input, ...limits, ...output]);
  const [usage, report] = [jsonOf(file('usage')), jsonOf(file('report'))];
  // A process that was killed or aborted wrote neither.
  const seconds = usage === null ? NaN : (usage.userCPUTime + usage.systemCPUTime) / 1e6;
  const rssMiB = usage === null ? NaN : usage.maxRSS / 1024;
  const good = documented.includes(status) && report !== null && rssMiB - guestMiB <= boundMiB;
  return { name, status, seconds, rssMiB, report, good, stderr };
}

function lineOf({ name, status, seconds, rssMiB, report, good, stderr }) {
  const result = report?.runs[0];
  const instructions = result?.instructions ?? 0;
  const figures = [
    `status ${status}`,
    `${seconds.toFixed(1)} s`,
    `${(instructions / seconds / 1e6).toFixed(1)} M/s`,
    `${rssMiB.toFixed(0)} MiB`,
    `${result?.hypercalls.total ?? '-'} calls`,
    result === undefined
      ? stderr.trim().slice(0, 200)
      : `${result.outcome.what}: ${result.outcome.why.slice(0, 90)}`,
  ];
  return `${good ? 'ok    ' : 'FAILED'} ${name.padEnd(44)} ${figures.join(', ')}`;
}

/** The log's result for each loop that it has: whether it passed. */
function readLog(file) {
  if (file === undefined || !existsSync(file)) return new Map();
  const lines = readFileSync(file, 'utf8').split('\n');
  const found = lines.map((line) => /^(ok|FAILED) +(.*?) +status /.exec(line)).filter(Boolean);
  return new Map(found.map(([, result, name]) => [name, result === 'ok']));
}

const loops = hostileLoops().filter(
  ({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)),
);
if (values.list) {
  for (const { name } of loops) console.log(name);
  process.exit(0);
}
const logged = readLog(values.log);
let failed = loops.filter(({ name }) => logged.get(name) === false).length;
await inTurns(
  loops.filter(({ name }) => !logged.has(name)),
  jobsOf(values.jobs),
  async (loop) => {
    const result = await run(loop);
    const line = lineOf(result);
    console.log(line);
    if (values.log !== undefined) appendFileSync(values.log, `${line}\n`);
    if (!result.good) failed += 1;
  },
);
rmSync(folder, { recursive: true });
console.log(`${loops.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 && loops.length > 0 ? 0 : 1;
