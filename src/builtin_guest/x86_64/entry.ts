/**
 * The ELF header, and the code that each CPU runs before it uses the kernel's addresses: page tables, long mode, per-CPU area. CPU 0
 * enters in 32-bit mode without paging, with EBX at start_info (Xen docs/misc/pvh.pandoc), and in a PVHVM guest in 64-bit mode, with RSI
 * at boot_params (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol"); the others enter in real mode at the page
 * that a SIPI names. The file is what lies in memory, from its header on.
 */
import { hvm_start_info, zeroPage } from '../../abi/index.js';
import {
  areaBytes,
  directBase,
  entry64Offset,
  entryOffset,
  kernelBase,
  mostCpus,
  msr,
  scratch,
  selector,
  trampolineAt,
} from './layout.js';
import { writeMsr, writeWideMsr } from './words.js';

/** XEN_ELFNOTE_PHYS32_ENTRY (Xen public/elfnote.h). */
const phys32Entry = 18;

const elf = { headerBytes: 64, programHeaderBytes: 56, executable: 2, x86_64: 62, load: 1, note: 4 } as const;

const virtual = (label: string): string => `${label} + ${kernelBase}`;

export const header = `
image:
    .byte   0x7f
    .ascii  "ELF"
    .byte   2, 1, 1, 0
    .quad   0
    .hword  ${elf.executable}, ${elf.x86_64}
    .long   1
    .quad   entry_hvm
    .quad   ${elf.headerBytes}
    .quad   0
    .long   0
    .hword  ${elf.headerBytes}, ${elf.programHeaderBytes}, 2, 0, 0, 0
    .long   ${elf.load}, 7
    .quad   0, ${virtual('image')}, image, image_end - image, memory_end - image, 4096
    .long   ${elf.note}, 4
    .quad   note - image, ${virtual('note')}, note, note_end - note, note_end - note, 4
note:
    .long   4, 4, ${phys32Entry}
    .asciz  "Xen"
    .long   entry
note_end:`;

/** CR0: PE, MP, ET, NE, WP and PG. */
const paging = '0x80010033';
/** CR4: PAE, OSFXSR, OSXMMEXCPT. */
const extensions = 0x620;
/** EFER: SCE, LME, NXE. */
const longMode = 0x901;

/** The registers of a CPU that starts at `other_64`, in the kernel's page tables of the boot. */
export const longModeState = { cr0: paging, cr3: '$boot_root', cr4: extensions, efer: longMode } as const;

/** Bits of page-table entries (AMD APM, volume 2, 5.4): present, writable; for user space too; 2 MiB. */
const entryBits = { table: 3, userTable: 7, large: 0x83, userCode: 5, page: 3 } as const;
const noExecute = 0x8000_0000;
/** Places in the table of the highest level: of the direct map, and of the kernel's addresses. */
const rootIndex = { direct: 273, kernel: 511 } as const;
/** The place of the kernel's addresses in the table below. */
const kernelIndex = 510;

/** The address of the single page of user code. */
export const userAddress = 0x20_0000;
const leafIndex = (address: number): number => (address >> 12) & 511;

/** Makes the entry at `offset` of the table at EDI one with those bits for the page at `label`, in EAX too. */
function entryFor(label: string, bits: number, offset: number): string {
  return `
    mov     $${label}, %eax
    or      $${bits}, %eax
    mov     %eax, ${offset}(%edi)`;
}

/** To 64-bit mode, from 32-bit mode without paging; goes on at `label`, still at physical addresses. Changes EAX, ECX and EDX. */
function toLongMode(label: string): string {
  return `
    mov     $${extensions}, %eax
    mov     %eax, %cr4
    mov     $boot_root, %eax
    mov     %eax, %cr3
    mov     $${longMode}, %eax
    ${writeMsr(msr.efer)}
    mov     $${paging}, %eax
    mov     %eax, %cr0
    // A far jump.
    .byte   0xea
    .long   ${label}
    .hword  ${selector.code}`;
}

