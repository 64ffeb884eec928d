/** How an x86 kernel numbers its CPUs: up to 6.8, and from 6.9 on. */
import type { X86CpuEntry } from './firmware.js';
import { linuxCpu } from './ids.js';
import type { AcpiUid, ApicId } from './ids.js';
import { numbersOf, sorted, startFirst, startsOf } from './cpu_limits.js';
import type { CpuLimits, NotTaken, NotTakenReason, Numbered, Numbering } from './cpu_limits.js';

export interface NumberedX86Cpu extends Numbered {
  readonly apicId: ApicId;
}

/** An x86 kernel. */
export interface X86Numbering extends CpuLimits {
  readonly platform: 'x86_64';
  readonly rule: '<=6.8' | '>=6.9';
  readonly entries: readonly X86CpuEntry[];
  /** APIC id of the CPU on which the kernel was entered. */
  readonly entryApicId: ApicId;
  /**
   * >=6.9 only: bit 8 (BSP) of the entry CPU's IA32_APIC_BASE; Xen sets it on vCPU 0 alone. Null, as when left
   * out, for the first 6.9 kernels, which do not look at it (before commit 9d22c96316ac of May 2024).
   */
  readonly entryHasBspBit?: boolean | null;
  /** `disable_cpu_apicid=`, which kdump set-ups pass to kernels up to 6.8; 6.9 knows it no more. */
  readonly disableCpuApicId?: ApicId | null;
  /** Whether the FADT is of ACPI 6.3 or later, so that Linux heeds the online-capable flag. Xen's is older. */
  readonly onlineCapableHeeded?: boolean;
  /** Whether the kernel was entered in x2APIC mode, without which it takes no id from 255 on. True when left out. */
  readonly x2apicMode?: boolean;
}

/** Ids from this on are refused (arch/x86/include/asm/apicdef.h, MAX_LOCAL_APIC on 64 bits). */
const maxLocalApic = 32_768;

interface X86Slot {
  readonly apicId: ApicId;
  acpiUid: AcpiUid | null;
  present: boolean;
}

/** An x86 kernel's progress through the table. `slots` is by Linux number; slot 0 is the entry CPU's. */
interface X86Walk {
  readonly slots: X86Slot[];
  readonly notTaken: NotTaken[];
  /** <=6.8: processors counted, duplicates too; >=6.9: not used. */
  counted: number;
  /** <=6.8: the entry CPU has been counted. >=6.9: which APIC id is the real BSP's is settled. */
  settled: boolean;
  numbers: number;
  /** >=6.9: entries that are not enabled, which get the numbers that are left. */
  readonly absent: { readonly entry: number; readonly apicId: ApicId }[];
}

type TakeX86 = (walk: X86Walk, cpu: X86CpuEntry, id: ApicId) => NotTakenReason | null;

/** The slot of `id`, made if there is none. Says whether there was one. */
function slotOf(walk: X86Walk, id: ApicId, acpiUid: AcpiUid | null): NotTakenReason | null {
  const slot = walk.slots.find(({ apicId }) => apicId === id);
  if (slot === undefined) {
    walk.slots.push({ apicId: id, acpiUid, present: true });
    return null;
  }
  slot.acpiUid = acpiUid;
  return 'duplicate';
}

/**
 * Up to 6.8 (6.1 arch/x86/kernel/apic/apic.c, generic_processor_info; acpi/boot.c, acpi_register_lapic): number
 * 0 is kept for the entry CPU, the others follow in the order of the table. Until the entry CPU has been
 * met, one place is kept free for it. A CPU that is not enabled is numbered when it is added, not now.
 */
function takeUpTo68(numbering: X86Numbering): TakeX86 {
  return (walk, cpu, id) => {
    const isBoot = id === numbering.entryApicId;
    if (!cpu.enabled) return 'disabled';
    if (!isBoot && id === numbering.disableCpuApicId) return 'disable_cpu_apicid';
    const room = walk.numbers - (walk.settled || isBoot ? 0 : 1);
    if (walk.counted >= room) return 'limit';
    walk.counted += 1;
    const reason = slotOf(walk, id, cpu.acpiUid);
    if (!isBoot) return reason;
    const repeated = walk.settled;
    walk.settled = true;
    return repeated ? reason : null;
  };
}

/**
 * Whether 6.9 refuses the first entry as the real BSP (arch/x86/kernel/cpu/topology.c, check_for_real_bsp; 5c5682b9f87a,
 * and with the BSP bit 9d22c96316ac). The table's first CPU should be the one that firmware booted; if that is not the
 * entry CPU, and the entry CPU lacks the BSP bit too, the kernel takes itself for a crash kernel.
 */
