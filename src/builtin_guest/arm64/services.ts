/**
 * Clients of xenstore and the PV console. Each service has a page of rings and an event channel, which HVM parameters
 * name (public/io/xs_wire.h, public/io/console.h, public/hvm/params.h). A guest that was built without them continues
 * without them.
 */
import {
  DOMID_SELF,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_send,
  HVMOP_get_param,
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  XS_READ,
  __HYPERVISOR_hvm_op,
  evtchn_bind_vcpu,
  xen_hvm_param,
  xencons_interface,
  xenstore_domain_interface,
  xsd_sockmsg,
} from '../../abi/index.js';
import { quoted } from '../text.js';
import { kernelBase, own } from './layout.js';
import { enter, eventOperation, hypercall, leave, panic, say } from './words.js';

const store = xenstore_domain_interface.offsets;
const consoleRing = xencons_interface.offsets;
const outBytes = consoleRing.in_cons - consoleRing.out;

/** The xenstore path to read: relative to the domain's own directory, with its NUL. */
const question = 'name';
const longestAnswer = 63;

const finding = `
// Reads HVM parameter X0; 0 where there is none.
get_param:
    mov     w1, #${DOMID_SELF}
    strh    w1, [x28, #${own.argument + xen_hvm_param.offsets.domid}]
    strh    wzr, [x28, #${own.argument + xen_hvm_param.offsets.pad}]
    str     w0, [x28, #${own.argument + xen_hvm_param.offsets.index}]
    str     xzr, [x28, #${own.argument + xen_hvm_param.offsets.value}]
    mov     x0, #${HVMOP_get_param}
    add     x1, x28, #${own.argument}
    ${hypercall(__HYPERVISOR_hvm_op)}
    cbnz    x0, 1f
    ldr     x0, [x28, #${own.argument + xen_hvm_param.offsets.value}]
    ret
1:  mov     x0, #0
    ret

// Finds the service whose page is in parameter X0 and whose port is in parameter X1. X0 and X1 become address and port;
// 0 for none.
find_service:
    ${enter}
    mov     x19, x1
    bl      get_param
    cbz     x0, 1f
    lsl     x0, x0, #12
    orr     x20, x0, #${kernelBase}
    mov     x0, x19
    bl      get_param
    mov     x21, x0
    // Route its events to the CPU that asks.
    str     w21, [x28, #${own.argument + evtchn_bind_vcpu.offsets.port}]
    ldr     w0, [x28, #${own.xenVcpuId}]
    str     w0, [x28, #${own.argument + evtchn_bind_vcpu.offsets.vcpu}]
    ${eventOperation(EVTCHNOP_bind_vcpu)}
    cbnz    x0, 2f
    mov     x1, x21
    bl      own_port
    mov     x0, x20
    mov     x1, x21
1:  ${leave}
2:  ${panic('the port of a service cannot be moved')}

find_services:
    ${enter}
    mov     x0, #${HVM_PARAM_STORE_PFN}
    mov     x1, #${HVM_PARAM_STORE_EVTCHN}
    bl      find_service
    adrl    x2, store_ring
    str     x0, [x2]
    str     x1, [x2, #8]
    mov     x0, #${HVM_PARAM_CONSOLE_PFN}
    mov     x1, #${HVM_PARAM_CONSOLE_EVTCHN}
    bl      find_service
    adrl    x2, console_ring
    str     x0, [x2]
    str     x1, [x2, #8]
    ${leave}

// Notifies the service at port W0.
notify:
    str     w0, [x28, #${own.argument}]
    ${eventOperation(EVTCHNOP_send)}
    ret`;

const writing = `
// Writes the text at X0 to the PV console, if there is one.
write_console:
    ${enter}
    adrl    x19, console_ring
    ldp     x19, x20, [x19]
    cbz     x19, 3f
    mov     x21, x0
    mov     w3, #${consoleRing.out_prod}
    add     x22, x19, x3
    ldr     w23, [x22]
1:  ldrb    w0, [x21], #1
    cbz     w0, 2f
    and     x1, x23, #${outBytes - 1}
    add     x1, x1, #${consoleRing.out}
    strb    w0, [x19, x1]
    add     w23, w23, #1
    b       1b
2:  dmb     sy
    str     w23, [x22]
    mov     w0, w20
    bl      notify
3:  ${leave}`;

const asking = `
// Reads the domain's name from xenstore, if there is one, and prints it.
read_store:
    ${enter}
    adrl    x19, store_ring
    ldp     x19, x20, [x19]
    cbz     x19, store_done
    add     x21, x19, #${store.req}
    mov     w0, #${store.req_cons}
    add     x22, x19, x0
    // Write the request byte by byte to the ring.
    adrl    x23, store_request
    ldr     w24, [x22, #${store.req_prod - store.req_cons}]
    mov     x26, #${xsd_sockmsg.size + question.length + 1}
1:  ldrb    w0, [x23], #1
    and     x1, x24, #1023
    strb    w0, [x21, x1]
    add     w24, w24, #1
    sub     x26, x26, #1
    cbnz    x26, 1b
    dmb     sy
    str     w24, [x22, #${store.req_prod - store.req_cons}]
    mov     w0, w20
    bl      notify
    // Read the answer's header, then the number of bytes that it gives.
    adrl    x23, store_answer
    mov     x26, #${xsd_sockmsg.size}
    bl      take_answer
    adrl    x23, store_answer
    ldr     w24, [x23, #${xsd_sockmsg.offsets.type}]
    ldr     w26, [x23, #${xsd_sockmsg.offsets.len}]
    cmp     w24, #${XS_READ}
    b.ne    store_refused
    cmp     x26, #${longestAnswer}
    b.hi    store_refused
    strb    wzr, [x23, x26]
    bl      take_answer
    bl      lock_console
    ${say('xenstore: name is ')}
    adrl    x0, store_answer
    mov     x1, #${longestAnswer}
    bl      print_text
    ${say('\n')}
    bl      unlock_console
store_done:
    ${leave}
store_refused:
    ${panic('xenstore does not say the name')}

// Copies X26 bytes from the ring at X19, whose indexes are at X22, to X23.
take_answer:
    stp     x29, x30, [sp, #-16]!
    bl      set_deadline
1:  cbz     x26, 5f
2:  msr     daifset, #2
    ldr     w0, [x22, #${store.rsp_prod - store.req_cons}]
    ldr     w1, [x22, #${store.rsp_cons - store.req_cons}]
    cmp     w0, w1
    b.ne    3f
    bl      check_deadline
    wfi
    msr     daifclr, #2
    b       2b
3:  msr     daifclr, #2
    dmb     sy
    and     x0, x1, #1023
    add     x0, x0, #${store.rsp}
    ldrb    w0, [x19, x0]
    strb    w0, [x23], #1
    add     w1, w1, #1
    str     w1, [x22, #${store.rsp_cons - store.req_cons}]
    sub     x26, x26, #1
    b       1b
5:  mov     w0, w20
    bl      notify
    ldp     x29, x30, [sp], #16
    ret

    .balign 4
store_request:
    .word   ${XS_READ}, 1, 0, ${question.length + 1}
    .asciz  ${quoted(question)}
    .balign 4`;

export const services = [finding, writing, asking].join('\n');
