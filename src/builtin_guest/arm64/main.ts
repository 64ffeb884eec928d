/** The code of CPU 0, from its first instruction at the kernel's addresses to the end. */
import {
  PSCI_0_2_FN_SYSTEM_OFF,
  SCHEDOP_shutdown,
  SHUTDOWN_poweroff,
  XENVER_version,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_xen_version,
} from '../../abi/index.js';
import { own } from './layout.js';
import { userAddress } from './entry.js';
import { hypercall, panic, say } from './words.js';

/** Number of loops in user space, long enough for the host to see the guest there. */
const userSteps = 50_000;

const setUp = `
// X0: the device tree's address.
start_first:
    bl      read_device_tree
    bl      fill_records
    bl      choose_events
    bl      choose_fuzz
    bl      start_distributor
    bl      start_redistributor
    ${say('builtin guest: ')}
    adrl    x0, cpu_count
    ldr     x0, [x0]
    bl      print_decimal
    ${say(' CPUs, Xen ')}
    mov     x0, #${XENVER_version}
    mov     x1, #0
    ${hypercall(__HYPERVISOR_xen_version)}
    mov     x19, x0
    lsr     x0, x19, #16
    bl      print_decimal
    mov     w0, #46
    bl      print_byte
    and     x0, x19, #0xffff
    bl      print_decimal
    ${say('\n')}
    bl      map_shared_info
    cbnz    x0, first_refused
    adrl    x0, event_mode
    ldr     x0, [x0]
    cmp     x0, #2
    b.ne    1f
    mov     x22, x28
    bl      init_control
    cbnz    x0, first_refused
    bl      expand_array
    cbnz    x0, first_refused
1:  bl      register_areas
    cbnz    x0, first_refused
    bl      bind_own_port
    cbnz    x0, first_refused
    bl      find_services
    msr     daifclr, #2
    bl      introduce
    bl      go_online
    bl      start_others
    // The CPUs that are online take part in the rounds.
    adrl    x1, participants
    str     x0, [x1]
    sev
    bl      rounds
    bl      read_store
    adrl    x0, console_text
    bl      write_console
    bl      visit_user
    bl      fuzz
    b       finish

first_refused:
    mov     x19, x0
    ${say('cpu 0: Xen answers ')}
    mov     x0, x19
    bl      print_decimal
    ${say('\n')}
    ${panic('the first CPU cannot use Xen')}

// 0: events by both ABIs, 1: two-level only, 2: FIFO only.
choose_events:
    stp     x29, x30, [sp, #-16]!
    adrl    x0, option_two_level
    bl      find_option
    mov     x1, #1
    cbnz    x0, 1f
    adrl    x0, option_fifo
    bl      find_option
    mov     x1, #2
    cbnz    x0, 1f
    mov     x1, #0
1:  adrl    x0, event_mode
    str     x1, [x0]
    ldp     x29, x30, [sp], #16
    ret`;

const ending = `
// Runs the user space program to its end.
visit_user:
    stp     x29, x30, [sp, #-32]!
    str     x19, [sp, #16]
    mov     x0, #${userAddress}
    msr     elr_el1, x0
    msr     spsr_el1, xzr
    adr     x19, 1f
    eret
1:  msr     daifclr, #2
    ${say('user space has run\n')}
    ldr     x19, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

finish:
    bl      count_online
    mov     x19, x0
    ${say('online: ')}
    mov     x0, x19
    bl      print_decimal
    ${say(' of ')}
    adrl    x0, cpu_count
    ldr     x0, [x0]
    bl      print_decimal
    ${say(' CPUs; power off\n')}
    adrl    x0, option_psci
    bl      find_option
    cbnz    x0, 1f
    mov     w0, #${SHUTDOWN_poweroff}
    str     w0, [x28, #${own.argument}]
    mov     x0, #${SCHEDOP_shutdown}
    add     x1, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_sched_op)}
1:  mov     x0, #${PSCI_0_2_FN_SYSTEM_OFF}
    hvc     #0
    ${panic('it cannot power off')}`;

const texts = `
option_two_level:
    .asciz  "events=2l"
option_fifo:
    .asciz  "events=fifo"
option_psci:
    .asciz  "poweroff=psci"
console_text:
    .asciz  "builtin guest: this line came by the PV console\\n"
    .balign 4096
// The user space program, in a page of its own.
user_page:
    mov     x0, #${userSteps}
1:  sub     x0, x0, #1
    cbnz    x0, 1b
    svc     #0
    b       user_page
    .balign 4096`;

export const main = [setUp, ending].join('\n');
export { texts };
