// Runs `domulator boot` the way users do: in a separate process, with arguments, with its report written to a file.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { command, corpusFolder } from './places.js';
import { initialFileSystem } from './initial_file_systems.js';

/** The folder for the reports of failed runs. */
const reportFolder = path.join(corpusFolder, 'reports');

/** The options of `domulator boot` for a run as described in wrong_runs.json and right.json. */
async function optionsOf(
  architecture,
  { vcpus = 4, entryVcpu = 0, xen = '4.17', seed = 1, xenstore = true, ...run },
) {
  const { kernel, type, guest, cmdline, limit, memory } = run;
  const initrd =
    guest === undefined
      ? []
      : ['--initrd', await initialFileSystem(architecture, guest), '--until', 'poweroff'];
  return [
    ...[
      '--arch',
      architecture.name,
      '--kernel',
      kernel,
      '--vcpus',
      vcpus,
      '--entry-vcpu',
      entryVcpu,
      '--xen',
      xen,
      '--seed',
      seed,
    ],
    ...['--cmdline', [architecture.usualCommandLine, cmdline].filter(Boolean).join(' ')],
    ...(type === undefined ? [] : ['--type', type]),
    ...(xenstore ? [] : ['--no-xenstore']),
    ...(memory === undefined ? [] : ['--memory', memory]),
    ...(limit === undefined ? [] : ['--limit', limit]),
    ...initrd,
  ].map(String);
}

const quoted = (word) => (/^[\w./:=,@-]+$/.test(word) ? word : `'${word}'`);

/**
 * Boots once. `result`: the exit status, the report (null if none was written), the text on stderr, seconds, the path
 * of the report, and a command line that repeats the run.
 */
export async function bootOnce(architecture, name, run) {
  const options = await optionsOf(architecture, run);
  mkdirSync(reportFolder, { recursive: true });
  const file = path.join(reportFolder, `${architecture.name}-${name.replaceAll(/[^\w.-]+/g, '-')}.json`);
  rmSync(file, { force: true });
  const since = performance.now();
  const words = [command, 'boot', '--quiet', '--report', file, ...options];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (bytes) => (complaint = (complaint + bytes).slice(-4000)));
  const status = await new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => done(code ?? signal));
  });
  return {
    status,
    report: existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null,
    complaint,
    seconds: (performance.now() - since) / 1000,
    file,
    again: ['domulator boot', ...options.map(quoted)].join(' '),
  };
}

const million = (count) => (count / 1e6).toFixed(0);

/** One line of the table that both corpora print: the outcome of a run. */
export function tableLine(mark, name, { status, report, seconds }) {
  const cells = [
    mark.padEnd(6),
    name.padEnd(56),
    (report?.verdict ?? '-').padEnd(11),
    String(status).padStart(6),
    (report === null ? '-' : million(report.runs[0].instructions)).padStart(8),
    `${seconds.toFixed(1)} s`.padStart(9),
  ];
  return cells.join(' ');
}

export const tableHead = ['', 'run', 'verdict', 'status', 'million', 'time']
  .map((title, column) =>
    column < 3 ? title.padEnd([6, 56, 11][column]) : title.padStart([6, 8, 9][column - 3]),
  )
  .join(' ');

/** What each kernel of a report did; `report` may be null. */
const kernelsOf = (report) => (report?.runs ?? []).flatMap(({ kernels }) => kernels);

/** The findings of a report. */
export const findingsOf = (report) => kernelsOf(report).flatMap(({ findings }) => findings);

/** The checks that the audit could not make, one line each. */
export const notJudgedLines = (report) =>
  kernelsOf(report)
    .flatMap(({ notJudged }) => notJudged)
    .map(({ calls, hypercall, why }) => `not judged: ${calls} x ${hypercall}: ${why}`);
