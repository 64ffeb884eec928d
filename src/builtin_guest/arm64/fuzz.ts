/**
 * Option `fuzz=COUNT`: every CPU does COUNT things that no kernel would do: hypercalls with any number and arguments,
 * and accesses of any kind to devices, to unmapped addresses, and to pages that are shared with Xen. They depend only
 * on the option `seed=N` and on the CPU. The guest tries to survive: it does not ask for its own end, CPU 0 makes no
 * call that waits (unless `deadly` allows all of it), pointers point to a few scratch pages only, and aborts are
 * skipped.
 */
import {
  DOMID_SELF,
  EVTCHNOP_reset,
  GUEST_GICV3_GICD_BASE,
  GUEST_GICV3_GICR0_BASE,
  GUEST_PL011_BASE,
  PSCI_0_2_FN_CPU_OFF,
  PSCI_0_2_FN_SYSTEM_OFF,
  SCHEDOP_block,
  SCHEDOP_poll,
  SCHEDOP_shutdown,
  SCHEDOP_shutdown_code,
  SCHEDOP_watchdog,
  __HYPERVISOR_console_io,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_hvm_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_multicall,
  __HYPERVISOR_physdev_op,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_vm_assist,
  __HYPERVISOR_xen_version,
} from '../../abi/index.js';
import { kernelBase, own, physicalMask } from './layout.js';
import { enter, leave, say } from './words.js';

/**
 * Pages that Xen may write to. They are mapped separately, and the pages after them are unmapped, so an access past
 * their end faults.
 */
export const scratch = { address: 0x28_0000, pages: 16 } as const;
const scratchMask = scratch.pages * 4096 - 1;

/** Sixteen hypercall numbers to choose from. Half of all calls use any number below 64 instead. */
const families = [
  __HYPERVISOR_memory_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_xen_version,
  __HYPERVISOR_console_io,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_vm_assist,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_physdev_op,
  __HYPERVISOR_hvm_op,
  __HYPERVISOR_multicall,
];

/** Accesses to the address in X0, with X1 and X2. Each takes the space of two instructions. */
const accesses = [
  'ldrb    w1, [x0]',
  'ldrh    w1, [x0]',
  'ldr     w1, [x0]',
  'ldr     x1, [x0]',
  'strb    w1, [x0]',
  'strh    w1, [x0]',
  'str     w1, [x0]',
  'str     x1, [x0]',
  'ldr     w1, [x0]',
  'str     w1, [x0]',
  'ldp     x1, x2, [x0]',
  'stp     x1, x2, [x0]',
  'ldaxr   x1, [x0]',
  'stlr    w1, [x0]',
  'ldr     q0, [x0]',
  'dc      zva, x0',
] as const;

/**
 * Other things that may be refused or change a device, with X1: the CPU interface, the timer that wakes no one,
 * unserved calls. Each takes the space of two instructions. The first four can block interrupts permanently, so only
 * CPU 0, which never waits, runs them.
 */
const oddities = [
  'msr     icc_ctlr_el1, x1',
  'msr     icc_ap1r0_el1, x1',
  'mrs     x1, icc_iar1_el1',
  'msr     icc_pmr_el1, x1',
  'msr     icc_eoir1_el1, x1',
  'msr     icc_dir_el1, x1',
  'msr     icc_sgi1r_el1, x1',
  'msr     icc_asgi1r_el1, x1',
  'msr     icc_bpr1_el1, x1',
  'mrs     x1, icc_hppir1_el1',
  'msr     cntp_ctl_el0, x1',
  'msr     cntp_cval_el0, x1',
  'msr     cntp_tval_el0, x1',
  'hvc     #1',
  'smc     #0',
  'at      s1e1w, x1',
] as const;

const device = (base: bigint): string => String(BigInt(kernelBase) + base);

