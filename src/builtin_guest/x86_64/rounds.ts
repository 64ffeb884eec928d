/**
 * The rounds that all CPUs take part in: each CPU calls every other CPU and waits for its answer, by an interrupt of its local APIC
 * and by events of both ABIs; each is woken by its timer; between rounds they wait for each other. CPU 0 prints the results.
 */
import { own } from './layout.js';
import { areaOf, awaitAtLeast, enter, leave, panic, say } from './words.js';

/** Total number of `work` loops of all CPUs between two calls. */
const workSteps = 20_000;

const waiting = `
// Barrier: all CPUs that take part arrive here before any continues. EAX: the number of the barrier.
meet:
    push    %rbx
    lea     arrivals(%rip), %rbx
    lea     (%rbx,%rax,8), %rbx
    call    set_deadline
    lock incq (%rbx)
    ${awaitAtLeast('(%rbx)', 'mov     participants(%rip), %rcx')}
    pop     %rbx
    ret

// Waits until the 64 bits at RBX are at least R12. Interrupts are enabled only while it waits, by the instruction before HLT.
await_interrupts:
    call    set_deadline
1:  cli
    cmp     %r12, (%rbx)
    jae     2f
    call    check_deadline
    sti
    hlt
    jmp     1b
2:  sti
    ret`;

const calling = `
// Calls each online CPU, starting with the next one, by the function at RAX, and waits for each answer. Then waits until
// each CPU has called this one.
call_each:
    ${enter}
    mov     %rax, %r14
    mov     cpu_count(%rip), %r12
    mov     $1, %r13d
1:  cmp     %r12, %r13
    jae     3f
    mov     ${own.cpu}(%r15), %rbx
    add     %r13, %rbx
    cmp     %r12, %rbx
    jb      2f
    sub     %r12, %rbx
2:  inc     %r13
    ${areaOf('%rbx')}
    cmpq    $0, ${own.online}(%rbx)
    je      1b
    incq    ${own.expected}(%r15)
    call    work
    call    set_deadline
    mov     ${own.acks}(%r15), %rbp
    inc     %rbp
    // Write the mail bit first, then send the interrupt.
    mov     ${own.cpu}(%r15), %rax
    lock bts %rax, ${own.mail}(%rbx)
    call    *%r14
    test    %rax, %rax
    jne     call_refused
    ${awaitAtLeast(`${own.acks}(%r15)`, 'mov     %rbp, %rcx')}
    jmp     1b
3:  // Set a timer as timeout, so that the wait ends.
    lea     12(%r12), %rax
    imul    $1000, %rax, %rax
    call    set_timer
    lea     ${own.answers}(%r15), %rbx
    mov     ${own.expected}(%r15), %r12
    call    await_interrupts
    call    stop_timer
    ${leave}
call_refused:
    mov     %rax, %rbx
    ${say('a call is answered ')}
    mov     %rbx, %rdi
    call    print_decimal
    ${say('\n')}
    ${panic('an event cannot be sent')}

// Work between two calls, less with more CPUs, of which R12 is the number. Without it, every turn would end with a wait, and no
// schedule could change anything.
work:
    mov     $${workSteps}, %eax
    xor     %edx, %edx
    div     %r12
1:  dec     %rax
    jne     1b
    ret

// Uses the timer three times, with different delays on each CPU.
use_timer:
    ${enter}
    mov     $3, %r13d
    mov     ${own.ticks}(%r15), %r12
    lea     ${own.ticks}(%r15), %rbx
1:  mov     ${own.cpu}(%r15), %rax
    inc     %rax
    imul    $20, %rax, %rax
    call    set_timer
    inc     %r12
    call    await_interrupts
    dec     %r13d
    jne     1b
    ${leave}

// CPU 0 prints how many calls there were since the last report. There must be one for each pair.
report_calls:
    ${enter}
    mov     cpu_count(%rip), %rcx
    lea     areas(%rip), %rbx
    xor     %r12d, %r12d
    xor     %r13d, %r13d
1:  add     ${own.acks}(%rbx), %r12
    add     ${own.expected}(%rbx), %r13
    add     $0x4000, %rbx
    dec     %rcx
    jne     1b
    cmp     %r13, %r12
    jne     2f
    mov     %r12, %rbx
    sub     calls_before(%rip), %rbx
    mov     %r12, calls_before(%rip)
    ${say(': ')}
    mov     %rbx, %rdi
    call    print_decimal
    ${say(' calls, each answered\n')}
    call    unlock_console
    ${leave}
2:  ${panic('there are more answers than calls')}`;

function meeting(index: number): string {
  return `
    mov     $${index}, %eax
    call    meet`;
}

/**
 * Ends a round: CPU 0 prints how many calls went by `how`, while no CPU makes any. Uses barriers `index` and the next.
 */
function finishRound(index: number, how: string): string {
  return `
    ${meeting(index)}
    cmpq    $0, ${own.cpu}(%r15)
    jne     94f
    call    lock_console
    ${say(how)}
    call    report_calls
94: ${meeting(index + 1)}`;
}

const fifoSwitch = `
// Switches to FIFO events: CPU 0 first, with the array of event words, then each CPU for itself.
switch_to_fifo:
    push    %rbx
    mov     %r15, %rbx
    cmpq    $0, ${own.cpu}(%r15)
    jne     1f
    call    init_control
    test    %rax, %rax
    jne     4f
    call    expand_array
    test    %rax, %rax
    jne     4f
1:  ${meeting(5)}
    cmpq    $0, ${own.cpu}(%r15)
    je      2f
    call    init_control
    test    %rax, %rax
    jne     3f
2:  pop     %rbx
    ret
3:  mov     %rax, %rbx
    call    lock_console
    ${say('cpu ')}
    mov     ${own.cpu}(%r15), %rdi
    call    print_decimal
    ${say(': Xen refuses its control block: ')}
    mov     %rbx, %rdi
    call    print_decimal
    ${say(', it goes off\n')}
    call    unlock_console
    lock decq participants(%rip)
    jmp     go_offline
4:  ${panic('Xen refuses the FIFO ABI')}`;

const all = `
rounds:
    ${meeting(0)}
    lea     send_interrupt(%rip), %rax
    call    call_each
    ${finishRound(1, 'interrupts (IPI)')}
    call    use_timer
    cmpq    $2, event_mode(%rip)
    je      1f
    lea     send_event(%rip), %rax
    call    call_each
    ${finishRound(3, 'events, two-level')}
    cmpq    $1, event_mode(%rip)
    je      2f
    call    switch_to_fifo
1:  ${meeting(6)}
    lea     send_event(%rip), %rax
    call    call_each
    ${finishRound(7, 'events, FIFO')}
2:  ret`;

export const rounds = [waiting, calling, fifoSwitch, all].join('\n');
