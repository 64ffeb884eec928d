/** The arguments of `domulator boot`, as the user writes them, and what they mean. */
import { InputError } from '../../base/index.js';
import { defaultLimits, maxVcpus } from '../../boot/index.js';
import type { BootOptions, Until, WhatIf } from '../../boot/index.js';

export interface BootArguments {
  readonly kernel: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly vcpus: string;
  readonly memory: string;
  readonly xen: string;
  readonly seed: string;
  readonly xenstore: boolean;
  readonly whatIf?: string;
  readonly entryVcpu: string;
  readonly until?: string;
  readonly limit?: string;
  readonly report?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly bisect?: boolean;
  readonly mirror?: string;
}

function whole(option: string, text: string, low: number, high: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= low && value <= high) return value;
  throw new InputError(`${option} takes a whole number from ${low} to ${high}, not '${text}'`);
}

function oneOf<const T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new InputError(`${option} takes ${choices.join(' or ')}, not '${text}'`);
}

function untilOf(text: string): Until {
  if (text === 'userspace' || text === 'poweroff') return { kind: text };
  const pattern = /^line:(.+)$/s.exec(text)?.[1];
  if (pattern === undefined)
    throw new InputError(`--until takes userspace, poweroff or line:REGEX, not '${text}'`);
  try {
    return { kind: 'line', pattern: new RegExp(pattern) };
  } catch {
    throw new InputError(`--until line: '${pattern}' is no regular expression`);
  }
}

/** `SECONDS`, `SECONDS,INSTRUCTIONS` or `,INSTRUCTIONS`. */
function limitsOf(text: string | undefined, vcpus: number): BootOptions['limits'] {
  const limits = defaultLimits(vcpus);
  if (text === undefined) return limits;
  const [seconds = '', instructions = ''] = text.split(',', 2);
  if (seconds === '' && instructions === '')
    throw new InputError('--limit takes SECONDS, or SECONDS,INSTRUCTIONS');
  const mostSeconds = 1_000_000;
  return {
    guestNs:
      seconds === '' ? limits.guestNs : BigInt(whole('--limit', seconds, 1, mostSeconds)) * 1_000_000_000n,
    instructions:
      instructions === '' ? limits.instructions : whole('--limit', instructions, 1, Number.MAX_SAFE_INTEGER),
  };
}

/** What the arguments ask for, but for kernel and initrd, which must be read first. */
export type BootRequest = Omit<BootOptions, 'kernel' | 'initrd' | 'until'> & { readonly until: Until | null };

/** The request that `given` makes. Throws {@link InputError} with one line for what cannot be asked. */
export function bootRequest(given: BootArguments): BootRequest {
  const vcpus = whole('--vcpus', given.vcpus, 1, maxVcpus);
  const whatIf: WhatIf | null =
    given.whatIf === undefined ? null : oneOf('--what-if', given.whatIf, ['as-posted', 'as-tested']);
  return {
    commandLine: given.cmdline ?? 'console=ttyAMA0',
    vcpus,
    memoryMiB: whole('--memory', given.memory, 64, 3072),
    release: oneOf('--xen', given.xen, ['4.17', '4.18']),
    seed: whole('--seed', given.seed, 0, Number.MAX_SAFE_INTEGER),
    xenstore: given.xenstore,
    whatIf,
    entryVcpu: whole('--entry-vcpu', given.entryVcpu, 0, vcpus - 1),
    until: given.until === undefined ? null : untilOf(given.until),
    limits: limitsOf(given.limit, vcpus),
  };
}
