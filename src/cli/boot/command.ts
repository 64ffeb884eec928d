/** `domulator boot`: boots a kernel, shows its console while it runs, and reports. */
import { InputError } from '../../base/index.js';
import { boot as bootGuest, checkpointBytes, runLimits } from '../../library/index.js';
import type { BootReport, BootRequest, GuestRun, ReportedRun } from '../../library/index.js';
import { bisectStatus, complain, exitStatus, print, terminalStyle, warn, writeUserFile } from '../host.js';
import { jsonText } from '../json.js';
import { bootRequest, checkpointOf } from './arguments.js';
import type { BootArguments } from './arguments.js';
import { fallBack, helpWithKernel } from './fall_back.js';
import { checkOutputs, releasePipes, writeOutputs } from './output_files.js';
import { commandWords, hostText, nextSteps, reportText } from './report_text.js';
import { StatusLine } from './status_line.js';
import type { StopRequest } from './stop_request.js';
import { Terminal } from './terminal.js';
import { TraceFile } from './trace_file.js';

const usualColumns = 80;
/** Interval between updates of the status line, ms. */
const statusMs = 200;

/** Whether the guest of a run that failed had asked for something that Xen has and domulator lacks. */
function lacksSomething({ verdict, kernels }: ReportedRun): boolean {
  return verdict === 'incomplete' && kernels.some(({ notModelled }) => Object.keys(notModelled).length > 0);
}

/** Statuses by which a shell reports that it could not run a command at all. */
const notRun: readonly (number | null)[] = [126, 127];

/** The command of the first run in which it failed; null if it failed in none, or if there is none. */
function failedCommand({ options, runs }: BootReport): ReportedRun | null {
  if (options.command === null) return null;
  return runs.find(({ commandStatus }) => commandStatus?.exitCode !== 0) ?? null;
}

/** The status of runs in which every rule holds, by how their command ended. */
function commandStatus(report: BootReport, bisect: boolean): number {
  const failed = failedCommand(report);
  if (failed === null) return exitStatus.ok;
  if (!bisect) return exitStatus.commandFailed;
  const { exitCode = null } = failed.commandStatus ?? {};
  // As for a command of `git bisect run`: a script that cannot run says nothing about the kernel, and must stop the bisection.
  if (exitCode === bisectStatus.untold) return bisectStatus.untold;
  return notRun.includes(exitCode) ? bisectStatus.stop : exitStatus.ruleBroken;
}

function statusOf(report: BootReport, bisect: boolean): number {
  if (report.verdict === 'pass') return commandStatus(report, bisect);
  if (report.verdict === 'fail') return exitStatus.ruleBroken;
  if (bisect) return bisectStatus.untold;
  return report.runs.some(lacksSomething) ? exitStatus.notModelled : exitStatus.incomplete;
}

function statusLine({ quiet = false, json = false }: BootArguments, interactive: boolean): StatusLine {
  const { isTTY, columns } = process.stderr;
  return new StatusLine({
    showConsole: !quiet && !json,
    interactive,
    // A terminal of unknown size reports none, or 0.
    columns: isTTY ? columns || usualColumns : 0,
  });
}

interface Ran {
  readonly report: BootReport;
  readonly checkpoint: CheckpointEnd;
}

/** What became of --checkpoint. A file that could not be written was complained of. */
type CheckpointEnd = 'written' | 'not written' | 'place not reached' | 'not asked for';

/** Runs the guest to the place of --checkpoint-at and writes the file. If that fails, the run can still go on to its report. */
async function writeCheckpoint(run: GuestRun, args: BootArguments): Promise<CheckpointEnd> {
  const asked = checkpointOf(args);
  if (asked === null) return 'not asked for';
  if (!(await run.reach(asked.place))) return 'place not reached';
  try {
    writeUserFile(asked.file, checkpointBytes(await run.checkpoint()));
    return 'written';
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    complain(`no checkpoint was written: ${error.message}`);
    return 'not written';
  }
}

/** Runs the guest to its end, or until the user ends it at the terminal. */
async function runGuest(request: BootRequest, args: BootArguments, terminal: Terminal): Promise<Ran> {
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
    const checkpoint = await writeCheckpoint(run, args);
    return { report: await run.report(), checkpoint };
  } finally {
    terminal.detach();
    clearInterval(ticking);
    status.clear();
    trace?.close();
  }
}

interface Ended extends Ran {
  /** Whether the builtin guest replaces the default kernel. */
  readonly isStandIn: boolean;
}

/** Runs the request; if the default kernel is not available, runs the builtin guest. */
async function runOrFallBack(request: BootRequest, args: BootArguments, terminal: Terminal): Promise<Ended> {
  try {
    return { ...(await runGuest(request, args, terminal)), isStandIn: false };
  } catch (error) {
    const instead = fallBack(request, args, error);
    return { ...(await runGuest(instead, args, terminal)), isStandIn: true };
  }
}

function wholeText({ report, isStandIn }: Ended, args: BootArguments): string {
  const next = nextSteps(report, isStandIn ? { ...args, kernel: 'builtin' } : args);
  const help = isStandIn ? ['', ...helpWithKernel(args)] : [];
  return [reportText(report, terminalStyle()), ...next, ...help].join('\n');
}

/** Figures that depend on the host go to standard error, and like the status line only to a terminal. */
function printHost(report: BootReport): void {
  if (process.stderr.isTTY) process.stderr.write(`${hostText(report)}\n`);
}

/** In an interactive run the goal is that the guest powers off. */
const interactiveRequest: BootRequest = {
  until: 'poweroff',
  limits: { guestSeconds: runLimits.guestSeconds.most, instructions: runLimits.instructions.most },
  realTime: true,
};

/** The status of a run whose checkpoint was asked for and may not have been written. */
function withCheckpoint(status: number, { checkpoint }: Ended, args: BootArguments): number {
  if (checkpoint === 'written' || checkpoint === 'not asked for') return status;
  if (checkpoint === 'place not reached')
    complain(`no checkpoint was written: the run ended before ${args.checkpointAt ?? ''}`);
  return status === exitStatus.ok ? exitStatus.badInput : status;
}

/** The exit status of a run. If a signal stopped the run, it is the status of that signal. */
export function finalStatus(report: BootReport, { reason }: StopRequest, bisect: boolean): number {
  const wasStopped = report.runs.some(({ outcome }) => outcome.what === 'stopped') && reason !== null;
  return wasStopped ? reason.status : statusOf(report, bisect);
}

/** Runs the command and returns the exit status. Throws InputError on bad input. */
export async function boot(args: BootArguments, stop: StopRequest): Promise<number> {
  const { json = false, bisect = false } = args;
  const request = bootRequest(args);
  checkOutputs(args, request);
  const terminal = new Terminal(stop, args);
  const asked = terminal.isInteractive ? { ...interactiveRequest, ...request } : request;
  const ended = await runOrFallBack(asked, args, terminal);
  const { report } = ended;
  // Before anything is printed, because the reader of the output may block or close it.
  writeOutputs(report, args);
  if (report.kernel.sha256 === null) releasePipes(args, request);
  const failed = failedCommand(report);
  if (failed !== null && failed.commandStatus !== null) complain(`the command ${commandWords(failed)}`);
  const status = withCheckpoint(finalStatus(report, stop, bisect), ended, args);
  if (stop.isUrgent) return status;
  print(json ? jsonText({ ...report, host: null }) : wholeText(ended, args));
  if (!json) printHost(report);
  return status;
}
