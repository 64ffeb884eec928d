/** The report as JUnit XML, which CI systems show as tests: one for each rule, one for the outcome, one for the command. */
import { create } from 'xmlbuilder2';
import { rules } from '../../audit/index.js';
import type { BootReport, ReportedFinding } from '../../library/index.js';
import { commandWords } from './report_text.js';

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

function findingText({
  why,
  hypercall,
  passed,
  meant,
  returned,
  where,
  guestTimeNs,
}: ReportedFinding): string {
  const facts = { hypercall, passed, meant, returned, where };
  const known = Object.entries(facts).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}`],
  );
  return [why, ...known.map((fact) => `  ${fact}`), `  guest time: ${guestTimeNs} ns`].join('\n');
}

/** What `report` could not check of a rule that is not broken; null if the rule was checked. */
function openQuestion(
  rule: string,
  { verdict, outcome, notJudged, instructions }: BootReport,
): string | null {
  if (instructions === 0) return outcome.why;
  if (rule === 'id-is-meant' && notJudged.length > 0)
    return notJudged
      .map(({ hypercall, calls, why }) => `not judged: ${calls} x ${hypercall}: ${why}`)
      .join('; ');
  return verdict === 'incomplete' ? `not broken before the run ended: ${outcome.what}: ${outcome.why}` : null;
}

function ruleCase(rule: string, report: BootReport): TestCase {
  const broken = report.findings.filter((finding) => finding.rule === rule);
  const [first] = broken;
  if (first !== undefined)
    return {
      group: 'audit',
      name: rule,
      verdict: 'failure',
      message: broken.length === 1 ? first.why : `${first.why} (and ${broken.length - 1} more)`,
      details: broken.map(findingText).join('\n'),
    };
  const open = openQuestion(rule, report);
  return open === null
    ? { group: 'audit', name: rule }
    : { group: 'audit', name: rule, verdict: 'skipped', message: open };
}

function endingCase({ verdict, outcome, kernelLogTail }: BootReport): TestCase {
  const endedWell = outcome.what === 'poweroff' || outcome.what === 'userspace';
  const ending = { group: 'run', name: 'ending' } as const;
  if (endedWell && verdict !== 'incomplete') return ending;
  const message = `${outcome.what}: ${outcome.why}`;
  const details = kernelLogTail.join('\n');
  return { ...ending, verdict: outcome.what === 'stopped' ? 'error' : 'failure', message, details };
}

function commandCases(report: BootReport): TestCase[] {
  const words = commandWords(report);
  if (report.command === null || words === null) return [];
  const { exitCode, signal } = report.command;
  const command = { group: 'run', name: 'command' } as const;
  if (exitCode === 0) return [command];
  const hasEnded = exitCode !== null || signal !== null;
  return [{ ...command, verdict: hasEnded ? 'failure' : 'skipped', message: `the command ${words}` }];
}

function attributesOf(report: BootReport, cases: readonly TestCase[]): Record<string, string> {
  const count = (verdict: Verdict): string => String(cases.filter((one) => one.verdict === verdict).length);
  return {
    name: `domulator boot ${report.kernel.name}`,
    tests: String(cases.length),
    failures: count('failure'),
    errors: count('error'),
    skipped: count('skipped'),
    time: ((report.host?.wallMs ?? 0) / 1000).toFixed(3),
  };
}

/** JUnit XML, in UTF-8. Characters that XML does not allow are replaced by U+FFFD. */
export function junitText(report: BootReport): string {
  const cases = [
    ...rules.map(({ name }) => ruleCase(name, report)),
    endingCase(report),
    ...commandCases(report),
  ];
  const document = create({ version: '1.0', encoding: 'UTF-8', invalidCharReplacement: '\ufffd' });
  const suite = document.ele('testsuites').ele('testsuite', attributesOf(report, cases));
  const properties = suite.ele('properties');
  const { kernel, machine, traceSha256 } = report;
  const facts = {
    kernel: kernel.name,
    kernelVersion: kernel.version ?? '',
    vcpus: machine.vcpus,
    xen: machine.xen,
    seed: machine.seed,
    traceSha256,
  };
  for (const [name, value] of Object.entries(facts))
    properties.ele('property', { name, value: String(value) });
  for (const { group, name, verdict, message = '', details = '' } of cases) {
    const one = suite.ele('testcase', { classname: `domulator.${group}`, name });
    if (verdict !== undefined)
      one.ele(verdict, { message, ...(verdict === 'skipped' ? {} : { type: name }) }).txt(details);
  }
  return `${document.end({ prettyPrint: true })}\n`;
}
