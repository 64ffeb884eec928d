/**
 * CPU enumeration, vCPU ids and CPU bring-up. As in Linux on x86, CPU 0 is the CPU that was entered, and the others follow in the
 * order of the MADT. CPU 0 takes its vCPU id from Xen's CPUID leaf, the others have the MADT's processor UID, which each checks by
 * its own leaf (docs/identity.md). All ids are known before any use, but for some of the errors in `errors.ts`.
 */
import {
  VCPUOP_down,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_info,
  XEN_CPUID_FIRST_LEAF,
  XEN_CPUID_SIGNATURE_EBX,
  XEN_CPUID_SIGNATURE_ECX,
  XEN_CPUID_SIGNATURE_EDX,
  XEN_HVM_CPUID_VCPU_ID_PRESENT,
  __HYPERVISOR_vcpu_op,
  acpi_madt,
  acpi_madt_entry,
  acpi_madt_local_apic,
  acpi_table_header,
  hvm_start_info,
  vcpu_register_vcpu_info,
} from '../../abi/index.js';
import { idOfCaller, idOfCpu, idUnless, unlessWrong, wrongRecord } from './errors.js';
import { clearedBytes, directBase, mostCpus, own, physicalMask } from './layout.js';
import { awaitAtLeast, enter, hypercall, leave, panic, say } from './words.js';

/** The bytes of `text` as the number that a little-endian load reads. */
function asNumber(text: string): string {
  const bytes = Array.from(text, (letter) => letter.charCodeAt(0));
  return `0x${bytes
    .toReversed()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')}`;
}

/** Offset of the XSDT's address in the root pointer (ACPI 6.5, 5.2.5.3). */
const xsdtAddress = 24;
/** The leaf whose EDX is the x2APIC id. */
const topologyLeaf = 0xb;
const apicEntry = acpi_madt_entry.size;
const apicFlags = { enabled: 1 } as const;

const readTables = `
// Reads start_info at the physical address RDI: the command line's address, and the CPUs' APIC ids and processor UIDs.
read_start_info:
    ${enter}
    movabs  $${directBase}, %rbp
    add     %rbp, %rdi
    mov     ${hvm_start_info.offsets.cmdline_paddr}(%rdi), %rax
    test    %rax, %rax
    je      1f
    add     %rbp, %rax
    mov     %rax, bootargs(%rip)
1:  mov     ${hvm_start_info.offsets.rsdp_paddr}(%rdi), %rsi
    mov     $${topologyLeaf}, %eax
    xor     %ecx, %ecx
    cpuid
    mov     %edx, %r12d
    lea     cpu_apic(%rip), %r13
    lea     cpu_uid(%rip), %r14
    mov     %r12, (%r13)
    mov     $1, %ebx
    mov     ${xsdtAddress}(%rsi,%rbp,1), %rsi
    add     %rbp, %rsi
    mov     ${acpi_table_header.offsets.length}(%rsi), %ecx
    add     %rsi, %rcx
    add     $${acpi_table_header.size}, %rsi
2:  cmp     %rcx, %rsi
    jae     no_madt
    mov     (%rsi), %rdi
    add     $8, %rsi
    add     %rbp, %rdi
    cmpl    $${asNumber('APIC')}, (%rdi)
    jne     2b
    mov     ${acpi_table_header.offsets.length}(%rdi), %ecx
    add     %rdi, %rcx
    add     $${acpi_madt.size}, %rdi
3:  cmp     %rcx, %rdi
    jae     5f
    cmpb    $0, (%rdi)
    jne     4f
    testb   $${apicFlags.enabled}, ${apicEntry + acpi_madt_local_apic.offsets.flags}(%rdi)
    je      4f
    movzbl  ${apicEntry + acpi_madt_local_apic.offsets.acpi_processor_uid}(%rdi), %eax
    movzbl  ${apicEntry + acpi_madt_local_apic.offsets.apic_id}(%rdi), %edx
    cmp     %edx, %r12d
    je      6f
    cmp     $${mostCpus}, %ebx
    jae     4f
    mov     %rdx, (%r13,%rbx,8)
    mov     %rax, (%r14,%rbx,8)
    inc     %ebx
    jmp     4f
6:  mov     %rax, (%r14)
4:  movzbl  1(%rdi), %eax
    add     %rax, %rdi
    test    %eax, %eax
    jne     3b
5:  mov     %rbx, cpu_count(%rip)
    ${leave}
no_madt:
    ${panic('there is no MADT')}

// Finds Xen's CPUID leaves. RAX becomes the first one. Changes RCX and RDX.
find_xen:
    push    %rbx
    push    %rsi
    mov     $${XEN_CPUID_FIRST_LEAF}, %esi
1:  mov     %esi, %eax
    cpuid
    cmp     $${XEN_CPUID_SIGNATURE_EBX}, %ebx
    jne     2f
    cmp     $${XEN_CPUID_SIGNATURE_ECX}, %ecx
    jne     2f
    cmp     $${XEN_CPUID_SIGNATURE_EDX}, %edx
    je      3f
2:  add     $0x100, %esi
    cmp     $${XEN_CPUID_FIRST_LEAF + 0x1_0000}, %esi
    jb      1b
    ${panic('there is no Xen below this kernel')}
3:  mov     %esi, %eax
    pop     %rsi
    pop     %rbx
    ret

// RAX becomes this CPU's own vCPU id by CPUID, -1 where Xen does not tell. Changes RCX and RDX.
own_vcpu_id:
    call    find_xen
    push    %rbx
    add     $4, %eax
    xor     %ecx, %ecx
    cpuid
    test    $${XEN_HVM_CPUID_VCPU_ID_PRESENT}, %eax
    mov     %ebx, %eax
    pop     %rbx
    jne     1f
    mov     $-1, %rax
1:  ret`;

