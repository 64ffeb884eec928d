/** The files that a boot writes: each must be writable, and must differ from all other files in the arguments. */
import { constants, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { InputError } from '../../base/index.js';
import type { BootReport } from '../../library/index.js';
import { checkUserFile, writeUserFile } from '../host.js';
import { jsonText } from '../json.js';
import type { BootArguments, ParsedRequest } from './arguments.js';
import { junitText } from './junit.js';
import { sarifLog } from './sarif.js';

interface Named {
  readonly option: string;
  readonly name: string;
  /** Equal for two names of the same file, including links; null for files that may be shared: a terminal, a pipe, /dev/null. */
  readonly identity: string | null;
}

function named(option: string, name: string, found: BigIntStats | undefined): Named {
  const identity = found?.isFile() === true ? `${found.dev}:${found.ino}` : null;
  return { option, name, identity };
}

function checkApart(output: Named, others: readonly Named[]): void {
  const other = others.find(({ identity }) => identity !== null && identity === output.identity);
  if (other === undefined) return;
  throw new InputError(
    `${other.option} and ${output.option} name the same file, ${output.name}; give ${output.option} a file of its own`,
  );
}

/** A file that cannot be examined is not an output; if it is an input, reading it reports the error. */
function input(option: string, name: string): Named {
  try {
    return named(option, name, statSync(name, { bigint: true, throwIfNoEntry: false }));
  } catch {
    return named(option, name, undefined);
  }
}

/**
 * Opens one file after the other and keeps each open until the last was examined, because the inode number of a deleted file
 * may be reused.
 */
function checkEach(outputs: readonly (readonly [string, string])[], others: readonly Named[]): void {
  const [first, ...rest] = outputs;
  if (first === undefined) return;
  const [option, name] = first;
  checkUserFile(name, (file) => {
    const output = named(option, name, fstatSync(file, { bigint: true }));
    checkApart(output, others);
    checkEach(rest, [...others, output]);
  });
}

/** The arguments that name files, of `boot` and `crash`. */
type FileArguments = Pick<
  BootArguments,
  'initrd' | 'script' | 'from' | 'report' | 'junit' | 'sarif' | 'trace' | 'checkpoint'
> & { readonly crashKernel?: string };

type FileRequest = Pick<ParsedRequest, 'kernel'>;

/** The files that a command reads, as options and names. */
function inputsOf(
  { initrd, script, from, crashKernel }: FileArguments,
  { kernel }: FileRequest,
): (readonly [string, string])[] {
  return [
    ...(kernel?.kind === 'file' ? [['--kernel', kernel.file] as const] : []),
    ...(initrd === undefined ? [] : [['--initrd', initrd] as const]),
    ...(script === undefined ? [] : [['--script', script] as const]),
    ...(from === undefined ? [] : [['--from', from] as const]),
    ...(crashKernel === undefined ? [] : [['--crash-kernel', crashKernel] as const]),
  ];
}

/** Throws InputError if a file cannot be written or is named twice in the arguments. Leaves no new file behind. */
export function checkOutputs(args: FileArguments, request: FileRequest): void {
  const { report, junit, sarif, trace, checkpoint } = args;
  const inputs = inputsOf(args, request).map(([option, name]) => input(option, name));
  const outputs = Object.entries({
    '--report': report,
    '--junit': junit,
    '--sarif': sarif,
    '--trace': trace,
    '--checkpoint': checkpoint,
  }).flatMap(([option, name]) => (name === undefined ? [] : [[option, name] as const]));
  checkEach(outputs, inputs);
}

/** Tries all; then throws the error of the first that failed. */
function tryEach(acts: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const act of acts) {
    try {
      act();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

/** Writes the files that are made from the report. If one cannot be written, writes the others and throws InputError. */
export function writeOutputs(result: BootReport, { report, junit, sarif }: FileArguments): void {
  const files: readonly (readonly [string | undefined, () => string])[] = [
    [report, () => `${jsonText(result)}\n`],
    [junit, () => junitText(result)],
    [sarif, () => `${jsonText(sarifLog(result))}\n`],
  ];
  tryEach(
    files.flatMap(([name, textOf]) => (name === undefined ? [] : [() => writeUserFile(name, textOf())])),
  );
}

/**
 * Unblocks threads that still read from a pipe, by writing a byte that is not used: the process cannot exit while
 * one of its threads is in such a call.
 */
export function releasePipes(args: BootArguments, request: ParsedRequest): void {
  for (const [, name] of inputsOf(args, request)) {
    try {
      if (!statSync(name).isFIFO()) continue;
      const pipe = openSync(name, constants.O_WRONLY | constants.O_NONBLOCK);
      writeSync(pipe, '\0');
    } catch {
      // No thread waits for the pipe.
    }
  }
}
