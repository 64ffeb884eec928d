// Boots the small kernels with one error each, and the same kernels without it, and compares the audit's findings with
// wrong_runs.json: the findings that each run must have and may have. All others are failures.
//
// Usage: npm run build && sh scripts/corpus/build_wrong_kernels.sh [--arch arm64|amd64]
//        node scripts/corpus/wrong.js [--arch arm64|amd64] [--type pvh|hvm] [--xen 4.17|4.18] [--jobs N] [--log FILE] [--list]
//                                     [PART OF A NAME...]
// With --log, each result is also appended to FILE, as a line of JSON, and a run that FILE has already is not made again.
import { existsSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { architectureOf, dataOf } from './architectures.js';
import { bootOnce, findingsOf, notJudgedLines, tableHead, tableLine } from './boots.js';
import { complaintsOf } from './findings.js';
import { imageOf } from './places.js';
import { resultLog } from './result_log.js';
import { inTurns, jobsOf } from '../jobs.js';
import { xenReleases } from '../../dist/src/library/index.js';

const { values, positionals } = parseArgs({
  options: {
    arch: { type: 'string' },
    log: { type: 'string' },
    xen: { type: 'string' },
    type: { type: 'string' },
    jobs: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

const releases = values.xen === undefined ? xenReleases : [values.xen];
if (!releases.every((release) => xenReleases.includes(release))) {
  console.error(`--xen takes ${xenReleases.join(' or ')}, not '${values.xen}'`);
  process.exit(2);
}

const architecture = architectureOf(values.arch);
const runs = dataOf(architecture, 'wrong_runs.json')
  .runs.flatMap((run) =>
    (run.xen === undefined ? releases : releases.filter((release) => release === run.xen)).map((xen) => ({
      ...run,
      xen,
      ...(values.type === undefined ? {} : { type: values.type }),
      title: [run.name, values.type, `Xen ${xen}`].filter(Boolean).join(', '),
    })),
  )
  .filter(({ title }) => positionals.length === 0 || positionals.some((part) => title.includes(part)));
if (runs.length === 0) {
  console.error('no run has such a name; --list shows them');
  process.exit(2);
}
if (values.list) {
  for (const { title } of runs) console.log(title);
  process.exit(0);
}

const builtinKernel = 'builtin';
const isBuilt = ({ kernel }) => kernel === builtinKernel || existsSync(imageOf(architecture, kernel));

/** About ten times what the longest run of a kernel of this size takes. */
const limit = '30,600000000';

/** The problems of a run, one line each. */
function judge(run, { status, report, complaint }) {
  const wanted = run.status ?? (run.expect === undefined ? 0 : 1);
  if (report === null) return [`no report: ${complaint.trim()}`];
  const [{ outcome }] = report.runs;
  const verdict = status === wanted ? [] : [`status ${status}, not ${wanted} (${outcome.why})`];
  return [...verdict, ...complaintsOf(findingsOf(report), run)];
}

const log = resultLog(values.log);
const counts = log.counts(runs.map(({ title: name }) => ({ name })));
console.log(tableHead);
await inTurns(
  log.without(runs, ({ title }) => title),
  jobsOf(values.jobs),
  async (run) => {
    const { title, kernel } = run;
    if (!isBuilt(run)) {
      console.log(
        `FAILED ${title}\n       not built: sh scripts/corpus/build_wrong_kernels.sh --arch ${architecture.name} ${kernel}`,
      );
      counts.failed += 1;
      return;
    }
    const image = kernel === builtinKernel ? kernel : imageOf(architecture, kernel);
    const result = await bootOnce(architecture, `wrong ${title}`, { limit, ...run, kernel: image });
    const complaints = judge(run, result);
    counts[complaints.length === 0 ? 'passed' : 'failed'] += 1;
    log.add(title, complaints.length === 0, result, complaints);
    console.log(tableLine(complaints.length === 0 ? 'ok' : 'FAILED', title, result));
    for (const line of [...complaints, ...notJudgedLines(result.report)]) console.log(`       ${line}`);
    if (complaints.length === 0) rmSync(result.file, { force: true });
    else console.log(`       report: ${result.file}\n       again: ${result.again}`);
  },
);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
