/** The report of a boot for the terminal: the CPUs, the broken rules, the outcome. */
import { answerText, idText } from '../../explore/index.js';
import { formatMpidr, mpidr } from '../../identity/index.js';
import type { BootReport } from '../../library/index.js';
import { shownLine } from '../render/shown_text.js';
import type { Style } from '../render/style.js';
import { labelled } from '../render/style.js';
import { tableLines } from '../render/table.js';
import type { BootArguments } from './arguments.js';
import { commandText } from './command_text.js';

function id(value: number | null): string {
  return value === null ? '-' : idText(value);
}

function onlineWords({ online, leftOut }: BootReport['cpus'][number]): string {
  if (leftOut !== null) return `left out: ${shownLine(leftOut)}`;
  return online === null ? 'not known' : online ? 'yes' : 'no';
}

/** A record that Linux has not set is all ones (xen_vcpu_id, from 4.8 on in the patch as posted); no vCPU has that id. */
const unsetRecord = 0xffff_ffff;

function recordText({ recordedVcpuId, agrees }: BootReport['cpus'][number]): string {
  if (recordedVcpuId === unsetRecord) return 'not set';
  return `${id(recordedVcpuId)}${agrees === false ? ' ✗' : ''}`;
}

function cpuTable({ cpus }: BootReport): string[] {
  const rows = cpus.map((cpu) => [
    String(cpu.linuxCpu),
    formatMpidr(mpidr(cpu.mpidr)),
    String(cpu.vcpu),
    recordText(cpu),
    cpu.usedVcpuIds.map(id).join(' ') || '-',
    onlineWords(cpu),
  ]);
  return tableLines(['Linux CPU', 'MPIDR', 'is vCPU', 'recorded id', 'ids in its calls', 'online'], rows);
}

/** What could not be read from the kernel, and the consequence. A kernel that makes no call is not read. */
function unreadLines({ cpus, kernel, hypercalls }: BootReport, style: Style): string[] {
  if (cpus.some(({ recordedVcpuId }) => recordedVcpuId !== null)) return [];
  const words = 'no record of this kernel could be read; it is judged by its calls alone';
  const { caller = null, online = null } = kernel.introspection ?? {};
  const others = [
    ...(caller === null ? ['which CPU makes a call'] : []),
    ...(online === null ? ['which CPUs are online'] : []),
  ];
  const unread = hypercalls.total === 0 || others.length === 0 ? '' : `; also not read: ${others.join(', ')}`;
  return labelled('Note:   ', `${words}${unread}`, style.width);
}

/** Findings with the same text are printed once, with their number. */
function findingLines({ findings }: BootReport, style: Style): string[] {
  const told = new Map<string, number>();
  for (const { rule, why, returned, where } of findings) {
    const answer = returned === null ? '' : ` (answered ${answerText(returned)})`;
    const line = `${rule}: ${why}${answer}${where === null ? '' : `, from ${shownLine(where)}`}`;
    told.set(line, (told.get(line) ?? 0) + 1);
  }
  return [...told].flatMap(([line, times]) =>
    labelled('        ', times === 1 ? line : `${line} ×${times}`, style.width),
  );
}

/** What the audit could not judge: one line for each kind of call and reason. */
function notJudgedLines({ notJudged }: BootReport, style: Style): string[] {
  return notJudged.flatMap(({ hypercall, calls, why }) =>
    labelled('        ', `Not judged: ${calls} × ${hypercall}: ${why}`, style.width),
  );
}

/** The part of the trace that the audit did not read; empty if it read everything. */
function foldedLines({ trace, omittedFindings }: BootReport, style: Style): string[] {
  const { events, kept, unreadCalls, repeatedCalls, auditedUpToStep } = trace;
  const leftOut = [
    ...(repeatedCalls === 0 ? [] : [`${repeatedCalls} repeated calls`]),
    ...(unreadCalls === 0 ? [] : [`${unreadCalls} calls that no rule reads`]),
  ].join(' and ');
  const words =
    auditedUpToStep === null
      ? `${leftOut} of ${events} events were left out`
      : `the trace was cut: ${kept} of ${events} events were kept, and nothing from event ${auditedUpToStep} on was audited`;
  const findings = `${omittedFindings} more findings are not listed`;
  return [
    ...(kept === events ? [] : labelled('Trace:  ', words, style.width)),
    ...(omittedFindings === 0 ? [] : labelled('        ', findings, style.width)),
  ];
}

const verdicts = {
  pass: ['good', 'every rule holds: each CPU knows which vCPU it is'],
  fail: ['bad', 'broken:'],
  incomplete: ['silent', 'no rule is broken, but the guest did not reach its goal'],
} as const;

const eventWords = { fifo: 'FIFO events', '2l': 'two-level events', none: 'events not set up' } as const;

