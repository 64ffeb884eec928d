/*
 * The start of every loop: an arm64 Image (Linux, Documentation/arch/arm64/booting.rst) that runs at EL1 from the start of
 * RAM at 0x40000000, turns translation on over one table (devices in the first GiB, memory in the second), calls
 * loop_main, and powers off. It needs no relocation, so its load address does not matter.
 */
        .section .start, "ax"
        .global _start
_start:
        b       begin
        .long   0
        .quad   0                       /* text_offset */
        .quad   _end - _start           /* image_size */
        .quad   0xa                     /* little-endian, 4 KiB pages, anywhere */
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

begin:
        msr     daifset, #15
        msr     spsel, #1
        adr     x0, stack_top
        mov     sp, x0
        /* Floating point is not trapped. */
        mov     x0, #(3 << 20)
        msr     cpacr_el1, x0
        isb

        /* Level 1, 1 GiB blocks with the access flag, not to be executed below 1 GiB. */
        adr     x0, table
        ldr     x1, =0x0060000000000405 /* attribute 1 */
        str     x1, [x0]
        ldr     x1, =0x0000000040000701 /* attribute 0, inner shareable */
        str     x1, [x0, #8]
        msr     ttbr0_el1, x0
        ldr     x1, =0x00000000000000ff /* 0: write-back memory; 1: Device-nGnRnE */
        msr     mair_el1, x1
        ldr     x1, =0x0000000200803519 /* T0SZ 25, write-back, inner shareable; no TTBR1; 40 bits out */
        msr     tcr_el1, x1
        dsb     sy
        tlbi    vmalle1
        dsb     sy
        isb
        mrs     x1, sctlr_el1
        mov     x2, #0x1005             /* translation and caches */
        orr     x1, x1, x2
        msr     sctlr_el1, x1
        isb

        bl      loop_main
        /* PSCI SYSTEM_OFF. */
        mov     w0, #0x0008
        movk    w0, #0x8400, lsl #16
        hvc     #0
        b       .
        .ltorg

        .bss
        .balign 4096
table:
        .space  4096
        .balign 16
        .space  16384
        .global stack_top
stack_top:
