/** Text output on the UART (Arm SBSA, generic UART; Xen 4.17 arch/arm/vpl011.c). Lines of different CPUs do not mix. */
import { GUEST_PL011_BASE } from '../../abi/index.js';
import { kernelBase } from './layout.js';

const uart = BigInt(kernelBase) + GUEST_PL011_BASE;
/** UARTDR, UARTFR and its TXFF bit: the transmit FIFO is full. */
const data = 0;
const flags = 0x18;
const transmitFull = 5;

export const printing = `
// Prints the byte in W0. Changes X1 and X2.
print_byte:
    mov     x1, #${uart}
1:  ldr     w2, [x1, #${flags}]
    tbnz    w2, #${transmitFull}, 1b
    strb    w0, [x1, #${data}]
    ret

// Prints the text after the call instruction, and returns to the instruction after the text. Changes X0 to X3.
print_here:
    mov     x3, x30
1:  ldrb    w0, [x3], #1
    cbz     w0, 2f
    bl      print_byte
    b       1b
2:  add     x3, x3, #3
    and     x3, x3, #0xfffffffffffffffc
    br      x3

// Prints the text at X0 up to its NUL, or at most X1 bytes of it.
print_text:
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    mov     x20, x1
1:  cbz     x20, 2f
    ldrb    w0, [x19], #1
    cbz     w0, 2f
    bl      print_byte
    sub     x20, x20, #1
    b       1b
2:  ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

// Prints the signed number in X0.
print_decimal:
    stp     x29, x30, [sp, #-64]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    cmp     x19, #0
    b.ge    1f
    mov     w0, #45
    bl      print_byte
    neg     x19, x19
1:  add     x20, sp, #64
    mov     x1, #10
2:  udiv    x2, x19, x1
    msub    x3, x2, x1, x19
    add     w3, w3, #48
    sub     x20, x20, #1
    strb    w3, [x20]
    mov     x19, x2
    cbnz    x19, 2b
    add     x0, sp, #64
    sub     x1, x0, x20
    mov     x0, x20
    bl      print_text
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #64
    ret

// Prints the unsigned number in X0 in hexadecimal, with 0x.
print_hex:
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    mov     w0, #48
    bl      print_byte
    mov     w0, #120
    bl      print_byte
    orr     x0, x19, #1
    clz     x20, x0
    and     x20, x20, #0x3c
    lsl     x19, x19, x20
1:  lsr     x0, x19, #60
    add     w1, w0, #48
    add     w0, w0, #87
    cmp     w1, #58
    csel    w0, w1, w0, cc
    bl      print_byte
    lsl     x19, x19, #4
    add     x20, x20, #4
    cmp     x20, #64
    b.lo    1b
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

// Takes the lock that keeps lines of different CPUs apart. Changes X0 and X1.
lock_console:
    adrl    x0, console_lock
1:  ldaxr   x1, [x0]
    cbz     x1, 2f
    yield
    b       1b
2:  mov     x1, #1
    stlxr   w2, x1, [x0]
    cbnz    w2, 1b
    ret

unlock_console:
    adrl    x0, console_lock
    stlr    xzr, [x0]
    ret`;
