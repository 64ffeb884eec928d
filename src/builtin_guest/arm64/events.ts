/**
 * Event channels by both ABIs: two-level with one bit per port in shared_info (public/xen.h), and FIFO with queues of
 * event words per vCPU (public/event_channel.h). The structures and the rules for walking them come from these headers.
 */
import {
  DOMID_SELF,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_expand_array,
  EVTCHNOP_init_control,
  EVTCHNOP_send,
  EVTCHN_FIFO_LINKED,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_MASKED,
  EVTCHN_FIFO_PENDING,
  XENMAPSPACE_shared_info,
  XENMEM_add_to_physmap,
  __HYPERVISOR_memory_op,
  evtchn_bind_ipi,
  evtchn_fifo_control_block,
  evtchn_init_control,
  shared_info,
  vcpu_info,
  xen_add_to_physmap,
} from '../../abi/index.js';
import { own, physicalMask } from './layout.js';
import { atomically, enter, eventOperation, hypercall, leave } from './words.js';

const shared = shared_info.arm64.offsets;
const upcallState = vcpu_info.arm64.offsets;
const control = evtchn_fifo_control_block.offsets;
const linkField = 2 ** EVTCHN_FIFO_LINKED + EVTCHN_FIFO_LINK_MASK;

/** Sets W7 to 0 if the command line has the option whose text is at `label`. Changes X0 to X5. */
function zeroIfAsked(label: string): string {
  return `
    stp     x29, x30, [sp, #-16]!
    adrl    x0, ${label}
    bl      find_option
    ldp     x29, x30, [sp], #16
    cmp     x0, #0
    csel    w7, w7, wzr, eq`;
}

/** Replaces one of the guest's pages by the domain's shared_info page. */
const mapSharedInfo = `
map_shared_info:
    mov     w0, #${DOMID_SELF}
    strh    w0, [x28, #${own.argument + xen_add_to_physmap.offsets.domid}]
    strh    wzr, [x28, #${own.argument + xen_add_to_physmap.offsets.size}]
    mov     w0, #${XENMAPSPACE_shared_info}
    str     w0, [x28, #${own.argument + xen_add_to_physmap.offsets.space}]
    str     xzr, [x28, #${own.argument + xen_add_to_physmap.offsets.idx}]
    adrl    x0, shared_info
    and     x0, x0, #${physicalMask}
    lsr     x0, x0, #12
    str     x0, [x28, #${own.argument + xen_add_to_physmap.offsets.gpfn}]
    mov     x0, #${XENMEM_add_to_physmap}
    add     x1, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_memory_op)}
    ret`;

/** Registers a FIFO control block for the CPU whose area is at X22, using its record. Returns the answer in X0. */
const initControl = `
init_control:
    and     x0, x22, #${physicalMask}
    lsr     x0, x0, #12
    str     x0, [x28, #${own.argument + evtchn_init_control.offsets.control_gfn}]
    mov     w0, #${own.control}
    str     w0, [x28, #${own.argument + evtchn_init_control.offsets.offset}]
    ldr     w7, [x22, #${own.xenVcpuId}]
    ${zeroIfAsked('option_wrong_control')}
    str     w7, [x28, #${own.argument + evtchn_init_control.offsets.vcpu}]
    ${eventOperation(EVTCHNOP_init_control)}
    ret

// Adds the page of event words, once the FIFO ABI is in use.
expand_array:
    adrl    x0, event_array
    and     x0, x0, #${physicalMask}
    lsr     x0, x0, #12
    str     x0, [x28, #${own.argument}]
    ${eventOperation(EVTCHNOP_expand_array)}
    cbnz    x0, 1f
    adrl    x1, fifo_on
    mov     x2, #1
    str     x2, [x1]
1:  ret`;

/** Binds the port by which other CPUs call this CPU. Returns the answer in X0. */
const bindOwnPort = `
bind_own_port:
    ldr     w7, [x28, #${own.xenVcpuId}]
    ${zeroIfAsked('option_wrong_ipi')}
    str     w7, [x28, #${own.argument + evtchn_bind_ipi.offsets.vcpu}]
    ${eventOperation(EVTCHNOP_bind_ipi)}
    cbnz    x0, 1f
    ldr     w1, [x28, #${own.argument + evtchn_bind_ipi.offsets.port}]
    str     w1, [x28, #${own.port}]
    b       own_port
1:  ret

// Records that port W1 belongs to this CPU, and unmasks it. X0 becomes 0, X1 to X4 change.
own_port:
    lsr     x2, x1, #6
    mov     x0, #1
    lsl     x0, x0, x1
    add     x3, x28, #${own.ports}
    ldr     x4, [x3, x2, lsl #3]
    orr     x4, x4, x0
    str     x4, [x3, x2, lsl #3]
    adrl    x3, shared_info
    add     x3, x3, #${shared.evtchn_mask}
    add     x3, x3, x2, lsl #3
    ${atomically('x3', 'bic x16, x16, x0')}
    mov     x0, #0
    ret

// Sends an event to the CPU whose area is at X22. Returns the answer in X0.
send_event:
    ldr     w0, [x22, #${own.port}]
    str     w0, [x28, #${own.argument}]
    ${eventOperation(EVTCHNOP_send)}
    ret`;

