/** How an arm64 kernel numbers its CPUs. */
import type { ArmCpuEntry, EnableMethod } from './firmware.js';
import { linuxCpu } from './ids.js';
import type { AcpiUid, Mpidr } from './ids.js';
import { linuxHas } from './linux_versions.js';
import { noLimit, numbersOf, sorted, startFirst, startsOf } from './cpu_limits.js';
import type { CpuLimits, NotTaken, NotTakenReason, Numbered, Numbering } from './cpu_limits.js';

export interface NumberedArmCpu extends Numbered {
  readonly mpidr: Mpidr;
}

/**
 * An arm64 kernel (6.1 and 6.12 arch/arm64/kernel/smp.c, of_parse_and_init_cpus and acpi_parse_and_init_cpus). With a
 * MADT it starts CPUs by PSCI: the FADT is assumed to say so, as Xen's does.
 */
export interface ArmNumbering extends CpuLimits {
  readonly platform: 'arm64';
  /** The kind of table; it decides the effect of an invalid entry. */
  readonly table: 'devicetree' | 'acpi';
  readonly entries: readonly ArmCpuEntry[];
  /** MPIDR_EL1 of the CPU on which the kernel was entered. */
  readonly entryMpidr: Mpidr;
}

interface Taken {
  readonly mpidr: Mpidr;
  readonly acpiUid: AcpiUid | null;
  readonly entry: number;
  readonly enableMethod: EnableMethod;
}

/** An arm64 kernel's progress through the table. */
interface ArmWalk {
  /** By number; a number that was used without a CPU is a gap. Number 0 is the entry CPU's. */
  readonly taken: Map<number, Taken>;
  next: number;
  bootSeen: boolean;
  bootUid: AcpiUid | null;
  readonly notTaken: NotTaken[];
}

function isThere(cpu: ArmCpuEntry, version: string | null | undefined): boolean {
  return cpu.enabled || (cpu.onlineCapable && linuxHas(version, 'online-capable-gicc'));
}

function armReason(walk: ArmWalk, cpu: ArmCpuEntry, numbering: ArmNumbering): NotTakenReason | null {
  const { entryMpidr, configNrCpus = noLimit, version } = numbering;
  if (!isThere(cpu, version)) return 'disabled';
  if (cpu.mpidr === null) return 'no id';
  if ([...walk.taken.values()].some(({ mpidr }) => mpidr === cpu.mpidr)) return 'duplicate';
  if (cpu.mpidr === entryMpidr) return walk.bootSeen ? 'duplicate' : null;
  return walk.next >= configNrCpus ? 'limit' : null;
}

function armStep(walk: ArmWalk, cpu: ArmCpuEntry, entry: number, numbering: ArmNumbering): void {
  const reason = armReason(walk, cpu, numbering);
  if (reason !== null || cpu.mpidr === null) {
    walk.notTaken.push({ entry, reason: reason ?? 'no id' });
    // A rejected device tree node still uses its number (of_parse_and_init_cpus); a rejected GICC entry does not.
    if (numbering.table === 'devicetree') walk.next += 1;
    return;
  }
  if (cpu.mpidr === numbering.entryMpidr) {
    walk.bootSeen = true;
    walk.bootUid = cpu.acpiUid;
    return;
  }
  const { mpidr, acpiUid, enableMethod = 'usable' } = cpu;
  walk.taken.set(walk.next, { mpidr, acpiUid, entry, enableMethod });
  walk.next += 1;
}

const unusable: Readonly<Partial<Record<EnableMethod, NotTakenReason>>> = {
  missing: 'no enable-method',
  unknown: 'unknown enable-method',
  'no address': 'no cpu-release-addr',
};

/** Why the kernel drops a CPU that already has a number (smp.c, smp_init_cpus); null when it keeps the CPU. */
function dropReason(
  walk: ArmWalk,
  number: number,
  method: EnableMethod,
  limit: number,
): NotTakenReason | null {
  if (!walk.bootSeen) return 'boot CPU missing';
  return number >= limit ? 'limit' : (unusable[method] ?? null);
}

/**
 * arm64: number 0 is the entry CPU, whatever its position in the table and its enable-method; the others follow in the
 * order of the table. After that, Linux drops the numbers that exceed `nr_cpus=`, and each CPU whose
 * enable-method it cannot use. A dropped CPU leaves a gap.
 */
export function numberArmCpus(numbering: ArmNumbering): Numbering<NumberedArmCpu> {
  const numbers = numbersOf(numbering);
  const walk: ArmWalk = { taken: new Map(), next: 1, bootSeen: false, bootUid: null, notTaken: [] };
  for (const [entry, cpu] of numbering.entries.entries()) armStep(walk, cpu, entry, numbering);
  const { entryMpidr: mpidr, maxCpus } = numbering;
  const cpus: NumberedArmCpu[] = [
    { cpu: linuxCpu(0), mpidr, acpiUid: walk.bootUid, present: true, started: true },
  ];
  const notTaken = [...walk.notTaken];
  for (const [number, { entry, enableMethod, ...ids }] of walk.taken) {
    const reason = dropReason(walk, number, enableMethod, numbers);
    const present = maxCpus !== 0 && enableMethod === 'usable';
    if (reason !== null) notTaken.push({ entry, reason });
    else cpus.push({ cpu: linuxCpu(number), ...ids, present, started: false });
  }
  return { cpus: startFirst(cpus, startsOf(numbering)), notTaken: sorted(notTaken) };
}
