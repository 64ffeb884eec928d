/** The findings as a SARIF 2.1.0 log (OASIS Standard, 27 March 2020), which code hosts show beside the source. */
import { rules } from '../../audit/index.js';
import { domulatorVersion } from '../../base/index.js';
import type { BootReport, ReportedRun } from '../../library/index.js';
import { actionText, endedEarly, placedFindings } from './report_text.js';
import type { PlacedFinding } from './report_text.js';

/** A URI reference for the kernel, the subject of each result: code hosts require a file for each result. */
function kernelUri(name: string): string {
  const path = name.replace(/^debian:/, 'debian/').replace(/^\/+/, '');
  return path.split('/').map(encodeURIComponent).join('/');
}

function logicalLocations(where: string | null): object {
  if (where === null) return {};
  const [name = where] = where.split('+', 1);
  return { logicalLocations: [{ name, fullyQualifiedName: where, kind: 'function' }] };
}

function resultOf({ finding, prefix, kernel: index }: PlacedFinding, { kernel }: BootReport): object {
  const { rule, why, where, hypercall, ...facts } = finding;
  return {
    ruleId: rule,
    ruleIndex: rules.findIndex(({ name }) => name === rule),
    level: 'error',
    message: { text: `${prefix}${why}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: kernelUri(kernel.name) },
          region: { startLine: 1 },
        },
        ...logicalLocations(where),
      },
    ],
    partialFingerprints: { 'domulator/v1': [rule, hypercall, where, facts.passed, facts.meant].join(':') },
    properties: { hypercall, ...facts, ...(prefix === '' ? {} : { kernel: index }) },
  };
}

const ruleDescriptors = rules.map(({ name, reason, source }) => ({
  id: name,
  shortDescription: { text: reason },
  help: { text: `${reason} Source: ${source}` },
  defaultConfiguration: { level: 'error' },
}));

/** Why the run is not a complete verdict on the kernel. */
function notificationsOf(run: ReportedRun): object[] {
  const { outcome, kernels } = run;
  const ending = { level: 'error', message: { text: `${outcome.what}: ${outcome.why}` } };
  const notJudged = kernels.flatMap((kernel) => kernel.notJudged);
  const open = notJudged.map(({ hypercall, calls, why }) => ({
    level: 'warning',
    message: { text: `not judged: ${calls} x ${hypercall}: ${why}` },
  }));
  return [...(endedEarly(run) ? [ending] : []), ...open];
}

/** What tells the runs of a report apart; a report of one run needs nothing. */
function automationOf({ action }: ReportedRun, { runs }: BootReport): object {
  return runs.length === 1 ? {} : { automationDetails: { id: `${actionText(action)}/` } };
}

function sarifRun(run: ReportedRun, report: BootReport): object {
  const { kernel, machine, options } = report;
  const { action, verdict, outcome, commandStatus, traceSha256 } = run;
  const driver = {
    name: 'domulator',
    version: domulatorVersion,
    semanticVersion: domulatorVersion,
    rules: ruleDescriptors,
  };
  const invocation = {
    executionSuccessful: !endedEarly(run),
    toolExecutionNotifications: notificationsOf(run),
  };
  return {
    ...automationOf(run, report),
    tool: { driver },
    invocations: [invocation],
    results: placedFindings(run).map((placed) => resultOf(placed, report)),
    columnKind: 'utf16CodeUnits',
    properties: { kernel, machine, options, action, verdict, outcome, commandStatus, traceSha256 },
  };
}

/** The log, as a value for JSON: a SARIF run for each run of the report. */
export function sarifLog(report: BootReport): object {
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: report.runs.map((run) => sarifRun(run, report)),
  };
}
