/** The arguments of `domulator boot`, and the request that they make. */
import { InputError, isUsable } from '../../base/index.js';
import {
  architectureNames,
  cpuModels,
  engineKinds,
  guestTypes,
  memoryMiB,
  parseKernelSpec,
  runLimits,
  seeds,
  vcpuCount,
  onReboots,
  onSoftResets,
  unpacks,
  whatIfs,
  xenReleases,
} from '../../library/index.js';
import type {
  BootRequest,
  EngineKind,
  KernelSpec,
  OnReboot,
  OnSoftReset,
  Range,
  Unpack,
  WhatIf,
} from '../../library/index.js';
import { checkValue } from '../option_values.js';

export interface BootArguments {
  readonly kernel?: string;
  readonly arch?: string;
  readonly type?: string;
  readonly cpu?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly vcpus?: string;
  readonly memory?: string;
  readonly xen?: string;
  readonly seed?: string;
  readonly engine?: string;
  readonly xenstore: boolean;
  readonly onReboot?: string;
  readonly onSoftReset?: string;
  readonly unpack?: string;
  readonly whatIf?: string;
  readonly entryVcpu?: string;
  readonly until?: string;
  readonly limit?: string;
  readonly mirror?: string;
  readonly trace?: string;
  readonly report?: string;
  readonly junit?: string;
  readonly sarif?: string;
  readonly script?: string;
  /** The file of a checkpoint to go on from. */
  readonly from?: string;
  /** The file of a checkpoint to write, and where. */
  readonly checkpoint?: string;
  readonly checkpointAt?: string;
  /** The command and its arguments, after `--`. */
  readonly command?: readonly string[];
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly bisect?: boolean;
}

type Bounds = Pick<Range, 'least' | 'most'>;

function isWhole(text: string, { least, most }: Bounds): boolean {
  return /^\d{1,16}$/.test(text) && Number(text) >= least && Number(text) <= most;
}

/** `note` follows the limits in the error message. */
export function whole(option: string, text: string, bounds: Bounds, note = ''): number {
  if (isWhole(text, bounds)) return Number(text);
  throw new InputError(
    `${option} takes a whole number from ${bounds.least} to ${bounds.most}${note}, not '${text}'`,
  );
}

export function oneOf<const T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new InputError(`${option} takes ${choices.join(' or ')}, not '${text}'`);
}

/** The pattern of `line:REGEX`; null for another text. */
function lineOf(option: string, text: string): RegExp | null {
  const pattern = /^line:(.+)$/s.exec(text)?.[1];
  if (pattern === undefined) return null;
  const shown = pattern.length > 100 ? `${pattern.slice(0, 100)}...` : pattern;
  let line: RegExp;
  try {
    line = new RegExp(pattern);
  } catch {
    throw new InputError(`${option} line: '${shown}' is not a valid regular expression`);
  }
  if (isUsable(line)) return line;
  throw new InputError(`${option} line: '${shown}' is too large a regular expression`);
}

function untilOf(text: string): NonNullable<BootRequest['until']> {
  if (text === 'userspace' || text === 'poweroff') return text;
  const pattern = lineOf('--until', text);
  if (pattern !== null) return pattern;
  throw new InputError(`--until takes userspace, poweroff or line:REGEX, not '${text}'`);
}

/** The value of --arch. Throws InputError if it is none. */
export function archOf(text: string): keyof typeof architectureNames {
  const names = Object.keys(architectureNames) as (keyof typeof architectureNames)[];
  return oneOf('--arch', text, names);
}

function typeOf(text: string): (typeof guestTypes)[number] {
  return oneOf('--type', text, guestTypes);
}

/** Where a checkpoint is written: user space, a line of the console, or seconds of guest time. */
export type CheckpointPlace = 'userspace' | RegExp | number;

function placeOf(text: string): CheckpointPlace {
  if (text === 'userspace') return text;
  const seconds = /^time:(\d{1,7}(?:\.\d{1,9})?)$/.exec(text)?.[1];
  const place = seconds === undefined ? lineOf('--checkpoint-at', text) : Number(seconds);
  if (place !== null && !(typeof place === 'number' && place > runLimits.guestSeconds.most)) return place;
  throw new InputError(
    `--checkpoint-at takes userspace, line:REGEX or time:SECONDS, to ${runLimits.guestSeconds.most} s, not '${text}'`,
  );
}

