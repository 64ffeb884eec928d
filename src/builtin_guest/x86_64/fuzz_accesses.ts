/** Random accesses to model-specific registers, ports, the local APIC and memory, for the option `fuzz=` (fuzz.ts). */
import { directBase, msr, own, scratch, scratchMask } from './layout.js';

/** Accesses to the address in RDI, with RAX. Each takes the space of eight bytes. */
const accesses = [
  'movzbl  (%rdi), %eax',
  'movzwl  (%rdi), %eax',
  'mov     (%rdi), %eax',
  'mov     (%rdi), %rax',
  'mov     %al, (%rdi)',
  'mov     %ax, (%rdi)',
  'mov     %eax, (%rdi)',
  'mov     %rax, (%rdi)',
  'mov     (%rdi), %eax',
  'mov     %eax, (%rdi)',
  'lock or %eax, (%rdi)',
  'lock xadd %rax, (%rdi)',
  'xchg    %rax, (%rdi)',
  'push    (%rdi)\n    pop     %rax',
  'movups  (%rdi), %xmm0',
  'stos    %eax, %es:(%rdi)',
] as const;

/** Accesses to the port in DX, and to the model-specific register in ECX, with EDX:EAX. */
const portAccesses = [
  'in      (%dx), %al',
  'in      (%dx), %ax',
  'in      (%dx), %eax',
  'out     %al, (%dx)',
  'out     %ax, (%dx)',
  'out     %eax, (%dx)',
  'in      (%dx), %al',
  'in      (%dx), %eax',
] as const;

/** Registers to choose from: those that Linux or Xen know, and one beyond each range. Half of all accesses use others. */
const registers = [
  0x10, 0x17, 0x1b, 0x3a, 0x3b, 0x8b, 0xfe, 0x140, 0x174, 0x179, 0x1a0, 0x1d9, 0x200, 0x277, 0x2ff, 0x6e0,
  0x4000_0000, 0x4000_0001, 0xc000_0080, 0xc000_0084, 0xc000_0103, 0xc001_0015, 0xc001_001f, 0xc001_0117,
  0x802, 0x803, 0x80d, 0x80f, 0x830, 0x832, 0x839, 0x83f,
]; // prettier-ignore

/** Ports to choose from: a power of 2. */
const ports = [0x20, 0x40, 0x42, 0x61, 0x64, 0x70, 0x80, 0xe9, 0x3f8, 0xcf8, 0xcfc, 0xaf00, 0xafe0, 0xb000, 0xb004, 0xffff]; // prettier-ignore

/** The first and the last number of the registers by which this kernel runs, which it must not change. */
const vital = { first: 0xc000_0080, last: 0xc000_0102 } as const;
const apicRange = { first: 0x800, last: 0x8ff } as const;
const xapicPage = 0xfee0_0000;
/** Offset in the page of the interrupt command register. */
const commandOffset = 0x300;