/** Goes on behind this at the kernel's addresses. Changes RAX. */
const toKernelAddresses = `
    lea     1f(%rip), %rax
    add     $${kernelBase}, %rax
    jmp     *%rax
1:`;

const firstEntry = `
    .org    ${entryOffset}
    .code32
entry:
    cld
    mov     %ebx, %ebp
    mov     $cleared_start, %edi
    mov     $cleared_end, %ecx
    sub     %edi, %ecx
    xor     %eax, %eax
    rep stos %al, %es:(%edi)
    mov     $areas, %edi
    mov     $4096, %ecx
    rep stos %al, %es:(%edi)
    mov     $areas, %esp
    add     $${areaBytes}, %esp
    call    make_tables
    mov     $table_register, %eax
    lgdtl   (%eax)
    mov     $${selector.data}, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    ${toLongMode('entry_64')}

// Maps all memory below 4 GiB three times: at its physical addresses, which only boot_root does, in the direct map, and the first
// GiB at the kernel's addresses.
make_tables:
    mov     $directories, %edi
    mov     $${entryBits.large}, %eax
    xor     %edx, %edx
    mov     $2048, %ecx
1:  mov     %eax, (%edi)
    mov     %edx, 4(%edi)
    add     $8, %edi
    add     $0x200000, %eax
    dec     %ecx
    jne     1b
    mov     $kernel_table, %edi
    ${entryFor('directories', entryBits.table, 8 * kernelIndex)}
    mov     $direct_table, %edi
    mov     $4, %ecx
2:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x1000, %eax
    dec     %ecx
    jne     2b
    mov     $boot_root, %edi
    ${entryFor('direct_table', entryBits.table, 0)}
    mov     %eax, ${8 * rootIndex.direct}(%edi)
    ${entryFor('kernel_table', entryBits.table, 8 * rootIndex.kernel)}
    mov     $kernel_root, %edi
    mov     %eax, ${8 * rootIndex.kernel}(%edi)
    ${entryFor('direct_table', entryBits.table, 8 * rootIndex.direct)}
    // User space has one page that it may read and execute.
    ${entryFor('user_table', entryBits.userTable, 0)}
    mov     $user_table, %edi
    ${entryFor('user_directory', entryBits.userTable, 0)}
    mov     $user_directory, %edi
    ${entryFor('user_pages', entryBits.userTable, 8 * (userAddress >> 21))}
    mov     $user_pages, %edi
    ${entryFor('user_page', entryBits.userCode, 8 * leafIndex(userAddress))}
    // The kernel has some pages there that it passes to Xen for writing.
    add     $${8 * leafIndex(scratch.address)}, %edi
    mov     $scratch_pages, %eax
    or      $${entryBits.page}, %eax
    mov     $${scratch.pages}, %ecx
3:  mov     %eax, (%edi)
    movl    $${noExecute}, 4(%edi)
    add     $8, %edi
    add     $0x1000, %eax
    dec     %ecx
    jne     3b
    ret`;

/** Where a BIOS has the root pointer of ACPI's tables, on a boundary of 16 bytes (ACPI 6.5, 5.2.5.1), and what it begins with. */
const rootPointer = { from: 0xf_0000, to: 0x10_0000, signature: '0x2052545020445352' } as const;

