/**
 * Text output, line by line: on the PV console, or on Xen's own console where there is no other (by the debug port, Xen 4.17
 * arch/x86/hvm/hvm.c, hvm_print_line). Lines of different CPUs do not mix.
 */
import {
  EVTCHNOP_send,
  SCHEDOP_yield,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_sched_op,
  xencons_interface,
} from '../../abi/index.js';
import { lineBytes, own } from './layout.js';
import { hypercall } from './words.js';

const ring = xencons_interface.offsets;
const outBytes = ring.in_cons - ring.out;
const debugPort = 0xe9;
/** How often it looks for space in the ring before it gives the PV console up. */
const mostLooks = 10_000;

const bytes = `
// Prints the byte in AL. Changes RAX and RCX.
print_byte:
    mov     ${own.lineEnd}(%r15), %rcx
    mov     %al, ${own.line}(%r15,%rcx,1)
    inc     %rcx
    mov     %rcx, ${own.lineEnd}(%r15)
    cmp     $10, %al
    je      flush_line
    cmp     $${lineBytes}, %rcx
    jae     flush_line
    ret

// Writes this CPU's line to the PV console, or to Xen's console if there is none or it takes no more. Changes RAX and RCX.
flush_line:
    push    %rdx
    push    %rsi
    push    %rdi
    push    %r8
    push    %r9
    mov     ${own.lineEnd}(%r15), %r8
    movq    $0, ${own.lineEnd}(%r15)
    mov     console_ring(%rip), %r9
    test    %r9, %r9
    je      5f
    mov     $${mostLooks}, %edx
1:  mov     ${ring.out_prod}(%r9), %eax
    sub     ${ring.out_cons}(%r9), %eax
    add     %r8d, %eax
    cmp     $${outBytes}, %eax
    jbe     2f
    dec     %edx
    je      4f
    mov     $${SCHEDOP_yield}, %edi
    xor     %esi, %esi
    ${hypercall(__HYPERVISOR_sched_op)}
    jmp     1b
2:  lea     ${own.line}(%r15), %rsi
    mov     ${ring.out_prod}(%r9), %edx
    mov     %r8, %rcx
3:  mov     %edx, %eax
    and     $${outBytes - 1}, %eax
    movzbl  (%rsi), %edi
    mov     %dil, ${ring.out}(%r9,%rax,1)
    inc     %rsi
    inc     %edx
    dec     %rcx
    jne     3b
    mov     %edx, ${ring.out_prod}(%r9)
    mov     console_port(%rip), %eax
    mov     %eax, ${own.printArgument}(%r15)
    mov     $${EVTCHNOP_send}, %edi
    lea     ${own.printArgument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_event_channel_op)}
    test    %rax, %rax
    je      7f
4:  movq    $0, console_ring(%rip)
5:  lea     ${own.line}(%r15), %rsi
6:  movzbl  (%rsi), %eax
    out     %al, $${debugPort}
    inc     %rsi
    dec     %r8
    jne     6b
7:  pop     %r9
    pop     %r8
    pop     %rdi
    pop     %rsi
    pop     %rdx
    ret`;

export const printing = `
${bytes}

// Prints the text after the call instruction, and returns to the instruction after the text. Changes RAX, RCX and RSI.
print_here:
    pop     %rsi
1:  movzbl  (%rsi), %eax
    inc     %rsi
    test    %al, %al
    je      2f
    call    print_byte
    jmp     1b
2:  jmp     *%rsi

// Prints the text at RDI up to its NUL, or at most RSI bytes of it. Changes RAX, RCX, RSI and RDI.
print_text:
1:  test    %rsi, %rsi
    je      2f
    movzbl  (%rdi), %eax
    test    %al, %al
    je      2f
    call    print_byte
    inc     %rdi
    dec     %rsi
    jmp     1b
2:  ret

// Prints the signed number in RDI. Changes RAX, RCX, RDX, RSI and RDI.
print_decimal:
    test    %rdi, %rdi
    jns     1f
    mov     $45, %eax
    call    print_byte
    neg     %rdi
1:  mov     %rdi, %rax
    xor     %esi, %esi
    mov     $10, %edi
2:  xor     %edx, %edx
    div     %rdi
    add     $48, %edx
    push    %rdx
    inc     %rsi
    test    %rax, %rax
    jne     2b
3:  pop     %rax
    call    print_byte
    dec     %rsi
    jne     3b
    ret

// Prints the unsigned number in RDI in hexadecimal, with 0x. Changes RAX, RCX, RDX and RDI.
print_hex:
    mov     $48, %eax
    call    print_byte
    mov     $120, %eax
    call    print_byte
    mov     $16, %edx
1:  rol     $4, %rdi
    dec     %edx
    je      2f
    test    $15, %dil
    je      1b
2:  mov     %edi, %eax
    and     $15, %eax
    lea     48(%rax), %ecx
    add     $87, %eax
    cmp     $58, %ecx
    cmovb   %ecx, %eax
    call    print_byte
    test    %edx, %edx
    je      3f
    rol     $4, %rdi
    dec     %edx
    jmp     2b
3:  ret

// Takes the lock that keeps lines of different CPUs apart. Changes RAX.
lock_console:
1:  mov     $1, %eax
    xchg    %rax, console_lock(%rip)
    test    %rax, %rax
    je      2f
    pause
    jmp     1b
2:  ret

unlock_console:
    movq    $0, console_lock(%rip)
    ret`;
