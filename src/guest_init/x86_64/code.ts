/**
 * The x86-64 code of the first process. System calls take their number in RAX and their arguments in RDI, RSI, RDX, R10, R8 and
 * R9, and change only RAX, RCX and R11 (Linux arch/x86/entry/entry_64.S).
 */
import { assemble, x86 } from '../../isa/x86_64/index.js';
import {
  AT_FDCWD,
  directoryMode,
  errno,
  powerOff,
  scriptFile,
  shellStatus,
  SIGCHLD,
  SIGKILL,
  TCSBRK,
} from '../calls.js';
import { headerBytes, loadAddress } from '../elf.js';
import { parameterOffset as parameter } from '../parameters.js';

/** System call numbers (Linux arch/x86/entry/syscalls/syscall_64.tbl). */
const call = {
  write: 1,
  close: 3,
  ioctl: 16,
  clone: 56,
  execve: 59,
  wait4: 61,
  kill: 62,
  setsid: 112,
  mount: 165,
  reboot: 169,
  exitGroup: 231,
  openat: 257,
  mkdirat: 258,
  dup3: 292,
} as const;

/** The number of the power-off call. */
export const powerOffNumber = call.reboot;

const source = `
start:
    lea     parameters(%rip), %rbx
    mov     ${parameter.directories}(%rbx), %r12
1:  mov     (%r12), %rsi
    add     $8, %r12
    test    %rsi, %rsi
    je      2f
    mov     $${AT_FDCWD}, %rdi
    mov     $${directoryMode}, %edx
    mov     $${call.mkdirat}, %eax
    syscall
    jmp     1b
2:  mov     ${parameter.mounts}(%rbx), %r12
3:  mov     (%r12), %rdi
    mov     8(%r12), %rsi
    add     $16, %r12
    test    %rdi, %rdi
    je      4f
    mov     %rdi, %rdx
    xor     %r10d, %r10d
    xor     %r8d, %r8d
    mov     $${call.mount}, %eax
    syscall
    jmp     3b
4:  cmpq    $0, ${parameter.setup}(%rbx)
    je      6f
    call    fork
    test    %rax, %rax
    jne     5f
    mov     ${parameter.setup}(%rbx), %rsi
    mov     (%rsi), %rdi
    call    execute
    mov     $${shellStatus.notFound}, %edi
    jmp     exit
5:  call    wait_for
6:  movq    $1, ${parameter.begun}(%rbx)
    mov     ${parameter.scriptPath}(%rbx), %rsi
    test    %rsi, %rsi
    jne     write_script
start_command:
    call    fork
    test    %rax, %rax
    je      run_command
    call    wait_for
    mov     %rax, %r12
finish:
    // Kill all processes that the command left running, so that console output ends.
    mov     $-1, %rdi
    mov     $${SIGKILL}, %esi
    mov     $${call.kill}, %eax
    syscall
    mov     $1, %edi
    mov     $${TCSBRK}, %esi
    mov     $1, %edx
    mov     $${call.ioctl}, %eax
    syscall
    mov     $${powerOff.magic1}, %edi
    mov     $${powerOff.magic2}, %esi
    mov     $${powerOff.command}, %edx
    xor     %r10d, %r10d
    movabs  $${powerOff.tag}, %r8
    mov     %r12, %r9
    mov     %r12, %rbp
    not     %rbp
    mov     $${call.reboot}, %eax
    syscall
power_off_return:
    mov     $1, %edi
exit:
    mov     $${call.exitGroup}, %eax
    syscall

// Writes the script with the path RSI. If that cannot be done, the command cannot run.
write_script:
    mov     $${AT_FDCWD}, %rdi
    mov     $${scriptFile.flags}, %edx
    mov     $${scriptFile.mode}, %r10d
    mov     $${call.openat}, %eax
    syscall
    test    %rax, %rax
    js      3f
    mov     %rax, %r12
    mov     ${parameter.scriptText}(%rbx), %r13
    mov     ${parameter.scriptLength}(%rbx), %r14
1:  test    %r14, %r14
    je      2f
    mov     %r12, %rdi
    mov     %r13, %rsi
    mov     %r14, %rdx
    mov     $${call.write}, %eax
    syscall
    test    %rax, %rax
    jle     3f
    add     %rax, %r13
    sub     %rax, %r14
    jmp     1b
2:  mov     %r12, %rdi
    mov     $${call.close}, %eax
    syscall
    jmp     start_command
3:  mov     $${shellStatus.cannotRun << 8}, %r12d
    jmp     finish

// Forks. RAX: the child's process id in the parent, 0 in the child.
fork:
    mov     $${SIGCHLD}, %edi
    xor     %esi, %esi
    xor     %edx, %edx
    xor     %r10d, %r10d
    xor     %r8d, %r8d
    mov     $${call.clone}, %eax
    syscall
    // Without a child the guest can do nothing more. The kernel would panic if its first process exited.
    test    %rax, %rax
    js      power_off_return
    ret

// Waits for process RAX, and reaps every other process that ends before it. Returns its wait status in RAX.
wait_for:
    mov     %rax, %r13
    sub     $16, %rsp
1:  mov     $-1, %rdi
    mov     %rsp, %rsi
    xor     %edx, %edx
    xor     %r10d, %r10d
    mov     $${call.wait4}, %eax
    syscall
    cmp     %r13, %rax
    jne     1b
    mov     (%rsp), %eax
    add     $16, %rsp
    ret

// Executes program RDI with arguments RSI. Returns only on failure, with a negative error in RAX.
execute:
    mov     ${parameter.environment}(%rbx), %rdx
    mov     $${call.execve}, %eax
    syscall
    ret

run_command:
    mov     $${call.setsid}, %eax
    syscall
    mov     $${AT_FDCWD}, %rdi
    lea     null_device(%rip), %rsi
    xor     %edx, %edx
    xor     %r10d, %r10d
    mov     $${call.openat}, %eax
    syscall
    test    %rax, %rax
    js      1f
    mov     %rax, %r14
    mov     %rax, %rdi
    xor     %esi, %esi
    xor     %edx, %edx
    mov     $${call.dup3}, %eax
    syscall
    test    %r14, %r14
    je      1f
    mov     %r14, %rdi
    mov     $${call.close}, %eax
    syscall
1:  mov     $${shellStatus.notFound}, %r12d
    mov     ${parameter.programs}(%rbx), %r13
2:  mov     (%r13), %r14
    add     $8, %r13
    test    %r14, %r14
    je      4f
    mov     %r14, %rdi
    mov     ${parameter.args}(%rbx), %rsi
    call    execute
    cmp     $-${errno.ENOENT}, %rax
    je      2b
    cmp     $-${errno.ENOTDIR}, %rax
    je      2b
    mov     $${shellStatus.cannotRun}, %r12d
    cmp     $-${errno.ENOEXEC}, %rax
    jne     2b
    // A script without an interpreter line is run by a shell, like execvp does.
    mov     ${parameter.shellArgs}(%rbx), %rbp
    mov     %r14, 8(%rbp)
    mov     ${parameter.shells}(%rbx), %r15
3:  mov     (%r15), %rdi
    add     $8, %r15
    test    %rdi, %rdi
    je      2b
    mov     %rbp, %rsi
    call    execute
    jmp     3b
4:  mov     ${parameter.notFoundText}(%rbx), %rsi
    mov     ${parameter.notFoundLength}(%rbx), %rdx
    cmp     $${shellStatus.notFound}, %r12d
    je      5f
    mov     ${parameter.cannotRunText}(%rbx), %rsi
    mov     ${parameter.cannotRunLength}(%rbx), %rdx
5:  mov     $2, %edi
    mov     $${call.write}, %eax
    syscall
    mov     %r12d, %edi
    jmp     exit

null_device:
    .asciz  "/dev/null"
    .balign 16
parameters:`;

/** The code at its address, with space for the file's headers before it. */
export function assembledCode(): ReturnType<typeof assemble> {
  return assemble(x86, `.space ${headerBytes}\n${source}`, loadAddress);
}