/** Makes a start_info of what boot_params and the BIOS's memory have, and goes on at the other entry, in 32-bit mode. */
const entryOfHvm = `
    .org    ${entry64Offset}
    .code64
entry_hvm:
    cld
    mov     $areas, %esp
    add     $${areaBytes}, %esp
    // A PC's interrupt controllers are not used. Its timer, which firmware leaves running, would end a HLT even so: it gets mode 0.
    mov     $0xff, %eax
    out     %al, $0x21
    out     %al, $0xa1
    mov     $0x30, %eax
    out     %al, $0x43
    xor     %eax, %eax
    out     %al, $0x40
    out     %al, $0x40
    mov     $hvm_start, %edi
    mov     ${zeroPage.commandLineAt}(%rsi), %eax
    mov     %rax, ${hvm_start_info.offsets.cmdline_paddr}(%rdi)
    movabs  $${rootPointer.signature}, %rdx
    mov     $${rootPointer.from}, %ecx
1:  cmp     %rdx, (%rcx)
    je      2f
    add     $16, %ecx
    cmp     $${rootPointer.to}, %ecx
    jb      1b
    hlt
2:  mov     %rcx, ${hvm_start_info.offsets.rsdp_paddr}(%rdi)
    mov     $hvm_table_register, %eax
    lgdt    (%rax)
    push    $${selector.code32}
    push    $3f
    lretq
    .code32
3:  mov     $${selector.data}, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     %cr0, %eax
    and     $0x7fffffff, %eax
    mov     %eax, %cr0
    xor     %eax, %eax
    ${writeMsr(msr.efer)}
    mov     $hvm_start, %ebx
    jmp     entry
    .balign 8
hvm_start:
    .quad   ${Array(hvm_start_info.size / 8)
      .fill(0)
      .join(', ')}
hvm_table_register:
    .hword  segments_end - segments - 1
    .quad   segments`;

/** The bytes of the table of segments, with two descriptors' room for the task-state segment. */
const segmentBytes = 64;

/** Room for the code that a SIPI starts, in bytes. */
const trampolineBytes = 64;

/** What a SIPI starts: copied to a page in the first MiB, where its own addresses begin at 0. */
const otherEntry = `
    .balign 64
    .code16
trampoline:
    cli
    // Load the table of segments, by CS and an address within the page.
    .byte   0x2e, 0x66, 0x0f, 0x01, 0x16
    .hword  trampoline_register - trampoline
    mov     %cr0, %eax
    or      $1, %eax
    mov     %eax, %cr0
    // A far jump to 32-bit code.
    .byte   0x66, 0xea
    .long   entry_32
    .hword  ${selector.code32}
trampoline_register:
    .hword  segments_end - segments - 1
    .long   segments
    .balign 64

    .code32
entry_32:
    cld
    mov     $${selector.data}, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    ${toLongMode('other_64')}

    .code64
// A CPU finds its area by its APIC id. VCPUOP_initialise starts a CPU here too, with segments that have no selectors yet.
other_64:
    ${toKernelAddresses}
    mov     $0xb, %eax
    xor     %ecx, %ecx
    cpuid
    lea     cpu_apic(%rip), %rsi
    lea     areas(%rip), %r15
    mov     $${mostCpus}, %ecx
2:  cmp     %rdx, (%rsi)
    je      3f
    add     $8, %rsi
    add     $${areaBytes}, %r15
    dec     %ecx
    jne     2b
4:  hlt
    jmp     4b
3:  lea     ${areaBytes}(%r15), %rsp
    call    use_own_area
    mov     $${selector.data}, %eax
    mov     %eax, %ss
    push    $${selector.code}
    lea     start_other(%rip), %rax
    push    %rax
    lretq`;

