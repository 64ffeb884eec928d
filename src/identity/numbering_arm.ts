/** How an arm64 kernel numbers its CPUs. */
import type { ArmCpuEntry } from './firmware.js';
import { linuxCpu } from './ids.js';
import type { AcpiUid, Mpidr } from './ids.js';
import { noLimit, numbersOf, sorted, startFirst, startsOf } from './cpu_limits.js';
import type { CpuLimits, NotTaken, NotTakenReason, Numbered, Numbering } from './cpu_limits.js';

export interface NumberedArmCpu extends Numbered {
  readonly mpidr: Mpidr;
}

/**
 * An arm64 kernel (6.1 arch/arm64/kernel/smp.c, of_parse_and_init_cpus and acpi_parse_and_init_cpus). 6.11 and later
 * also count GICC entries that are only online-capable; such entries are taken for disabled here.
 */
export interface ArmNumbering extends CpuLimits {
  readonly platform: 'arm64';
  /** Where the entries are from; it changes what a faulty entry does. */
  readonly table: 'devicetree' | 'acpi';
  readonly entries: readonly ArmCpuEntry[];
  /** MPIDR_EL1 of the CPU on which the kernel was entered. */
  readonly entryMpidr: Mpidr;
}

/** An arm64 kernel's progress through the table. */
interface ArmWalk {
  /** By number; a number that was used up without a CPU is a hole. Number 0 is the entry CPU's. */
  readonly taken: Map<number, { mpidr: Mpidr; acpiUid: AcpiUid | null; entry: number }>;
  next: number;
  bootSeen: boolean;
  bootUid: AcpiUid | null;
  readonly notTaken: NotTaken[];
}

function armReason(walk: ArmWalk, cpu: ArmCpuEntry, boot: Mpidr, limit: number): NotTakenReason | null {
  if (!cpu.enabled) return 'disabled';
  if (cpu.mpidr === null) return 'no id';
  if ([...walk.taken.values()].some(({ mpidr }) => mpidr === cpu.mpidr)) return 'duplicate';
  if (cpu.mpidr === boot) return walk.bootSeen ? 'duplicate' : null;
  return walk.next >= limit ? 'limit' : null;
}

function armStep(walk: ArmWalk, cpu: ArmCpuEntry, entry: number, numbering: ArmNumbering): void {
  const reason = armReason(walk, cpu, numbering.entryMpidr, numbering.configNrCpus ?? noLimit);
  if (reason !== null || cpu.mpidr === null) {
    walk.notTaken.push({ entry, reason: reason ?? 'no id' });
    // A device tree node that is refused uses its number up (of_parse_and_init_cpus); a GICC entry does not.
    if (numbering.table === 'devicetree') walk.next += 1;
    return;
  }
  if (cpu.mpidr === numbering.entryMpidr) {
    walk.bootSeen = true;
    walk.bootUid = cpu.acpiUid;
    return;
  }
  walk.taken.set(walk.next, { mpidr: cpu.mpidr, acpiUid: cpu.acpiUid, entry });
  walk.next += 1;
}

/**
 * arm64: number 0 is the entry CPU, wherever it stands; the others follow in the order of the table. With
 * `nr_cpus=` the numbers from there on are dropped after the walk.
 */
export function numberArmCpus(numbering: ArmNumbering): Numbering<NumberedArmCpu> {
  const numbers = numbersOf(numbering);
  const walk: ArmWalk = { taken: new Map(), next: 1, bootSeen: false, bootUid: null, notTaken: [] };
  for (const [entry, cpu] of numbering.entries.entries()) armStep(walk, cpu, entry, numbering);
  const boot: NumberedArmCpu = {
    cpu: linuxCpu(0),
    mpidr: numbering.entryMpidr,
    acpiUid: walk.bootUid,
    present: true,
    started: true,
  };
  const cpus = [boot];
  const notTaken = [...walk.notTaken];
  for (const [number, { mpidr, acpiUid, entry }] of walk.taken) {
    if (!walk.bootSeen) notTaken.push({ entry, reason: 'boot CPU missing' });
    else if (number >= numbers) notTaken.push({ entry, reason: 'limit' });
    else {
      const present = numbering.maxCpus !== 0;
      cpus.push({ cpu: linuxCpu(number), mpidr, acpiUid, present, started: false });
    }
  }
  return { cpus: startFirst(cpus, startsOf(numbering)), notTaken: sorted(notTaken) };
}
