/**
 * What all platforms share in the numbering of CPUs: the limits of a kernel, the CPUs that it numbered, and
 * the entries of the firmware's table that got no number.
 */
import { InputError } from '../base/index.js';
import type { AcpiUid, LinuxCpu } from './ids.js';

/** The Linux version, and the limits on its CPUs. */
export interface CpuLimits {
  /**
   * What the kernel calls itself (`uname -r`, or its banner), which decides the rules of its version. Null, or text
   * without a version in it, stands for Linux 6.1 (default: null).
   */
  readonly version?: string | null;
  /** CONFIG_NR_CPUS, 1 to 8192. Usually 8192 here, so that it limits nothing. */
  readonly configNrCpus?: number;
  /** `nr_cpus=` on the command line: CPU numbers are below this. 1 or more. */
  readonly nrCpus?: number;
  /** `maxcpus=`: how many CPUs the boot brings up; the others keep their numbers. 0 has the effect of `nosmp`. */
  readonly maxCpus?: number;
}

/** Why an entry of the table got no number of its own. */
export type NotTakenReason =
  /** The entry's id cannot be a CPU's: a broadcast APIC id, or an invalid affinity. */
  | 'no id'
  /** Not enabled (nor online-capable, where Linux checks that). */
  | 'disabled'
  /** Arm: the device tree node has no enable-method. */
  | 'no enable-method'
  /** Arm: the node's enable-method is neither `psci` nor `spin-table`. */
  | 'unknown enable-method'
  /** Arm: the node's enable-method is `spin-table`, and it has no cpu-release-addr of 64 bits. */
  | 'no cpu-release-addr'
  /** Its id was seen before. On x86 the CPU that has it takes over the UID of this entry. */
  | 'duplicate'
  /** x86: a type 9 entry with an id below 255 beside type 0 entries (Linux ec9aedb2aa1a). */
  | 'x2apic below 255'
  /** x86: an id of 255 or more, and the kernel was not entered in x2APIC mode. */
  | 'x2apic off'
  /** x86: an id of 32768 or more. */
  | 'id too big'
  /** nr_cpus= or NR_CPUS. */
  | 'limit'
  /** The CPU that a crash kernel assumes to be the one that firmware booted; an INIT would reset the machine. */
  | 'real BSP'
  /** `disable_cpu_apicid=` names the CPU. */
  | 'disable_cpu_apicid'
  /** Arm: the entry CPU is not in the table, so Linux starts no other. */
  | 'boot CPU missing';

export interface NotTaken {
  /** Which entry, counted from 0. */
  readonly entry: number;
  readonly reason: NotTakenReason;
}

/** What is known about a numbered CPU on either platform. All numbered CPUs are in cpu_possible_mask. */
export interface Numbered {
  readonly cpu: LinuxCpu;
  /** The CPU's UID as Linux knows it; null when it knows none. */
  readonly acpiUid: AcpiUid | null;
  /** In cpu_present_mask: it could be started now. The others are only possible. */
  readonly present: boolean;
  /** The boot starts it, within `maxcpus=`. The hypervisor may still refuse a CPU that is only online-capable. */
  readonly started: boolean;
}

/** A kernel's CPUs. Numbers ascend; on Arm with a device tree there may be gaps. CPU 0 is the entry CPU. */
export interface Numbering<Cpu> {
  readonly cpus: readonly Cpu[];
  readonly notTaken: readonly NotTaken[];
}

/** More CPUs than any Linux is built for (CONFIG_NR_CPUS is 8192 at most). */
export const noLimit = 8192;

/** nr_cpu_ids: how many numbers there are. Throws {@link InputError} on limits that no kernel takes. */
export function numbersOf({ configNrCpus = noLimit, nrCpus = noLimit }: CpuLimits): number {
  for (const [limit, what] of [
    [configNrCpus, 'NR_CPUS'],
    [nrCpus, 'nr_cpus='],
  ] as const) {
    if (!Number.isInteger(limit) || limit < 1) {
      throw new InputError(`${what} must be a whole number of at least 1, not ${limit}`);
    }
  }
  return Math.min(configNrCpus, nrCpus, noLimit);
}

/** `numbers`, or as many as `possible_cpus=` allows. Throws {@link InputError} on a limit that no kernel takes. */
export function atMostPossible(numbers: number, possibleCpus = noLimit): number {
  if (Number.isInteger(possibleCpus) && possibleCpus >= 1) return Math.min(numbers, possibleCpus);
  throw new InputError(`possible_cpus= must be a whole number of at least 1, not ${possibleCpus}`);
}

/** How many CPUs the boot brings up, including the entry CPU. */
export function startsOf({ maxCpus = noLimit }: CpuLimits): number {
  if (!Number.isInteger(maxCpus) || maxCpus < 0) {
    throw new InputError(`maxcpus= must be a whole number of at least 0, not ${maxCpus}`);
  }
  return Math.max(maxCpus, 1);
}

/** Sets `started` on the first `starts` CPUs that are present (kernel/cpu.c, bringup_nonboot_cpus). */
export function startFirst<Cpu extends Numbered>(cpus: readonly Cpu[], starts: number): Cpu[] {
  let left = starts;
  return cpus.map((cpu) => {
    const started = cpu.present && left > 0;
    if (started) left -= 1;
    return { ...cpu, started };
  });
}

/** By entry. */
export function sorted(notTaken: NotTaken[]): NotTaken[] {
  return notTaken.toSorted((a, b) => a.entry - b.entry);
}
