/** The exception vectors, the interrupt handlers, and the handling of unexpected exceptions. */
import {
  GUEST_EVTCHN_PPI,
  GUEST_TIMER_VIRT_PPI,
  SCHEDOP_shutdown,
  SHUTDOWN_crash,
  __HYPERVISOR_sched_op,
} from '../../abi/index.js';
import { own, vectorsOffset } from './layout.js';
import { hypercall, say } from './words.js';

/** The sixteen vectors (DDI 0487, D1.3). Exceptions from EL1 with its own stack and from EL0 in AArch64 are handled. */
const handlers = [
  ...Array.from({ length: 4 }, () => 'unexpected'),
  ...['exception_of_kernel', 'interrupt', 'unexpected', 'unexpected'],
  ...['exception_of_user', 'interrupt', 'unexpected', 'unexpected'],
  ...Array.from({ length: 4 }, () => 'unexpected'),
];

/** ESR_EL1.EC. */
const exceptionClass = { unknown: 0, systemRegister: 0x18, supervisorCall: 0x15, dataAbort: 0x25 } as const;
/** INTIDs from this value on mean that no interrupt is pending. */
const noInterrupt = 1020;
/** INTIDs below this value are SGIs. */
const firstPrivate = 16;

/** Saves, or with `ldp` restores, all registers that a function may change, except X30. */
function eachPair(operation: 'stp' | 'ldp'): string {
  return Array.from(
    { length: 9 },
    (_, i) => `    ${operation}     x${2 * i}, x${2 * i + 1}, [sp, #${16 * i}]`,
  ).join('\n');
}

const vectors = `
    .org    ${vectorsOffset}
vectors:
${handlers.map((handler) => `    .balign 128\n    b       ${handler}`).join('\n')}`;

export const exceptions = `
${vectors}
    .balign 128

interrupt:
    sub     sp, sp, #192
${eachPair('stp')}
    stp     x18, x30, [sp, #144]
    mrs     x0, elr_el1
    mrs     x1, spsr_el1
    stp     x0, x1, [sp, #160]
1:  mrs     x0, icc_iar1_el1
    str     x0, [sp, #176]
    cmp     x0, #${noInterrupt}
    b.hs    5f
    cmp     x0, #${firstPrivate}
    b.hs    2f
    bl      take_mail
    b       4f
2:  cmp     x0, #${GUEST_TIMER_VIRT_PPI}
    b.ne    3f
    bl      timer_interrupt
    b       4f
3:  cmp     x0, #${GUEST_EVTCHN_PPI}
    b.ne    6f
    bl      upcall
    b       4f
6:  bl      unhandled_interrupt
4:  ldr     x0, [sp, #176]
    msr     icc_eoir1_el1, x0
    b       1b
5:  ldp     x0, x1, [sp, #160]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    ldp     x18, x30, [sp, #144]
${eachPair('ldp')}
    add     sp, sp, #192
    eret

exception_of_kernel:
    stp     x0, x1, [sp, #-16]!
    ldr     x0, [x28, #${own.passesFaults}]
    cbz     x0, 1f
    mrs     x0, esr_el1
    lsr     x0, x0, #26
    cmp     x0, #${exceptionClass.dataAbort}
    b.eq    2f
    cmp     x0, #${exceptionClass.unknown}
    b.eq    2f
    cmp     x0, #${exceptionClass.systemRegister}
    b.ne    1f
2:  ldr     x0, [x28, #${own.faults}]
    add     x0, x0, #1
    str     x0, [x28, #${own.faults}]
    mrs     x0, elr_el1
    add     x0, x0, #4
    msr     elr_el1, x0
    ldp     x0, x1, [sp], #16
    eret
1:  ldp     x0, x1, [sp], #16

unexpected:
    mrs     x19, esr_el1
    mrs     x20, elr_el1
    mrs     x21, far_el1
    ldr     x22, [x28, #${own.cpu}]
    ${say('cpu ')}
    mov     x0, x22
    bl      print_decimal
    ${say(': exception ')}
    mov     x0, x19
    bl      print_hex
    ${say(' at ')}
    mov     x0, x20
    bl      print_hex
    ${say(', address ')}
    mov     x0, x21
    bl      print_hex
    ${say('\nKernel panic - not syncing: unexpected exception\n')}

crash:
    mov     w0, #${SHUTDOWN_crash}
    str     w0, [x28, #${own.argument}]
    mov     x0, #${SCHEDOP_shutdown}
    add     x1, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_sched_op)}
1:  wfi
    b       1b

// User space has one system call, which returns to the caller of enter_user. That caller's X30 is in X19.
exception_of_user:
    mrs     x1, esr_el1
    lsr     x1, x1, #26
    cmp     x1, #${exceptionClass.supervisorCall}
    b.ne    unexpected
    br      x19`;
