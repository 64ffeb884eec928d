/** Builds the program: an ELF file with one segment that contains the code and, after it, the command to run. */
import { InputError } from '../base/index.js';
import type { InitArchitecture } from './architecture.js';
import { DataBlock } from './data_block.js';
import { elfFile, loadAddress } from './elf.js';
import { parameterNames, parameterOffset } from './parameters.js';
import type { ParameterName } from './parameters.js';
import { utf8 } from './utf8.js';

/** What the first process runs. */
export interface InitCommand {
  /** The command and its arguments, passed unchanged. At least one. */
  readonly args: readonly string[];
  /** A file that is written before, absolute path and contents; none when absent. */
  readonly script?: { readonly path: string; readonly bytes: Uint8Array } | null;
  /** The command line of a program that prepares the user space first; null for none. */
  readonly setup: readonly string[] | null;
}

/**
 * Argument limits. Linux accepts 32 pages for one argument and, for all together, a quarter of the default stack limit
 * of 8 MiB (Linux fs/exec.c, MAX_ARG_STRLEN, bprm_stack_limits). The second limit is halved here to leave space for the
 * environment and the pointers.
 */
export const commandLimits = { oneArgument: 128 * 1024 - 1, allArguments: 1024 * 1024 } as const;

const searchPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;
const environment = [`PATH=${searchPath.join(':')}`, 'HOME=/root', 'TERM=linux'] as const;
/** Busybox is a shell when it is called as sh. */
const shells = ['/bin/sh', '/usr/bin/sh', '/bin/busybox', '/usr/bin/busybox'] as const;
const directories = ['/proc', '/sys', '/dev', '/tmp', '/run', '/root'] as const;
const mounts = ['proc', '/proc', 'sysfs', '/sys', 'devtmpfs', '/dev'] as const;

/** Throws {@link InputError} if Linux would not pass these arguments to a program. */
export function checkArguments(args: readonly string[]): void {
  if (args.length === 0) throw new InputError('there is no command to run; give at least its name');
  let total = 0;
  for (const arg of args) {
    if (arg.includes('\0')) throw new InputError('an argument of a command cannot hold a NUL character');
    if (/\p{Surrogate}/u.test(arg))
      throw new InputError(`the argument ${JSON.stringify(arg.slice(0, 40))} is not valid Unicode text`);
    const bytes = utf8(arg).length;
    // Plus a NUL and a pointer.
    total += bytes + 9;
    if (bytes > commandLimits.oneArgument)
      throw new InputError(
        `an argument of the command has ${bytes} bytes; Linux takes ${commandLimits.oneArgument} at most`,
      );
  }
  if (total > commandLimits.allArguments)
    throw new InputError(
      `the command's arguments take ${total} bytes; ${commandLimits.allArguments} at most are passed`,
    );
}

function programsOf(name: string): string[] {
  return name === '' || name.includes('/') ? [name] : searchPath.map((folder) => `${folder}/${name}`);
}

/** The name of the command for messages. */
function shownName(name: string): string {
  return name.length > 200 ? `${name.slice(0, 200)}...` : name;
}

/** A file has a multiple of this many bytes, so that one with another command has the same size. */
const sizeStep = 0x1_0000;

/**
 * The rest of a file of `size` bytes from `end` on: words with their own offset in it. So no two of its pages are alike, and none is
 * all zero.
 */
function padding(end: number, size: number): Uint8Array {
  const whole = new BigUint64Array(size / 8).map((_, index) => padWord | BigInt(8 * index));
  return new Uint8Array(whole.buffer).subarray(end);
}

/** `domu` in the upper half of each word of padding. */
const padWord = 0x756d_6f64_0000_0000n;

/** The parameters that are the same for each command. */
type FixedParameter = 'environment' | 'setup' | 'shells' | 'directories' | 'mounts';

/**
 * Adds what does not depend on the command, which must come before all that does: a program with another command may take the place
 * of one that runs and has such addresses in its registers.
 */
function addFixed(data: DataBlock, setup: InitCommand['setup']): Readonly<Record<FixedParameter, number>> {
  return {
    environment: data.list(environment),
    setup: setup === null ? 0 : data.list(setup),
    shells: data.list(shells),
    directories: data.list(directories),
    // The second null ends the list of pairs.
    mounts: data.list(mounts, 2),
  };
}

/**
 * Builds the program, an ELF file for the first process of a guest of that architecture. It has at least `leastSize` bytes, and a
 * multiple of 64 KiB. Throws {@link InputError} on arguments that Linux would refuse.
 */
export function initProgram(
  { args, setup, script = null }: InitCommand,
  { elfMachine, assembledCode }: InitArchitecture,
  leastSize = 0,
): Uint8Array {
  checkArguments(args);
  const [name = ''] = args;
  const code = assembledCode();
  const data = new DataBlock(loadAddress + code.bytes.length + 8 * parameterNames.length);
  const fixed = addFixed(data, setup);
  const [notFound, cannotRun] = ['not found', 'cannot be executed'].map((why) =>
    data.text(`domulator: ${shownName(name)}: ${why}\n`),
  ) as [ReturnType<DataBlock['text']>, ReturnType<DataBlock['text']>];
  const values: Readonly<Record<ParameterName, number>> = {
    args: data.list(args),
    programs: data.list(programsOf(name)),
    shellArgs: data.list(['sh', '', ...args.slice(1)]),
    notFoundText: notFound.address,
    notFoundLength: notFound.length,
    cannotRunText: cannotRun.address,
    cannotRunLength: cannotRun.length,
    ...fixed,
    scriptPath: script === null ? 0 : data.text(script.path).address,
    scriptText: script === null ? 0 : data.bytesAt(script.bytes),
    scriptLength: script?.bytes.length ?? 0,
    begun: 0,
  };
  const parameters = new BigUint64Array(parameterNames.map((key) => BigInt(values[key])));
  const parts = [new Uint8Array(parameters.buffer), data.bytes()];
  const end = parts.reduce((sum, { length }) => sum + length, code.bytes.length);
  const size = Math.ceil(Math.max(end, leastSize) / sizeStep) * sizeStep;
  return elfFile(elfMachine, code.bytes, ...parts, padding(end, size));
}

/** Byte offset in the file of the word that the program sets to 1 before it starts the command. */
export function begunOffset({ assembledCode }: InitArchitecture): number {
  return assembledCode().bytes.length + parameterOffset.begun;
}