export const accessing = `
// Makes one access of any size to any address, except to the memory that this kernel needs.
random_access:
    push    %rbx
    call    draw
    mov     %rax, %rbx
    mov     %rax, %rcx
    shr     $61, %rcx
    cmp     $3, %ecx
    jb      random_register
    cmp     $5, %ecx
    jb      random_port
    je      1f
    cmp     $7, %ecx
    jb      2f
    // Any address of the direct map and around it that is not RAM.
    movabs  $${directBase}, %rdi
    mov     %ebx, %eax
    or      $0x40000000, %eax
    and     $0x7fffffff, %eax
    bt      $50, %rbx
    jae     4f
    bts     $38, %rax
    jmp     4f
    // The scratch pages and the pages around them.
1:  mov     $${scratch.address - 4096}, %edi
    mov     %ebx, %eax
    and     $${2 * scratchMask + 1}, %eax
    jmp     4f
    // The page of the local APIC, or its registers.
2:  movabs  $${directBase}, %rdi
    mov     $${xapicPage}, %eax
    add     %rax, %rdi
    mov     %ebx, %eax
    and     $0xfff, %eax
    bt      $51, %rbx
    jae     3f
    and     $0x3f0, %eax
    // A command that stops a CPU would be too much.
3:  mov     %eax, %ecx
    and     $0xff0, %ecx
    cmp     $${commandOffset}, %ecx
    je      6f
    cmp     $${commandOffset - 16}, %ecx
    je      6f
    cmpq    $0, ${own.cpu}(%r15)
    jne     6f
    // Three of four accesses are aligned.
4:  bt      $52, %rbx
    jb      5f
    and     $-8, %rax
5:  add     %rax, %rdi
    mov     %rbx, %rax
    shr     $32, %rax
    mov     %rbx, %rcx
    shr     $44, %rcx
    and     $15, %ecx
    shl     $3, %ecx
    lea     access_kinds(%rip), %rdx
    add     %rdx, %rcx
    call    *%rcx
6:  pop     %rbx
    ret

// Reads or writes a random model-specific register, whose number RBX chooses. Registers of the local APIC can block interrupts
// permanently, so only CPU 0, which never waits, writes them.
random_register:
    mov     %ebx, %eax
    and     $31, %eax
    lea     register_numbers(%rip), %rcx
    mov     (%rcx,%rax,4), %ecx
    bt      $5, %rbx
    jae     1f
    mov     %rbx, %rcx
    shr     $8, %rcx
    movzbl  %cl, %ecx
    or      $${apicRange.first}, %ecx
    bt      $6, %rbx
    jae     1f
    mov     %rbx, %rcx
    shr     $24, %rcx
1:  bt      $60, %rbx
    jb      read_register
    mov     $${vital.first}, %eax
    cmp     %eax, %ecx
    jb      2f
    mov     $${vital.last}, %eax
    cmp     %eax, %ecx
    jbe     read_register
2:  cmpq    $0, fuzz_deadly(%rip)
    jne     3f
    cmp     $${msr.apicBase}, %ecx
    je      read_register
    cmp     $${msr.apicCommand}, %ecx
    je      read_register
    cmp     $${apicRange.first}, %ecx
    jb      3f
    cmp     $${apicRange.last}, %ecx
    ja      3f
    cmpq    $0, ${own.cpu}(%r15)
    jne     read_register
3:  mov     %ecx, %ebx
    call    draw_value
    mov     %rax, %rdx
    shr     $32, %rdx
    mov     %ebx, %ecx
    call    write_faulting
    pop     %rbx
    ret
read_register:
    call    read_faulting
    pop     %rbx
    ret

random_port:
    mov     %ebx, %eax
    and     $15, %eax
    lea     port_numbers(%rip), %rcx
    movzwl  (%rcx,%rax,2), %edx
    bt      $4, %rbx
    jae     1f
    mov     %rbx, %rdx
    shr     $8, %rdx
1:  mov     %rbx, %rax
    shr     $28, %rax
    mov     %rbx, %rcx
    shr     $24, %rcx
    and     $7, %ecx
    shl     $3, %ecx
    lea     port_kinds(%rip), %rdi
    add     %rdi, %rcx
    call    *%rcx
    pop     %rbx
    ret
    .balign 4
register_numbers:
    .long   ${registers.join(', ')}
port_numbers:
    .hword  ${ports.join(', ')}

// Functions whose one access may fault. Then they return.
    .balign 8
faulting_start:
access_kinds:
${accesses.map((each) => `    ${each}\n    ret\n    .balign 8`).join('\n')}
port_kinds:
${portAccesses.map((each) => `    ${each}\n    ret\n    .balign 8`).join('\n')}
store_faulting:
    mov     %rax, (%rdi)
    ret
store_word_faulting:
    mov     %ax, (%rdi)
    ret
read_faulting:
    rdmsr
    ret
write_faulting:
    wrmsr
    ret
faulting_end:`;
