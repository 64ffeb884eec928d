/**
 * The report as JUnit XML, which CI systems show as tests: for each run one for each rule, one for the outcome, one for the command.
 */
import { create } from 'xmlbuilder2';
import { rules } from '../../audit/index.js';
import type { BootReport, ReportedRun } from '../../library/index.js';
import { actionText, commandWords, endedEarly, placedFindings } from './report_text.js';
import type { PlacedFinding } from './report_text.js';

type Verdict = 'failure' | 'skipped' | 'error';

/** A test case; without a verdict it has passed. */
interface TestCase {
  readonly group: 'audit' | 'run';
  readonly name: string;
  readonly verdict?: Verdict;
  /** One line. */
  readonly message?: string;
  readonly details?: string;
}

function findingText({ finding, prefix }: PlacedFinding): string {
  const { hypercall, passed, meant, returned, where, guestTimeNs } = finding;
  const why = `${prefix}${finding.why}`;
  const facts = { hypercall, passed, meant, returned, where };
  const known = Object.entries(facts).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}`],
  );
  return [why, ...known.map((fact) => `  ${fact}`), `  guest time: ${guestTimeNs} ns`].join('\n');
}

/** What `run` could not check of a rule that is not broken; null if the rule was checked. */
function openQuestion(rule: string, run: ReportedRun): string | null {
  const { outcome, kernels, instructions } = run;
  if (instructions === 0) return outcome.why;
  const notJudged = kernels.flatMap((kernel) => kernel.notJudged);
  if (rule === 'id-is-meant' && notJudged.length > 0)
    return notJudged
      .map(({ hypercall, calls, why }) => `not judged: ${calls} x ${hypercall}: ${why}`)
      .join('; ');
  return endedEarly(run) ? `not broken before the run ended: ${outcome.what}: ${outcome.why}` : null;
}

function ruleCase(rule: string, run: ReportedRun): TestCase {
  const broken = placedFindings(run).filter(({ finding }) => finding.rule === rule);
  const [first] = broken;
  if (first !== undefined)
    return {
      group: 'audit',
      name: rule,
      verdict: 'failure',
      message: `${first.prefix}${first.finding.why}${broken.length === 1 ? '' : ` (and ${broken.length - 1} more)`}`,
      details: broken.map(findingText).join('\n'),
    };
  const open = openQuestion(rule, run);
  return open === null
    ? { group: 'audit', name: rule }
    : { group: 'audit', name: rule, verdict: 'skipped', message: open };
}

function endingCase(run: ReportedRun): TestCase {
  const { outcome, kernels } = run;
  const ending = { group: 'run', name: 'ending' } as const;
  if (!endedEarly(run)) return ending;
  const message = `${outcome.what}: ${outcome.why}`;
  const details = (kernels.at(-1)?.logTail ?? []).join('\n');
  return { ...ending, verdict: outcome.what === 'stopped' ? 'error' : 'failure', message, details };
}

function commandCases(run: ReportedRun, { options }: BootReport): TestCase[] {
  if (options.command === null) return [];
  const command = { group: 'run', name: 'command' } as const;
  if (run.commandStatus?.exitCode === 0) return [command];
  const verdict = run.commandStatus === null ? 'skipped' : 'failure';
  return [{ ...command, verdict, message: `the command ${commandWords(run)}` }];
}

interface Suite {
  readonly run: ReportedRun;
  readonly cases: readonly TestCase[];
}

function suiteOf(run: ReportedRun, report: BootReport): Suite {
  return {
    run,
    cases: [...rules.map(({ name }) => ruleCase(name, run)), endingCase(run), ...commandCases(run, report)],
  };
}

/** The name of a suite; a report of one run needs no name for the run. */
function suiteName({ action }: ReportedRun, { kernel, runs }: BootReport): string {
  return `domulator boot ${kernel.name}${runs.length === 1 ? '' : `: ${actionText(action)}`}`;
}

function attributesOf({ run, cases }: Suite, report: BootReport): Record<string, string> {
  const count = (verdict: Verdict): string => String(cases.filter((one) => one.verdict === verdict).length);
  return {
    name: suiteName(run, report),
    tests: String(cases.length),
    failures: count('failure'),
    errors: count('error'),
    skipped: count('skipped'),
    // The host's time is that of all runs together.
    time: (report.runs[0] === run ? (report.host?.wallMs ?? 0) / 1000 : 0).toFixed(3),
  };
}

function factsOf(
  { traceSha256 }: ReportedRun,
  report: BootReport,
): Readonly<Record<string, string | number>> {
  const { kernel, machine, options } = report;
  return {
    kernel: kernel.name,
    kernelVersion: kernel.version ?? '',
    vcpus: machine.vcpus,
    xen: machine.xen,
    seed: options.seed,
    traceSha256,
  };
}

/** JUnit XML, in UTF-8, with a suite for each run. Characters that XML does not allow are replaced by U+FFFD. */
export function junitText(report: BootReport): string {
  const document = create({ version: '1.0', encoding: 'UTF-8', invalidCharReplacement: '\ufffd' });
  const suites = document.ele('testsuites');
  for (const one of report.runs.map((run) => suiteOf(run, report))) {
    const suite = suites.ele('testsuite', attributesOf(one, report));
    const properties = suite.ele('properties');
    for (const [name, value] of Object.entries(factsOf(one.run, report)))
      properties.ele('property', { name, value: String(value) });
    for (const { group, name, verdict, message = '', details = '' } of one.cases) {
      const testCase = suite.ele('testcase', { classname: `domulator.${group}`, name });
      if (verdict !== undefined)
        testCase.ele(verdict, { message, ...(verdict === 'skipped' ? {} : { type: name }) }).txt(details);
    }
  }
  return `${document.end({ prettyPrint: true })}\n`;
}