const chance = `
// Returns the next random number in X0 (xorshift64*: Vigna, An experimental exploration of Marsaglia's xorshift
// generators, scrambled, 2016). Changes X1.
draw:
    ldr     x0, [x28, #${own.random}]
    eor     x0, x0, x0, lsr #12
    eor     x0, x0, x0, lsl #25
    eor     x0, x0, x0, lsr #27
    str     x0, [x28, #${own.random}]
    mov     x1, #0x2545f4914f6cdd1d
    mul     x0, x0, x1
    ret

// Returns a typical hypercall argument in X0. Changes X1 to X3.
draw_value:
    stp     x29, x30, [sp, #-16]!
    bl      draw
    lsr     x2, x0, #61
    adr     x3, value_kinds
    add     x3, x3, x2, lsl #4
    ldp     x29, x30, [sp], #16
    br      x3
value_kinds:
    and     x0, x0, #0xf
    ret
    .space  8
    and     x0, x0, #0xff
    ret
    .space  8
    lsr     x0, x0, #32
    ret
    .space  8
    ret
    .space  12
    b       draw_pointer
    .space  12
    b       draw_frame
    .space  12
    mov     w0, #${DOMID_SELF}
    ret
    .space  8
    and     x0, x0, #0x1f
    ret
    .space  8
draw_pointer:
    and     x0, x0, #${scratchMask}
    mov     x1, #${scratch.address}
    add     x0, x0, x1
    // Make half of them as a kernel would.
    tbz     w0, #7, 1f
    and     x0, x0, #0xfffffffffffffff8
1:  ret
draw_frame:
    and     x0, x0, #${scratch.pages - 1}
    adrl    x1, scratch_pages
    and     x1, x1, #${physicalMask}
    add     x0, x0, x1, lsr #12
    ret`;

const call = `
// Makes a random hypercall or PSCI call.
random_call:
    ${enter}
    // Its argument block, somewhere in the scratch pages.
    bl      draw
    bl      draw_pointer
    mov     x19, x0
    mov     x20, #8
1:  bl      draw_value
    mov     x21, x0
    tbz     w20, #0, 2f
    bl      draw_value
    lsl     x0, x0, #32
    mov     w21, w21
    orr     x21, x21, x0
2:  // It may cross the end, where the store faults and is skipped.
    str     x21, [x19]
    add     x19, x19, #8
    sub     x20, x20, #1
    cbnz    x20, 1b
    sub     x19, x19, #64
    // Often use this domain's id, which many operations have as first field.
    bl      draw
    tbz     w0, #3, 8f
    mov     w1, #${DOMID_SELF}
    strh    w1, [x19]
8:  bl      draw_value
    mov     x20, x0
    bl      draw_value
    mov     x21, x0
    bl      draw_value
    mov     x22, x0
    bl      draw_value
    mov     x23, x0
    bl      draw
    mov     x24, x0
    and     x25, x24, #63
    tbz     w24, #8, 3f
    adr     x1, call_families
    and     x0, x24, #15
    ldrb    w25, [x1, x0]
    // Mostly an operation with the argument block, as most hypercalls take it; or with a count or a vCPU before it.
3:  lsr     x0, x24, #16
    and     x0, x0, #31
    tst     x24, #0x700
    csel    x20, x20, x0, eq
    tst     x24, #0x1000
    csel    x21, x21, x19, eq
    tst     x24, #0x4000
    csel    x22, x22, x19, eq
    bl      refrain
    cbnz    x0, 5f
    tst     x24, #0xf00000
    b.eq    4f
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    mov     x3, x23
    mov     x4, x24
    mov     x16, x25
    hvc     #0xea1
    b       5f
    // A power call: 32-bit and 64-bit functions, and numbers beyond them.
4:  and     x1, x24, #31
    mov     x0, #0x84000000
    tbz     w24, #5, 6f
    mov     x0, #0xc4000000
6:  add     x0, x0, x1
    adrl    x2, fuzz_deadly
    ldr     x2, [x2]
    cbnz    x2, 7f
    // CPU_SUSPEND, CPU_OFF, SYSTEM_OFF, SYSTEM_RESET.
    mov     x2, #${2 ** 1 + 2 ** (PSCI_0_2_FN_CPU_OFF & 31) + 2 ** (PSCI_0_2_FN_SYSTEM_OFF & 31) + 2 ** ((PSCI_0_2_FN_SYSTEM_OFF & 31) + 1)}
    lsr     x2, x2, x1
    tbnz    w2, #0, 5f
7:  mov     x1, x21
    mov     x2, x22
    mov     x3, x23
    hvc     #0
5:  ${leave}

// X0: whether call X25 with operation X20 is one from which this CPU would not return.
refrain:
    adrl    x0, fuzz_deadly
    ldr     x0, [x0]
    cbnz    x0, 2f
    cmp     x25, #${__HYPERVISOR_event_channel_op}
    b.eq    3f
    cmp     x25, #${__HYPERVISOR_sched_op}
    b.ne    2f
    cmp     x20, #${SCHEDOP_shutdown}
    b.eq    1f
    cmp     x20, #${SCHEDOP_shutdown_code}
    b.eq    1f
    cmp     x20, #${SCHEDOP_watchdog}
    b.eq    1f
    ldr     x0, [x28, #${own.cpu}]
    cbnz    x0, 2f
    cmp     x20, #${SCHEDOP_block}
    b.eq    1f
    cmp     x20, #${SCHEDOP_poll}
    b.eq    1f
2:  mov     x0, #0
    ret
1:  mov     x0, #1
    ret
    // Skip most resets: each removes all the state that could be wrong.
3:  cmp     x20, #${EVTCHNOP_reset}
    b.ne    2b
    lsr     x0, x24, #56
    and     x0, x0, #15
    ret
call_families:
    .byte   ${families.join(', ')}
    .balign 4`;

