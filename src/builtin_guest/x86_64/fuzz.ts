/**
 * Option `fuzz=COUNT`: every CPU does COUNT things that no kernel would do: hypercalls with any number and arguments, and accesses
 * of any kind to model-specific registers, to ports, to the local APIC, to unmapped addresses, and to pages that are shared with
 * Xen. They depend only on the option `seed=N` and on the CPU. The guest tries to survive: it does not ask for its own end or
 * for that of a CPU, CPU 0 makes no call that waits (unless `deadly` allows all of it), pointers point to a few scratch pages only,
 * and faults are skipped.
 */
import {
  DOMID_SELF,
  EVTCHNOP_reset,
  SCHEDOP_block,
  SCHEDOP_poll,
  SCHEDOP_shutdown,
  SCHEDOP_shutdown_code,
  SCHEDOP_watchdog,
  VCPUOP_down,
  VCPUOP_initialise,
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
import { accessing } from './fuzz_accesses.js';
import { msr, own, physicalMask, scratch, scratchMask } from './layout.js';
import { enter, leave, say } from './words.js';

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

const chance = `
// Returns the next random number in RAX (xorshift64*: Vigna, An experimental exploration of Marsaglia's xorshift
// generators, scrambled, 2016). Changes RCX.
draw:
    mov     ${own.random}(%r15), %rax
    mov     %rax, %rcx
    shr     $12, %rcx
    xor     %rcx, %rax
    mov     %rax, %rcx
    shl     $25, %rcx
    xor     %rcx, %rax
    mov     %rax, %rcx
    shr     $27, %rcx
    xor     %rcx, %rax
    mov     %rax, ${own.random}(%r15)
    movabs  $0x2545f4914f6cdd1d, %rcx
    imul    %rcx, %rax
    ret

// Returns a typical hypercall argument in RAX. Changes RCX and RDX.
draw_value:
    call    draw
    mov     %rax, %rcx
    shr     $61, %rcx
    cmp     $1, %ecx
    jb      1f
    je      2f
    cmp     $3, %ecx
    jb      3f
    je      4f
    cmp     $5, %ecx
    jb      draw_pointer
    je      draw_frame
    cmp     $7, %ecx
    jb      5f
    and     $0x1f, %eax
    ret
1:  and     $0xf, %eax
    ret
2:  movzbl  %al, %eax
    ret
3:  shr     $32, %rax
4:  ret
5:  mov     $${DOMID_SELF}, %eax
    ret
draw_pointer:
    and     $${scratchMask}, %eax
    add     $${scratch.address}, %eax
    // Make half of them as a kernel would.
    test    $0x80, %al
    je      1f
    and     $-8, %rax
1:  ret
draw_frame:
    and     $${scratch.pages - 1}, %eax
    lea     scratch_pages(%rip), %rcx
    and     $${physicalMask}, %ecx
    shr     $12, %ecx
    add     %rcx, %rax
    ret`;

const call = `
// Makes a random hypercall.
random_call:
    ${enter}
    // Its argument block, somewhere in the scratch pages.
    call    draw
    call    draw_pointer
    mov     %rax, %rdi
    mov     $8, %r12d
1:  call    draw_value
    test    $1, %r12d
    je      2f
    mov     %eax, %ebx
    call    draw_value
    shl     $32, %rax
    or      %rbx, %rax
2:  // It may cross the end, where the store faults and is skipped.
    call    store_faulting
    add     $8, %rdi
    dec     %r12d
    jne     1b
    sub     $64, %rdi
    // Often use this domain's id, which many operations have as first field.
    call    draw
    test    $8, %al
    je      3f
    mov     $${DOMID_SELF}, %eax
    call    store_word_faulting
3:  mov     %rdi, %r14
    call    draw_value
    mov     %rax, %rbx
    call    draw_value
    mov     %rax, %rbp
    call    draw_value
    mov     %rax, %r12
    call    draw_value
    mov     %rax, %r10
    call    draw
    mov     %rax, %r13
    mov     %eax, %r8d
    and     $63, %r8d
    bt      $8, %r13
    jae     4f
    lea     call_families(%rip), %rcx
    and     $15, %eax
    movzbl  (%rcx,%rax,1), %r8d
    // Mostly an operation with the argument block, as most hypercalls take it; or with a count or a vCPU before it.
4:  mov     %r13, %rax
    shr     $16, %rax
    and     $31, %eax
    test    $0x700, %r13d
    cmove   %rax, %rbx
    test    $0x1000, %r13d
    cmove   %r14, %rbp
    test    $0x4000, %r13d
    cmove   %r14, %r12
    call    refrain
    test    %eax, %eax
    jne     5f
    mov     %r8d, %eax
    mov     %rbx, %rdi
    mov     %rbp, %rsi
    mov     %r12, %rdx
    mov     %r13, %r8
    call    xen_call
5:  ${leave}

// EAX: whether call R8 with operation RBX is one from which this CPU or another would not return.
refrain:
    cmpq    $0, fuzz_deadly(%rip)
    jne     2f
    cmp     $${__HYPERVISOR_event_channel_op}, %r8d
    je      3f
    cmp     $${__HYPERVISOR_vcpu_op}, %r8d
    je      4f
    cmp     $${__HYPERVISOR_sched_op}, %r8d
    jne     2f
    cmp     $${SCHEDOP_shutdown}, %rbx
    je      1f
    cmp     $${SCHEDOP_shutdown_code}, %rbx
    je      1f
    cmp     $${SCHEDOP_watchdog}, %rbx
    je      1f
    cmpq    $0, ${own.cpu}(%r15)
    jne     2f
    cmp     $${SCHEDOP_block}, %rbx
    je      1f
    cmp     $${SCHEDOP_poll}, %rbx
    je      1f
2:  xor     %eax, %eax
    ret
1:  mov     $1, %eax
    ret
    // Skip most resets: each removes all the state that could be wrong.
3:  cmp     $${EVTCHNOP_reset}, %rbx
    jne     2b
    mov     %r13, %rax
    shr     $56, %rax
    and     $15, %eax
    ret
4:  cmp     $${VCPUOP_down}, %rbx
    je      1b
    cmp     $${VCPUOP_initialise}, %rbx
    je      1b
    jmp     2b
call_families:
    .byte   ${families.join(', ')}`;

const running = `
// Runs the options fuzz= and seed= on every CPU. Does nothing without them.
fuzz:
    ${enter}
    mov     fuzz_count(%rip), %r12
    test    %r12, %r12
    je      3f
    mov     ${own.cpu}(%r15), %rax
    inc     %rax
    movabs  $0x9e3779b97f4a7c15, %rcx
    imul    %rcx, %rax
    mov     fuzz_seed(%rip), %rcx
    lea     (%rax,%rcx,2), %rax
    or      $1, %rax
    mov     %rax, ${own.random}(%r15)
    movq    $1, ${own.passesFaults}(%r15)
    // Interrupts of the local APIC's timer let it continue where it waits.
    call    start_local_timer
    cmpq    $0, ${own.cpu}(%r15)
    jne     1f
    call    choose_apic_mode
1:  call    draw
    bt      $60, %rax
    jb      2f
    call    random_call
    jmp     4f
2:  call    random_access
4:  incq    ${own.fuzzed}(%r15)
    dec     %r12
    jne     1b
    cmpq    $0, ${own.cpu}(%r15)
    jne     3f
    call    report_fuzz
3:  ${leave}

// With an odd seed, CPU 0 has its local APIC as xAPIC, so that it answers in its page.
choose_apic_mode:
    testb   $1, fuzz_seed(%rip)
    je      1f
    mov     $${msr.apicBase}, %ecx
    rdmsr
    and     $0xfffff3ff, %eax
    wrmsr
    or      $0x800, %eax
    wrmsr
1:  ret

// CPU 0 waits until no CPU makes progress any more, and prints how far all of them got.
report_fuzz:
    ${enter}
    xor     %r12d, %r12d
1:  call    set_deadline
2:  call    count_fuzzed
    cmp     %r12, %rax
    mov     %rax, %r12
    jne     1b
    mov     cpu_count(%rip), %rcx
    imul    fuzz_count(%rip), %rcx
    cmp     %rcx, %rax
    je      3f
    call    read_time
    cmp     ${own.deadline}(%r15), %rax
    ja      3f
    pause
    jmp     2b
3:  ${say('\nfuzz: ')}
    mov     %r12, %rdi
    call    print_decimal
    ${say(' things done\n')}
    ${leave}

// RAX: how many things all CPUs have done. Changes RCX and RDX.
count_fuzzed:
    xor     %eax, %eax
    mov     cpu_count(%rip), %rcx
    lea     areas(%rip), %rdx
1:  add     ${own.fuzzed}(%rdx), %rax
    add     $0x4000, %rdx
    dec     %rcx
    jne     1b
    ret

// Reads the options.
choose_fuzz:
    lea     option_fuzz(%rip), %rdi
    call    find_option
    test    %rax, %rax
    je      1f
    call    read_number
    mov     %rax, fuzz_count(%rip)
1:  lea     option_seed(%rip), %rdi
    call    find_option
    test    %rax, %rax
    je      2f
    call    read_number
    mov     %rax, fuzz_seed(%rip)
2:  lea     option_deadly(%rip), %rdi
    call    find_option
    mov     %rax, fuzz_deadly(%rip)
    ret
option_fuzz:
    .asciz  "fuzz="
option_seed:
    .asciz  "seed="
option_deadly:
    .asciz  "deadly"`;

export const fuzzing = [chance, call, accessing, running].join('\n');
