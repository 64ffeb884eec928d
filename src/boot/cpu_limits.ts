/**
 * What limits the CPUs of a Linux besides the tables of its firmware: the command line's nr_cpus=, maxcpus= and nosmp, and
 * CONFIG_NR_CPUS (Linux kernel/smp.c; for arm64, arch/arm64/kernel/smp.c, smp_init_cpus and smp_prepare_cpus); on x86 also
 * possible_cpus= (6.1 arch/x86/kernel/smpboot.c, prefill_possible_map) and disable_cpu_apicid= (6.1
 * arch/x86/kernel/apic/apic.c, generic_processor_info).
 */
import type { LeftOut } from '../audit/index.js';
import type { KernelCpu } from './guest.js';

/** The options of a command line. */
export interface CpuOptions {
  /** The limit of CPU numbers by `nr_cpus=`; null without one. */
  readonly nrCpus: number | null;
  /** Maximum number of CPUs online after boot, where 0 has the effect of 1; null without such an option. */
  readonly maxCpus: number | null;
  /** The option that set `maxCpus`, e.g. `nosmp`. */
  readonly maxCpusOption: string;
  /** The maximum of possible CPUs by `possible_cpus=`, which only x86 obeys; null without one. */
  readonly possibleCpus: number | null;
  /** The APIC id of `disable_cpu_apicid=`, which only x86 up to 6.8 obeys; null without one. */
  readonly disabledApicId: number | null;
}

const noOptions: CpuOptions = {
  nrCpus: null,
  maxCpus: null,
  maxCpusOption: '',
  possibleCpus: null,
  disabledApicId: null,
};

/** The kernel's own values, as read from its memory. */
export interface CpuLimits {
  /** The CPU numbers that it may ever bring up; null if this cannot be read. */
  readonly possible: ReadonlySet<number> | null;
  /** CONFIG_NR_CPUS; null where it cannot be read. */
  readonly configured: number | null;
  /** `setup_max_cpus`; null where it cannot be read. */
  readonly maxCpus: number | null;
}

/** Splits at spaces outside quotes, and removes the quotes around a value or a word (Linux lib/cmdline.c, next_arg). */
function wordsOf(commandLine: string): string[] {
  const words = commandLine.match(/(?:[^\s"]|"[^"]*(?:"|$))+/g) ?? [];
  return words.map((word) => word.replace(/^"(.*?)"?$/s, '$1').replace(/^([^=]*=)"(.*?)"?$/s, '$1$2'));
}

/** A number as Linux's get_option reads it: decimal, or with the prefix 0x or 0, with an optional sign; 0 without digits. */
function numberOf(text: string): number {
  const [, sign = '', digits = ''] = /^(-?)(0[xX][0-9a-fA-F]+|\d*)/.exec(text) ?? [];
  const octal = /^0[0-7]*/.exec(digits)?.[0] ?? '';
  const isOctal = /^0\d/.test(digits);
  const value = digits === '' ? 0 : isOctal ? Number.parseInt(octal, 8) : Number(digits);
  return (sign === '-' ? -value : value) | 0;
}

/** What an option that has a value sets: `count` is the value as a number. */
const setters: Readonly<
  Record<string, (options: CpuOptions, count: number, value: string) => Partial<CpuOptions>>
> = {
  // setup_max_cpus is unsigned, so a negative number is no limit.
  maxcpus: (_, count, value) => ({ maxCpus: count >>> 0, maxCpusOption: `maxcpus=${value}` }),
  nr_cpus: ({ nrCpus }, count) => (count > 0 ? { nrCpus: Math.min(count, nrCpus ?? count) } : {}),
  possible_cpus: (_, count) => ({ possibleCpus: count > 0 ? count : null }),
  disable_cpu_apicid: (_, count) => ({ disabledApicId: count >= 0 ? count : null }),
};

/** What `word` of a command line sets, after `options`. Without a value only `nosmp` sets anything. */
function setBy(word: string, options: CpuOptions): Partial<CpuOptions> {
  const [, key = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const name = key.replaceAll('-', '_');
  if (name === 'nosmp') return { maxCpus: 0, maxCpusOption: 'nosmp' };
  if (value === '' || !Object.hasOwn(setters, name)) return {};
  return setters[name]?.(options, numberOf(value), value) ?? {};
}

/**
 * The CPU options in `commandLine`, by Linux's rules for early parameters: `-` and `_` are the same, everything after `--` is
 * ignored, the smallest `nr_cpus=` counts, and the last of other options, where `nosmp` is one of `maxcpus=`.
 */
export function cpuOptions(commandLine: string): CpuOptions {
  const words = wordsOf(commandLine);
  const end = words.indexOf('--');
  let options = noOptions;
  for (const word of end < 0 ? words : words.slice(0, end)) {
    options = { ...options, ...setBy(word, options) };
  }
  return options;
}

/** Whether the kernel that has this CPU obeys `possible_cpus=`. */
function isX86({ hardwareIdKind }: KernelCpu): boolean {
  return hardwareIdKind === 'apicId';
}

function whyImpossible(known: KernelCpu, options: CpuOptions, { configured }: CpuLimits): string | null {
  const { linuxCpu: cpu } = known;
  const { nrCpus, possibleCpus } = options;
  if (nrCpus !== null && cpu >= nrCpus) return `nr_cpus=${nrCpus}`;
  if (possibleCpus !== null && cpu >= possibleCpus && isX86(known)) return `possible_cpus=${possibleCpus}`;
  return configured !== null && cpu >= configured ? `CONFIG_NR_CPUS=${configured}` : null;
}

/** With `nosmp` or `maxcpus=0`, Debian's 7.2 counts only the boot CPU as possible; 6.12 and earlier count all CPUs. */
function whyAlone(cpu: number, { maxCpus, maxCpusOption }: CpuOptions): string | null {
  return maxCpus === 0 && cpu > 0 ? maxCpusOption : null;
}

function isPossible(known: KernelCpu, options: CpuOptions, limits: CpuLimits): boolean {
  return limits.possible?.has(known.linuxCpu) ?? whyImpossible(known, options, limits) === null;
}

/** Why the boot does not start the possible CPU that is number `place`, from 0, of the possible ones. */
function whyNotStarted(place: number, options: CpuOptions, limits: CpuLimits): string | null {
  const maxCpus = limits.maxCpus ?? options.maxCpus ?? Infinity;
  if (place < Math.max(maxCpus, 1)) return null;
  return maxCpus === options.maxCpus ? options.maxCpusOption : `maxcpus=${maxCpus}`;
}

/**
 * The CPUs that the kernel need not bring up when it boots, and why. Without `limits`, only the options are used.
 * A CPU that the kernel does not count as possible for an unknown reason is not included. `maxcpus=` counts the CPUs that are brought up,
 * in the order of their numbers, whatever the numbers are (Linux 6.1 kernel/cpu.c, bringup_nonboot_cpus).
 */
export function leftOutOf(
  cpus: readonly KernelCpu[],
  options: CpuOptions,
  limits: CpuLimits = { possible: null, configured: null, maxCpus: null },
): LeftOut[] {
  const possible = cpus
    .filter((known) => isPossible(known, options, limits))
    .map(({ linuxCpu }) => linuxCpu)
    .sort((a, b) => a - b);
  return cpus.flatMap((known) => {
    const { linuxCpu: cpu, vcpu } = known;
    const place = possible.indexOf(cpu);
    const why =
      place < 0
        ? (whyImpossible(known, options, limits) ?? whyAlone(cpu, options))
        : whyNotStarted(place, options, limits);
    return why === null ? [] : [{ vcpu, why }];
  });
}
