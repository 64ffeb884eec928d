/** How an x86 kernel numbers its CPUs: up to 6.8, and from 6.9 on. What else differs between versions is data (`linux_versions.ts`). */
import type { X86CpuEntry } from './firmware.js';
import { linuxCpu } from './ids.js';
import type { AcpiUid, ApicId } from './ids.js';
import { atMostPossible, numbersOf, sorted, startFirst, startsOf } from './cpu_limits.js';
import type { CpuLimits, NotTaken, NotTakenReason, Numbered, Numbering } from './cpu_limits.js';
import { linuxHas } from './linux_versions.js';

export interface NumberedX86Cpu extends Numbered {
  readonly apicId: ApicId;
}

/** An x86 kernel that runs as a guest. On bare metal 6.9 and later drop entries that are not enabled (f0551af02130). */
export interface X86Numbering extends CpuLimits {
  readonly platform: 'x86_64';
  readonly entries: readonly X86CpuEntry[];
  /** APIC id of the CPU on which the kernel was entered. */
  readonly entryApicId: ApicId;
  /**
   * Bit 8 (BSP) of the entry CPU's IA32_APIC_BASE, which 6.10 and later read. Xen sets it only on vCPU 0. Null (the
   * default) if it is not known: then the order of the table decides, as in the first 6.9 kernels.
   */
  readonly entryHasBspBit?: boolean | null;
  /** `possible_cpus=`: the maximum of possible CPUs. 1 or more. */
  readonly possibleCpus?: number;
  /** `disable_cpu_apicid=`, which kdump set-ups pass to kernels up to 6.8. Later ones ignore it. */
  readonly disableCpuApicId?: ApicId | null;
  /** Whether the FADT is of ACPI 6.3 or later, so that Linux respects the online-capable flag. Xen's is older. */
  readonly onlineCapableHeeded?: boolean;
  /** Whether the kernel was entered in x2APIC mode, without which it accepts no id of 255 or more (default: true). */
  readonly x2apicMode?: boolean;
}

/** Linux rejects ids of this value and above (arch/x86/include/asm/apicdef.h, MAX_LOCAL_APIC on 64 bits). */
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
  /** <=6.8: the entry CPU has been counted. >=6.9: the APIC id of the real BSP has been determined. */
  settled: boolean;
  numbers: number;
  /** >=6.9: entries that are not enabled, which get the remaining numbers. */
  readonly absent: { readonly entry: number; readonly apicId: ApicId }[];
}

type TakeX86 = (walk: X86Walk, cpu: X86CpuEntry, id: ApicId) => NotTakenReason | null;

/** The slot of `id`, created if there is none, and whether there was one. */
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
 * 0 is reserved for the entry CPU, the others follow in the order of the table. Until the table has listed the entry CPU,
 * one number is kept free for it. A CPU that is not enabled is numbered when it is added, not now.
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
 * entry CPU, and the entry CPU does not have the BSP bit either, the kernel assumes that it is a crash kernel.
 */
function isRealBsp(walk: X86Walk, id: ApicId, numbering: X86Numbering): boolean {
  if (walk.settled) return false;
  const { entryApicId, entryHasBspBit, version } = numbering;
  const bspBit = linuxHas(version, 'bsp-bit-read') ? (entryHasBspBit ?? null) : null;
  if (id === entryApicId && bspBit === false) {
    // It is not known which other CPU is the real BSP, so Linux uses only one CPU.
    walk.numbers = 1;
    return false;
  }
  walk.settled = true;
  return id !== entryApicId && bspBit !== true;
}

/**
 * From 6.9 on (arch/x86/kernel/cpu/topology.c, topology_register_apic): number 0 is assigned to the entry CPU before the
 * table is read; the others follow in the order of the table, and after them those that are not enabled, by APIC id.
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

/** Whether Linux ignores an entry before it counts anything (acpi/boot.c, acpi_is_processor_usable). */
function isUsable(cpu: X86CpuEntry, { onlineCapableHeeded = false }: X86Numbering): boolean {
  return cpu.enabled || !onlineCapableHeeded || cpu.onlineCapable;
}

