/** The report of a boot for the terminal: the CPUs, the broken rules, the outcome. */
import { answerText, idText } from '../../explore/index.js';
import { formatHardwareId } from '../../identity/index.js';
import { defaultCpuModel, whatIfsOf } from '../../library/index.js';
import type {
  BootReport,
  ReportedCpu,
  ReportedFinding,
  ReportedKernel,
  ReportedRun,
  RunAction,
} from '../../library/index.js';
import { shownLine } from '../render/shown_text.js';
import type { Style } from '../render/style.js';
import { labelled } from '../render/style.js';
import { tableLines } from '../render/table.js';
import type { BootArguments } from './arguments.js';
import { commandText } from './command_text.js';

function id(value: number | null): string {
  return value === null ? '-' : idText(value);
}

function onlineWords({ online, leftOut }: ReportedCpu): string {
  if (leftOut !== null) return `left out: ${shownLine(leftOut)}`;
  return online === null ? 'not known' : online ? 'yes' : 'no';
}

/** A record that Linux has not set is all ones (xen_vcpu_id, from 4.8 on in the patch as posted); no vCPU has that id. */
const unsetRecord = 0xffff_ffff;

function recordText({ recordedVcpuId, agrees }: ReportedCpu): string {
  if (recordedVcpuId === unsetRecord) return 'not set';
  return `${id(recordedVcpuId)}${agrees === false ? ' ✗' : ''}`;
}

const hardwareIdNames = { mpidr: 'MPIDR', apicId: 'APIC id' } as const;

function cpuTable({ cpus }: ReportedKernel): string[] {
  const rows = cpus.map((cpu) => [
    String(cpu.linuxCpu),
    formatHardwareId(cpu.hardwareIdKind, cpu.hardwareId),
    String(cpu.vcpu),
    recordText(cpu),
    cpu.usedVcpuIds.map(id).join(' ') || '-',
    onlineWords(cpu),
  ]);
  const kinds = new Set(cpus.map(({ hardwareIdKind }) => hardwareIdNames[hardwareIdKind]));
  const head = ['Linux CPU', [...kinds].join(' or '), 'is vCPU', 'recorded id', 'ids in its calls', 'online'];
  return tableLines(head, rows);
}

/** What could not be read from the kernel, and the consequence. A kernel that makes no call is not read. */
function unreadLines({ cpus, introspection, hypercalls }: ReportedKernel, style: Style): string[] {
  if (cpus.some(({ recordedVcpuId }) => recordedVcpuId !== null)) return [];
  const words = 'no record of this kernel could be read; it is judged by its calls alone';
  const { caller, online } = introspection;
  const others = [
    ...(caller === null ? ['which CPU makes a call'] : []),
    ...(online === null ? ['which CPUs are online'] : []),
  ];
  const unread = hypercalls.total === 0 || others.length === 0 ? '' : `; also not read: ${others.join(', ')}`;
  return labelled('Note:   ', `${words}${unread}`, style.width);
}

/** A finding, and which kernel of the run it is about, where there are several: `kernel 1: `. */
export interface PlacedFinding {
  readonly finding: ReportedFinding;
  readonly kernel: number;
  readonly prefix: string;
}

/** The findings of a run, kernel by kernel. */
export function placedFindings({ kernels }: ReportedRun): PlacedFinding[] {
  return kernels.flatMap(({ findings }, kernel) =>
    findings.map((finding) => ({
      finding,
      kernel,
      prefix: kernels.length === 1 ? '' : `kernel ${kernel}: `,
    })),
  );
}

/** Findings with the same text are printed once, with their number. */
function findingLines(run: ReportedRun, style: Style): string[] {
  const told = new Map<string, number>();
  for (const { finding, prefix } of placedFindings(run)) {
    const { rule, why, returned, where } = finding;
    const answer = returned === null ? '' : ` (answered ${answerText(returned)})`;
    const line = `${rule}: ${prefix}${why}${answer}${where === null ? '' : `, from ${shownLine(where)}`}`;
    told.set(line, (told.get(line) ?? 0) + 1);
  }
  return [...told].flatMap(([line, times]) =>
    labelled('        ', times === 1 ? line : `${line} ×${times}`, style.width),
  );
}

function notJudgedIn(kernels: ReportedRun['kernels']): ReportedKernel['notJudged'] {
  return kernels.flatMap(({ notJudged }) => notJudged);
}

