/** Fragments of assembler text that are used in several places. X28 always holds the address of the CPU's own area. */
import { XEN_HYPERCALL_TAG, __HYPERVISOR_event_channel_op } from '../../abi/index.js';
import { quoted } from '../text.js';
import { own } from './layout.js';

/** Prints `text`. Changes X0 to X3, X16 and X30. */
export function say(text: string): string {
  return `
    bl      print_here
    .asciz  ${quoted(text)}
    .balign 4`;
}

/** Makes hypercall `number` with the arguments in X0 to X4. Returns the answer in X0. */
export function hypercall(number: number): string {
  return `
    mov     x16, #${number}
    hvc     #${XEN_HYPERCALL_TAG}`;
}

/** Makes an event channel operation with its argument in `own.argument`. */
export function eventOperation(operation: number): string {
  return `
    mov     x0, #${operation}
    add     x1, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_event_channel_op)}`;
}

/**
 * Atomically changes the 64 bits at [`address`]. `change` computes the new value in X16 from the old value in X16. Uses
 * W17.
 */
export function atomically(address: string, change: string): string {
  return `
90: ldaxr   x16, [${address}]
    ${change}
    stlxr   w17, x16, [${address}]
    cbnz    w17, 90b`;
}

/** Prologue of a function that calls others: saves X19 to X26 and X30. */
export const enter = `
    stp     x29, x30, [sp, #-80]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]`;

/** Epilogue of such a function. */
export const leave = `
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x29, x30, [sp], #80
    ret`;

/** Prints why the kernel cannot continue, and powers off. */
export function panic(why: string): string {
  return `
    ${say(`Kernel panic - not syncing: ${why}\n`)}
    b       crash`;
}

/**
 * Waits until the 64 bits at [`left`] are at least X1, which `bound` sets. X25 is the deadline. Other CPUs wake it with
 * SEV.
 */
export function awaitAtLeast(left: string, bound: string): string {
  return `
91: ldr     x0, [${left}]
    ${bound}
    cmp     x0, x1
    b.hs    92f
    bl      check_deadline
    wfe
    b       91b
92:`;
}
