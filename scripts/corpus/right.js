// Boots Debian's kernels in many valid ways, and requires that the audit finds no error: status 0, no finding.
//
// Usage: npm run build && node scripts/corpus/right.js [--arch arm64|amd64] [--jobs N] [--only PART]... [--log FILE]
//          [--list]
// --only selects runs by a part of their names, and can be repeated. With --log, each result is also appended to
// FILE, as a line of JSON, and a run that FILE has already is not made again.
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { architectureOf, dataOf } from './architectures.js';
import { bootOnce, findingsOf, notJudgedLines, tableHead, tableLine } from './boots.js';
import { rightRuns } from './right_runs.js';
import { resultLog } from './result_log.js';
import { inTurns, jobsOf } from '../jobs.js';

const { values } = parseArgs({
  options: {
    arch: { type: 'string' },
    log: { type: 'string' },
    jobs: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    list: { type: 'boolean', default: false },
  },
});

const architecture = architectureOf(values.arch);
const all = rightRuns(dataOf(architecture, 'right.json'));
const exact = all.filter(({ name }) => values.only.includes(name));
const isWanted = ({ name }) => values.only.length === 0 || values.only.some((part) => name.includes(part));
const runs = exact.length > 0 ? exact : all.filter(isWanted);
if (runs.length === 0) {
  console.error('no run has such a name; --list shows them');
  process.exit(2);
}
if (values.list) {
  for (const { name } of runs) console.log(name);
  process.exit(0);
}

/** The problems of a run, one line each. */
function complaintsOf({ status, report, complaint }) {
  if (report === null) return [`no report: ${complaint.trim()}`];
  const [{ outcome }] = report.runs;
  const verdict = status === 0 ? [] : [`status ${status}: ${outcome.what}: ${outcome.why}`];
  return [...verdict, ...findingsOf(report).map(({ rule, why }) => `${rule}: ${why}`)];
}

const log = resultLog(values.log);
const counts = log.counts(runs);
console.log(tableHead);
await inTurns(log.without(runs), jobsOf(values.jobs), async (run) => {
  const result = await bootOnce(architecture, `right ${run.name}`, run);
  const complaints = complaintsOf(result);
  const isRight = complaints.length === 0;
  counts[isRight ? 'passed' : 'failed'] += 1;
  log.add(run.name, isRight, result, complaints);
  console.log(tableLine(isRight ? 'ok' : 'FAILED', run.name, result));
  for (const line of complaints) console.log(`       ${line}`);
  for (const line of notJudgedLines(result.report)) console.log(`       ${line}`);
  if (isRight) rmSync(result.file, { force: true });
  else console.log(`       report: ${result.file}\n       again: ${result.again}`);
});
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
