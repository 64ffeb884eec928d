/**
 * The image header, and the code that each CPU runs before it uses the kernel's addresses: page tables, MMU, per-CPU
 * area. A CPU enters with the MMU off at physical addresses. CPU 0 has the address of the device tree in X0 (Linux
 * Documentation/arm64/booting.rst); the others have the address of their area in X0, the context of CPU_ON.
 */
import { GUEST_GNTTAB_BASE } from '../../abi/index.js';
import { scratch } from './fuzz.js';
import { areaBytes, clearedBytes, kernelBase, mostCpus } from './layout.js';

/**
 * Descriptor bits (DDI 0487, D8.3): block or table, access flag, inner shareable; the memory type is an index into
 * MAIR_EL1.
 */
const descriptor = { table: 3, block: 1, page: 3, accessed: 1 << 10, shareable: 3 << 8, normal: 1 << 2 };
const normalBlock = descriptor.block | descriptor.accessed | descriptor.shareable | descriptor.normal;
/** PXN and UXN: neither level can execute code there. */
const deviceBlock = (3n << 53n) | BigInt(descriptor.block | descriptor.accessed);
/** AP[2:1] = 01: EL0 may read and write; 11: both levels may only read. PXN and UXN as above. */
const userCode =
  (1n << 53n) |
  BigInt(descriptor.page | descriptor.accessed | descriptor.shareable | descriptor.normal | (3 << 6));

/** AP[2:1] = 00: EL1 only. Neither level can execute code there. */
const scratchPage =
  (3n << 53n) | BigInt(descriptor.page | descriptor.accessed | descriptor.shareable | descriptor.normal);

/** Attribute 0: device memory, nGnRE; 1: write-back memory. */
const memoryTypes = 0xff04;
/**
 * Two ranges of 39 bits, 4 KiB granule, walks through write-back inner-shareable memory, 40-bit physical addresses
 * (TCR_EL1: T0SZ, IRGN0, ORGN0, SH0, the same for TTBR1 with TG1, IPS).
 */
const translationControl =
  25n |
  (1n << 8n) |
  (1n << 10n) |
  (3n << 12n) |
  (25n << 16n) |
  (1n << 24n) |
  (1n << 26n) |
  (3n << 28n) |
  (2n << 30n) |
  (2n << 32n);
/** SCTLR_EL1: its RES1 bits of Armv8.0; MMU, caches, stack alignment check. */
const systemControl = 0x30d0_0800 | 1 | (1 << 2) | (1 << 3) | (1 << 12);

/**
 * From here to the end of that sixteenth of a GiB, Xen's areas below RAM are normal memory: grant table and service
 * rings.
 */
const firstNormalBlock = Number(GUEST_GNTTAB_BASE >> 21n);
const normalBlocks = 16;

/** The address of the single page of user code. */
export const userAddress = 0x20_0000;

export const header = `
image:
    b       entry
    .word   0
    .quad   0                     // text_offset
    .quad   memory_end - image
    .quad   0xa                   // little-endian, 4 KiB pages, loadable anywhere
    .quad   0, 0, 0
    .ascii  "ARMd"
    .word   0`;

