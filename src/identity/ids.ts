/**
 * The five ids of one CPU of a Xen guest. At run time all are plain numbers, so one is easily used in place of
 * another; here each has its own type, so that the compiler keeps them apart.
 */
import { InputError } from '../base/index.js';
import type { Brand } from '../base/index.js';

/** The number that Linux assigned to a CPU, from 0: `smp_processor_id()`. A C `int`, so at most 2^31 - 1. */
export type LinuxCpu = Brand<number, 'LinuxCpu'>;

/**
 * The number by which hypercalls name a vCPU. A `uint32_t` in every public structure that carries one
 * (public/event_channel.h, public/vcpu.h); all ones names no vCPU (see {@link invalidVcpuNr}).
 */
export type XenVcpuId = Brand<number, 'XenVcpuId'>;

/**
 * The address of a CPU's local interrupt controller on x86: 8 bits in xAPIC mode, 32 in x2APIC mode
 * (Intel SDM vol. 3, "Local APIC ID" and "Extended XAPIC (x2APIC)"). All ones is the broadcast address, which no CPU has.
 */
export type ApicId = Brand<number, 'ApicId'>;

/**
 * The number that links a MADT entry to a processor in the ACPI name space: `_UID`, 32 bits
 * (ACPI 6.5, 5.2.12). All ones means every processor (5.2.12.7, 5.2.12.13), so no single processor has it.
 */
export type AcpiUid = Brand<number, 'AcpiUid'>;

/**
 * The affinity fields of an Arm CPU's MPIDR_EL1, each in its place: AFF3 in bits 39:32, AFF2 to AFF0 in
 * bits 23:0, all other bits zero (Arm ARM, "MPIDR_EL1"; Linux keeps the same form, MPIDR_HWID_BITMASK).
 */
export type Mpidr = Brand<number, 'Mpidr'>;

/** The hardware id of a CPU, by which the other CPUs address it: an MPIDR's affinity on Arm, an APIC id on x86. */
export type HardwareId = Mpidr | ApicId;

/** What a hardware id is. */
export type HardwareIdKind = 'mpidr' | 'apicId';

/** The value of a missing vCPU id: all ones (Linux: `XEN_VCPU_ID_INVALID`). */
export const invalidVcpuNr = 0xffff_ffff;

/** The APIC id that no CPU has: the x2APIC broadcast address. The 8-bit form in a type 0 MADT entry is 0xff. */
export const broadcastApicId = 0xffff_ffff;

/**
 * The ACPI processor UID that means all processors (its 8-bit form, 0xff, means so in entries of type 4 only), and
 * what Linux keeps for a CPU whose UID it does not know (`CPU_ACPIID_INVALID`).
 */
export const everyAcpiUid = 0xffff_ffff;

function inRange(value: number, last: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= last) return value;
  throw new InputError(`${what} ${value} is not a whole number from 0 to ${last}`);
}

/** The highest number that a Linux CPU could have. */
export const mostLinuxCpu = 0x7fff_ffff;

/** `value` as a Linux CPU number. Throws {@link InputError} unless 0 <= value <= 2^31 - 1. */
export function linuxCpu(value: number): LinuxCpu {
  return inRange(value, mostLinuxCpu, 'Linux CPU') as LinuxCpu;
}

/** `value` as a Xen vCPU id. Throws {@link InputError} unless 0 <= value <= 2^32 - 2. */
export function xenVcpuId(value: number): XenVcpuId {
  return inRange(value, 0xffff_fffe, 'Xen vCPU id') as XenVcpuId;
}

/** The vCPU id in a guest's call: the low 32 bits of `value`. It need not be the id of any vCPU. */
export function passedVcpuId(value: number | bigint): XenVcpuId {
  return Number(BigInt.asUintN(32, BigInt(value))) as XenVcpuId;
}

/** vCPU 0, which every domain has: Xen binds new ports to it, and every real toolstack starts a guest on it. */
export const firstXenVcpu: XenVcpuId = xenVcpuId(0);

/** The ids of a domain with `count` vCPUs, in order: a vCPU's id is its index in the domain. */
export function xenVcpuIds(count: number): readonly XenVcpuId[] {
  return Array.from({ length: count }, (_, index) => xenVcpuId(index));
}