const options = `
// Searches the command line for a word that begins with the text at RDI. RAX becomes the address after it, or 0. Changes RCX, RDX,
// RSI and RDI.
find_option:
    mov     bootargs(%rip), %rsi
    test    %rsi, %rsi
    je      4f
1:  mov     %rdi, %rdx
    mov     %rsi, %rcx
2:  movzbl  (%rdx), %eax
    test    %al, %al
    je      3f
    cmp     %al, (%rcx)
    jne     5f
    inc     %rdx
    inc     %rcx
    jmp     2b
    // Skip to the next word.
5:  movzbl  (%rsi), %eax
    inc     %rsi
    test    %al, %al
    je      4f
    cmp     $32, %al
    jne     5b
    jmp     1b
3:  mov     %rcx, %rax
    ret
4:  xor     %eax, %eax
    ret

// Parses the decimal number at RAX into RAX. Changes RCX and RDX.
read_number:
    mov     %rax, %rdx
    xor     %eax, %eax
1:  movzbl  (%rdx), %ecx
    sub     $48, %ecx
    cmp     $9, %ecx
    ja      2f
    imul    $10, %rax, %rax
    add     %rcx, %rax
    inc     %rdx
    jmp     1b
2:  ret`;

const records = `
// Fills every CPU's area including its record, before any of them is used.
fill_records:
    ${enter}
    call    own_vcpu_id
    test    %rax, %rax
    js      2f
    mov     %rax, cpu_uid(%rip)
2:  lea     areas(%rip), %rbx
    xor     %r12d, %r12d
3:  test    %r12, %r12
    je      4f
    mov     %rbx, %rdi
    call    clear_area
4:  lea     area_template(%rip), %rcx
    mov     %rbx, %rax
    sub     %rcx, %rax
    lea     per_cpu_offset(%rip), %rcx
    mov     %rax, (%rcx,%r12,8)
    mov     %r12, ${own.cpu}(%rbx)
    lea     cpu_apic(%rip), %rcx
    mov     (%rcx,%r12,8), %rdx
    mov     %rdx, ${own.apicId}(%rbx)
    lea     cpu_uid(%rip), %rcx
    mov     (%rcx,%r12,8), %rax
    ${wrongRecord}
    mov     %eax, ${own.xenVcpuId}(%rbx)
    add     $0x4000, %rbx
    inc     %r12
    cmp     cpu_count(%rip), %r12
    jb      3b
    ${leave}

// Clears the first page of the area at RDI. Changes RAX, RCX and RDI.
clear_area:
    xor     %eax, %eax
    mov     $${clearedBytes / 8}, %ecx
    rep stos %rax, %es:(%rdi)
    ret`;

