/** The findings as a SARIF 2.1.0 log (OASIS Standard, 27 March 2020), which code hosts show beside the source. */
import { rules } from '../../audit/index.js';
import type { BootReport, ReportedFinding } from '../../library/index.js';
import { version } from '../host.js';

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

function resultOf(finding: ReportedFinding, { kernel }: BootReport): object {
  const { rule, why, where, hypercall, ...facts } = finding;
  return {
    ruleId: rule,
    ruleIndex: rules.findIndex(({ name }) => name === rule),
    level: 'error',
    message: { text: why },
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
    properties: { hypercall, ...facts },
  };
}

const ruleDescriptors = rules.map(({ name, reason, source }) => ({
  id: name,
  shortDescription: { text: reason },
  help: { text: `${reason} Source: ${source}` },
  defaultConfiguration: { level: 'error' },
}));

/** Why the run is not a complete verdict on the kernel. */
function notificationsOf({ verdict, outcome, notJudged }: BootReport): object[] {
  const ending = { level: 'error', message: { text: `${outcome.what}: ${outcome.why}` } };
  const open = notJudged.map(({ hypercall, calls, why }) => ({
    level: 'warning',
    message: { text: `not judged: ${calls} x ${hypercall}: ${why}` },
  }));
  return [...(verdict === 'incomplete' ? [ending] : []), ...open];
}

/** The log, as a value for JSON. */
export function sarifLog(report: BootReport): object {
  const { verdict, kernel, machine, findings, command, traceSha256 } = report;
  const driver = {
    name: 'domulator',
    version: version(),
    semanticVersion: version(),
    rules: ruleDescriptors,
  };
  const invocation = {
    executionSuccessful: verdict !== 'incomplete',
    toolExecutionNotifications: notificationsOf(report),
  };
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver },
        invocations: [invocation],
        results: findings.map((finding) => resultOf(finding, report)),
        columnKind: 'utf16CodeUnits',
        properties: { verdict, kernel, machine, command, traceSha256 },
      },
    ],
  };
}