/** `value` as an APIC id. Throws {@link InputError} unless 0 <= value <= 2^32 - 2. */
export function apicId(value: number): ApicId {
  return inRange(value, 0xffff_fffe, 'APIC id') as ApicId;
}

/**
 * The physical destination that a guest wrote to its interrupt controller: the low 32 bits of `value`. It need not be the id
 * of any CPU, and all ones is the broadcast address.
 */
export function destinationApicId(value: number | bigint): ApicId {
  return Number(BigInt.asUintN(32, BigInt(value))) as ApicId;
}

/** `value` as an ACPI processor UID. Throws {@link InputError} unless 0 <= value <= 2^32 - 2. */
export function acpiUid(value: number): AcpiUid {
  return inRange(value, 0xffff_fffe, 'ACPI processor UID') as AcpiUid;
}

const affinityBits = 0xff_00ff_ffffn;
/** RES1 (31), U (30) and MT (24): they describe the kind of CPU, not its affinity. */
const flagBits = 0xc100_0000n;

/**
 * The affinity of an MPIDR_EL1 value, as read from the register, a device tree or a MADT. The flags RES1, U
 * and MT (bits 31, 30, 24) are dropped. Throws {@link InputError} when `value` is negative or not a whole number,
 * or has one of the reserved bits 29:25 and 63:40.
 */
export function mpidr(value: number | bigint): Mpidr {
  if (typeof value === 'number') inRange(value, Number.MAX_SAFE_INTEGER, 'MPIDR');
  const bits = BigInt(value);
  if (bits < 0n || (bits & ~(affinityBits | flagBits)) !== 0n) {
    throw new InputError(`MPIDR 0x${bits.toString(16)} has bits outside its affinity fields and flags`);
  }
  return Number(bits & affinityBits) as Mpidr;
}

/** The four affinity levels of an Arm CPU, each 0 to 255. */
export interface Affinity {
  readonly aff3: number;
  readonly aff2: number;
  readonly aff1: number;
  readonly aff0: number;
}

/** The affinity levels of `id`. */
export function affinityOf(id: Mpidr): Affinity {
  return {
    aff3: Math.floor(id / 2 ** 32),
    aff2: (id >>> 16) & 0xff,
    aff1: (id >>> 8) & 0xff,
    aff0: id & 0xff,
  };
}

/** The MPIDR of these affinity levels; those not given are 0. Throws {@link InputError} when one is above 255. */
export function mpidrOf(affinity: Partial<Affinity>): Mpidr {
  const { aff3 = 0, aff2 = 0, aff1 = 0, aff0 = 0 } = affinity;
  for (const [level, value] of Object.entries({ aff3, aff2, aff1, aff0 })) {
    inRange(value, 0xff, level.toUpperCase());
  }
  return (aff3 * 2 ** 32 + aff2 * 2 ** 16 + aff1 * 2 ** 8 + aff0) as Mpidr;
}

/** `CPU 2`. */
export function formatLinuxCpu(cpu: LinuxCpu): string {
  return `CPU ${cpu}`;
}

/** `vCPU 2`. */
export function formatXenVcpuId(id: XenVcpuId): string {
  return `vCPU ${id}`;
}

/** `0x4`, as Linux prints APIC ids. */
export function formatApicId(id: ApicId): string {
  return `0x${id.toString(16)}`;
}

/** `2`: firmware writes UIDs in decimal. */
export function formatAcpiUid(uid: AcpiUid): string {
  return String(uid);
}

/** `0x101`, as Linux prints an MPIDR's affinity. */
export function formatMpidr(id: Mpidr): string {
  return `0x${id.toString(16)}`;
}

/** `id` as {@link formatMpidr} or {@link formatApicId} prints it. `kind` says what it is. */
export function formatHardwareId(kind: HardwareIdKind, id: HardwareId): string {
  return kind === 'mpidr' ? formatMpidr(mpidr(id)) : formatApicId(apicId(id));
}

/** `0.0.1.1`: AFF3 to AFF0, each in decimal. */
export function formatAffinity(id: Mpidr): string {
  const { aff3, aff2, aff1, aff0 } = affinityOf(id);
  return [aff3, aff2, aff1, aff0].join('.');
}