function isRealBsp(walk: X86Walk, id: ApicId, { entryApicId, entryHasBspBit }: X86Numbering): boolean {
  if (walk.settled) return false;
  const bspBit = entryHasBspBit ?? null;
  if (id === entryApicId && bspBit === false) {
    // Which other CPU is the real BSP cannot be told: one CPU must do.
    walk.numbers = 1;
    return false;
  }
  walk.settled = true;
  return id !== entryApicId && bspBit !== true;
}

/**
 * From 6.9 on (arch/x86/kernel/cpu/topology.c, topology_register_apic): number 0 is the entry CPU's before the
 * table is read, the others follow in its order, and those that are not enabled come after them by APIC id.
 */
function takeFrom69(numbering: X86Numbering): TakeX86 {
  let bootMet = false;
  return (walk, cpu, id) => {
    if (isRealBsp(walk, id, numbering)) return 'real BSP';
    const isBoot = id === numbering.entryApicId;
    if (!isBoot && walk.slots.length >= walk.numbers) return 'limit';
    if (!cpu.enabled) return 'disabled';
    const reason = slotOf(walk, id, cpu.acpiUid);
    const repeated = !isBoot || bootMet;
    bootMet ||= isBoot;
    return repeated ? reason : null;
  };
}

/** Whether Linux passes an entry over before it counts anything (acpi/boot.c, acpi_is_processor_usable). */
function isUsable(cpu: X86CpuEntry, { onlineCapableHeeded = false }: X86Numbering): boolean {
  return cpu.enabled || !onlineCapableHeeded || cpu.onlineCapable;
}

/** Numbers for the CPUs that 6.9 counts but that are not there (topology_init_possible_cpus). */
function addAbsent(walk: X86Walk): void {
  for (const { entry, apicId } of walk.absent.toSorted((a, b) => a.apicId - b.apicId)) {
    const repeated = walk.slots.some((slot) => slot.apicId === apicId);
    if (repeated) walk.notTaken.push({ entry, reason: 'duplicate' });
    else if (walk.slots.length >= walk.numbers) walk.notTaken.push({ entry, reason: 'limit' });
    else walk.slots.push({ apicId, acpiUid: null, present: false });
  }
}

/** Why an entry does not even come to be counted (acpi/boot.c, acpi_parse_lapic and acpi_parse_x2apic). */
function refusedAtOnce(cpu: X86CpuEntry, numbering: X86Numbering): NotTakenReason | null {
  if (cpu.apicId === null) return 'no id';
  if (!isUsable(cpu, numbering)) return 'disabled';
  if (hasSmallX2apic(cpu, numbering)) return 'x2apic below 255';
  if (cpu.apicId >= 255 && numbering.x2apicMode === false) return 'x2apic off';
  return cpu.apicId >= maxLocalApic ? 'id too big' : null;
}

function x86Step(
  walk: X86Walk,
  cpu: X86CpuEntry,
  entry: number,
  numbering: X86Numbering,
  take: TakeX86,
): void {
  const refused = refusedAtOnce(cpu, numbering);
  const reason = refused ?? (cpu.apicId === null ? 'no id' : take(walk, cpu, cpu.apicId));
  const absent = refused === null && reason === 'disabled' && numbering.rule === '>=6.9';
  if (absent && cpu.apicId !== null) walk.absent.push({ entry, apicId: cpu.apicId });
  else if (reason !== null) walk.notTaken.push({ entry, reason });
}

/** From 6.7 on (ec9aedb2aa1a) beside usable type 0 entries; taken for 6.9 and later here. */
function hasSmallX2apic(cpu: X86CpuEntry, numbering: X86Numbering): boolean {
  if (numbering.rule === '<=6.8' || cpu.type !== 'local_x2apic' || (cpu.apicId ?? 0) >= 255) return false;
  return numbering.entries.some(
    (other) => other.type === 'local_apic' && other.apicId !== null && isUsable(other, numbering),
  );
}

export function numberX86Cpus(numbering: X86Numbering): Numbering<NumberedX86Cpu> {
  const numbers = numbering.maxCpus === 0 ? Math.min(1, numbersOf(numbering)) : numbersOf(numbering);
  const boot = { apicId: numbering.entryApicId, acpiUid: null, present: true };
  const walk: X86Walk = { slots: [boot], notTaken: [], counted: 0, settled: false, numbers, absent: [] };
  const take = numbering.rule === '<=6.8' ? takeUpTo68(numbering) : takeFrom69(numbering);
  for (const [entry, cpu] of numbering.entries.entries()) x86Step(walk, cpu, entry, numbering, take);
  addAbsent(walk);
  const cpus = walk.slots.map((slot, number) => ({ cpu: linuxCpu(number), ...slot, started: false }));
  return { cpus: startFirst(cpus, startsOf(numbering)), notTaken: sorted(walk.notTaken) };
}