function guestWords({ machine }: BootReport): string {
  const { vcpus, memoryMiB, xen, events, seed, entryVcpu, whatIf, xenstore } = machine;
  return [
    `${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'}`,
    `${memoryMiB} MiB`,
    `Xen ${xen}`,
    eventWords[events ?? 'none'],
    ...(xenstore ? [] : ['no xenstore']),
    `seed ${seed}`,
    ...(entryVcpu === 0 ? [] : [`entered on vCPU ${entryVcpu}`]),
    ...(whatIf === null ? [] : [`what if: ${whatIf}`]),
  ].join(', ');
}

function notModelledLines({ notModelled }: BootReport, style: Style): string[] {
  const calls = Object.entries(notModelled).map(([name, times]) =>
    times === 1 ? name : `${name} ×${times}`,
  );
  if (calls.length === 0) return [];
  const words = `${calls.join(', ')}: Xen supports this, but domulator does not`;
  return labelled('Lacks:  ', words, style.width);
}

const logLines = 12;

/** If the run failed, the guest's last output. */
function logTail({ outcome, verdict, kernelLogTail }: BootReport): string[] {
  const endedWell = outcome.what === 'poweroff' || outcome.what === 'userspace';
  if (verdict === 'pass' || (verdict === 'fail' && endedWell)) return [];
  if (kernelLogTail.length === 0) return ['', 'No kernel log was found in the guest’s memory.'];
  return ['', 'The last lines of the kernel log:', ...kernelLogTail.slice(-logLines).map(shownLine)];
}

function figures({ guestTimeNs, instructions }: BootReport): string {
  const seconds = (guestTimeNs / 1e9).toFixed(3);
  const millions = (instructions / 1e6).toFixed(instructions < 1e8 ? 1 : 0);
  return `${seconds} s of guest time, ${millions} million instructions`;
}

/** How the guest's command ended, in words; null if there was none. */
export function commandWords({ command }: BootReport): string | null {
  if (command === null) return null;
  const { exitCode, signal } = command;
  if (signal !== null) return `was killed by signal ${signal}`;
  return exitCode === null ? 'did not end' : `ended with exit code ${exitCode}`;
}

function commandLines(report: BootReport, style: Style): string[] {
  const { command } = report;
  const words = commandWords(report);
  if (command === null || words === null) return [];
  const name = command.argv?.[0] ?? command.script ?? '';
  return labelled('Command: ', `${shownLine(name)} ${words}`, style.width);
}

/** Duration and speed of the run on this host. They differ from run to run, so they are not part of the report's text. */
export function hostText({ host }: BootReport): string {
  return host === null
    ? ''
    : `The run took ${(host.wallMs / 1000).toFixed(1)} s on this machine, at ${host.mips} MIPS.`;
}

/** The report as text. */
export function reportText(report: BootReport, style: Style): string {
  const { kernel, outcome, verdict, hypercalls } = report;
  const [tone, inFull] = verdicts[verdict];
  const words =
    verdict === 'pass' && report.notJudged.length > 0 ? 'no rule is broken, as far as can be judged' : inFull;
  const { total, carryingVcpuId, refused } = hypercalls;
  const calls = `${total} hypercalls, ${carryingVcpuId} with a vCPU id, ${refused} refused`;
  const version = kernel.version === null ? '' : ` (${shownLine(kernel.version)})`;
  return [
    style.heading(`${shownLine(kernel.name)}${version}`),
    ...labelled('Guest:  ', guestWords(report), style.width),
    '',
    ...cpuTable(report),
    '',
    ...labelled('Calls:  ', calls, style.width),
    ...unreadLines(report, style),
    ...notModelledLines(report, style),
    ...labelled('Ending: ', `${outcome.what}: ${shownLine(outcome.why)}`, style.width),
    ...commandLines(report, style),
    `Audit:  ${style.tone(tone, words)}`,
    ...findingLines(report, style),
    ...notJudgedLines(report, style),
    ...foldedLines(report, style),
    ...logTail(report),
    '',
    style.dim(figures(report)),
  ].join('\n');
}

/** After a boot without a finding: how to see the same kernel break a rule. */
export function nextSteps({ verdict, machine, cpus }: BootReport, args: BootArguments): string[] {
  // In a bisection nobody reads the advice.
  const isPlain = machine.whatIf === null && machine.entryVcpu === 0 && args.bisect !== true;
  if (verdict !== 'pass' || !isPlain) return [];
  // The records are filled when the kernel asks for its first FIFO control block, and only where they can be found. The first
  // CPU keeps its record, so a second one is needed.
  const filled = cpus.filter(({ recordedVcpuId }) => recordedVcpuId !== null);
  if (machine.events !== 'fifo' || filled.length < 2) return [];
  return [
    '',
    'What if this kernel filled its records as the patch of 2016 did, as posted and as tested on 4.8-rc4?',
    ...['as-posted', 'as-tested'].map((whatIf) => `  ${commandText({ ...args, whatIf })}`),
  ];
}