export const entryCode = `
${firstEntry}
${entryOfHvm}

    .code64
entry_64:
    ${toKernelAddresses}
    lea     areas(%rip), %r15
    lea     ${areaBytes}(%r15), %rsp
    call    make_interrupt_table
    call    make_segment_table
    call    use_own_area
    mov     $${selector.task}, %eax
    ltr     %ax
    mov     %ebp, %edi
    jmp     start_first

${otherEntry}

// Uses the kernel's page tables and tables of segments and interrupts, its entry of system calls, and this CPU's area as that of
// its per-CPU variables.
use_own_area:
    lea     kernel_root(%rip), %rax
    and     $0x7fffffff, %eax
    mov     %rax, %cr3
    lea     segment_table(%rip), %rax
    mov     $${segmentBytes - 1}, %ecx
    call    make_register
    lgdt    (%rdi)
    lea     interrupt_table(%rip), %rax
    mov     $4095, %ecx
    call    make_register
    lidt    (%rdi)
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    lea     area_template(%rip), %rcx
    mov     %r15, %rax
    sub     %rcx, %rax
    call    set_gs_base
    xor     %eax, %eax
    ${writeWideMsr(msr.kernelGsBase)}
    movabs  $${(BigInt(selector.code32 + 3) << 48n) | (BigInt(selector.code) << 32n)}, %rax
    ${writeWideMsr(msr.star)}
    lea     system_call(%rip), %rax
    ${writeWideMsr(msr.lstar)}
    // A system call masks TF, IF and DF.
    mov     $0x700, %eax
    ${writeMsr(msr.syscallMask)}
    ret

// Puts limit CX and address RAX of a table at RDI, in the form that LGDT and LIDT read: on the stack, below what is in use.
make_register:
    lea     -32(%rsp), %rdi
    mov     %cx, (%rdi)
    mov     %rax, 2(%rdi)
    ret

// Makes the table of segments: a copy of the one in the image, and the descriptor of the task-state segment, which has the stack for
// interrupts of user space.
make_segment_table:
    lea     segments(%rip), %rsi
    lea     segment_table(%rip), %rdi
    mov     $${segmentBytes / 8 - 2}, %ecx
    rep movsq %ds:(%rsi), %es:(%rdi)
    lea     task_segment(%rip), %rax
    movw    $0x67, (%rdi)
    mov     %ax, 2(%rdi)
    shr     $16, %rax
    mov     %al, 4(%rdi)
    movb    $0x89, 5(%rdi)
    mov     %ah, 7(%rdi)
    shr     $16, %rax
    mov     %eax, 8(%rdi)
    ret

// Copies the code that a SIPI starts to its page.
place_trampoline:
    lea     trampoline(%rip), %rsi
    movabs  $${directBase}, %rdi
    add     $${trampolineAt}, %rdi
    mov     $${trampolineBytes / 8}, %ecx
    rep movsq %ds:(%rsi), %es:(%rdi)
    ret

    .balign 8
segments:
    .quad   0
    .quad   0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
    .quad   0x00cff3000000ffff, 0x00affb000000ffff
segments_end:
table_register:
    .hword  segments_end - segments - 1
    .long   segments`;

/** The memory after the image. */
export const unloaded = `
    .balign 4096
image_end:
    .bss
cleared_start:
boot_root:      .space 4096
kernel_root:    .space 4096
direct_table:   .space 4096
kernel_table:   .space 4096
directories:    .space 16384
user_table:     .space 4096
user_directory: .space 4096
user_pages:     .space 4096
interrupt_table: .space 4096
segment_table:  .space ${segmentBytes}
    .balign 4096
shared_info:    .space 4096
event_array:    .space 4096
variables:
bootargs:       .space 8
cpu_count:      .space 8
settled:        .space 8
participants:   .space 8
arrivals:       .space 256
console_lock:   .space 8
fifo_on:        .space 8
event_mode:     .space 8
calls_before:   .space 8
fuzz_count:     .space 8
fuzz_seed:      .space 8
fuzz_deadly:    .space 8
wrong_error:    .space 8
start_by_call:  .space 8
store_ring:     .space 8
store_port:     .space 8
console_ring:   .space 8
console_port:   .space 8
store_answer:   .space 64
online_mask:    .space 16
task_segment:   .space 104
cpu_apic:       .space 1024
cpu_uid:        .space 1024
per_cpu_offset: .space 1024
    .balign 16
cleared_end:
    .balign 4096
scratch_pages:  .space ${scratch.pages * 4096}
area_template:  .space ${areaBytes}
areas:          .space ${areaBytes * mostCpus}
memory_end:`;