/** Assigns numbers to the CPUs that 6.9 counts but that are not present (topology_init_possible_cpus). */
function addAbsent(walk: X86Walk): void {
  for (const { entry, apicId } of walk.absent.toSorted((a, b) => a.apicId - b.apicId)) {
    const repeated = walk.slots.some((slot) => slot.apicId === apicId);
    if (repeated) walk.notTaken.push({ entry, reason: 'duplicate' });
    else if (walk.slots.length >= walk.numbers) walk.notTaken.push({ entry, reason: 'limit' });
    else walk.slots.push({ apicId, acpiUid: null, present: false });
  }
}

/** Why an entry is not even counted (acpi/boot.c, acpi_parse_lapic and acpi_parse_x2apic). */
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
  const absent =
    refused === null && reason === 'disabled' && linuxHas(numbering.version, 'real-bsp-kept-out');
  if (absent && cpu.apicId !== null) walk.absent.push({ entry, apicId: cpu.apicId });
  else if (reason !== null) walk.notTaken.push({ entry, reason });
}

/** A type 9 entry that 6.7 and later treat as a repetition of the type 0 entries. */
function hasSmallX2apic(cpu: X86CpuEntry, numbering: X86Numbering): boolean {
  if (!linuxHas(numbering.version, 'small-x2apic-ids-dropped')) return false;
  if (cpu.type !== 'local_x2apic' || (cpu.apicId ?? 0) >= 255) return false;
  return numbering.entries.some(
    (other) => other.type === 'local_apic' && other.apicId !== null && isUsable(other, numbering),
  );
}

/** The entries in the order in which Linux reads them. */
function inOrder({ entries, version }: X86Numbering): [entry: number, cpu: X86CpuEntry][] {
  const all = [...entries.entries()];
  if (!linuxHas(version, 'type-0-first')) return all;
  const isFirst = ([, cpu]: [number, X86CpuEntry]): boolean => cpu.type === 'local_apic';
  return [...all.filter(isFirst), ...all.filter((one) => !isFirst(one))];
}

/** The limit of numbers while the table is read. Up to 6.8, `possible_cpus=` takes effect only afterwards. */
function numbersAtFirst(numbering: X86Numbering): number {
  const numbers = numbering.maxCpus === 0 ? Math.min(1, numbersOf(numbering)) : numbersOf(numbering);
  return linuxHas(numbering.version, 'real-bsp-kept-out')
    ? atMostPossible(numbers, numbering.possibleCpus)
    : numbers;
}

/** Drops the numbers that exceed `possible_cpus=` (6.1 arch/x86/kernel/smpboot.c, prefill_possible_map). */
function withinPossible(walk: X86Walk, { entries, possibleCpus }: X86Numbering): X86Slot[] {
  const room = atMostPossible(walk.slots.length, possibleCpus);
  for (const { apicId } of walk.slots.slice(room)) {
    const refused = new Set(walk.notTaken.map(({ entry }) => entry));
    const entry = entries.findIndex((cpu, at) => cpu.apicId === apicId && !refused.has(at));
    walk.notTaken.push({ entry, reason: 'limit' });
  }
  return walk.slots.slice(0, room);
}

export function numberX86Cpus(numbering: X86Numbering): Numbering<NumberedX86Cpu> {
  const numbers = numbersAtFirst(numbering);
  const boot = { apicId: numbering.entryApicId, acpiUid: null, present: true };
  const walk: X86Walk = { slots: [boot], notTaken: [], counted: 0, settled: false, numbers, absent: [] };
  const from69 = linuxHas(numbering.version, 'real-bsp-kept-out');
  const take = from69 ? takeFrom69(numbering) : takeUpTo68(numbering);
  for (const [entry, cpu] of inOrder(numbering)) x86Step(walk, cpu, entry, numbering, take);
  addAbsent(walk);
  const slots = withinPossible(walk, numbering);
  const cpus = slots.map((slot, number) => ({ cpu: linuxCpu(number), ...slot, started: false }));
  return { cpus: startFirst(cpus, startsOf(numbering)), notTaken: sorted(walk.notTaken) };
}
