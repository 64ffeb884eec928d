/**
 * Drivers for the local APIC as x2APIC (Intel SDM, volume 3, chapter "Advanced Programmable Interrupt Controller"), and for time:
 * Xen's clock in vcpu_info and Xen's single-shot timer, whose event is VIRQ_TIMER (public/xen.h, public/vcpu.h).
 */
import {
  VCPUOP_set_singleshot_timer,
  VCPUOP_stop_periodic_timer,
  VCPUOP_stop_singleshot_timer,
  __HYPERVISOR_vcpu_op,
  vcpu_info,
  vcpu_set_singleshot_timer,
  vcpu_time_info,
} from '../../abi/index.js';
import { idOfCpu, idUnless } from './errors.js';
import { msr, own, vector } from './layout.js';
import { hypercall, panic, writeMsr, writeWideMsr } from './words.js';

/** IA32_APIC_BASE.EN and .EXTD. */
const x2apicOn = 0xc00;
/** The spurious-interrupt vector register: the APIC is on. */
const softwareEnabled = 0x100;
/** A periodic timer that divides by 1. */
const timer = { periodic: 0x2_0000, by1: 0xb } as const;

const time = vcpu_time_info.offsets;
const clock = own.vcpuInfo + vcpu_info.x86_64.offsets.time;

export const interrupts = `
// Turns this CPU's local APIC on as x2APIC, and lets it take every interrupt. Changes RAX, RCX and RDX.
start_apic:
    mov     $${msr.apicBase}, %ecx
    rdmsr
    or      $${x2apicOn}, %eax
    wrmsr
    xor     %eax, %eax
    ${writeMsr(msr.apicTaskPriority)}
    mov     $${softwareEnabled + vector.spurious}, %eax
    ${writeMsr(msr.apicSpurious)}
    ret

// Tells the local APIC that its interrupt was handled. Changes RAX, RCX and RDX.
end_of_interrupt:
    xor     %eax, %eax
    ${writeMsr(msr.apicEndOfInterrupt)}
    ret

// Sends EAX, the low half of a command, to the local APIC of the CPU whose area is at RBX. Changes RAX, RCX and RDX.
send_command:
    mov     ${own.apicId}(%rbx), %edx
send_command_to:
    mov     $${msr.apicCommand}, %ecx
    wrmsr
    ret

// Sends the interrupt of a call to the CPU whose area is at RBX. Returns 0 in RAX.
send_interrupt:
    mfence
    mov     $${vector.call}, %eax
    call    send_command
    xor     %eax, %eax
    ret

// Has the local APIC's timer interrupt this CPU every 200 microseconds, as its clock of 1 GHz counts them. Xen's timers may be
// out of order.
start_local_timer:
    mov     $${timer.by1}, %eax
    ${writeMsr(msr.apicTimerDivide)}
    mov     $${timer.periodic + vector.timer}, %eax
    ${writeMsr(msr.apicTimer)}
    mov     $200000, %eax
    ${writeMsr(msr.apicTimerCount)}
    ret

stop_local_timer:
    xor     %eax, %eax
    ${writeMsr(msr.apicTimerCount)}
    ret

// The system time in ns in RAX, by Xen's clock in this CPU's vcpu_info. Changes RCX, RDX and RSI.
read_time:
1:  mov     ${clock + time.version}(%r15), %esi
    test    $1, %esi
    jne     1b
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    sub     ${clock + time.tsc_timestamp}(%r15), %rax
    movsbl  ${clock + time.tsc_shift}(%r15), %ecx
    test    %ecx, %ecx
    js      2f
    shl     %cl, %rax
    jmp     3f
2:  neg     %ecx
    shr     %cl, %rax
3:  mov     ${clock + time.tsc_to_system_mul}(%r15), %ecx
    mul     %rcx
    shrd    $32, %rdx, %rax
    add     ${clock + time.system_time}(%r15), %rax
    cmp     ${clock + time.version}(%r15), %esi
    jne     1b
    ret

// Sets Xen's timer to fire in RAX microseconds. Changes RAX, RCX, RDX, RSI and RDI.
set_timer:
    imul    $1000, %rax, %rdi
    call    read_time
    add     %rdi, %rax
    mov     %rax, ${own.argument + vcpu_set_singleshot_timer.offsets.timeout_abs_ns}(%r15)
    movl    $0, ${own.argument + vcpu_set_singleshot_timer.offsets.flags}(%r15)
    mov     $${VCPUOP_set_singleshot_timer}, %edi
    ${idUnless('timer', '%r15', '%esi', idOfCpu(0, '%esi'))}
    lea     ${own.argument}(%r15), %rdx
    ${hypercall(__HYPERVISOR_vcpu_op)}
    test    %rax, %rax
    jne     1f
    ret
    // Like Linux, which waits for no timer that will not come.
1:  ${panic('Xen refuses a timer')}

stop_timer:
    mov     $${VCPUOP_stop_singleshot_timer}, %edi
    ${idUnless('stop', '%r15', '%esi', idOfCpu(0, '%esi'))}
    xor     %edx, %edx
    ${hypercall(__HYPERVISOR_vcpu_op)}
    ret

// Stops the periodic timer that Xen may have given this CPU, as Linux does before it uses the other one.
stop_periodic_timer:
    mov     $${VCPUOP_stop_periodic_timer}, %edi
    ${idUnless('periodic', '%r15', '%esi', idOfCpu(0, '%esi'))}
    xor     %edx, %edx
    ${hypercall(__HYPERVISOR_vcpu_op)}
    ret

// Writes RAX to the register by which a CPU finds its per-CPU variables: GS's base. Changes RCX and RDX.
set_gs_base:
    ${writeWideMsr(msr.gsBase)}
    ret`;