const access = `
// Makes one access of any size to any address, except to the memory that this kernel needs.
random_access:
    stp     x29, x30, [sp, #-32]!
    str     x19, [sp, #16]
    bl      draw
    mov     x19, x0
    adr     x4, oddity_kinds
    tst     x0, #0x700000000000000
    b.ne    4f
    ldr     x1, [x28, #${own.cpu}]
    cbz     x1, 2f
    mov     x1, #${2 ** 46}
    orr     x19, x19, x1
    b       2f
4:
    lsr     x1, x0, #61
    adr     x3, place_kinds
    add     x3, x3, x1, lsl #4
    br      x3
place_kinds:
    b       place_distributor
    .space  12
    b       place_distributor
    .space  12
    b       place_redistributor
    .space  12
    b       place_redistributor
    .space  12
    b       place_uart
    .space  12
    b       place_scratch
    .space  12
    b       place_low
    .space  12
    b       place_high
    .space  12
place_distributor:
    mov     x1, #${device(GUEST_GICV3_GICD_BASE)}
    and     x0, x19, #0xffff
    b       place_found
place_redistributor:
    // An implemented redistributor register, or any.
    mov     x1, #${device(GUEST_GICV3_GICR0_BASE)}
    and     x0, x19, #0x3ffff
    tbz     x19, #50, place_found
    and     x0, x19, #0xffffff
    b       place_found
place_uart:
    mov     x1, #${device(GUEST_PL011_BASE)}
    and     x0, x19, #0xfff
    tbz     x19, #50, place_found
    and     x0, x19, #0x7f
    b       place_found
place_scratch:
    mov     x1, #${scratch.address - 4096}
    and     x0, x19, #${2 * scratchMask + 1}
    b       place_found
place_low:
    mov     x1, #${kernelBase}
    and     x0, x19, #0x3fffffff
    b       place_found
place_high:
    mov     x1, #${device(1n << 38n)}
    and     x0, x19, #0x3fffffffff
place_found:
    // Three of four accesses are aligned.
    tst     x19, #0xc000000000000
    b.eq    1f
    and     x0, x0, #0xfffffffffffffff8
1:  add     x0, x0, x1
    adr     x4, access_kinds
2:  mov     x1, x19
    lsr     x2, x19, #32
    // Small numbers are more meaningful to the interrupt controller.
    tbz     w19, #3, 3f
    lsr     x1, x19, #54
3:  ubfx    x3, x19, #44, #4
    add     x4, x4, x3, lsl #3
    blr     x4
    ldr     x19, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret
oddity_kinds:
${oddities.map((each) => `    ${each}\n    ret`).join('\n')}
access_kinds:
${accesses.map((each) => `    ${each}\n    ret`).join('\n')}`;

