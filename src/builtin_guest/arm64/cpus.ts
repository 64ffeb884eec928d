/**
 * CPU enumeration, vCPU ids and CPU bring-up. As in Linux on Arm, CPU 0 is the CPU that was entered, and the others
 * follow in device tree order. The vCPU id of each CPU is computed from its MPIDR by Xen's rule (docs/identity.md), for
 * all CPUs at once, before any use. With the option `ids=direct` the id is the CPU number instead, as in Linux.
 */
import {
  PSCI_0_2_FN64_CPU_ON,
  PSCI_0_2_FN_CPU_OFF,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_info,
  __HYPERVISOR_vcpu_op,
  vcpu_register_vcpu_info,
} from '../../abi/index.js';
import { mostCpus, own, physicalMask } from './layout.js';
import { atomically, awaitAtLeast, enter, hypercall, leave, panic, say } from './words.js';

/** The affinity fields of MPIDR_EL1. */
const affinityBits = 0xff_00ff_ffffn;
/** The bits among these that Xen never sets: AFF3, AFF2, and AFF0 above 15. */
const unusedAffinity = 0xff_00ff_00f0n;

/** Tokens of a flattened device tree (Devicetree Specification 0.4, 5.4). */
const token = { beginNode: 1, endNode: 2, property: 3, nop: 4 } as const;

/** The bytes of `text` as the number that a little-endian load reads. */
function asNumber(text: string): bigint {
  const bytes = Array.from(text, (letter) => BigInt(letter.charCodeAt(0)));
  return bytes.reduceRight((value, byte) => (value << 8n) | byte, 0n);
}

const readDeviceTree = `
// Reads the device tree at X0: the CPUs' affinities and the address of the command line.
read_device_tree:
    ldr     w1, [x0, #8]
    rev     w1, w1
    add     x1, x0, x1
    ldr     w2, [x0, #12]
    rev     w2, w2
    add     x2, x0, x2
    mov     x3, #0
    adrl    x4, cpu_mpidr
    mov     x14, #${affinityBits}
    mrs     x5, mpidr_el1
    and     x5, x5, x14
    str     x5, [x4]
    mov     x6, #1
next_token:
    ldr     w7, [x1], #4
    rev     w7, w7
    cmp     w7, #${token.beginNode}
    b.eq    begin_node
    cmp     w7, #${token.property}
    b.eq    property
    mov     x3, #0
    cmp     w7, #${token.endNode}
    b.eq    next_token
    cmp     w7, #${token.nop}
    b.eq    next_token
    adrl    x0, cpu_count
    str     x6, [x0]
    ret
begin_node:
    ldr     w8, [x1]
    mov     w9, #${asNumber('cpu@')}
    cmp     w8, w9
    cset    x3, eq
1:  ldrb    w9, [x1], #1
    cbnz    w9, 1b
    b       align_token
property:
    ldr     w8, [x1], #4
    rev     w8, w8
    ldr     w9, [x1], #4
    rev     w9, w9
    add     x9, x2, x9
    mov     x10, x1
    add     x1, x1, x8
    ldr     w11, [x9]
    mov     w12, #${asNumber('reg\0')}
    cmp     w11, w12
    b.ne    2f
    cbz     x3, align_token
    ldr     w12, [x10]
    rev     w12, w12
    cmp     w8, #8
    b.ne    1f
    ldr     w13, [x10, #4]
    rev     w13, w13
    orr     x12, x13, x12, lsl #32
1:  cmp     x12, x5
    b.eq    align_token
    cmp     x6, #${mostCpus}
    b.hs    align_token
    str     x12, [x4, x6, lsl #3]
    add     x6, x6, #1
    b       align_token
2:  ldr     x11, [x9]
    mov     x12, #${asNumber('bootargs')}
    cmp     x11, x12
    b.ne    align_token
    ldrb    w11, [x9, #8]
    cbnz    w11, align_token
    adrl    x11, bootargs
    str     x10, [x11]
align_token:
    add     x1, x1, #3
    and     x1, x1, #0xfffffffffffffffc
    b       next_token`;

