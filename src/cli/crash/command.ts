/** `domulator crash`: boots a guest, crashes copies of it on one vCPU each, and reports what became of them. */
import { checkpointBytes, crash as crashGuest } from '../../library/index.js';
import type { BootReport, CrashRequest } from '../../library/index.js';
import { print, terminalStyle, warn, writeUserFile } from '../host.js';
import { jsonText } from '../json.js';
import { finalStatus } from '../boot/command.js';
import { checkOutputs, writeOutputs } from '../boot/output_files.js';
import { hostText, reportText } from '../boot/report_text.js';
import { StatusLine } from '../boot/status_line.js';
import type { StopRequest } from '../boot/stop_request.js';
import { TraceFile } from '../boot/trace_file.js';
import { crashRequest } from './arguments.js';
import type { CrashArguments } from './arguments.js';
import { crashHeading, crashLines } from './crash_text.js';

/** Shows the guest's console as it comes. */
function shownConsole(): StatusLine {
  return new StatusLine({ showConsole: true, interactive: false, columns: 0 });
}

function textOf(report: BootReport, { verbose = false }: CrashArguments): string {
  const style = terminalStyle();
  if (verbose) return reportText(report, style);
  return [...crashHeading(report, style), '', ...report.runs.flatMap((run) => crashLines(run, style))].join(
    '\n',
  );
}

/** Runs the guests of a request, and writes to the user's files what comes while they run. */
async function runGuests(
  request: CrashRequest,
  { checkpoint, trace: traceName }: CrashArguments,
): Promise<BootReport> {
  const trace = traceName === undefined ? null : new TraceFile(traceName);
  try {
    return await crashGuest({
      ...request,
      ...(trace === null ? {} : { event: (event, run) => trace.add(event, run) }),
      ...(checkpoint === undefined
        ? {}
        : { checkpoint: (saved) => writeUserFile(checkpoint, checkpointBytes(saved)) }),
    });
  } finally {
    trace?.close();
  }
}

/** Runs the command and returns the exit status. Throws InputError on bad input. */
export async function crash(args: CrashArguments, stop: StopRequest): Promise<number> {
  const { json = false, quiet = false, verbose = false } = args;
  const request = crashRequest(args);
  checkOutputs(args, request);
  const shown = verbose && !quiet && !json ? shownConsole() : null;
  const asked: CrashRequest = {
    ...request,
    warn,
    stopped: () => stop.reason?.why ?? null,
    ...(shown === null ? {} : { console: (bytes) => shown.print(bytes) }),
  };
  const report = await runGuests(asked, args);
  shown?.clear();
  writeOutputs(report, args);
  const status = finalStatus(report, stop, false);
  if (stop.isUrgent) return status;
  print(json ? jsonText({ ...report, host: null }) : textOf(report, args));
  if (!json && process.stderr.isTTY) process.stderr.write(`${hostText(report)}\n`);
  return status;
}
