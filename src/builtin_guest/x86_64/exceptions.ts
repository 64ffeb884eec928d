/** The table of interrupts, its handlers, and the handling of unexpected exceptions. */
import { SCHEDOP_shutdown, SHUTDOWN_crash, __HYPERVISOR_sched_op } from '../../abi/index.js';
import { own, selector, vector } from './layout.js';
import { hypercall, say } from './words.js';

/** Vectors below this one are taken for exceptions. Those from 16 on, which do not occur here, may be sent as interrupts. */
const exceptionVectors = 16;
/** The exceptions that push an error code: #DF, #TS, #NP, #SS, #GP, #PF. */
const withErrorCode = [8, 10, 11, 12, 13, 14];
const nmi = 2;
const doubleFault = 8;

/** Registers that a function may change. */
const changed = ['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'];
const pushAll = changed.map((name) => `    push    %${name}`).join('\n');
const popAll = changed
  .toReversed()
  .map((name) => `    pop     %${name}`)
  .join('\n');

/** Offset in the stack, behind the saved registers: vector, error code, and what the CPU pushed. */
const frame = (() => {
  const at = 8 * changed.length;
  return { vector: at, error: at + 8, ip: at + 16, code: at + 24, stack: at + 40 } as const;
})();

/** Pushes 0 where the CPU pushes no error code, and the vector; 16 bytes of code. */
function stub(number: number): string {
  return `
    .balign 16
    ${withErrorCode.includes(number) ? '' : 'push    $0'}
    push    $${number}
    jmp     exception`;
}

const table = `
// Fills the interrupt table. Changes RAX, RCX, RDX, RSI and RDI.
make_interrupt_table:
    lea     interrupt_table(%rip), %rdi
    lea     exception_stubs(%rip), %rax
    xor     %esi, %esi
1:  call    make_gate
    add     $16, %rax
    inc     %esi
    cmp     $${exceptionVectors}, %esi
    jb      1b
    lea     unhandled_interrupt(%rip), %rax
2:  call    make_gate
    inc     %esi
    cmp     $256, %esi
    jb      2b
    mov     $${vector.events}, %esi
    lea     events_interrupt(%rip), %rax
    call    make_gate
    mov     $${vector.call}, %esi
    lea     call_interrupt(%rip), %rax
    call    make_gate
    mov     $${vector.timer}, %esi
    lea     timer_interrupt(%rip), %rax

// Makes the gate of vector ESI lead to RAX. Changes RCX and RDX.
make_gate:
    mov     %rsi, %rdx
    shl     $4, %rdx
    movzwl  %ax, %ecx
    or      $${selector.code * 0x1_0000}, %ecx
    mov     %ecx, (%rdi,%rdx,1)
    mov     %eax, %ecx
    and     $0xffff0000, %ecx
    or      $0x8e00, %ecx
    mov     %ecx, 4(%rdi,%rdx,1)
    mov     %rax, %rcx
    shr     $32, %rcx
    mov     %rcx, 8(%rdi,%rdx,1)
    ret`;

/** The part that exceptions and interrupts share. In user space, GS has the program's base. */
const common = `
exception:
    cld
${pushAll}
    testb   $3, ${frame.code}(%rsp)
    je      1f
    swapgs
1:  cmpq    $${nmi}, ${frame.vector}(%rsp)
    je      2f
    cmpq    $0, ${own.passesFaults}(%r15)
    je      unexpected
    cmpq    $${doubleFault}, ${frame.vector}(%rsp)
    je      unexpected
    // A fault of one of the accesses that may fault: its function returns.
    mov     ${frame.ip}(%rsp), %rax
    lea     faulting_start(%rip), %rcx
    cmp     %rcx, %rax
    jb      unexpected
    lea     faulting_end(%rip), %rcx
    cmp     %rcx, %rax
    jae     unexpected
    incq    ${own.faults}(%r15)
    mov     ${frame.stack}(%rsp), %rcx
    mov     (%rcx), %rax
    add     $8, %rcx
    mov     %rax, ${frame.ip}(%rsp)
    mov     %rcx, ${frame.stack}(%rsp)
2:

restore_registers:
    testb   $3, ${frame.code}(%rsp)
    je      1f
    swapgs
1:
${popAll}
    add     $16, %rsp
    iretq`;

/** An interrupt: saves registers, calls its handler, and tells the local APIC. */
function interrupt(name: string, handler: string): string {
  return `
${name}:
    push    $0
    push    $0
    cld
${pushAll}
    testb   $3, ${frame.code}(%rsp)
    je      1f
    swapgs
1:  ${handler === '' ? '' : `call    ${handler}`}
    call    end_of_interrupt
    jmp     restore_registers`;
}

export const exceptions = `
${table}

    .balign 16
exception_stubs:
${Array.from({ length: exceptionVectors }, (_, number) => stub(number)).join('')}
    .balign 16
${common}
${interrupt('events_interrupt', 'upcall')}
${interrupt('call_interrupt', 'take_mail')}
${interrupt('timer_interrupt', '')}
${interrupt('unhandled_interrupt', '')}

unexpected:
    mov     %rsp, %rbx
    ${say('cpu ')}
    mov     ${own.cpu}(%r15), %rdi
    call    print_decimal
    ${say(': exception ')}
    mov     ${frame.vector}(%rbx), %rdi
    call    print_decimal
    ${say(', error code ')}
    mov     ${frame.error}(%rbx), %rdi
    call    print_hex
    ${say(' at ')}
    mov     ${frame.ip}(%rbx), %rdi
    call    print_hex
    ${say(', address ')}
    mov     %cr2, %rdi
    call    print_hex
    ${say('\nKernel panic - not syncing: unexpected exception\n')}

crash:
    movl    $${SHUTDOWN_crash}, ${own.argument}(%r15)
    mov     $${SCHEDOP_shutdown}, %edi
    lea     ${own.argument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_sched_op)}
1:  cli
    hlt
    jmp     1b

// User space has one system call, which returns to the caller of visit_user.
system_call:
    swapgs
    mov     ${own.kernelStack}(%r15), %rsp
    sti
    ret`;