export const entryCode = `
entry:
    mov     x20, x0
    adrl    x0, cleared_start
    adrl    x1, cleared_end
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    bl      make_tables
    adrl    x28, areas
    mov     x0, x28
    bl      clear_area
    bl      turn_mmu_on
    bl      use_own_area
    orr     x0, x20, #${kernelBase}
    b       start_first

secondary_entry:
    mov     x28, x0
    bl      turn_mmu_on
    bl      use_own_area
    b       start_other

// Clears the area of the CPU at X0.
clear_area:
    add     x1, x0, #${clearedBytes / 4096}, lsl #12
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    ret

// Switches to the kernel's address of the area in X28: stack and vectors.
use_own_area:
    orr     x28, x28, #${kernelBase}
    mov     x0, #${areaBytes}
    add     x0, x0, x28
    mov     sp, x0
    adrl    x0, vectors
    msr     vbar_el1, x0
    adrl    x0, area_template
    sub     x0, x28, x0
    msr     tpidr_el1, x0
    // Stop trapping vector registers.
    mov     x0, #0x300000
    msr     cpacr_el1, x0
    isb
    ret

// Maps all memory twice: at its physical addresses until the MMU is on, and from the kernel's base on.
make_tables:
    adrl    x0, lower_gigabyte
    mov     x1, #0
    mov     x2, #${deviceBlock}
    mov     x3, #${normalBlock}
1:  sub     x4, x1, #${firstNormalBlock}
    lsl     x5, x1, #21
    orr     x6, x5, x2
    orr     x7, x5, x3
    cmp     x4, #${normalBlocks}
    csel    x6, x7, x6, cc
    str     x6, [x0, x1, lsl #3]
    add     x1, x1, #1
    cmp     x1, #512
    b.lo    1b
    adrl    x4, kernel_table
    add     x0, x0, #${descriptor.table}
    str     x0, [x4]
    mov     x1, #1
2:  lsl     x5, x1, #30
    orr     x5, x5, x3
    str     x5, [x4, x1, lsl #3]
    add     x1, x1, #1
    cmp     x1, #512
    b.lo    2b
    // User space has one page that it may read and execute.
    adrl    x0, user_page
    mov     x1, #${userCode}
    orr     x0, x0, x1
    adrl    x2, user_table_3
    // The kernel has some pages there that it passes to Xen for writing.
    adrl    x3, scratch_pages
    mov     x4, #${scratchPage}
    orr     x3, x3, x4
    mov     x4, #${((scratch.address >> 12) & 511) * 8}
    add     x4, x4, x2
    mov     x5, #${scratch.pages}
1:  str     x3, [x4], #8
    add     x3, x3, #1, lsl #12
    sub     x5, x5, #1
    cbnz    x5, 1b
    str     x0, [x2, #${((userAddress >> 12) & 511) * 8}]
    add     x2, x2, #${descriptor.table}
    adrl    x1, user_table_2
    str     x2, [x1, #${((userAddress >> 21) & 511) * 8}]
    add     x1, x1, #${descriptor.table}
    adrl    x0, user_table
    str     x1, [x0]
    dsb     sy
    ret

// Returns to the caller at its kernel address.
turn_mmu_on:
    mov     x0, #${memoryTypes}
    msr     mair_el1, x0
    mov     x0, #${translationControl}
    msr     tcr_el1, x0
    adrl    x0, kernel_table
    msr     ttbr0_el1, x0
    msr     ttbr1_el1, x0
    isb
    tlbi    vmalle1
    dsb     sy
    isb
    mov     x0, #${systemControl}
    msr     sctlr_el1, x0
    isb
    // From here on, the lower range belongs to user space.
    adrl    x0, user_table
    orr     x30, x30, #${kernelBase}
    adr     x1, 1f
    orr     x1, x1, #${kernelBase}
    br      x1
1:  msr     ttbr0_el1, x0
    isb
    tlbi    vmalle1
    dsb     sy
    isb
    ret`;

/** The memory after the image. */
export const unloaded = `
    .bss
    .balign 4096
cleared_start:
kernel_table:   .space 4096
lower_gigabyte: .space 4096
user_table:     .space 4096
user_table_2:   .space 4096
user_table_3:   .space 4096
shared_info:    .space 4096
event_array:    .space 4096
variables:
bootargs:       .space 8
cpu_count:      .space 8
settled:        .space 8
participants:   .space 8
arrivals:       .space 256
console_lock:   .space 8
fifo_on:        .space 8
event_mode:     .space 8
calls_before:   .space 8
fuzz_count:     .space 8
fuzz_seed:      .space 8
fuzz_deadly:    .space 8
store_ring:     .space 8
store_port:     .space 8
console_ring:   .space 8
console_port:   .space 8
store_answer:   .space 64
online_mask:    .space 16
cpu_mpidr:      .space 1024
per_cpu_offset: .space 1024
    .balign 16
cleared_end:
    .balign 4096
scratch_pages:  .space ${scratch.pages * 4096}
area_template:  .space ${areaBytes}
areas:          .space ${areaBytes * mostCpus}
memory_end:`;
