/** The commands' access to the host. */
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { InputError, oneLine } from '../base/index.js';
import { createStyle } from './render/style.js';
import type { Style } from './render/style.js';

/** Exit statuses; README.md lists them. */
export const exitStatus = {
  ok: 0,
  ruleBroken: 1,
  badInput: 2,
  incomplete: 3,
  notModelled: 4,
  commandFailed: 5,
  internalError: 70,
  outputFailed: 74,
} as const;

/** The statuses of `git bisect run`: 0 good, 1 bad, 125 skip; 128 and above stop it. */
export const bisectStatus = { untold: 125, stop: 128 } as const;

const fullWidth = 110;
const usualWidth = 100;
const leastWidth = 80;

/** Colours are used only on a terminal, and not if NO_COLOR is set (no-color.org); FORCE_COLOR enables them elsewhere. */
function wantsColour({ NO_COLOR, FORCE_COLOR, TERM }: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  return isTerminal && TERM !== 'dumb';
}

/** The width of the terminal, limited to 80 to 110 columns; 100 if the output is not a terminal. */
export function terminalStyle(): Style {
  const { isTTY, columns } = process.stdout;
  // A terminal of unknown size reports none, or 0.
  const isSized = isTTY && columns > 0;
  const width = isSized ? Math.min(fullWidth, Math.max(leastWidth, columns)) : usualWidth;
  return createStyle(wantsColour(process.env, isTTY), width);
}

/** Writes to standard output. A closed reader is not an error here: see {@link watchOutput}. */
export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/**
 * Calls `failed` when standard output cannot be written, and prints one line about it. If the reader has closed it (`| head`),
 * `isUnread` is set and no line is printed.
 */
export function watchOutput(failed: (why: string, isUnread: boolean) => void): void {
  let hasFailed = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (hasFailed) return;
    hasFailed = true;
    const isUnread = error.code === 'EPIPE';
    const why = isUnread
      ? 'the reader of the output has gone away'
      : `the output cannot be written: ${error.code ?? error.message}`;
    if (!isUnread) complain(`cannot write the output: ${error.code ?? error.message}`);
    failed(why, isUnread);
  });
  process.stderr.on('error', () => undefined);
}

/** Prints one line on standard error: line ends and control characters in `message` are replaced. */
export function complain(message: string): void {
  process.stderr.write(`domulator: ${oneLine(message)}\n`);
}

/** Prints a warning, after which the command continues. */
export function warn(message: string): void {
  complain(`warning: ${message}`);
}

const writeErrors: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory; give the name of a file',
  ENOENT: 'its directory does not exist; make it first, or give another name',
  ENOTDIR: 'a part of its path is not a directory; give another name',
  ENXIO: 'no process reads this pipe; start its reader first',
  EACCES: 'permission denied; give the name of a file that you may write',
  EPERM: 'permission denied; give the name of a file that you may write',
  EROFS: 'its file system is read-only; choose another place',
  ENOSPC: 'the disk is full; choose another place',
  EDQUOT: 'the disk quota is used up; choose another place',
  EFBIG: 'it would be larger than a file may be there; choose another place',
  EPIPE: 'its reader has closed the pipe',
  ENAMETOOLONG: 'the name is too long; give a shorter one',
  ELOOP: 'its path has a loop of symbolic links; give another name',
};

/** Why a file that the user named could not be written, in one line. */
export function fileError(name: string, error: unknown): InputError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  // In /proc, and for a dangling link, the directory exists and the file cannot be created.
  if (code === 'ENOENT' && existsSync(name.replace(/[^/]*$/, '') || '.'))
    return new InputError(`cannot write ${name}: no file can be created there; choose another place`);
  return new InputError(`cannot write ${name}: ${writeErrors[code] ?? (code || String(error))}`);
}

/**
 * The file to which `name` leads; null if it does not exist yet, or if it is not a regular file (a terminal, a pipe,
 * /dev/null).
 */
function replaceable(name: string): { readonly path: string; readonly mode: number } | null {
  try {
    const path = realpathSync(name);
    const found = statSync(path);
    return found.isFile() ? { path, mode: found.mode & 0o777 } : null;
  } catch {
    return null;
  }
}

/** The pipes that are held open, by name: a reader would take it for the end if the last writer went away. */
const heldPipes = new Map<string, number>();

/**
 * Opens a file that the user named, for writing. Opening a pipe waits for its reader, and no signal ends that wait, so a pipe
 * that nobody reads is refused. A pipe stays open until {@link closeUserFile} with `isDone`. Throws the errors of `open`; ENXIO
 * for a pipe without a reader.
 */
export function openUserFile(name: string, flags: 'a' | 'w'): number {
  const held = heldPipes.get(name);
  if (held !== undefined) return held;
  if (statSync(name, { throwIfNoEntry: false })?.isFIFO() !== true) return openSync(name, flags);
  const reader = openSync(name, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    const pipe = openSync(name, flags);
    heldPipes.set(name, pipe);
    return pipe;
  } finally {
    closeSync(reader);
  }
}

/** Closes it again; a pipe only when everything has been written (`isDone`). */
export function closeUserFile(name: string, file: number, isDone: boolean): void {
  if (heldPipes.has(name) && !isDone) return;
  heldPipes.delete(name);
  closeSync(file);
}

/**
 * Replaces the file atomically: a reader sees either the old contents or all of `contents`. False if no file can be created in
 * its directory.
 */
function replaceFile(path: string, mode: number | undefined, contents: string | Uint8Array): boolean {
  const partial = `${path}.${process.pid}.partial`;
  let file: number;
  try {
    file = openSync(partial, 'wx', mode);
  } catch {
    return false;
  }
  try {
    writeFileSync(file, contents);
    closeSync(file);
    renameSync(partial, path);
    return true;
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/**
 * Writes all of `contents` to the file that the user named. Throws InputError with one line if that is not possible; then nothing
 * is written.
 */
export function writeUserFile(name: string, contents: string | Uint8Array): void {
  try {
    const there = replaceable(name);
    const isNew = there === null && !lstatSync(name, { throwIfNoEntry: false });
    if (there !== null && replaceFile(there.path, there.mode, contents)) return;
    if (isNew && replaceFile(name, undefined, contents)) return;
    const file = openUserFile(name, 'w');
    try {
      writeFileSync(file, contents);
    } finally {
      closeUserFile(name, file, true);
    }
  } catch (error) {
    throw fileError(name, error);
  }
}

/**
 * Checks that the user's file can be written, before a long run produces its contents; returns the result of `look` on the open
 * file. Throws InputError with one line if it cannot be written.
 */
export function checkUserFile<T>(name: string, look: (file: number) => T): T {
  const isNew = !existsSync(name);
  try {
    const file = openUserFile(name, 'a');
    try {
      return look(file);
    } finally {
      closeUserFile(name, file, false);
      // For a link, the target is the file that was created.
      if (isNew && existsSync(name)) rmSync(realpathSync(name));
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw fileError(name, error);
  }
}