const registration = `
// Prepares the CPU whose area is at RBX for events, using its record: vcpu_info, upcall vector, ports. Like Linux, a CPU does this
// for each CPU that it starts, as well as for itself. RAX: 0, or the first error.
prepare_cpu:
    ${unlessWrong('caller', '1f')}
    call    own_vcpu_id
    mov     %eax, ${own.xenVcpuId}(%rbx)
1:  mov     %ebx, %eax
    and     $${physicalMask}, %eax
    shr     $12, %eax
    mov     %rax, ${own.argument + vcpu_register_vcpu_info.offsets.mfn}(%r15)
    movl    $${own.vcpuInfo}, ${own.argument + vcpu_register_vcpu_info.offsets.offset}(%r15)
    movl    $0, ${own.argument + vcpu_register_vcpu_info.offsets.rsvd}(%r15)
    mov     $${VCPUOP_register_vcpu_info}, %edi
    ${idUnless('info', '%rbx', '%esi', idOfCaller('%esi'))}
    lea     ${own.argument}(%r15), %rdx
    ${hypercall(__HYPERVISOR_vcpu_op)}
    test    %rax, %rax
    jne     1f
    call    set_upcall_vector
    test    %rax, %rax
    jne     1f
    call    bind_timer
    test    %rax, %rax
    jne     1f
    call    bind_own_port
1:  ret

// Registers this CPU's area for its runstate. Returns the answer in RAX.
register_runstate:
    lea     ${own.runstate}(%r15), %rax
    mov     %rax, ${own.argument}(%r15)
    mov     $${VCPUOP_register_runstate_memory_area}, %edi
    ${idUnless('runstate', '%r15', '%esi', idOfCpu(0, '%esi'))}
    lea     ${own.argument}(%r15), %rdx
    ${hypercall(__HYPERVISOR_vcpu_op)}
    ret

// Marks this CPU as online.
go_online:
    mov     ${own.cpu}(%r15), %rax
    lea     online_mask(%rip), %rcx
    lock bts %rax, (%rcx)
    movq    $1, ${own.online}(%r15)
    ret

// Marks this CPU as offline, and turns it off: HLT with interrupts disabled takes a vCPU down, and so does VCPUOP_down.
go_offline:
    mov     ${own.cpu}(%r15), %rax
    lea     online_mask(%rip), %rcx
    lock btr %rax, (%rcx)
    movq    $0, ${own.online}(%r15)
turn_off:
    cmpq    $0, start_by_call(%rip)
    je      1f
    mov     $${VCPUOP_down}, %edi
    ${idUnless('down', '%r15', '%esi', idOfCpu(0, '%esi'))}
    xor     %edx, %edx
    ${hypercall(__HYPERVISOR_vcpu_op)}
1:  cli
    hlt
    jmp     turn_off`;