const running = `
// Runs the options fuzz= and seed= on every CPU. Does nothing without them.
fuzz:
    ${enter}
    adrl    x19, fuzz_count
    ldr     x19, [x19]
    cbz     x19, 3f
    adrl    x0, fuzz_seed
    ldr     x0, [x0]
    ldr     x1, [x28, #${own.cpu}]
    add     x1, x1, #1
    mov     x2, #0x9e3779b97f4a7c15
    madd    x0, x1, x2, x0
    orr     x0, x0, #1
    str     x0, [x28, #${own.random}]
    mov     x0, #1
    str     x0, [x28, #${own.passesFaults}]
    // Timer interrupts let it continue where it waits.
    mov     x0, #200
    bl      set_timer
1:  bl      draw
    tbnz    x0, #60, 2f
    bl      random_call
    b       4f
2:  bl      random_access
4:  ldr     x0, [x28, #${own.fuzzed}]
    add     x0, x0, #1
    str     x0, [x28, #${own.fuzzed}]
    sub     x19, x19, #1
    cbnz    x19, 1b
    ldr     x0, [x28, #${own.cpu}]
    cbnz    x0, 3f
    bl      report_fuzz
3:  ${leave}

// CPU 0 waits until no CPU makes progress any more, and prints how far all of them got.
report_fuzz:
    ${enter}
    mov     x19, #0
1:  bl      set_deadline
2:  bl      count_fuzzed
    cmp     x0, x19
    mov     x19, x0
    b.ne    1b
    adrl    x1, cpu_count
    ldr     x1, [x1]
    adrl    x2, fuzz_count
    ldr     x2, [x2]
    mul     x1, x1, x2
    cmp     x0, x1
    b.eq    3f
    mrs     x0, cntvct_el0
    cmp     x0, x25
    b.hi    3f
    yield
    b       2b
3:  ${say('\nfuzz: ')}
    mov     x0, x19
    bl      print_decimal
    ${say(' things done\n')}
    ${leave}

count_fuzzed:
    mov     x0, #0
    adrl    x1, cpu_count
    ldr     x1, [x1]
    adrl    x2, areas
    mov     x3, #0x4000
1:  ldr     x4, [x2, #${own.fuzzed}]
    add     x0, x0, x4
    add     x2, x2, x3
    sub     x1, x1, #1
    cbnz    x1, 1b
    ret

// Reads the options.
choose_fuzz:
    ${enter}
    adrl    x0, option_fuzz
    bl      find_option
    cbz     x0, 1f
    bl      read_number
    adrl    x1, fuzz_count
    str     x0, [x1]
1:  adrl    x0, option_seed
    bl      find_option
    cbz     x0, 2f
    bl      read_number
    adrl    x1, fuzz_seed
    str     x0, [x1]
2:  adrl    x0, option_deadly
    bl      find_option
    adrl    x1, fuzz_deadly
    str     x0, [x1]
    ${leave}
option_fuzz:
    .asciz  "fuzz="
option_seed:
    .asciz  "seed="
option_deadly:
    .asciz  "deadly"
    .balign 4`;

export const fuzzing = [chance, call, access, running].join('\n');
