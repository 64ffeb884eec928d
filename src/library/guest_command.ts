/** The command or script that the guest's user space runs: checks of the request, and the initramfs for it. */
import { InputError } from '../base/index.js';
import type { BootCommand, BootKernel } from '../boot/index.js';
import {
  collect,
  commandInitramfs,
  commandPaths,
  compressionOf,
  decompress,
  initrdWithCommand,
  readCpio,
} from '../firmware/index.js';
import { checkArguments, initProgram, loadInitArchitecture } from '../guest_init/index.js';
import type { InitArchitecture } from '../guest_init/index.js';
import { readInputFile } from '../kernel_source/index.js';
import type { KernelSpec } from '../kernel_source/index.js';
import type { BootRequest } from './request.js';

type KernelArchitecture = BootKernel['placement']['architecture'];

/** The maximum size of a script in bytes; the whole initramfs must also fit into the guest's memory. */
const scriptBytes = 16 * 2 ** 20;

const bytesScript = 'the script that was given as bytes';

function checkCommand({ until, commandLine = '' }: BootRequest, kernel: KernelSpec): void {
  if (kernel.kind === 'builtin')
    throw new InputError('the builtin guest has no user space that could run a command; give another kernel');
  if (until !== undefined && until !== 'poweroff')
    throw new InputError('a run with a command ends with that command; leave out the goal (until)');
  if (/(^|\s)rdinit=/.test(commandLine))
    throw new InputError(
      'a command is run by a first process of its own; leave out rdinit= on the command line',
    );
}

/** The command or script of `request`; null if it has none. Throws InputError if it has both. */
function askedCommand({ command, script }: BootRequest): BootCommand | null {
  if (command !== undefined && script !== undefined)
    throw new InputError('a command and a script exclude each other; give one of them');
  if (command !== undefined) return { argv: command, script: null };
  if (script === undefined) return null;
  return { argv: null, script: typeof script === 'string' ? script : bytesScript };
}

/** The command or script of `request`; null if it has none. Throws InputError if it cannot be run by `kernel`. */
export function commandOf(request: BootRequest, kernel: KernelSpec): BootCommand | null {
  const asked = askedCommand(request);
  if (asked === null) return null;
  checkCommand(request, kernel);
  // Throws if Linux would not pass the arguments on.
  if (asked.argv !== null) checkArguments(asked.argv);
  return asked;
}

/** The command line of a guest for which none is given. */
export const usualCommandLine: Readonly<Record<KernelArchitecture, string>> = {
  arm64: 'console=ttyAMA0',
  amd64: 'console=hvc0',
};

/** The kernel's command line. With the user's own initrd it names the first process, before the arguments of that process (` -- `). */
export function commandLineOf(request: BootRequest, architecture: KernelArchitecture): string {
  const { commandLine = usualCommandLine[architecture] } = request;
  if ((request.command ?? request.script) === undefined || request.initrd === undefined) return commandLine;
  const [, own = '', forInit = ''] = /^(.*?)((?:^|\s)--(?:\s.*)?)?$/s.exec(commandLine) ?? [];
  return `${own} rdinit=/${commandPaths.init}${forInit}`;
}

async function scriptOf({ script }: BootRequest): Promise<Uint8Array | null> {
  if (typeof script === 'string') return await readInputFile(script, 'script', scriptBytes);
  if (script === undefined || script.length <= scriptBytes) return script ?? null;
  throw new InputError(`${bytesScript} is larger than ${scriptBytes / 2 ** 20} MiB`);
}

/** The maximum unpacked size of an initrd that is inspected, in bytes. */
const unpackedBytes = 1024 * 2 ** 20;

