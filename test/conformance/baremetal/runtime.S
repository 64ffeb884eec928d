/*
 * The start of every bare-metal test: stack, vectors, and a way to run a piece of code at EL0. It runs at EL1 from a little
 * above 0x40000000, with translation off, as QEMU's `virt` board starts an ELF file.
 */
        .section .start, "ax"
        .global _start
_start:
        /* Masked, on SP_EL1. */
        msr     daifset, #15
        msr     spsel, #1
        /* The flags are anything after a reset. */
        msr     nzcv, xzr
        adrp    x0, stack_top
        add     x0, x0, :lo12:stack_top
        mov     sp, x0
        adrp    x0, vectors
        add     x0, x0, :lo12:vectors
        msr     vbar_el1, x0
        /* Floating point is not trapped. */
        mov     x0, #(3 << 20)
        msr     cpacr_el1, x0
        isb
        bl      test_main
        /* PSCI SYSTEM_OFF. */
        mov     w0, #0x0008
        movk    w0, #0x8400, lsl #16
        hvc     #0
        b       .

/* Each vector saves everything and calls on_exception(kind, frame); frame: x0 to x30, then the interrupted SP. */
        .macro vector kind
        .balign 128
        sub     sp, sp, #272
        stp     x0, x1, [sp]
        mov     x0, #\kind
        b       save
        .endm

        .text
        .balign 2048
        .global vectors
vectors:
        .set    number, 0
        .rept   16
        vector  number
        .set    number, number + 1
        .endr

save:
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x19, [sp, #144]
        stp     x20, x21, [sp, #160]
        stp     x22, x23, [sp, #176]
        stp     x24, x25, [sp, #192]
        stp     x26, x27, [sp, #208]
        stp     x28, x29, [sp, #224]
        str     x30, [sp, #240]
        mov     x1, sp
        bl      on_exception
        ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x7, [sp, #48]
        ldp     x8, x9, [sp, #64]
        ldp     x10, x11, [sp, #80]
        ldp     x12, x13, [sp, #96]
        ldp     x14, x15, [sp, #112]
        ldp     x16, x17, [sp, #128]
        ldp     x18, x19, [sp, #144]
        ldp     x20, x21, [sp, #160]
        ldp     x22, x23, [sp, #176]
        ldp     x24, x25, [sp, #192]
        ldp     x26, x27, [sp, #208]
        ldp     x28, x29, [sp, #224]
        ldr     x30, [sp, #240]
        ldp     x0, x1, [sp], #16
        add     sp, sp, #256
        eret

/*
 * u64 try_code(void *code, u64 a, u64 b): calls code(a, b); where that takes an exception that on_exception does not answer, the
 * call ends there, with all registers that a caller relies on as they were.
 */
        .global try_code
try_code:
        stp     x29, x30, [sp, #-112]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        adrp    x9, try_stack
        mov     x10, sp
        str     x10, [x9, :lo12:try_stack]
        mov     x9, x0
        mov     x0, x1
        mov     x1, x2
        blr     x9
        .global try_end
try_end:
        adrp    x9, try_stack
        ldr     x10, [x9, :lo12:try_stack]
        mov     sp, x10
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #112
        ret

/* enter_el0(void *code, u64 a, u64 b): the same at EL0; the code ends with SVC #0xffff, which leads to try_end. */
        .global enter_el0
enter_el0:
        msr     elr_el1, x0
        mov     x0, x1
        mov     x1, x2
        adrp    x9, user_stack_top
        add     x9, x9, :lo12:user_stack_top
        msr     sp_el0, x9
        ldr     x9, user_state
        msr     spsr_el1, x9
        eret
        .balign 8
/* PSTATE at EL0: no flags, nothing masked. */
user_state:
        .quad   0

        .bss
        .balign 16
        .global try_stack
try_stack:
        .quad   0
        .balign 16
        .space  16384
        .global stack_top
stack_top:
        .space  4096
        .global user_stack_top
user_stack_top:
