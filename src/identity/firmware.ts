/**
 * What a MADT says about CPUs, in this module's terms: its entries of type 0, 9 and 11 in the order of the table, which is
 * the order in which Linux numbers CPUs. `firmware_tree.ts` does the same for a device tree.
 */
import { ACPI_MADT_ENABLED, ACPI_MADT_GICC_ONLINE_CAPABLE, ACPI_MADT_ONLINE_CAPABLE } from '../abi/index.js';
import type { Madt, MadtEntry, MadtGicc } from '../abi/index.js';
import { acpiUid, apicId, broadcastApicId, everyAcpiUid, mpidr } from './ids.js';
import type { AcpiUid, ApicId, Mpidr } from './ids.js';

/** A CPU as a MADT entry of type 0 or 9 describes it. */
export interface X86CpuEntry {
  readonly type: 'local_apic' | 'local_x2apic';
  /** Null where the field is the broadcast address (0xff in type 0, all ones in type 9), which no CPU has. */
  readonly apicId: ApicId | null;
  /** Null where a type 9 entry contains all ones. */
  readonly acpiUid: AcpiUid | null;
  readonly enabled: boolean;
  readonly onlineCapable: boolean;
}

/**
 * What Linux can do with a device tree node's `enable-method` (arch/arm64/kernel/cpu_ops.c, psci.c, smp_spin_table.c):
 * start the CPU with it; ignore the CPU, because there is no enable-method, or it is neither `psci` nor `spin-table`, or the spin
 * table's address is missing; or keep the CPU as possible without ever starting it (`not ready`: PSCI without a way to call
 * CPU_ON, or a spin table at address 0).
 */
export type EnableMethod = 'usable' | 'missing' | 'unknown' | 'no address' | 'not ready';

/** A CPU as a GICC entry or a device tree node describes it. */
export interface ArmCpuEntry {
  /** Null where there is none, or where bits other than affinity are set (Linux accepts neither). */
  readonly mpidr: Mpidr | null;
  /** Null in a device tree, and where a GICC entry contains all ones. */
  readonly acpiUid: AcpiUid | null;
  readonly enabled: boolean;
  readonly onlineCapable: boolean;
  /** Only for a device tree node; a GICC entry has none (default: usable). */
  readonly enableMethod?: EnableMethod;
}

function uidOrNull(value: number): AcpiUid | null {
  return value === everyAcpiUid ? null : acpiUid(value);
}

/** The affinity in `value`, if no other bits are set: firmware must leave out RES1, U and MT. */
export function pureAffinity(value: bigint): Mpidr | null {
  return (value & ~0xff_00ff_ffffn) === 0n ? mpidr(value) : null;
}

function x86Entry(entry: MadtEntry): X86CpuEntry[] {
  if (entry.kind !== 'local_apic' && entry.kind !== 'local_x2apic') return [];
  const flags = {
    enabled: (entry.flags & ACPI_MADT_ENABLED) !== 0,
    onlineCapable: (entry.flags & ACPI_MADT_ONLINE_CAPABLE) !== 0,
  };
  const uid = uidOrNull(entry.acpi_processor_uid);
  if (entry.kind === 'local_apic') {
    return [
      {
        type: entry.kind,
        apicId: entry.apic_id === 0xff ? null : apicId(entry.apic_id),
        acpiUid: uid,
        ...flags,
      },
    ];
  }
  const id = entry.x2apic_id === broadcastApicId ? null : apicId(entry.x2apic_id);
  return [{ type: entry.kind, apicId: id, acpiUid: uid, ...flags }];
}

/** The CPUs of a MADT's entries of type 0 and 9, in the order of the table. */
export function x86CpusOfMadt(madt: Madt): X86CpuEntry[] {
  return madt.entries.flatMap(x86Entry);
}

function giccEntry(entry: MadtGicc): ArmCpuEntry {
  return {
    mpidr: pureAffinity(entry.mpidr),
    acpiUid: uidOrNull(entry.acpi_processor_uid),
    enabled: (entry.flags & ACPI_MADT_ENABLED) !== 0,
    onlineCapable: (entry.flags & ACPI_MADT_GICC_ONLINE_CAPABLE) !== 0,
  };
}

/** The CPUs of a MADT's entries of type 11, in the order of the table. */
export function armCpusOfMadt(madt: Madt): ArmCpuEntry[] {
  return madt.entries.flatMap((entry) => (entry.kind === 'gicc' ? [giccEntry(entry)] : []));
}

/** The CPUs of a MADT's entries of type 0, 9 and 11, in the order of the table. */
export function cpusOfMadt(madt: Madt): (X86CpuEntry | ArmCpuEntry)[] {
  return madt.entries.flatMap((entry): (X86CpuEntry | ArmCpuEntry)[] =>
    entry.kind === 'gicc' ? [giccEntry(entry)] : x86Entry(entry),
  );
}
