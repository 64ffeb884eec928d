/*
 * The start of every bare-metal test: from a PVH entry to 64-bit mode, vectors, and a way to run a piece of code at CPL 0 or 3. It is
 * entered as QEMU and Xen enter an ELF file with that note.
 */
        .section .note.pvh, "a", @note
        .balign 4
        .long   4, 4, 18
        .asciz  "Xen"
        .long   _start

        .section .start, "ax"
        .code32
        .global _start
_start:
        cli
        cld
        mov     $stack_top, %esp
        /* Zero the memory that the file leaves out is so already. Tables: 4 GiB by pages of 2 MiB. */
        mov     $first_directory, %edi
        mov     $0x87, %eax
        mov     $2048, %ecx
1:      mov     %eax, (%edi)
        movl    $0, 4(%edi)
        add     $0x200000, %eax
        add     $8, %edi
        loop    1b
        mov     $first_pointers, %edi
        mov     $first_directory + 7, %eax
        mov     $4, %ecx
1:      mov     %eax, (%edi)
        add     $0x1000, %eax
        add     $8, %edi
        loop    1b
        movl    $first_pointers + 7, first_root
        .global to_long_mode
to_long_mode:
        lgdtl   gdt_image
        mov     $0xa0, %eax             /* PAE and PGE */
        mov     %eax, %cr4
        mov     $first_root, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        mov     $0x901, %eax            /* NXE, LME, SCE */
        xor     %edx, %edx
        wrmsr
        mov     $0x80010033, %eax       /* PG, WP, NE, ET, MP and PE */
        mov     %eax, %cr0
        ljmpl   $0x08, $start64
        .code64
        .global start64
start64:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        xor     %eax, %eax
        mov     %eax, %fs
        mov     %eax, %gs
        mov     $stack_top, %rsp
        call    start_main
        hlt

        .text
/* 256 entries of 16 bytes: each pushes an error code, where the CPU pushes none, and the vector. */
        .balign 16
        .global vector_entries
vector_entries:
        .set    number, 0
        .rept   256
        .balign 16
        .if     number == 8 || (number >= 10 && number <= 14) || number == 17
        .else
        push    $0
        .endif
        pushq   $number
        jmp     save
        .set    number, number + 1
        .endr

save:
        cld
        push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, %rdi
        mov     %rsp, %rbp
        and     $-16, %rsp
        call    on_exception
        mov     %rbp, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq

/* u64 try_code(void *code, u64 a, u64 b) */
        .global try_code
try_code:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, try_stack
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        call    *%rax
        .global try_end
try_end:
        mov     try_stack, %rsp
        cld
        mov     $0x10, %ecx
        mov     %ecx, %ss
        mov     %ecx, %ds
        mov     %ecx, %es
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

/* u64 try_user(void *code, u64 a, u64 b): the same at CPL 3; the code ends with INT 0x80, which leads to try_end. */
        .global try_user
try_user:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, try_stack
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        push    $0x33
        push    $user_stack_top
        push    user_flags
        push    $0x3b
        push    %rax
        iretq

        .data
        .balign 8
        .global user_flags
user_flags:
        .quad   2
        .global gdt
        .balign 16
gdt:
        .quad   0
        .quad   0x00af9b000000ffff      /* 08: code of 64 bits */
        .quad   0x00cf93000000ffff      /* 10: data */
        .quad   0x00cf9b000000ffff      /* 18: code of 32 bits */
        .quad   0x008f93000000ffff      /* 20: data of 16 bits */
        .quad   0x00cffb000000ffff      /* 28: user code of 32 bits */
        .quad   0x00cff3000000ffff      /* 30: user data */
        .quad   0x00affb000000ffff      /* 38: user code of 64 bits */
        .quad   0, 0                    /* 40: TSS */
        .quad   0x00009b000000ffff      /* 50: code of 16 bits */
        .fill   16, 8, 0                /* 58: of the tests */
gdt_end:
        .global gdt_image
gdt_image:
        .word   gdt_end - gdt - 1
        .quad   gdt

        .bss
        .balign 8
        .global try_stack
try_stack:
        .quad   0
        .balign 4096
        .global first_root
first_root:
        .space  4096
first_pointers:
        .space  4096
first_directory:
        .space  16384
        .space  16384
        .global stack_top
stack_top:
        .space  8192
        .global kernel_stack_top
kernel_stack_top:
        .space  8192
        .global ist_stack_top
ist_stack_top:
        .space  8192
        .global other_stack_top
other_stack_top:
        .space  8192
        .global user_stack_top
user_stack_top:
        .space  64
