/** Pieces of assembler text that recur. X28 holds the address of the CPU's own area throughout. */
import { XEN_HYPERCALL_TAG, __HYPERVISOR_event_channel_op } from '../abi/index.js';
import { own } from './places.js';

/** `text` as the assembler reads it. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\n', '\\n')}"`;
}

/** Prints `text`; changes X0 to X3, X16 and X30. */
export function say(text: string): string {
  return `
    bl      print_here
    .asciz  ${quoted(text)}
    .balign 4`;
}

/** Makes the hypercall `number`, whose arguments are in X0 to X4; X0 is the answer. */
export function hypercall(number: number): string {
  return `
    mov     x16, #${number}
    hvc     #${XEN_HYPERCALL_TAG}`;
}

/** An operation on event channels whose argument lies in `own.argument`. */
export function eventOperation(operation: number): string {
  return `
    mov     x0, #${operation}
    add     x1, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_event_channel_op)}`;
}

/** Changes the 64 bits at [`address`] by `change`, which finds them in X16 and leaves them there, as one; uses W17. */
export function atomically(address: string, change: string): string {
  return `
90: ldaxr   x16, [${address}]
    ${change}
    stlxr   w17, x16, [${address}]
    cbnz    w17, 90b`;
}

/** Begins a function that calls others: saves X19 to X26 and X30. */
export const enter = `
    stp     x29, x30, [sp, #-80]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]`;

/** Ends it. */
export const leave = `
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x29, x30, [sp], #80
    ret`;

/** Says why the kernel cannot go on, and ends it. */
export function panic(why: string): string {
  return `
    ${say(`Kernel panic - not syncing: ${why}\n`)}
    b       crash`;
}

/** Waits until the 64 bits at [`left`] are at least X1, which `bound` sets; X25 is the deadline. Others tell by SEV. */
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