/** Where to write which file; null without --checkpoint. Throws InputError if one of the two options is missing or invalid. */
export function checkpointOf({
  checkpoint,
  checkpointAt,
}: BootArguments): { readonly file: string; readonly place: CheckpointPlace } | null {
  if (checkpoint === undefined && checkpointAt === undefined) return null;
  if (checkpointAt === undefined)
    throw new InputError('--checkpoint needs --checkpoint-at: userspace, line:REGEX or time:SECONDS');
  if (checkpoint === undefined) throw new InputError('--checkpoint-at needs --checkpoint, the file to write');
  return { file: checkpoint, place: placeOf(checkpointAt) };
}

/** Options that --from excludes, because the boot that wrote the checkpoint settled them. */
const settledBefore = {
  kernel: '--kernel',
  arch: '--arch',
  type: '--type',
  cpu: '--cpu',
  initrd: '--initrd',
  cmdline: '--cmdline',
  vcpus: '--vcpus',
  memory: '--memory',
  xen: '--xen',
  onReboot: '--on-reboot',
  onSoftReset: '--on-soft-reset',
  unpack: '--unpack',
  whatIf: '--what-if',
  entryVcpu: '--entry-vcpu',
  mirror: '--mirror',
} as const satisfies Partial<Readonly<Record<keyof BootArguments, string>>>;

function checkFrom(args: BootArguments): void {
  if (args.from === undefined) return;
  const given = Object.entries(settledBefore).find(
    ([name]) => args[name as keyof typeof settledBefore] !== undefined,
  );
  const option = args.xenstore ? given?.[1] : '--no-xenstore';
  if (option === undefined) return;
  throw new InputError(
    `--from and ${option} exclude each other: the checkpoint has it from its boot; leave out ${option}`,
  );
}

/** Options that cannot be combined with a restart after a reboot. */
function checkRestart({ onReboot, whatIf }: BootArguments): void {
  if (onReboot !== 'restart' || whatIf === undefined) return;
  throw new InputError(
    '--on-reboot restart and --what-if exclude each other: what-if is not carried on into the domain after a reboot; leave out one of them',
  );
}

/** `SECONDS`, `SECONDS,INSTRUCTIONS` or `,INSTRUCTIONS`. */
function limitsOf(text: string): NonNullable<BootRequest['limits']> {
  const [, seconds = '', instructions = ''] = /^(\d*)(?:,(\d+))?$/.exec(text) ?? [];
  const hasSeconds = isWhole(seconds, runLimits.guestSeconds);
  const hasInstructions = isWhole(instructions, runLimits.instructions);
  const isRight = (hasSeconds || seconds === '') && (hasInstructions || instructions === '');
  if (!isRight || !(hasSeconds || hasInstructions))
    throw new InputError(
      `--limit takes SECONDS, SECONDS,INSTRUCTIONS or ,INSTRUCTIONS, from 1 to ${runLimits.guestSeconds.most} s ` +
        `and from 1 to ${runLimits.instructions.most} instructions, not '${text}'`,
    );
  return {
    ...(hasSeconds ? { guestSeconds: Number(seconds) } : {}),
    ...(hasInstructions ? { instructions: Number(instructions) } : {}),
  };
}

function entryVcpuOf(text: string, vcpus: number): number {
  return whole(
    '--entry-vcpu',
    text,
    { least: 0, most: vcpus - 1 },
    ` with ${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'}`,
  );
}

type Reader<K extends keyof BootRequest> = (text: string) => NonNullable<BootRequest[K]>;

/** `read(text)` under the name of the request's field; empty if the option was not given. */
function given<K extends keyof BootRequest>(
  name: K,
  text: string | undefined,
  read: Reader<K>,
): Pick<BootRequest, K> | Record<string, never> {
  return text === undefined ? {} : ({ [name]: read(text) } as Pick<BootRequest, K>);
}

/** Options that cannot be combined with a command or a script. */
function checkCommand(args: BootArguments, kernel: KernelSpec | undefined): void {
  const { command, script, until, cmdline = '' } = args;
  if (command === undefined && script === undefined) return;
  const what = script === undefined ? 'a command' : '--script';
  checkWords(args);
  if (kernel?.kind === 'builtin')
    throw new InputError(`the builtin guest has no user space that could run ${what}; give another --kernel`);
  if (until !== undefined && until !== 'poweroff')
    throw new InputError(`--until ${until} and ${what} exclude each other: the run ends with the command`);
  if (/(^|\s)rdinit=/.test(cmdline))
    throw new InputError(`rdinit= on the command line and ${what} exclude each other; leave out rdinit=`);
}