const bringUp = `
// Starts the other CPUs and waits until each is online or has failed. RAX: the number of CPUs online, including this
// one.
start_others:
    ${enter}
    call    place_trampoline
    mov     %r15, %rbx
    mov     $1, %r12d
    xor     %r14d, %r14d
1:  cmp     cpu_count(%rip), %r12
    jae     5f
    add     $0x4000, %rbx
    call    prepare_cpu
    test    %rax, %rax
    jne     3f
    cmpq    $2, event_mode(%rip)
    jne     2f
    call    init_control
    test    %rax, %rax
    jne     4f
2:  call    start_cpu
    test    %rax, %rax
    jne     8f
    inc     %r14
    jmp     6f
3:  mov     %rax, %r13
    call    lock_console
    ${say('cpu ')}
    mov     %r12, %rdi
    call    print_decimal
    ${say(': Xen refuses what is registered for it: ')}
    jmp     7f
4:  mov     %rax, %r13
    call    lock_console
    ${say('cpu ')}
    mov     %r12, %rdi
    call    print_decimal
    ${say(': Xen refuses its control block: ')}
    jmp     7f
8:  mov     %rax, %r13
    call    lock_console
    ${say('cpu ')}
    mov     %r12, %rdi
    call    print_decimal
    ${say(': Xen refuses to start it: ')}
7:  mov     %r13, %rdi
    call    print_decimal
    ${say('\n')}
    call    unlock_console
6:  inc     %r12
    jmp     1b
5:  call    set_deadline
    lea     settled(%rip), %rbx
    ${awaitAtLeast('(%rbx)', 'mov     %r14, %rcx')}
    call    count_online
    ${leave}

// RAX: the number of CPUs online. Changes RCX and RDX.
count_online:
    xor     %eax, %eax
    mov     online_mask(%rip), %rcx
1:  test    %rcx, %rcx
    je      2f
    lea     -1(%rcx), %rdx
    and     %rdx, %rcx
    inc     %eax
    jmp     1b
2:  lea     online_mask(%rip), %rcx
    mov     8(%rcx), %rcx
3:  test    %rcx, %rcx
    je      4f
    lea     -1(%rcx), %rdx
    and     %rdx, %rcx
    inc     %eax
    jmp     3b
4:  ret

// Sets the deadline: 10 ms plus 1 ms per CPU, which is ample for every wait. Changes RAX, RCX, RDX and RSI.
set_deadline:
    call    read_time
    mov     cpu_count(%rip), %rcx
    add     $10, %rcx
    imul    $1000000, %rcx, %rcx
    add     %rcx, %rax
    mov     %rax, ${own.deadline}(%r15)
    ret

check_deadline:
    push    %rdx
    push    %rsi
    call    read_time
    pop     %rsi
    pop     %rdx
    cmp     ${own.deadline}(%r15), %rax
    ja      1f
    ret
1:  ${say('cpu ')}
    mov     ${own.cpu}(%r15), %rdi
    call    print_decimal
    ${say(': no answer\n')}
    ${panic('CPUs do not reach each other')}

// Prints which vCPU this CPU believes it is.
introduce:
    call    lock_console
    ${say('cpu ')}
    mov     ${own.cpu}(%r15), %rdi
    call    print_decimal
    ${say(': APIC id ')}
    mov     ${own.apicId}(%r15), %rdi
    call    print_hex
    ${say(', vCPU ')}
    mov     ${own.xenVcpuId}(%r15), %edi
    call    print_decimal
    ${say(', port ')}
    mov     ${own.port}(%r15), %edi
    call    print_decimal
    ${say('\n')}
    jmp     unlock_console

// Entry of a secondary CPU at the kernel's addresses, with its own area.
start_other:
    call    start_apic
    ${unlessWrong('late', '4f')}
    call    own_vcpu_id
    mov     %eax, ${own.xenVcpuId}(%r15)
4:  cmpl    $0, wrong_error(%rip)
    jne     1f
    call    own_vcpu_id
    test    %rax, %rax
    js      1f
    cmp     %eax, ${own.xenVcpuId}(%r15)
    jne     other_vcpu
1:  call    register_runstate
    test    %rax, %rax
    jne     3f
    call    stop_periodic_timer
    sti
    call    introduce
    call    go_online
    lock incq settled(%rip)
    call    set_deadline
    lea     participants(%rip), %rbx
    ${awaitAtLeast('(%rbx)', 'mov     $1, %ecx')}
    call    rounds
    call    fuzz
    lea     option_halt(%rip), %rdi
    call    find_option
    test    %rax, %rax
    jne     turn_off
2:  hlt
    jmp     2b
3:  mov     %rax, %rbx
    call    lock_console
    ${say('cpu ')}
    mov     ${own.cpu}(%r15), %rdi
    call    print_decimal
    ${say(': Xen refuses what it registers: ')}
    mov     %rbx, %rdi
    call    print_decimal
    ${say('\n')}
    call    unlock_console
    lock incq settled(%rip)
    jmp     go_offline
other_vcpu:
    ${panic('CPUID and the MADT disagree about a vCPU id')}
`;

export const cpus = [readTables, options, records, registration, bringUp].join('\n');
