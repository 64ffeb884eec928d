/**
 * Option `wrong=NAME`: one error, for the audit to find. Each is of a kind that kernels have made or could make without noticing,
 * because Xen takes most wrong ids: the id of another CPU in one call, records that hold another number, a CPU started by a number
 * that is not its APIC id.
 */
import { areaBytes, own } from './layout.js';

/** The errors by name, and what is wrong. Where a call is wrong, everything else is right. */
export const errors = {
  control: 'a literal 0 in EVTCHNOP_init_control',
  ipi: 'the id of the CPU that makes the call, in EVTCHNOP_bind_ipi',
  vector: 'the same, in HVMOP_set_evtchn_upcall_vector',
  virq: 'the same, in EVTCHNOP_bind_virq',
  info: 'the same, in VCPUOP_register_vcpu_info',
  up: 'the same, in VCPUOP_up',
  initialise: 'the same, in VCPUOP_initialise',
  runstate: "CPU 0's id, in VCPUOP_register_runstate_memory_area",
  timer: "CPU 0's id, in VCPUOP_set_singleshot_timer",
  stop: "CPU 0's id, in VCPUOP_stop_singleshot_timer",
  periodic: "CPU 0's id, in VCPUOP_stop_periodic_timer",
  down: "CPU 0's id, in VCPUOP_down",
  store: "CPU 1's id for CPU 0, in EVTCHNOP_bind_vcpu",
  cpunumber: 'records that hold CPU numbers',
  apicid: 'records that hold APIC ids',
  next: 'records that hold the id of the next CPU',
  swapped: 'the records of CPUs 1 and 2 are swapped',
  caller: 'records that hold the id that CPUID gives to the CPU that prepares another',
  late: 'each CPU sets its record when it starts, after the CPU that prepares it has used it',
  uid: "a CPU is started by its processor's UID, not by its APIC id",
  event: 'an event is sent to the port of the CPU behind the one that is meant',
} as const;

export type GuestError = keyof typeof errors;

const names = Object.keys(errors) as GuestError[];

/** The number of an error in `wrong_error`; 0 is none. */
const numberOf = (name: GuestError): number => names.indexOf(name) + 1;

/** Goes to `label` unless the guest is to make that error. */
export function unlessWrong(name: GuestError, label: string): string {
  return `
    cmpl    $${numberOf(name)}, wrong_error(%rip)
    jne     ${label}`;
}

/** Reads the vCPU id of the CPU whose area is at `area` into `register`, or `wrong` with that error. */
export function idUnless(name: GuestError, area: string, register: string, wrong: string): string {
  return `
    mov     ${own.xenVcpuId}(${area}), ${register}
    ${unlessWrong(name, '93f')}
    ${wrong}
93:`;
}

/** Reads the id of the CPU that runs, which need not be the CPU that the call is for. */
export const idOfCaller = (register: string): string => `mov     ${own.xenVcpuId}(%r15), ${register}`;

/** Reads the id of CPU `cpu`. */
export function idOfCpu(cpu: number, register: string): string {
  return `push    %rcx
    lea     areas(%rip), %rcx
    mov     ${cpu * areaBytes + own.xenVcpuId}(%rcx), ${register}
    pop     %rcx`;
}

/**
 * Changes the record in RAX of CPU R12, whose APIC id is RDX, where an error asks for it. RCX is the table of UIDs. Changes RDX and
 * RSI.
 */
export const wrongRecord = `
    ${unlessWrong('cpunumber', '5f')}
    mov     %r12, %rax
5:  ${unlessWrong('apicid', '5f')}
    mov     %rdx, %rax
5:  ${unlessWrong('next', '5f')}
    lea     1(%r12), %rsi
    xor     %edx, %edx
    cmp     cpu_count(%rip), %rsi
    cmovae  %rdx, %rsi
    mov     (%rcx,%rsi,8), %rax
5:  ${unlessWrong('swapped', '5f')}
    mov     $3, %esi
    sub     %r12, %rsi
    lea     -1(%r12), %rdx
    cmp     $2, %rdx
    jae     5f
    cmp     cpu_count(%rip), %rsi
    jae     5f
    mov     (%rcx,%rsi,8), %rax
5:  ${unlessWrong('late', '5f')}
    test    %r12, %r12
    je      5f
    xor     %eax, %eax
5:`;

export const choosing = `
// Finds out which error the guest is to make: wrong_error becomes its number. The option ids=direct is the error cpunumber.
choose_error:
    push    %rbx
    lea     option_direct(%rip), %rdi
    call    find_option
    mov     $${numberOf('cpunumber')}, %ebx
    test    %rax, %rax
    jne     2f
    xor     %ebx, %ebx
    lea     option_errors(%rip), %rdi
1:  inc     %ebx
    push    %rdi
    call    find_word
    pop     %rdi
    test    %rax, %rax
    jne     2f
    xor     %eax, %eax
    mov     $-1, %rcx
    repnz scas %es:(%rdi), %al
    cmpb    $0, (%rdi)
    jne     1b
    xor     %ebx, %ebx
2:  mov     %ebx, wrong_error(%rip)
    pop     %rbx
    ret

// As find_option, but the word must end where the text ends.
find_word:
    call    find_option
    test    %rax, %rax
    je      1f
    movzbl  (%rax), %ecx
    test    %cl, %cl
    je      1f
    cmp     $32, %cl
    je      1f
    xor     %eax, %eax
1:  ret

option_direct:
    .asciz  "ids=direct"
option_errors:
${names.map((name) => `    .asciz  "wrong=${name}"`).join('\n')}
    .byte   0`;