const options = `
// Searches the command line for a word that begins with the text at X0. X0 becomes the address after it, or 0.
find_option:
    adrl    x1, bootargs
    ldr     x1, [x1]
    cbz     x1, 4f
1:  mov     x2, x0
    mov     x3, x1
2:  ldrb    w4, [x2], #1
    cbz     w4, 3f
    ldrb    w5, [x3], #1
    cmp     w4, w5
    b.eq    2b
    // Skip to the next word.
    mov     x3, x1
5:  ldrb    w5, [x3], #1
    cbz     w5, 4f
    cmp     w5, #32
    b.ne    5b
    mov     x1, x3
    b       1b
3:  mov     x0, x3
    ret
4:  mov     x0, #0
    ret

// Parses the decimal number at X0. Changes X1 to X3.
read_number:
    mov     x1, #0
    mov     x3, #10
1:  ldrb    w2, [x0], #1
    sub     w2, w2, #48
    cmp     w2, #9
    b.hi    2f
    madd    x1, x1, x3, x2
    b       1b
2:  mov     x0, x1
    ret`;

const records = `
// Fills every CPU's area including its record, before any of them is used.
fill_records:
    ${enter}
    adrl    x0, option_direct
    bl      find_option
    mov     x23, x0
    adrl    x19, cpu_count
    ldr     x19, [x19]
    mov     x20, #0
    adrl    x21, areas
    adrl    x22, cpu_mpidr
    adrl    x24, per_cpu_offset
    adrl    x26, area_template
1:  mov     x0, x21
    bl      clear_area
    sub     x0, x21, x26
    str     x0, [x24, x20, lsl #3]
    str     x20, [x21, #${own.cpu}]
    ldr     x0, [x22, x20, lsl #3]
    str     x0, [x21, #${own.mpidr}]
    bl      vcpu_of_mpidr
    cmp     x23, #0
    csel    x0, x0, x20, eq
    str     w0, [x21, #${own.xenVcpuId}]
    mov     x0, #0x4000
    add     x21, x21, x0
    add     x20, x20, #1
    cmp     x20, x19
    b.lo    1b
    ${leave}

// The vCPU id of affinity X0: AFF0 (four bits) and AFF1. If Xen has set any other bit, the encoding is unknown; then
// there is no id, which is better than a wrong one.
vcpu_of_mpidr:
    mov     x1, #${unusedAffinity}
    tst     x0, x1
    b.ne    1f
    and     x1, x0, #0xf
    lsr     x0, x0, #4
    and     x0, x0, #0xff0
    orr     x0, x0, x1
    ret
1:  ${panic('an MPIDR that Xen gives to no vCPU')}`;

const registration = `
// Registers the areas that this CPU shares with Xen: vcpu_info and runstate. X0: 0, or the first error.
register_areas:
    and     x0, x28, #${physicalMask}
    lsr     x0, x0, #12
    str     x0, [x28, #${own.argument + vcpu_register_vcpu_info.offsets.mfn}]
    mov     w0, #${own.vcpuInfo}
    str     w0, [x28, #${own.argument + vcpu_register_vcpu_info.offsets.offset}]
    str     wzr, [x28, #${own.argument + vcpu_register_vcpu_info.offsets.rsvd}]
    mov     x0, #${VCPUOP_register_vcpu_info}
    ldr     w1, [x28, #${own.xenVcpuId}]
    add     x2, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_vcpu_op)}
    cbnz    x0, 1f
    add     x0, x28, #${own.runstate}
    str     x0, [x28, #${own.argument}]
    mov     x0, #${VCPUOP_register_runstate_memory_area}
    ldr     w1, [x28, #${own.xenVcpuId}]
    add     x2, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_vcpu_op)}
1:  ret

// Marks this CPU as online.
go_online:
    ldr     x0, [x28, #${own.cpu}]
    adrl    x1, online_mask
    lsr     x2, x0, #6
    add     x1, x1, x2, lsl #3
    mov     x2, #1
    lsl     x2, x2, x0
    ${atomically('x1', 'orr x16, x16, x2')}
    str     x2, [x28, #${own.online}]
    ret

// Marks this CPU as offline, and turns it off.
go_offline:
    ldr     x0, [x28, #${own.cpu}]
    adrl    x1, online_mask
    lsr     x2, x0, #6
    add     x1, x1, x2, lsl #3
    mov     x2, #1
    lsl     x2, x2, x0
    ${atomically('x1', 'bic x16, x16, x2')}
    str     xzr, [x28, #${own.online}]
    sev
    msr     daifset, #2
    mov     x0, #${PSCI_0_2_FN_CPU_OFF}
    hvc     #0
1:  wfi
    b       1b`;

