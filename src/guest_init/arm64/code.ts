/**
 * The arm64 code of the first process. System calls take their number in X8 and their arguments from X0 on, and change
 * only X0 (Linux uapi/asm-generic/unistd.h; arch/arm64/kernel/entry.S).
 */
import { a64, assemble } from '../../isa/index.js';
import type { Assembled } from '../../isa/index.js';
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

/** System call numbers (Linux uapi/asm-generic/unistd.h). */
const call = {
  dup3: 24,
  ioctl: 29,
  mkdirat: 34,
  mount: 40,
  openat: 56,
  close: 57,
  write: 64,
  exitGroup: 94,
  kill: 129,
  reboot: 142,
  setsid: 157,
  clone: 220,
  execve: 221,
  wait4: 260,
} as const;

/** The number of the power-off call. */
export const powerOffNumber = call.reboot;

const source = `
start:
    adrl    x19, parameters
    ldr     x20, [x19, #${parameter.directories}]
1:  ldr     x1, [x20], #8
    cbz     x1, 2f
    mov     x0, #${AT_FDCWD}
    mov     x2, #${directoryMode}
    mov     x8, #${call.mkdirat}
    svc     #0
    b       1b
2:  ldr     x20, [x19, #${parameter.mounts}]
3:  ldp     x0, x1, [x20], #16
    cbz     x0, 4f
    mov     x2, x0
    mov     x3, #0
    mov     x4, #0
    mov     x8, #${call.mount}
    svc     #0
    b       3b
4:  ldr     x0, [x19, #${parameter.setup}]
    cbz     x0, 6f
    bl      fork
    cbnz    x0, 5f
    ldr     x1, [x19, #${parameter.setup}]
    ldr     x0, [x1]
    bl      execute
    mov     x0, #${shellStatus.notFound}
    b       exit
5:  bl      wait_for
6:  mov     x0, #1
    str     x0, [x19, #${parameter.begun}]
    ldr     x1, [x19, #${parameter.scriptPath}]
    cbnz    x1, write_script
start_command:
    bl      fork
    cbz     x0, run_command
    bl      wait_for
    mov     x20, x0
finish:
    // Kill all processes that the command left running, so that console output ends.
    mov     x0, #-1
    mov     x1, #${SIGKILL}
    mov     x8, #${call.kill}
    svc     #0
    mov     x0, #1
    mov     x1, #${TCSBRK}
    mov     x2, #1
    mov     x8, #${call.ioctl}
    svc     #0
    mov     x0, #${powerOff.magic1}
    mov     x1, #${powerOff.magic2}
    mov     x2, #${powerOff.command}
    mov     x3, #0
    mov     x4, #${powerOff.tag}
    mov     x5, x20
    mvn     x6, x20
    mov     x8, #${call.reboot}
    svc     #0
power_off_return:
    mov     x0, #1
exit:
    mov     x8, #${call.exitGroup}
    svc     #0

// Writes the script with the path X1. If that cannot be done, the command cannot run.
write_script:
    mov     x0, #${AT_FDCWD}
    mov     x2, #${scriptFile.flags}
    mov     x3, #${scriptFile.mode}
    mov     x8, #${call.openat}
    svc     #0
    tbnz    x0, #63, 3f
    mov     x20, x0
    ldr     x21, [x19, #${parameter.scriptText}]
    ldr     x22, [x19, #${parameter.scriptLength}]
1:  cbz     x22, 2f
    mov     x0, x20
    mov     x1, x21
    mov     x2, x22
    mov     x8, #${call.write}
    svc     #0
    cmp     x0, #0
    b.le    3f
    add     x21, x21, x0
    sub     x22, x22, x0
    b       1b
2:  mov     x0, x20
    mov     x8, #${call.close}
    svc     #0
    b       start_command
3:  mov     x20, #${shellStatus.cannotRun << 8}
    b       finish

// Forks. X0: the child's process id in the parent, 0 in the child.
fork:
    mov     x0, #${SIGCHLD}
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    mov     x4, #0
    mov     x8, #${call.clone}
    svc     #0
    // Without a child the guest can do nothing more. The kernel would panic if its first process exited.
    tbnz    x0, #63, power_off_return
    ret

// Waits for process X0, and reaps every other process that ends before it. Returns its wait status in X0.
wait_for:
    mov     x21, x0
    sub     sp, sp, #16
1:  mov     x0, #-1
    mov     x1, sp
    mov     x2, #0
    mov     x3, #0
    mov     x8, #${call.wait4}
    svc     #0
    cmp     x0, x21
    b.ne    1b
    ldr     w0, [sp]
    add     sp, sp, #16
    ret

// Executes program X0 with arguments X1. Returns only on failure, with a negative error in X0.
execute:
    ldr     x2, [x19, #${parameter.environment}]
    mov     x8, #${call.execve}
    svc     #0
    ret

run_command:
    mov     x8, #${call.setsid}
    svc     #0
    mov     x0, #${AT_FDCWD}
    adrl    x1, null_device
    mov     x2, #0
    mov     x3, #0
    mov     x8, #${call.openat}
    svc     #0
    tbnz    x0, #63, 1f
    mov     x22, x0
    mov     x1, #0
    mov     x2, #0
    mov     x8, #${call.dup3}
    svc     #0
    cbz     x22, 1f
    mov     x0, x22
    mov     x8, #${call.close}
    svc     #0
1:  mov     x20, #${shellStatus.notFound}
    ldr     x21, [x19, #${parameter.programs}]
2:  ldr     x22, [x21], #8
    cbz     x22, 4f
    mov     x0, x22
    ldr     x1, [x19, #${parameter.args}]
    bl      execute
    cmn     x0, #${errno.ENOENT}
    b.eq    2b
    cmn     x0, #${errno.ENOTDIR}
    b.eq    2b
    mov     x20, #${shellStatus.cannotRun}
    cmn     x0, #${errno.ENOEXEC}
    b.ne    2b
    // A script without an interpreter line is run by a shell, like execvp does.
    ldr     x23, [x19, #${parameter.shellArgs}]
    str     x22, [x23, #8]
    ldr     x24, [x19, #${parameter.shells}]
3:  ldr     x0, [x24], #8
    cbz     x0, 2b
    mov     x1, x23
    bl      execute
    b       3b
4:  ldr     x1, [x19, #${parameter.notFoundText}]
    ldr     x2, [x19, #${parameter.notFoundLength}]
    cmp     x20, #${shellStatus.notFound}
    b.eq    5f
    ldr     x1, [x19, #${parameter.cannotRunText}]
    ldr     x2, [x19, #${parameter.cannotRunLength}]
5:  mov     x0, #2
    mov     x8, #${call.write}
    svc     #0
    mov     x0, x20
    b       exit

null_device:
    .asciz  "/dev/null"
    .balign 16
parameters:`;

/** The code at its address, with space for the file's headers before it. */
export function assembledCode(): Assembled {
  return assemble(a64(), `.space ${headerBytes}\n${source}`, loadAddress);
}
