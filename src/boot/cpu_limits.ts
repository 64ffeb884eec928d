/**
 * What limits the CPUs of a Linux besides the tables of its firmware: the command line's nr_cpus=, maxcpus= and nosmp, and
 * CONFIG_NR_CPUS (Linux kernel/smp.c; for arm64, arch/arm64/kernel/smp.c, smp_init_cpus and smp_prepare_cpus).
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
}

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

/**
 * The CPU options in `commandLine`, by Linux's rules for early parameters: `-` and `_` are the same, everything after `--` is
 * ignored, the last of `maxcpus=` and `nosmp` counts, and the smallest `nr_cpus=` counts.
 */
export function cpuOptions(commandLine: string): CpuOptions {
  const words = wordsOf(commandLine);
  const end = words.indexOf('--');
  let options: CpuOptions = { nrCpus: null, maxCpus: null, maxCpusOption: '' };
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const [, key = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const name = key.replaceAll('-', '_');
    const count = numberOf(value);
    if (name === 'nosmp') options = { ...options, maxCpus: 0, maxCpusOption: 'nosmp' };
    // setup_max_cpus is unsigned, so a negative number is no limit. Without a value nothing is set.
    else if (name === 'maxcpus' && value !== '') {
      options = { ...options, maxCpus: count >>> 0, maxCpusOption: `maxcpus=${value}` };
    } else if (name === 'nr_cpus' && count > 0) {
      options = { ...options, nrCpus: Math.min(count, options.nrCpus ?? count) };
    }
  }
  return options;
}

function whyImpossible(cpu: number, { nrCpus }: CpuOptions, { configured }: CpuLimits): string | null {
  if (nrCpus !== null && cpu >= nrCpus) return `nr_cpus=${nrCpus}`;
  return configured !== null && cpu >= configured ? `CONFIG_NR_CPUS=${configured}` : null;
}

/** With `nosmp` or `maxcpus=0`, Debian's 7.2 counts only the boot CPU as possible; 6.12 and earlier count all CPUs. */
function whyAlone(cpu: number, { maxCpus, maxCpusOption }: CpuOptions): string | null {
  return maxCpus === 0 && cpu > 0 ? maxCpusOption : null;
}

function whyLeftOut(cpu: number, options: CpuOptions, limits: CpuLimits): string | null {
  const isPossible = limits.possible?.has(cpu) ?? whyImpossible(cpu, options, limits) === null;
  if (!isPossible) return whyImpossible(cpu, options, limits) ?? whyAlone(cpu, options);
  const maxCpus = limits.maxCpus ?? options.maxCpus ?? Infinity;
  if (cpu < Math.max(maxCpus, 1)) return null;
  return maxCpus === options.maxCpus ? options.maxCpusOption : `maxcpus=${maxCpus}`;
}

/**
 * The CPUs that the kernel need not bring up when it boots, and why. Without `limits`, only the options are used.
 * A CPU that the kernel does not count as possible for an unknown reason is not included.
 */
export function leftOutOf(
  cpus: readonly KernelCpu[],
  options: CpuOptions,
  limits: CpuLimits = { possible: null, configured: null, maxCpus: null },
): LeftOut[] {
  return cpus.flatMap(({ linuxCpu, vcpu }) => {
    const why = whyLeftOut(linuxCpu, options, limits);
    return why === null ? [] : [{ vcpu, why }];
  });
}
