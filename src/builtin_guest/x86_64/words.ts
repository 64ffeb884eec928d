/** Fragments of assembler text that are used in several places. R15 always holds the address of the CPU's own area. */
import { __HYPERVISOR_event_channel_op } from '../../abi/index.js';
import { quoted } from '../text.js';
import { own } from './layout.js';

/** Prints `text`. Changes RAX, RCX and RSI. */
export function say(text: string): string {
  return `
    call    print_here
    .asciz  ${quoted(text)}`;
}

/** Makes hypercall `number` with the arguments in RDI, RSI, RDX, R10 and R8. Returns the answer in RAX. */
export function hypercall(number: number): string {
  return `
    mov     $${number}, %eax
    call    xen_call`;
}

/** Makes an event channel operation with its argument in `own.argument`. Changes RDI and RSI. */
export function eventOperation(operation: number): string {
  return `
    mov     $${operation}, %edi
    lea     ${own.argument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_event_channel_op)}`;
}

/** Writes EAX to model-specific register `number`. Changes RCX and RDX. */
export function writeMsr(number: number | string): string {
  return `
    mov     $${number}, %ecx
    xor     %edx, %edx
    wrmsr`;
}

/** Writes RAX to model-specific register `number`. Changes RCX and RDX. */
export function writeWideMsr(number: number | string): string {
  return `
    mov     $${number}, %ecx
    mov     %rax, %rdx
    shr     $32, %rdx
    wrmsr`;
}

/** Prologue of a function that calls others: saves RBX, RBP and R12 to R14. */
export const enter = `
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14`;

/** Epilogue of such a function. */
export const leave = `
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret`;

/** Prints why the kernel cannot continue, and ends the domain. */
export function panic(why: string): string {
  return `
    ${say(`Kernel panic - not syncing: ${why}\n`)}
    jmp     crash`;
}

/** Waits until the 64 bits at `left` are at least RCX, which `bound` sets. The deadline is that of set_deadline. */
export function awaitAtLeast(left: string, bound: string): string {
  return `
91: ${bound}
    cmp     %rcx, ${left}
    jae     92f
    call    check_deadline
    pause
    jmp     91b
92:`;
}

/** Makes `register` the address of the area of the CPU whose number it has. Changes RCX. */
export function areaOf(register: string): string {
  return `
    shl     $14, ${register}
    lea     areas(%rip), %rcx
    add     %rcx, ${register}`;
}
