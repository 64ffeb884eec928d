/** `domulator boot`: boots a kernel, shows its console while it runs, and reports. */
import { boot as bootGuest } from '../../library/index.js';
import type { BootReport, BootRequest } from '../../library/index.js';
import { bisectStatus, complain, exitStatus, print, terminalStyle, warn } from '../host.js';
import { jsonText } from '../json.js';
import { bootRequest } from './arguments.js';
import type { BootArguments } from './arguments.js';
import { fallBack, helpWithKernel } from './fall_back.js';
import { checkOutputs, releasePipes, writeOutputs } from './output_files.js';
import { commandWords, hostText, nextSteps, reportText } from './report_text.js';
import { StatusLine } from './status_line.js';
import type { StopRequest } from './stop_request.js';
import { Terminal } from './terminal.js';
import { TraceFile } from './trace_file.js';

const usualColumns = 80;
/** How often the status is brought up to date, ms. */
const statusMs = 200;

/** Whether what the guest was found wanting in may be ours. */
function isOurs({ verdict, notModelled }: BootReport): boolean {
  return verdict === 'incomplete' && Object.keys(notModelled).length > 0;
}

/** Statuses by which a shell says that it could not run a command at all. */
const notRun: readonly (number | null)[] = [126, 127];

/** The status of a run in which every rule holds, by how its command ended. */
function commandStatus({ command }: BootReport, bisect: boolean): number {
  if (command === null || command.exitCode === 0) return exitStatus.ok;
  if (!bisect) return exitStatus.commandFailed;
  // As git bisect run takes it of a command: a script that cannot run says nothing of the kernel, and must stop it.
  if (command.exitCode === bisectStatus.untold) return bisectStatus.untold;
  return notRun.includes(command.exitCode) ? bisectStatus.stop : exitStatus.ruleBroken;
}

function statusOf(report: BootReport, bisect: boolean): number {
  if (report.verdict === 'pass') return commandStatus(report, bisect);
  if (report.verdict === 'fail') return exitStatus.ruleBroken;
  if (bisect) return bisectStatus.untold;
  return isOurs(report) ? exitStatus.notModelled : exitStatus.incomplete;
}

function statusLine({ quiet = false, json = false }: BootArguments, interactive: boolean): StatusLine {
  const { isTTY, columns } = process.stderr;
  return new StatusLine({
    showConsole: !quiet && !json,
    interactive,
    // A terminal that does not know its size gives none, or 0.
    columns: isTTY ? columns || usualColumns : 0,
  });
}

/** Runs the guest to its end, or until somebody at the terminal wants it ended. */
async function runGuest(request: BootRequest, args: BootArguments, terminal: Terminal): Promise<BootReport> {
  const trace = args.trace === undefined ? null : new TraceFile(args.trace);
  const status = statusLine(args, terminal.isInteractive);
  const run = bootGuest({
    ...request,
    console: (bytes) => status.print(bytes),
    event: (event) => trace?.add(event),
    warn,
  });
  const started = performance.now();
  const ticking = setInterval(() => status.show(run.progress, performance.now() - started), statusMs);
  terminal.attach(run);
  try {
    return await run.report();
  } finally {
    terminal.detach();
    clearInterval(ticking);
    status.clear();
    trace?.close();
  }
}

interface Ended {
  readonly report: BootReport;
  /** Whether the builtin guest stands in for the default kernel. */
  readonly isStandIn: boolean;
}

/** Runs what was asked for, or where that is the default and cannot be had, the builtin guest. */
async function runOrFallBack(request: BootRequest, args: BootArguments, terminal: Terminal): Promise<Ended> {
  try {
    return { report: await runGuest(request, args, terminal), isStandIn: false };
  } catch (error) {
    const instead = fallBack(request, args, error);
    return { report: await runGuest(instead, args, terminal), isStandIn: true };
  }
}

function wholeText({ report, isStandIn }: Ended, args: BootArguments): string {
  const next = nextSteps(report, isStandIn ? { ...args, kernel: 'builtin' } : args);
  const help = isStandIn ? ['', ...helpWithKernel(args)] : [];
  return [reportText(report, terminalStyle()), ...next, ...help].join('\n');
}

/** What depends on the host goes to standard error, and as the status line does, to a terminal only. */
function printHost(report: BootReport): void {
  if (process.stderr.isTTY) process.stderr.write(`${hostText(report)}\n`);
}

/** Somebody who types into a guest means to go on until it powers off. */
const interactiveRequest: BootRequest = {
  until: 'poweroff',
  limits: { guestSeconds: 1_000_000, instructions: 1e15 },
  realTime: true,
};

/** What a run came to, as a status. One that was cut short from outside ends with the status of what did. */
function finalStatus(report: BootReport, { reason }: StopRequest, bisect: boolean): number {
  const wasStopped = report.outcome.what === 'stopped' && reason !== null;
  return wasStopped ? reason.status : statusOf(report, bisect);
}

/** Boots as asked; the exit status. Throws InputError on bad input. */
export async function boot(args: BootArguments, stop: StopRequest): Promise<number> {
  const { json = false, bisect = false } = args;
  const request = bootRequest(args);
  checkOutputs(args);
  const terminal = new Terminal(stop, args);
  const asked = terminal.isInteractive ? { ...interactiveRequest, ...request } : request;
  const ended = await runOrFallBack(asked, args, terminal);
  const { report } = ended;
  // Before anything is printed: whoever reads that may hold it up, or go away.
  writeOutputs(report, args);
  if (report.kernel.sha256 === null) releasePipes(args);
  const { exitCode = null, signal = null } = report.command ?? {};
  if (signal !== null || (exitCode ?? 0) !== 0) complain(`the command ${commandWords(report)}`);
  if (stop.isUrgent) return finalStatus(report, stop, bisect);
  print(json ? jsonText({ ...report, host: null }) : wholeText(ended, args));
  if (!json) printHost(report);
  return finalStatus(report, stop, bisect);
}
