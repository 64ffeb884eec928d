/**
 * How Xen on x86 computes a vCPU's APIC id and ACPI processor UID from its id. Xen promises UID = vCPU id
 * (public/hvm/hvm_info_table.h); APIC id = 2 x vCPU id is only what it does.
 */
import { acpiUid, apicId, xenVcpuId } from './ids.js';
import type { AcpiUid, ApicId, XenVcpuId } from './ids.js';

/** The vCPUs of an HVM or PVH guest (public/hvm/hvm_info_table.h, HVM_MAX_VCPUS): the APIC ids below 255. */
export const hvmMaxVcpus = 128;

/** The last id that an 8-bit APIC id field can carry: 255 is its broadcast address. */
const lastXapicId = 254;

/**
 * The APIC id that Xen gives vCPU `id`: twice the id (Xen 4.17 arch/x86/cpuid.c, leaves 1 and 0xb;
 * arch/x86/hvm/vlapic.c, vlapic_reset and set_x2apic_id; libxl's and dom0's MADT). No vCPU above 127 exists
 * today; this function uses the formula for all results of 32 bits. Throws `InputError` beyond.
 */
export function apicIdOfVcpu(id: XenVcpuId): ApicId {
  return apicId(2 * id);
}

/** The vCPU to which Xen gives the APIC id `id`; null for an odd id, which no vCPU has. */
export function vcpuOfApicId(id: ApicId): XenVcpuId | null {
  return id % 2 === 0 ? xenVcpuId(id / 2) : null;
}

/** Whether `id` fits the 8 bits of a type 0 MADT entry and of CPUID leaf 1. On Xen that is true up to vCPU 127. */
export function fitsXapic(id: ApicId): boolean {
  return id <= lastXapicId;
}

/** What CPUID leaf 1 shows of an APIC id: its low 8 bits, in EBX bits 31:24. Leaf 0xb EDX shows all 32. */
export function cpuid1ApicId(id: ApicId): number {
  return id & 0xff;
}

/** The ACPI processor UID of vCPU `id`: the same number. */
export function acpiUidOfVcpu(id: XenVcpuId): AcpiUid {
  return acpiUid(id);
}

/** The vCPU that an ACPI processor UID names on Xen: the same number. */
export function vcpuOfAcpiUid(uid: AcpiUid): XenVcpuId {
  return xenVcpuId(uid);
}
