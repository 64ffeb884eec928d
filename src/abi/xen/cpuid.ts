/**
 * public/arch-x86/cpuid.h: Xen's CPUID leaves. The header numbers the leaves from 1, their addresses go from 0:
 * its "leaf 5" is at base + 4. The base is 0x40000000, or a multiple of 0x100 above it where another
 * hypervisor's leaves come first (0x40000100 beside Viridian).
 */

export const XEN_CPUID_FIRST_LEAF = 0x4000_0000;

/** At base + 0, EAX is the last leaf, and EBX, ECX, EDX spell "XenVMMXenVMM". */
export const XEN_CPUID_SIGNATURE_EBX = 0x566e_6558;
export const XEN_CPUID_SIGNATURE_ECX = 0x6558_4d4d;
export const XEN_CPUID_SIGNATURE_EDX = 0x4d4d_566e;

/** At base + 2, ECX (EAX: hypercall pages, always 1; EBX: the MSR that takes the page's address). */
export const XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD = 1;

/** At base + 3, subleaf 0, EAX. Named in the header since 4.18; the bits are older. */
export const XEN_CPUID_TSC_EMULATED = 1;
export const XEN_CPUID_HOST_TSC_RELIABLE = 2;
export const XEN_CPUID_RDTSCP_INSTR_AVAIL = 4;

/** At base + 4, subleaf 0, EAX: what hardware does, and which of EBX (vCPU id) and ECX (domain id) hold. */
export const XEN_HVM_CPUID_APIC_ACCESS_VIRT = 0x01;
export const XEN_HVM_CPUID_X2APIC_VIRT = 0x02;
export const XEN_HVM_CPUID_IOMMU_MAPPINGS = 0x04;
/** EBX is the vCPU id of the vCPU that asks. */
export const XEN_HVM_CPUID_VCPU_ID_PRESENT = 0x08;
export const XEN_HVM_CPUID_DOMID_PRESENT = 0x10;
export const XEN_HVM_CPUID_EXT_DEST_ID = 0x20;
/** A vCPU's own upcall vector also works for physical interrupts that are bound to event channels. */
export const XEN_HVM_CPUID_UPCALL_VECTOR = 0x40;

/** At base + 5, EBX: the bits of a machine address, for PV guests. */
export const XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK = 0xff;

/** The last leaf's offset from the base. */
export const XEN_CPUID_MAX_NUM_LEAVES = 5;
