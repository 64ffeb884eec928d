/**
 * The rounds that all CPUs take part in: each CPU calls every other CPU and waits for its answer, by an SGI and by
 * events of both ABIs; each is woken by its timer; between rounds they wait for each other. CPU 0 prints the results.
 */
import { own } from './layout.js';
import { atomically, awaitAtLeast, enter, leave, panic, say } from './words.js';

/** Total number of `work` loops of all CPUs between two calls. */
const workSteps = 20_000;

const waiting = `
// Barrier: all CPUs that take part arrive here before any continues. X0: the number of the barrier.
meet:
    ${enter}
    adrl    x19, arrivals
    add     x19, x19, x0, lsl #3
    bl      set_deadline
    ${atomically('x19', 'add x16, x16, #1')}
    sev
    adrl    x20, participants
    ${awaitAtLeast('x19', 'ldr x1, [x20]')}
    ${leave}

// Waits until the 64 bits at X19 are at least X20. Interrupts are unmasked only after each WFI.
await_interrupts:
    ${enter}
    bl      set_deadline
1:  msr     daifset, #2
    ldr     x0, [x19]
    cmp     x0, x20
    b.hs    2f
    bl      check_deadline
    wfi
    msr     daifclr, #2
    b       1b
2:  msr     daifclr, #2
    ${leave}`;

const calling = `
// Calls each online CPU, starting with the next one, by the function at X0, and waits for each answer. Then waits until
// each CPU has called this one.
call_each:
    ${enter}
    mov     x24, x0
    adrl    x19, cpu_count
    ldr     x19, [x19]
    mov     x20, #1
    ldr     x26, [x28, #${own.expected}]
1:  cmp     x20, x19
    b.hs    3f
    ldr     x0, [x28, #${own.cpu}]
    add     x0, x0, x20
    cmp     x0, x19
    b.lo    2f
    sub     x0, x0, x19
2:  add     x20, x20, #1
    adrl    x22, areas
    add     x22, x22, x0, lsl #14
    ldr     x0, [x22, #${own.online}]
    cbz     x0, 1b
    add     x26, x26, #1
    bl      work
    bl      set_deadline
    ldr     x21, [x28, #${own.acks}]
    add     x21, x21, #1
    // Write the mail bit first, then send the interrupt.
    ldr     x0, [x28, #${own.cpu}]
    lsr     x1, x0, #6
    mov     x2, #1
    lsl     x2, x2, x0
    add     x1, x22, x1, lsl #3
    add     x1, x1, #${own.mail}
    ${atomically('x1', 'orr x16, x16, x2')}
    blr     x24
    cbnz    x0, call_refused
    add     x23, x28, #${own.acks}
    ${awaitAtLeast('x23', 'mov x1, x21')}
    b       1b
3:  str     x26, [x28, #${own.expected}]
    // Set a timer as timeout, so that the wait ends.
    add     x0, x19, #12
    mov     x1, #1000
    mul     x0, x0, x1
    bl      set_timer
    add     x19, x28, #${own.answers}
    mov     x20, x26
    bl      await_interrupts
    msr     cntv_ctl_el0, xzr
    isb
    ${leave}
call_refused:
    mov     x19, x0
    ${say('a call is answered ')}
    mov     x0, x19
    bl      print_decimal
    ${say('\n')}
    ${panic('an event cannot be sent')}

// Work between two calls, less with more CPUs. Without it, every turn would end with a wait, and no schedule could
// change anything.
work:
    mov     x0, #${workSteps}
    udiv    x0, x0, x19
1:  sub     x0, x0, #1
    cbnz    x0, 1b
    ret

// Uses the timer three times, with different delays on each CPU.
use_timer:
    ${enter}
    mov     x21, #3
    ldr     x22, [x28, #${own.ticks}]
1:  ldr     x0, [x28, #${own.cpu}]
    mov     x1, #20
    madd    x0, x0, x1, x1
    bl      set_timer
    add     x22, x22, #1
    add     x19, x28, #${own.ticks}
    mov     x20, x22
    bl      await_interrupts
    sub     x21, x21, #1
    cbnz    x21, 1b
    ${leave}

// CPU 0 prints how many calls there were since the last report. There must be one for each pair.
report_calls:
    ${enter}
    adrl    x19, cpu_count
    ldr     x19, [x19]
    adrl    x20, areas
    mov     x21, #0
    mov     x22, #0
1:  ldr     x0, [x20, #${own.acks}]
    add     x21, x21, x0
    ldr     x0, [x20, #${own.expected}]
    add     x22, x22, x0
    mov     x0, #0x4000
    add     x20, x20, x0
    sub     x19, x19, #1
    cbnz    x19, 1b
    cmp     x21, x22
    b.ne    2f
    adrl    x0, calls_before
    ldr     x1, [x0]
    str     x21, [x0]
    sub     x19, x21, x1
    ${say(': ')}
    mov     x0, x19
    bl      print_decimal
    ${say(' calls, each answered\n')}
    bl      unlock_console
    ${leave}
2:  ${panic('there are more answers than calls')}`;

function meeting(index: number): string {
  return `
    mov     x0, #${index}
    bl      meet`;
}

/**
 * Ends a round: CPU 0 prints how many calls went by `how`, while no CPU makes any. Uses barriers `index` and the next.
 */
function finishRound(index: number, how: string): string {
  return `
    ${meeting(index)}
    ldr     x0, [x28, #${own.cpu}]
    cbnz    x0, 93f
    bl      lock_console
    ${say(how)}
    bl      report_calls
93: ${meeting(index + 1)}`;
}

const fifoSwitch = `
// Switches to FIFO events: CPU 0 first, with the array of event words, then each CPU for itself.
switch_to_fifo:
    ${enter}
    ldr     x0, [x28, #${own.cpu}]
    cbnz    x0, 1f
    mov     x22, x28
    bl      init_control
    cbnz    x0, 4f
    bl      expand_array
    cbnz    x0, 4f
1:  ${meeting(5)}
    ldr     x0, [x28, #${own.cpu}]
    cbz     x0, 2f
    mov     x22, x28
    bl      init_control
    cbnz    x0, 3f
2:  ${leave}
3:  mov     x19, x0
    bl      lock_console
    ${say('cpu ')}
    ldr     x0, [x28, #${own.cpu}]
    bl      print_decimal
    ${say(': Xen refuses its control block: ')}
    mov     x0, x19
    bl      print_decimal
    ${say(', it goes off\n')}
    bl      unlock_console
    adrl    x0, participants
    ${atomically('x0', 'sub x16, x16, #1')}
    b       go_offline
4:  ${panic('Xen refuses the FIFO ABI')}`;

const all = `
rounds:
    ${enter}
    ${meeting(0)}
    adrl    x0, send_sgi
    bl      call_each
    ${finishRound(1, 'interrupts (SGI)')}
    bl      use_timer
    adrl    x0, event_mode
    ldr     x19, [x0]
    cmp     x19, #2
    b.eq    1f
    adrl    x0, send_event
    bl      call_each
    ${finishRound(3, 'events, two-level')}
    cmp     x19, #1
    b.eq    2f
    bl      switch_to_fifo
1:  ${meeting(6)}
    adrl    x0, send_event
    bl      call_each
    ${finishRound(7, 'events, FIFO')}
2:  ${leave}`;

export const rounds = [waiting, calling, fifoSwitch, all].join('\n');