const bringUp = `
// Starts the other CPUs and waits until each is online or has failed. X0: the number of CPUs online, including this
// one.
start_others:
    ${enter}
    adrl    x19, cpu_count
    ldr     x19, [x19]
    mov     x20, #1
    mov     x24, #0
    mov     x22, x28
1:  cmp     x20, x19
    b.hs    5f
    mov     x0, #0x4000
    add     x22, x22, x0
    // Like Linux: prepare the CPU for FIFO events on its behalf, using its record.
    adrl    x0, event_mode
    ldr     x0, [x0]
    cmp     x0, #2
    b.ne    2f
    bl      init_control
    cbnz    x0, 3f
2:  mov     x0, #${PSCI_0_2_FN64_CPU_ON}
    ldr     x1, [x22, #${own.mpidr}]
    adrl    x2, secondary_entry
    and     x2, x2, #${physicalMask}
    and     x3, x22, #${physicalMask}
    hvc     #0
    cbnz    x0, 4f
    add     x24, x24, #1
    b       6f
3:  mov     x23, x0
    bl      lock_console
    ${say('cpu ')}
    mov     x0, x20
    bl      print_decimal
    ${say(': Xen refuses its control block: ')}
    mov     x0, x23
    bl      print_decimal
    ${say('\n')}
    bl      unlock_console
    b       6f
4:  mov     x23, x0
    bl      lock_console
    ${say('cpu ')}
    mov     x0, x20
    bl      print_decimal
    ${say(': CPU_ON answers ')}
    mov     x0, x23
    bl      print_decimal
    ${say('\n')}
    bl      unlock_console
6:  add     x20, x20, #1
    b       1b
5:  bl      set_deadline
    adrl    x23, settled
    ${awaitAtLeast('x23', 'mov x1, x24')}
    bl      count_online
    ${leave}

// X0: the number of CPUs online. Changes X1 and X2.
count_online:
    mov     x0, #0
    adrl    x1, online_mask
    ldp     x1, x2, [x1]
1:  cbz     x1, 2f
    sub     x3, x1, #1
    and     x1, x1, x3
    add     x0, x0, #1
    b       1b
2:  cbz     x2, 3f
    mov     x1, x2
    mov     x2, #0
    b       1b
3:  ret

// Sets the deadline X25: 10 ms plus 1 ms per CPU, which is ample for every wait.
set_deadline:
    adrl    x0, cpu_count
    ldr     x0, [x0]
    add     x0, x0, #10
    mrs     x1, cntfrq_el0
    mul     x0, x0, x1
    mov     x1, #1000
    udiv    x0, x0, x1
    mrs     x1, cntvct_el0
    add     x25, x0, x1
    ret

check_deadline:
    mrs     x0, cntvct_el0
    cmp     x0, x25
    b.hi    1f
    ret
1:  ldr     x19, [x28, #${own.cpu}]
    ${say('cpu ')}
    mov     x0, x19
    bl      print_decimal
    ${say(': no answer\n')}
    ${panic('CPUs do not reach each other')}

// Prints which vCPU this CPU believes it is.
introduce:
    ${enter}
    bl      lock_console
    ${say('cpu ')}
    ldr     x0, [x28, #${own.cpu}]
    bl      print_decimal
    ${say(': MPIDR ')}
    ldr     x0, [x28, #${own.mpidr}]
    bl      print_hex
    ${say(', vCPU ')}
    ldr     w0, [x28, #${own.xenVcpuId}]
    bl      print_decimal
    ${say(', port ')}
    ldr     w0, [x28, #${own.port}]
    bl      print_decimal
    ${say('\n')}
    bl      unlock_console
    ${leave}

// Entry of a secondary CPU at the kernel's addresses.
start_other:
    bl      start_redistributor
    bl      register_areas
    cbnz    x0, 1f
    bl      bind_own_port
    cbnz    x0, 1f
    msr     daifclr, #2
    bl      introduce
    bl      go_online
    adrl    x0, settled
    ${atomically('x0', 'add x16, x16, #1')}
    sev
    bl      set_deadline
    adrl    x19, participants
    ${awaitAtLeast('x19', 'mov x1, #1')}
    bl      rounds
    bl      fuzz
2:  wfi
    b       2b
1:  mov     x19, x0
    bl      lock_console
    ${say('cpu ')}
    ldr     x0, [x28, #${own.cpu}]
    bl      print_decimal
    ${say(': Xen refuses what it registers: ')}
    mov     x0, x19
    bl      print_decimal
    ${say('\n')}
    bl      unlock_console
    adrl    x0, settled
    ${atomically('x0', 'add x16, x16, #1')}
    b       go_offline

option_direct:
    .asciz  "ids=direct"
    .balign 4`;

export const cpus = [readDeviceTree, options, records, registration, bringUp].join('\n');
