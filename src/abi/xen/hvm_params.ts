/** public/hvm/params.h: the numbered parameters of a domain, which HVMOP_get_param and HVMOP_set_param carry. */

/**
 * How the guest learns of events: a type in the top byte, and what that type needs below it. 0 means not at
 * all. An interrupt line (GSI, INTx) tells vCPU 0 alone; a vector or PPI tells the vCPU that has the event.
 */
export const HVM_PARAM_CALLBACK_IRQ = 0;
export const HVM_PARAM_CALLBACK_IRQ_TYPE_MASK = 0xff00_0000_0000_0000n;
/** The rest is a GSI number; GSI 0 cannot be asked for, since the whole value would be 0. */
export const HVM_PARAM_CALLBACK_TYPE_GSI = 0;
/** Domain in bits 47 to 32, bus 31 to 16, device and function 15 to 8, pin 1 to 0. */
export const HVM_PARAM_CALLBACK_TYPE_PCI_INTX = 1;
/** x86, where XENFEAT_hvm_callback_vector says so: the low byte is a vector. */
export const HVM_PARAM_CALLBACK_TYPE_VECTOR = 2;
/** Arm: flags in bits 15 to 8 (bit 8 edge, bit 9 active low), a PPI in bits 7 to 0. Xen sets it for guests that boot with ACPI. */
export const HVM_PARAM_CALLBACK_TYPE_PPI = 2;
export const HVM_PARAM_CALLBACK_TYPE_PPI_FLAG_MASK = 0xff00;
export const HVM_PARAM_CALLBACK_TYPE_PPI_FLAG_LOW_LEVEL = 2;

export const HVM_PARAM_STORE_PFN = 1;
export const HVM_PARAM_STORE_EVTCHN = 2;
export const HVM_PARAM_PAE_ENABLED = 4;
export const HVM_PARAM_IOREQ_PFN = 5;
export const HVM_PARAM_BUFIOREQ_PFN = 6;
export const HVM_PARAM_VIRIDIAN = 9;
export const HVM_PARAM_TIMER_MODE = 10;
export const HVM_PARAM_HPET_ENABLED = 11;
export const HVM_PARAM_IDENT_PT = 12;
export const HVM_PARAM_DM_DOMAIN = 13;
export const HVM_PARAM_ACPI_S_STATE = 14;
export const HVM_PARAM_VM86_TSS = 15;
export const HVM_PARAM_VPT_ALIGN = 16;
export const HVM_PARAM_CONSOLE_PFN = 17;
export const HVM_PARAM_CONSOLE_EVTCHN = 18;
export const HVM_PARAM_ACPI_IOPORTS_LOCATION = 19;
export const HVM_PARAM_MEMORY_EVENT_CR0 = 20;
export const HVM_PARAM_MEMORY_EVENT_CR3 = 21;
export const HVM_PARAM_MEMORY_EVENT_CR4 = 22;
export const HVM_PARAM_MEMORY_EVENT_INT3 = 23;
export const HVM_PARAM_NESTEDHVM = 24;
export const HVM_PARAM_MEMORY_EVENT_SINGLE_STEP = 25;
export const HVM_PARAM_BUFIOREQ_EVTCHN = 26;
export const HVM_PARAM_PAGING_RING_PFN = 27;
export const HVM_PARAM_MONITOR_RING_PFN = 28;
export const HVM_PARAM_SHARING_RING_PFN = 29;
export const HVM_PARAM_MEMORY_EVENT_MSR = 30;
export const HVM_PARAM_TRIPLE_FAULT_REASON = 31;
export const HVM_PARAM_IOREQ_SERVER_PFN = 32;
export const HVM_PARAM_NR_IOREQ_SERVER_PAGES = 33;
export const HVM_PARAM_VM_GENERATION_ID_ADDR = 34;
export const HVM_PARAM_ALTP2M = 35;
export const HVM_PARAM_X87_FIP_WIDTH = 36;
export const HVM_PARAM_VM86_TSS_SIZED = 37;
export const HVM_PARAM_MCA_CAP = 38;

/** An index from here on names no parameter. */
export const HVM_NR_PARAMS = 39;

/** Bits of HVM_PARAM_VIRIDIAN's value, as far as they matter here: base_freq turns the Viridian leaves on. */
export const HVMPV_base_freq = 1;