const twoLevel = `
two_level_upcall:
    add     x1, x28, #${own.vcpuInfo + upcallState.evtchn_pending_sel}
1:  ldaxr   x19, [x1]
    stlxr   w2, xzr, [x1]
    cbnz    w2, 1b
2:  cbz     x19, upcall_done
    rbit    x0, x19
    clz     x20, x0
    sub     x0, x19, #1
    and     x19, x19, x0
    adrl    x21, shared_info
    add     x21, x21, x20, lsl #3
    add     x22, x28, #${own.ports}
    ldr     x22, [x22, x20, lsl #3]
3:  ldr     x0, [x21, #${shared.evtchn_pending}]
    ldr     x1, [x21, #${shared.evtchn_mask}]
    bic     x0, x0, x1
    and     x0, x0, x22
    cbz     x0, 2b
    rbit    x1, x0
    clz     x23, x1
    mov     x1, #1
    lsl     x1, x1, x23
    add     x2, x21, #${shared.evtchn_pending}
    ${atomically('x2', 'bic x16, x16, x1')}
    add     x0, x23, x20, lsl #6
    bl      handle_port
    b       3b`;

const fifo = `
fifo_upcall:
    add     x20, x28, #${own.control}
    mov     w19, #0
1:  add     x1, x20, #${control.ready}
2:  ldaxr   w0, [x1]
    stlxr   w2, wzr, [x1]
    cbnz    w2, 2b
    orr     w19, w19, w0
    cbz     w19, upcall_done
    rbit    w0, w19
    clz     w21, w0
    // Our copy of the queue's head is valid, unless the queue was empty.
    add     x22, x28, #${own.fifoHeads}
    ldr     w23, [x22, x21, lsl #2]
    cbnz    w23, 3f
    dmb     sy
    add     x0, x20, #${control.head}
    ldr     w23, [x0, x21, lsl #2]
3:  adrl    x24, event_array
    add     x24, x24, x23, lsl #2
    // Remove the event from the queue: clear its link, which names the next one.
    mov     w2, #${linkField}
4:  ldaxr   w0, [x24]
    bic     w1, w0, w2
    stlxr   w3, w1, [x24]
    cbnz    w3, 4b
    and     w3, w0, #${EVTCHN_FIFO_LINK_MASK}
    str     w3, [x22, x21, lsl #2]
    cbnz    w3, 5f
    mov     w4, #1
    lsl     w4, w4, w21
    bic     w19, w19, w4
5:  tbnz    w0, #${EVTCHN_FIFO_MASKED}, 1b
    tbz     w0, #${EVTCHN_FIFO_PENDING}, 1b
    mov     w2, #${2 ** EVTCHN_FIFO_PENDING}
6:  ldaxr   w0, [x24]
    bic     w0, w0, w2
    stlxr   w3, w0, [x24]
    cbnz    w3, 6b
    mov     w0, w23
    bl      handle_port
    b       1b`;

/** One error each, for the audit to find: a literal 0 in place of a CPU's record. */
const wrongOptions = `
option_wrong_control:
    .asciz  "wrong=control"
option_wrong_ipi:
    .asciz  "wrong=ipi"
    .balign 4`;

export const events = `
${mapSharedInfo}
${initControl}
${bindOwnPort}

upcall:
    ${enter}
    ldr     x0, [x28, #${own.upcalls}]
    add     x0, x0, #1
    str     x0, [x28, #${own.upcalls}]
    strb    wzr, [x28, #${own.vcpuInfo + upcallState.evtchn_upcall_pending}]
    dmb     sy
    ldr     x0, [x28, #${own.passesFaults}]
    cbnz    x0, upcall_done
    adrl    x0, fifo_on
    ldr     x0, [x0]
    cbnz    x0, fifo_upcall
    b       two_level_upcall
upcall_done:
    ${leave}
${twoLevel}
${fifo}

// Handles the event of port X0: a call from another CPU, or a service event, which only needs to wake the CPU.
handle_port:
    ldr     w1, [x28, #${own.port}]
    cmp     w0, w1
    b.eq    take_mail
    ret

// Answers every CPU that has called this one. Changes X0 to X7, X16 and X17.
take_mail:
    mov     x0, #0
1:  add     x1, x28, #${own.mail}
    add     x1, x1, x0, lsl #3
2:  ldaxr   x2, [x1]
    stlxr   w3, xzr, [x1]
    cbnz    w3, 2b
3:  cbz     x2, 4f
    rbit    x4, x2
    clz     x4, x4
    sub     x5, x2, #1
    and     x2, x2, x5
    add     x4, x4, x0, lsl #6
    adrl    x5, areas
    add     x5, x5, x4, lsl #14
    add     x5, x5, #${own.acks}
    ${atomically('x5', 'add x16, x16, #1')}
    ldr     x6, [x28, #${own.answers}]
    add     x6, x6, #1
    str     x6, [x28, #${own.answers}]
    b       3b
4:  add     x0, x0, #1
    cmp     x0, #2
    b.lo    1b
    sev
    ret
${wrongOptions}`;
