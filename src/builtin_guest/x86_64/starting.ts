/** Starting another CPU: by INIT and SIPI, or with the option `start=call` by the hypercalls that can do it. */
import {
  VCPUOP_initialise,
  VCPUOP_up,
  VCPU_HVM_MODE_64B,
  __HYPERVISOR_vcpu_op,
  vcpu_hvm_context,
  vcpu_hvm_x86_64,
} from '../../abi/index.js';
import { longModeState } from './entry.js';
import { idOfCaller, idUnless, unlessWrong } from './errors.js';
import { own, trampolineAt } from './layout.js';
import { hypercall } from './words.js';

/** Commands of the interrupt command register: INIT, asserted and deasserted, and SIPI, as Linux sends them. */
const command = { init: 0xc500, deassert: 0x8500, startup: 0x600 } as const;

const context = own.argument + vcpu_hvm_context.offsets.cpu_regs;
const start = vcpu_hvm_x86_64.offsets;

/** Makes `value` the register at `offset` of a context. Changes RAX. */
function startRegister(offset: number, value: string): string {
  return `
    mov     ${value}, %eax
    mov     %rax, ${context + offset}(%r15)`;
}

export const starting = `
// Starts the CPU whose area is at RBX: by INIT and SIPI, or with the option start=call by hypercalls. Returns the answer in RAX.
start_cpu:
    cmpq    $0, start_by_call(%rip)
    jne     1f
    mov     $${command.init}, %eax
    call    send_start
    mov     $${command.deassert}, %eax
    call    send_start
    mov     $${command.startup + trampolineAt / 4096}, %eax
    call    send_start
    mov     $${command.startup + trampolineAt / 4096}, %eax
    call    send_start
    xor     %eax, %eax
    ret
1:  lea     ${own.argument}(%r15), %rdi
    xor     %eax, %eax
    mov     $${vcpu_hvm_context.size / 8}, %ecx
    rep stos %rax, %es:(%rdi)
    movl    $${VCPU_HVM_MODE_64B}, ${own.argument + vcpu_hvm_context.offsets.mode}(%r15)
    ${startRegister(start.rip, '$other_64')}
    ${startRegister(start.rflags, '$2')}
    ${startRegister(start.cr0, `$${longModeState.cr0}`)}
    ${startRegister(start.cr3, longModeState.cr3)}
    ${startRegister(start.cr4, `$${longModeState.cr4}`)}
    ${startRegister(start.efer, `$${longModeState.efer}`)}
    mov     $${VCPUOP_initialise}, %edi
    ${idUnless('initialise', '%rbx', '%esi', idOfCaller('%esi'))}
    lea     ${own.argument}(%r15), %rdx
    ${hypercall(__HYPERVISOR_vcpu_op)}
    test    %rax, %rax
    jne     2f
    mov     $${VCPUOP_up}, %edi
    ${idUnless('up', '%rbx', '%esi', idOfCaller('%esi'))}
    xor     %edx, %edx
    ${hypercall(__HYPERVISOR_vcpu_op)}
2:  ret

// Sends EAX to the local APIC of that CPU, as send_command does.
send_start:
    ${unlessWrong('uid', 'send_command')}
    mov     ${own.cpu}(%rbx), %rcx
    lea     cpu_uid(%rip), %rdx
    mov     (%rdx,%rcx,8), %edx
    jmp     send_command_to

choose_start:
    lea     option_call(%rip), %rdi
    call    find_option
    mov     %rax, start_by_call(%rip)
    ret

option_call:
    .asciz  "start=call"`;
