/** What the commands ask of the machine that they run on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { InputError } from '../base/index.js';
import { createStyle } from './render/style.js';
import type { Style } from './render/style.js';

/** Exit statuses; README.md lists them. */
export const exitStatus = {
  ok: 0,
  ruleBroken: 1,
  badInput: 2,
  incomplete: 3,
  internalError: 70,
  outputFailed: 74,
} as const;

const fullWidth = 110;
const usualWidth = 100;
const leastWidth = 80;

/** Colours on a terminal only, and there unless NO_COLOR is set (no-color.org); FORCE_COLOR overrides the terminal. */
function wantsColour({ NO_COLOR, FORCE_COLOR, TERM }: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  return isTerminal && TERM !== 'dumb';
}

/** As wide as the terminal, within 80 to 110 columns; 100 where the output is no terminal. */
export function terminalStyle(): Style {
  const { isTTY, columns } = process.stdout;
  // A terminal that does not know its size gives none, or 0.
  const isSized = isTTY && columns > 0;
  const width = isSized ? Math.min(fullWidth, Math.max(leastWidth, columns)) : usualWidth;
  return createStyle(wantsColour(process.env, isTTY), width);
}

/** Writes to standard output. What no longer finds a reader is not an error: see {@link watchOutput}. */
export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Ends quietly when the reader of standard output has gone (`| head`), and with one line when it cannot be written. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitStatus.ok);
    complain(`cannot write the output: ${error.code ?? error.message}`);
    process.exit(exitStatus.outputFailed);
  });
  process.stderr.on('error', () => undefined);
}

/** One line on standard error, whatever `message` holds: no line ends, and nothing that a terminal would obey. */
export function complain(message: string): void {
  process.stderr.write(`domulator: ${message.replace(/[\s\p{Cc}]+/gu, ' ').trim()}\n`);
}

const writeErrors: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory; give the name of a file',
  ENOENT: 'its directory does not exist; make it first, or give another name',
  ENOTDIR: 'a part of its path is not a directory; give another name',
  EACCES: 'permission denied; give the name of a file that you may write',
  EPERM: 'permission denied; give the name of a file that you may write',
  EROFS: 'its file system is read-only; give the name of a file elsewhere',
  ENOSPC: 'no space is left there; give the name of a file elsewhere',
  ENAMETOOLONG: 'the name is too long; give a shorter one',
};

/** Writes `text` to the file that the user named. Throws InputError with one line when that cannot be done. */
export function writeUserFile(name: string, text: string): void {
  try {
    writeFileSync(name, text);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw new InputError(`cannot write ${name}: ${writeErrors[code] ?? (code || String(error))}`);
  }
}

/** The version in package.json. */
export function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
