/** The code of CPU 0, from its first instruction with an area of its own to the end. */
import {
  SCHEDOP_shutdown,
  SHUTDOWN_poweroff,
  XENVER_version,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_xen_version,
} from '../../abi/index.js';
import { userAddress } from './entry.js';
import { own } from './layout.js';
import { hypercall, panic, say } from './words.js';

/** Number of loops in user space, long enough for the host to see the guest there. */
const userSteps = 50_000;
/** Offset of RSP0 in the task-state segment. */
const stackOfTask = 4;

const setUp = `
// Makes hypercall EAX. As in Linux, this is a function of its own.
xen_call:
    vmmcall
    ret

// RDI: the physical address of start_info.
start_first:
    call    read_start_info
    call    find_console
    call    choose_error
    call    fill_records
    call    choose_events
    call    choose_start
    call    choose_fuzz
    call    start_apic
    ${say('builtin guest: ')}
    mov     cpu_count(%rip), %rdi
    call    print_decimal
    ${say(' CPUs, Xen ')}
    mov     $${XENVER_version}, %edi
    xor     %esi, %esi
    ${hypercall(__HYPERVISOR_xen_version)}
    mov     %rax, %rbx
    mov     %rax, %rdi
    shr     $16, %rdi
    call    print_decimal
    mov     $46, %eax
    call    print_byte
    movzwl  %bx, %edi
    call    print_decimal
    ${say('\n')}
    mov     %r15, %rbx
    call    map_shared_info
    test    %rax, %rax
    jne     first_refused
    cmpq    $2, event_mode(%rip)
    jne     1f
    call    init_control
    test    %rax, %rax
    jne     first_refused
    call    expand_array
    test    %rax, %rax
    jne     first_refused
1:  call    prepare_cpu
    test    %rax, %rax
    jne     first_refused
    call    register_runstate
    test    %rax, %rax
    jne     first_refused
    call    stop_periodic_timer
    call    route_services
    sti
    call    introduce
    call    go_online
    call    start_others
    // The CPUs that are online take part in the rounds.
    mov     %rax, participants(%rip)
    call    rounds
    call    read_store
    lea     console_text(%rip), %rdi
    call    write_console
    call    visit_user
    call    fuzz
    jmp     finish

first_refused:
    mov     %rax, %rbx
    ${say('cpu 0: Xen answers ')}
    mov     %rbx, %rdi
    call    print_decimal
    ${say('\n')}
    ${panic('the first CPU cannot use Xen')}

// 0: events by both ABIs, 1: two-level only, 2: FIFO only.
choose_events:
    lea     option_two_level(%rip), %rdi
    call    find_option
    mov     $1, %edx
    test    %rax, %rax
    jne     1f
    lea     option_fifo(%rip), %rdi
    call    find_option
    mov     $2, %edx
    test    %rax, %rax
    jne     1f
    xor     %edx, %edx
1:  mov     %rdx, event_mode(%rip)
    ret`;

const ending = `
// Runs the user space program to its end.
visit_user:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    lea     1f(%rip), %rax
    push    %rax
    mov     %rsp, ${own.kernelStack}(%r15)
    lea     task_segment(%rip), %rcx
    mov     %rsp, ${stackOfTask}(%rcx)
    mov     $${userAddress}, %ecx
    mov     $0x202, %r11d
    cli
    swapgs
    sysretq
1:  pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ${say('user space has run\n')}
    ret

finish:
    call    count_online
    mov     %rax, %rbx
    ${say('online: ')}
    mov     %rbx, %rdi
    call    print_decimal
    ${say(' of ')}
    mov     cpu_count(%rip), %rdi
    call    print_decimal
    ${say(' CPUs; power off\n')}
    lea     option_halt(%rip), %rdi
    call    find_option
    test    %rax, %rax
    jne     turn_off
    movl    $${SHUTDOWN_poweroff}, ${own.argument}(%r15)
    mov     $${SCHEDOP_shutdown}, %edi
    lea     ${own.argument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_sched_op)}
    ${panic('it cannot power off')}`;

const texts = `
option_two_level:
    .asciz  "events=2l"
option_fifo:
    .asciz  "events=fifo"
option_halt:
    .asciz  "poweroff=halt"
console_text:
    .asciz  "builtin guest: this line came by the PV console\\n"
    .balign 4096
// The user space program, in a page of its own.
user_page:
    mov     $${userSteps}, %eax
1:  dec     %eax
    jne     1b
    syscall
    jmp     user_page
    .balign 4096`;

export const main = [setUp, ending].join('\n');
export { texts };