/** The words after `--`. */
function checkWords({ command, script }: BootArguments): void {
  if (command === undefined) return;
  if (command.length === 0) throw new InputError("no command follows '--'; give one, or leave out '--'");
  if (script !== undefined)
    throw new InputError("--script and a command after '--' exclude each other; give one of them");
  if (command.some((word) => word.includes('\ufffd')))
    throw new InputError(
      'the command holds bytes that are not UTF-8; put it into a file and give that to --script',
    );
}

/** Options that have no effect on the builtin guest. */
function checkBuiltin({ initrd, mirror }: BootArguments, kernel?: KernelSpec): void {
  if (kernel?.kind !== 'builtin') return;
  if (initrd !== undefined) throw new InputError('the builtin guest takes no initrd; leave out --initrd');
  if (mirror !== undefined) throw new InputError('the builtin guest needs no mirror; leave out --mirror');
}

const asIs = (text: string): string => text;

/** The request of a boot, with its kernel as it was parsed. */
export type ParsedRequest = BootRequest & { readonly kernel?: KernelSpec };

/** What kind of guest it is, and how it is run. */
function guestOf({
  arch,
  type,
  cpu,
  engine,
  unpack,
  whatIf,
}: BootArguments): Pick<BootRequest, 'arch' | 'type' | 'cpu' | 'engine' | 'unpack' | 'whatIf'> {
  return {
    ...given('arch', arch, archOf),
    ...given('type', type, typeOf),
    ...given('cpu', cpu, (text) => oneOf('--cpu', text, cpuModels)),
    ...given('engine', engine, (text): EngineKind => oneOf('--engine', text, engineKinds)),
    ...given('unpack', unpack, (text): Unpack => oneOf('--unpack', text, unpacks)),
    ...given('whatIf', whatIf, (text): WhatIf => oneOf('--what-if', text, whatIfs)),
  };
}

/** What the toolstack is to do when the guest asks for something. */
function orders({ onReboot, onSoftReset }: BootArguments): Pick<BootRequest, 'onReboot' | 'onSoftReset'> {
  return {
    ...given('onReboot', onReboot, (text): OnReboot => oneOf('--on-reboot', text, onReboots)),
    ...given('onSoftReset', onSoftReset, (text): OnSoftReset => oneOf('--on-soft-reset', text, onSoftResets)),
  };
}

/** The request that the arguments make. Throws InputError on an invalid argument. */
export function bootRequest(args: BootArguments): ParsedRequest {
  const { initrd, mirror, trace, report, junit, sarif, script, from, checkpoint } = args;
  for (const [option, value] of Object.entries({
    kernel: args.kernel,
    initrd,
    mirror,
    trace,
    report,
    junit,
    sarif,
    script,
    from,
    checkpoint,
    'checkpoint-at': args.checkpointAt,
  })) {
    checkValue(`--${option}`, value);
  }
  checkFrom(args);
  checkpointOf(args);
  checkRestart(args);
  const kernel = args.kernel === undefined ? undefined : parseKernelSpec(args.kernel);
  checkBuiltin(args, kernel);
  checkCommand(args, kernel);
  const vcpus = given('vcpus', args.vcpus, (text) => whole('--vcpus', text, vcpuCount));
  return {
    ...(kernel === undefined ? {} : { kernel }),
    ...guestOf(args),
    ...given('initrd', initrd, asIs),
    ...given('commandLine', args.cmdline, asIs),
    ...vcpus,
    ...given('memoryMiB', args.memory, (text) =>
      whole('--memory', text, memoryMiB, ' (MiB, without a unit)'),
    ),
    ...given('xen', args.xen, (text) => oneOf('--xen', text, xenReleases)),
    ...given('seed', args.seed, (text) => whole('--seed', text, seeds)),
    ...given('from', from, asIs),
    ...(args.xenstore ? {} : { xenstore: false }),
    ...orders(args),
    ...given('entryVcpu', args.entryVcpu, (text) => entryVcpuOf(text, vcpus.vcpus ?? vcpuCount.usual)),
    ...given('until', args.until, untilOf),
    ...given('limits', args.limit, limitsOf),
    ...given('mirror', mirror, asIs),
    ...given('script', script, asIs),
    ...(args.command === undefined ? {} : { command: args.command }),
  };
}