/** What the audit could not judge: one line for each kind of call and reason. */
function notJudgedLines({ kernels }: ReportedRun, style: Style): string[] {
  return notJudgedIn(kernels).flatMap(({ hypercall, calls, why }) =>
    labelled('        ', `Not judged: ${calls} × ${hypercall}: ${why}`, style.width),
  );
}

/** The part of the trace that the audit did not read; empty if it read everything. */
function foldedLines({ trace, kernels }: ReportedRun, style: Style): string[] {
  const omittedFindings = kernels.reduce((sum, kernel) => sum + kernel.omittedFindings, 0);
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

/** What is said of the model of the CPUs, where it is not the usual one. */
export function cpuWords({ cpu = defaultCpuModel }: BootReport['machine']): string[] {
  return cpu === defaultCpuModel ? [] : [`CPUs of model ${cpu}`];
}

function guestWords({ machine, options, runs }: BootReport): string {
  const { arch, type, vcpus, memoryMiB, xen, xenstore } = machine;
  const { seed, entryVcpu, whatIf } = options;
  const { events = null } = runs[0].kernels[0] ?? {};
  return [
    ...(type === null ? [] : [`${arch} ${type.toUpperCase()}`]),
    `${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'}`,
    ...cpuWords(machine),
    `${memoryMiB} MiB`,
    `Xen ${xen}`,
    eventWords[events ?? 'none'],
    ...(xenstore ? [] : ['no xenstore']),
    `seed ${seed}`,
    ...(entryVcpu === 0 ? [] : [`entered on vCPU ${entryVcpu}`]),
    ...(whatIf === null ? [] : [`what if: ${whatIf}`]),
  ].join(', ');
}

function droppedLines({ droppedEvents }: ReportedKernel, style: Style): string[] {
  return droppedEvents.flatMap(({ vcpu, events }) =>
    labelled(
      '        ',
      `Xen dropped ${events} ${events === 1 ? 'event' : 'events'} for vCPU ${vcpu}, which had no FIFO event channel control block`,
      style.width,
    ),
  );
}

function notModelledLines({ notModelled }: ReportedKernel, style: Style): string[] {
  const calls = Object.entries(notModelled).map(([name, times]) =>
    times === 1 ? name : `${name} ×${times}`,
  );
  if (calls.length === 0) return [];
  const words = `${calls.join(', ')}: Xen supports this, but domulator does not`;
  return labelled('Lacks:  ', words, style.width);
}

const logLines = 12;

/** If the run failed, the guest's last output. */
function logTail({ outcome, verdict, kernels }: ReportedRun): string[] {
  const lines = kernels.at(-1)?.logTail ?? [];
  const endedWell = outcome.what === 'poweroff' || outcome.what === 'userspace';
  if (verdict === 'pass' || (verdict === 'fail' && endedWell)) return [];
  if (lines.length === 0) return ['', 'No kernel log was found in the guest’s memory.'];
  return ['', 'The last lines of the kernel log:', ...lines.slice(-logLines).map(shownLine)];
}

function figures({ guestTimeNs, instructions }: ReportedRun): string {
  const seconds = (guestTimeNs / 1e9).toFixed(3);
  const millions = (instructions / 1e6).toFixed(instructions < 1e8 ? 1 : 0);
  return `${seconds} s of guest time, ${millions} million instructions`;
}

/** How the guest's command ended, in words. */
export function commandWords({ commandStatus }: ReportedRun): string {
  if (commandStatus === null) return 'did not end';
  const { exitCode, signal } = commandStatus;
  return signal === null ? `ended with exit code ${exitCode}` : `was killed by signal ${signal}`;
}

function commandLines({ options: { command } }: BootReport, run: ReportedRun, style: Style): string[] {
  if (command === null) return [];
  const name = command.argv?.[0] ?? command.script ?? '';
  return labelled('Command: ', `${shownLine(name)} ${commandWords(run)}`, style.width);
}

/** Whether the run ended before all rules could be checked, broken or not. */
export function endedEarly({ verdict, outcome }: ReportedRun): boolean {
  return verdict === 'incomplete' || !(outcome.what === 'poweroff' || outcome.what === 'userspace');
}

/** What was done in a run: `crash on vCPU 2 by sysrq`. */
export function actionText(action: RunAction): string {
  return action.kind === 'boot' ? 'boot' : `crash on vCPU ${action.vcpu} by ${action.by}`;
}

/** Duration and speed of the run on this host. They differ from run to run, so they are not part of the report's text. */
export function hostText({ host }: BootReport): string {
  return host === null
    ? ''
    : `The run took ${(host.wallMs / 1000).toFixed(1)} s on this machine, at ${host.mips} MIPS.`;
}

function callsText({ total, carryingVcpuId, refused }: ReportedRun['hypercalls']): string {
  return `${total} hypercalls, ${carryingVcpuId} with a vCPU id, ${refused} refused`;
}

function kernelLines(kernel: ReportedKernel, style: Style): string[] {
  return [
    ...cpuTable(kernel),
    '',
    ...labelled('Calls:  ', callsText(kernel.hypercalls), style.width),
    ...unreadLines(kernel, style),
    ...droppedLines(kernel, style),
    ...notModelledLines(kernel, style),
  ];
}

/** How a kernel came after the one before; nothing for the first one. */
function entryWords({ entry }: ReportedKernel): string {
  return entry === undefined
    ? ''
    : `, ${{ crash: 'after a crash', kexec: 'by kexec', reboot: 'after a reboot' }[entry]}`;
}

/** The kernels of a run, one after the other. Each has a heading if there are several. */
function kernelsLines({ kernels, hypercalls }: ReportedRun, style: Style): string[] {
  const [first, ...others] = kernels;
  if (first === undefined) return labelled('Calls:  ', callsText(hypercalls), style.width);
  if (others.length === 0) return kernelLines(first, style);
  return kernels.flatMap((kernel, i) => {
    const version = kernel.version === null ? '' : ` (${shownLine(kernel.version)})`;
    return [
      style.heading(`Kernel ${i}${version}${entryWords(kernel)}, entered on vCPU ${kernel.entryVcpu}`),
      ...kernelLines(kernel, style),
      '',
    ];
  });
}

function auditText({ verdict, kernels }: ReportedRun, style: Style): string {
  const [tone, inFull] = verdicts[verdict];
  const isPartial = verdict === 'pass' && notJudgedIn(kernels).length > 0;
  return `Audit:  ${style.tone(tone, isPartial ? 'no rule is broken, as far as can be judged' : inFull)}`;
}

function runLines(run: ReportedRun, report: BootReport, style: Style): string[] {
  const { outcome } = run;
  return [
    ...(report.runs.length === 1 ? [] : [style.heading(actionText(run.action))]),
    ...kernelsLines(run, style),
    ...labelled('Ending: ', `${outcome.what}: ${shownLine(outcome.why)}`, style.width),
    ...commandLines(report, run, style),
    auditText(run, style),
    ...findingLines(run, style),
    ...notJudgedLines(run, style),
    ...foldedLines(run, style),
    ...logTail(run),
    '',
    style.dim(figures(run)),
  ];
}

/** The report as text. */
export function reportText(report: BootReport, style: Style): string {
  const { kernel, runs } = report;
  const version = kernel.version === null ? '' : ` (${shownLine(kernel.version)})`;
  return [
    style.heading(`${shownLine(kernel.name)}${version}`),
    ...labelled('Guest:  ', guestWords(report), style.width),
    ...runs.flatMap((run) => ['', ...runLines(run, report, style)]),
  ].join('\n');
}

/** After a boot without a finding: how to see the same kernel break a rule. */
export function nextSteps({ verdict, machine, options, runs }: BootReport, args: BootArguments): string[] {
  const isPlain = options.whatIf === null && options.entryVcpu === 0;
  // In a bisection nobody reads the advice, and the records of a checkpoint may have been set already.
  const isAdvised = args.bisect !== true && args.from === undefined;
  if (verdict !== 'pass' || !isPlain || !isAdvised) return [];
  // The records are filled only where they can be found. CPU 0 keeps its own if it is vCPU 0, so a second CPU is needed.
  const { cpus = [], events = null } = runs[0].kernels[0] ?? {};
  if (cpus.filter(({ recordedVcpuId }) => recordedVcpuId !== null).length < 2) return [];
  if (machine.arch === 'amd64') {
    return [
      '',
      'What if this kernel passed CPU numbers as vCPU ids, as before the patch of 2016, and were entered as a crash kernel is?',
      `  ${commandText({ ...args, whatIf: 'before-the-patch', entryVcpu: '1' })}`,
    ];
  }
  // They are filled when the kernel asks for its first FIFO control block.
  if (events !== 'fifo') return [];
  return [
    '',
    'What if this kernel filled its records as the patch of 2016 did, as posted and as tested on 4.8-rc4?',
    ...whatIfsOf.arm64.map((whatIf) => `  ${commandText({ ...args, whatIf })}`),
  ];
}