/** The paths in an initrd; null if they are not known because only kernels can unpack its format. */
async function pathsIn(initrd: Uint8Array): Promise<string[] | null> {
  try {
    const compression = compressionOf(initrd);
    const pieces = compression === 'none' ? null : decompress(initrd, compression, 'the initrd');
    const archive = pieces === null ? initrd : await collect(pieces, unpackedBytes, 'the initrd');
    const paths = readCpio(archive).map(({ path }) => path.replace(/^(\.?\/)+/, ''));
    // Early microcode or firmware comes first, then the user space.
    return paths.some((path) => /^(usr\/)?s?bin(\/|$)/.test(path)) ? paths : null;
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

const shells = /^(usr\/)?bin\/(sh|busybox)$/;

/** Throws InputError if a script needs a shell and the initrd is known to have none. */
async function checkShell(initrd: Uint8Array, script: Uint8Array): Promise<void> {
  const firstLine = new TextDecoder('latin1').decode(script.subarray(0, 256)).split('\n', 1)[0] ?? '';
  const isForShell = !firstLine.startsWith('#!') && script[0] !== 0x7f;
  if (!isForShell && !/^#!\s*\/bin\/sh\b/.test(firstLine)) return;
  const paths = await pathsIn(initrd);
  if (paths === null || paths.some((path) => shells.test(path))) return;
  throw new InputError(
    'the initrd has no shell to run the script; give an initrd that contains /bin/sh or busybox',
  );
}

/** The files that run the command or script of a request: the first process, and the script. */
interface Runner {
  readonly init: Uint8Array;
  readonly script: Uint8Array | null;
}

/** The command line that prepares the default user space: links for all commands of busybox. */
const installBusybox = ['/bin/busybox', '--install', '-s', '/bin'] as const;

/** What a first process runs. */
export interface RunCommand {
  readonly command: BootCommand;
  /** The script, if the first process has it in itself; null if there is none, or if it is a file of the initramfs. */
  readonly script: Uint8Array | null;
}

/** What `request` wants a guest to run that was booted before; null if nothing else. Throws InputError on a script that cannot be read. */
export async function otherCommandOf(request: BootRequest): Promise<RunCommand | null> {
  const command = askedCommand(request);
  return command === null ? null : { command, script: await scriptOf(request) };
}

/** A first process that runs a command, and the same one with another command. */
interface ProgramPair {
  readonly program: Uint8Array;
  readonly other: Uint8Array;
}

/**
 * The programs that may be the first process of a guest that runs `first`: in the default user space, and in an initrd. Beside each
 * the one that runs `next` instead; of a longer command it is larger. Throws InputError on arguments that Linux would refuse.
 */
export function commandPrograms(
  first: RunCommand,
  next: RunCommand,
  architecture: InitArchitecture,
): ProgramPair[] {
  const programOf = (
    { command, script }: RunCommand,
    setup: readonly string[] | null,
    size = 0,
  ): Uint8Array => {
    const file = script === null ? null : { path: `/${commandPaths.script}`, bytes: script };
    return initProgram({ args: argumentsOf(command), setup, script: file }, architecture, size);
  };
  return [installBusybox, null].map((setup) => {
    const program = programOf(first, setup);
    return { program, other: programOf(next, setup, program.length) };
  });
}

/** What the first process of a guest with that command runs. */
function argumentsOf({ argv }: { readonly argv: readonly string[] | null }): readonly string[] {
  return argv ?? [`/${commandPaths.script}`];
}

async function runnerOf(
  request: BootRequest,
  architecture: KernelArchitecture,
  setup: readonly string[] | null,
): Promise<Runner> {
  const args = argumentsOf({ argv: request.command ?? null });
  return {
    init: initProgram({ args, setup }, await loadInitArchitecture(architecture)),
    script: await scriptOf(request),
  };
}

/** Whether the request has a command or script for its guest. */
export function hasCommand({ command, script }: BootRequest): boolean {
  return command !== undefined || script !== undefined;
}

/** The user's `initrd`, with the files that run the command of `request`. */
export async function addCommand(
  initrd: Uint8Array,
  architecture: KernelArchitecture,
  request: BootRequest,
): Promise<Uint8Array> {
  if (!hasCommand(request)) return initrd;
  const { init, script } = await runnerOf(request, architecture, null);
  if (script !== null) await checkShell(initrd, script);
  return initrdWithCommand(initrd, init, script);
}

/**
 * The default user space, which has all commands of busybox and the programs of the cpio archive `more`, with the files that run the
 * command of `request`.
 */
export async function busyboxWithCommand(
  busybox: Uint8Array,
  architecture: KernelArchitecture,
  request: BootRequest,
  more: Uint8Array | null = null,
): Promise<Uint8Array> {
  const { init, script } = await runnerOf(request, architecture, installBusybox);
  return commandInitramfs(busybox, architecture, init, script, more);
}
