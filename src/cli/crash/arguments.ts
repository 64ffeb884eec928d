/** The arguments of `domulator crash`, and the request that they make. */
import { InputError } from '../../base/index.js';
import { crashWays, jobCount, kexecSyscalls, toolstacks, vcpuCount } from '../../library/index.js';
import type { CrashRequest } from '../../library/index.js';
import { bootRequest, oneOf, whole } from '../boot/arguments.js';
import type { BootArguments, ParsedRequest } from '../boot/arguments.js';
import { checkValue } from '../option_values.js';

export interface CrashArguments extends Pick<
  BootArguments,
  | 'kernel'
  | 'arch'
  | 'type'
  | 'cpu'
  | 'cmdline'
  | 'vcpus'
  | 'memory'
  | 'xen'
  | 'seed'
  | 'xenstore'
  | 'onSoftReset'
  | 'unpack'
  | 'whatIf'
  | 'limit'
  | 'mirror'
  | 'script'
  | 'command'
  | 'from'
  | 'checkpoint'
  | 'trace'
  | 'report'
  | 'junit'
  | 'sarif'
  | 'json'
  | 'quiet'
> {
  readonly crashOn?: string;
  readonly crashBy?: string;
  readonly crashKernel?: string;
  readonly crashCmdline?: string;
  readonly kexecSyscall?: string;
  readonly toolstack?: string;
  readonly jobs?: string;
  readonly verbose?: boolean;
}

function vcpusOf(text: string, by: string | undefined): readonly number[] | 'all' {
  if (by === 'kexec')
    throw new InputError(
      '--crash-on and --crash-by kexec exclude each other: Linux moves to its first CPU before an orderly kexec',
    );
  if (text === 'all') return text;
  if (!/^\d{1,3}(,\d{1,3})*$/.test(text))
    throw new InputError(
      `--crash-on takes all, or vCPUs such as 0,2 (0 to ${vcpuCount.most - 1}), not '${text}'`,
    );
  return text.split(',').map(Number);
}

/** The request that the arguments make. Throws InputError on an invalid argument. */
export function crashRequest(args: CrashArguments): CrashRequest & Pick<ParsedRequest, 'kernel'> {
  const { crashOn, crashBy, crashKernel, crashCmdline, kexecSyscall, toolstack, jobs, checkpoint } = args;
  for (const [option, value] of Object.entries({
    checkpoint,
    'crash-on': crashOn,
    'crash-by': crashBy,
    'crash-kernel': crashKernel,
    'kexec-syscall': kexecSyscall,
    toolstack,
  })) {
    checkValue(`--${option}`, value);
  }
  const { kernel, arch, type, cpu, cmdline, vcpus, memory, xen, seed, xenstore, onSoftReset } = args;
  const { unpack, whatIf, limit, mirror } = args;
  const { script, command, from, trace, report, junit, sarif } = args;
  const given = {
    kernel,
    arch,
    type,
    cpu,
    cmdline,
    vcpus,
    memory,
    xen,
    seed,
    onSoftReset,
    unpack,
    whatIf,
    limit,
    mirror,
    script,
    command,
    from,
    trace,
    report,
    junit,
    sarif,
  };
  const named = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const request: Omit<ParsedRequest, 'console' | 'initrd'> = bootRequest({ ...named, xenstore });
  return {
    ...request,
    ...(crashBy === undefined ? {} : { by: oneOf('--crash-by', crashBy, crashWays) }),
    ...(crashOn === undefined ? {} : { on: vcpusOf(crashOn, crashBy) }),
    ...(crashKernel === undefined ? {} : { crashKernel }),
    ...(crashCmdline === undefined ? {} : { crashCommandLine: crashCmdline }),
    ...(kexecSyscall === undefined
      ? {}
      : { kexecSyscall: oneOf('--kexec-syscall', kexecSyscall, kexecSyscalls) }),
    ...(jobs === undefined ? {} : { jobs: whole('--jobs', jobs, jobCount) }),
    ...(toolstack === undefined ? {} : { toolstack: oneOf('--toolstack', toolstack, toolstacks) }),
  };
}
