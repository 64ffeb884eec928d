/**
 * Event channels by both ABIs: two-level with one bit per port in shared_info (public/xen.h), and FIFO with queues of
 * event words per vCPU (public/event_channel.h). The structures and the rules for walking them come from these headers.
 */
import {
  DOMID_SELF,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_virq,
  EVTCHNOP_expand_array,
  EVTCHNOP_init_control,
  EVTCHNOP_send,
  EVTCHN_FIFO_LINKED,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_MASKED,
  EVTCHN_FIFO_PENDING,
  HVMOP_set_evtchn_upcall_vector,
  VIRQ_TIMER,
  XENMAPSPACE_shared_info,
  XENMEM_add_to_physmap,
  __HYPERVISOR_hvm_op,
  __HYPERVISOR_memory_op,
  evtchn_bind_ipi,
  evtchn_bind_virq,
  evtchn_fifo_control_block,
  evtchn_init_control,
  shared_info,
  vcpu_info,
  xen_add_to_physmap,
  xen_hvm_evtchn_upcall_vector,
} from '../../abi/index.js';
import { idOfCaller, idUnless, unlessWrong } from './errors.js';
import { own, physicalMask, vector } from './layout.js';
import { areaOf, enter, eventOperation, hypercall, leave } from './words.js';

const shared = shared_info.x86_64.offsets;
const upcallState = vcpu_info.x86_64.offsets;
const control = evtchn_fifo_control_block.offsets;
const linkField = 2 ** EVTCHN_FIFO_LINKED + EVTCHN_FIFO_LINK_MASK;

/** Replaces one of the guest's pages by the domain's shared_info page. Returns the answer in RAX. */
const mapSharedInfo = `
map_shared_info:
    movw    $${DOMID_SELF}, ${own.argument + xen_add_to_physmap.offsets.domid}(%r15)
    movw    $0, ${own.argument + xen_add_to_physmap.offsets.size}(%r15)
    movl    $${XENMAPSPACE_shared_info}, ${own.argument + xen_add_to_physmap.offsets.space}(%r15)
    movq    $0, ${own.argument + xen_add_to_physmap.offsets.idx}(%r15)
    lea     shared_info(%rip), %rax
    and     $${physicalMask}, %eax
    shr     $12, %eax
    mov     %rax, ${own.argument + xen_add_to_physmap.offsets.gpfn}(%r15)
    mov     $${XENMEM_add_to_physmap}, %edi
    lea     ${own.argument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_memory_op)}
    ret`;

/** Registers a FIFO control block for the CPU whose area is at RBX, using its record. Returns the answer in RAX. */
const initControl = `
init_control:
    mov     %ebx, %eax
    and     $${physicalMask}, %eax
    shr     $12, %eax
    mov     %rax, ${own.argument + evtchn_init_control.offsets.control_gfn}(%r15)
    movl    $${own.control}, ${own.argument + evtchn_init_control.offsets.offset}(%r15)
    ${idUnless('control', '%rbx', '%eax', 'xor     %eax, %eax')}
    mov     %eax, ${own.argument + evtchn_init_control.offsets.vcpu}(%r15)
    ${eventOperation(EVTCHNOP_init_control)}
    ret

// Adds the page of event words, once the FIFO ABI is in use.
expand_array:
    lea     event_array(%rip), %rax
    and     $${physicalMask}, %eax
    shr     $12, %eax
    mov     %rax, ${own.argument}(%r15)
    ${eventOperation(EVTCHNOP_expand_array)}
    test    %rax, %rax
    jne     1f
    movq    $1, fifo_on(%rip)
1:  ret`;

const binding = `
// Has the events of the CPU whose area is at RBX come by its local APIC. Returns the answer in RAX.
set_upcall_vector:
    ${idUnless('vector', '%rbx', '%eax', idOfCaller('%eax'))}
    mov     %eax, ${own.argument + xen_hvm_evtchn_upcall_vector.offsets.vcpu}(%r15)
    movl    $${vector.events}, ${own.argument + xen_hvm_evtchn_upcall_vector.offsets.vector}(%r15)
    mov     $${HVMOP_set_evtchn_upcall_vector}, %edi
    lea     ${own.argument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_hvm_op)}
    ret

// Binds the timer's port of the CPU whose area is at RBX. Returns the answer in RAX.
bind_timer:
    movl    $${VIRQ_TIMER}, ${own.argument + evtchn_bind_virq.offsets.virq}(%r15)
    ${idUnless('virq', '%rbx', '%eax', idOfCaller('%eax'))}
    mov     %eax, ${own.argument + evtchn_bind_virq.offsets.vcpu}(%r15)
    ${eventOperation(EVTCHNOP_bind_virq)}
    test    %rax, %rax
    jne     1f
    mov     ${own.argument + evtchn_bind_virq.offsets.port}(%r15), %esi
    mov     %rsi, ${own.timerPort}(%rbx)
    jmp     own_port
1:  ret

// Binds the port by which other CPUs call the CPU whose area is at RBX. Returns the answer in RAX.
bind_own_port:
    ${idUnless('ipi', '%rbx', '%eax', idOfCaller('%eax'))}
    mov     %eax, ${own.argument + evtchn_bind_ipi.offsets.vcpu}(%r15)
    ${eventOperation(EVTCHNOP_bind_ipi)}
    test    %rax, %rax
    jne     1f
    mov     ${own.argument + evtchn_bind_ipi.offsets.port}(%r15), %esi
    mov     %esi, ${own.port}(%rbx)
    jmp     own_port
1:  ret

// Records that port ESI belongs to the CPU whose area is at RBX, and unmasks it. RAX becomes 0.
own_port:
    lock bts %rsi, ${own.ports}(%rbx)
    lea     shared_info(%rip), %rax
    lock btr %rsi, ${shared.evtchn_mask}(%rax)
    xor     %eax, %eax
    ret

// Sends an event to the CPU whose area is at RBX. Returns the answer in RAX.
send_event:
    mov     ${own.port}(%rbx), %eax
    ${unlessWrong('event', '1f')}
    mov     ${own.cpu}(%rbx), %rax
    inc     %rax
    cmp     cpu_count(%rip), %rax
    jb      2f
    xor     %eax, %eax
2:  ${areaOf('%rax')}
    mov     ${own.port}(%rax), %eax
1:  mov     %eax, ${own.argument}(%r15)
    ${eventOperation(EVTCHNOP_send)}
    ret`;

const twoLevel = `
two_level_upcall:
    xor     %r12d, %r12d
    xchg    %r12, ${own.vcpuInfo + upcallState.evtchn_pending_sel}(%r15)
1:  bsf     %r12, %r13
    je      upcall_done
    btr     %r13, %r12
    lea     shared_info(%rip), %r14
2:  mov     ${shared.evtchn_mask}(%r14,%r13,8), %rax
    not     %rax
    and     ${shared.evtchn_pending}(%r14,%r13,8), %rax
    and     ${own.ports}(%r15,%r13,8), %rax
    bsf     %rax, %rcx
    je      1b
    mov     %r13, %rsi
    shl     $6, %rsi
    or      %rcx, %rsi
    lock btr %rsi, ${shared.evtchn_pending}(%r14)
    call    handle_port
    jmp     2b`;

const fifo = `
fifo_upcall:
    xor     %r12d, %r12d
1:  xor     %eax, %eax
    xchg    %eax, ${own.control + control.ready}(%r15)
    or      %eax, %r12d
    bsf     %r12d, %r13d
    je      upcall_done
    // Our copy of the queue's head is valid, unless the queue was empty.
    mov     ${own.fifoHeads}(%r15,%r13,4), %ebx
    test    %ebx, %ebx
    jne     2f
    mov     ${own.control + control.head}(%r15,%r13,4), %ebx
2:  lea     event_array(%rip), %rbp
    lea     (%rbp,%rbx,4), %rbp
    // Remove the event from the queue: clear its link, which names the next one.
3:  mov     (%rbp), %eax
    mov     %eax, %ecx
    and     $0x${(~linkField >>> 0).toString(16)}, %ecx
    lock cmpxchg %ecx, (%rbp)
    jne     3b
    mov     %eax, %ecx
    and     $${EVTCHN_FIFO_LINK_MASK}, %ecx
    mov     %ecx, ${own.fifoHeads}(%r15,%r13,4)
    jne     4f
    btr     %r13d, %r12d
4:  bt      $${EVTCHN_FIFO_MASKED}, %eax
    jb      1b
    bt      $${EVTCHN_FIFO_PENDING}, %eax
    jae     1b
    lock btrl $${EVTCHN_FIFO_PENDING}, (%rbp)
    mov     %ebx, %esi
    call    handle_port
    jmp     1b`;

export const events = `
${mapSharedInfo}
${initControl}
${binding}

upcall:
    ${enter}
    incq    ${own.upcalls}(%r15)
    movb    $0, ${own.vcpuInfo + upcallState.evtchn_upcall_pending}(%r15)
    mfence
    cmpq    $0, ${own.passesFaults}(%r15)
    jne     upcall_done
    cmpq    $0, fifo_on(%rip)
    jne     fifo_upcall
    jmp     two_level_upcall
upcall_done:
    ${leave}
${twoLevel}
${fifo}

// Handles the event of port ESI: a call from another CPU, the timer, or a service event, which only needs to wake the CPU.
handle_port:
    cmp     %esi, ${own.port}(%r15)
    je      take_mail
    cmp     %esi, ${own.timerPort}(%r15)
    jne     1f
    incq    ${own.ticks}(%r15)
1:  ret

// Answers every CPU that has called this one. Changes RAX, RCX, RDX and RSI.
take_mail:
    xor     %esi, %esi
1:  xor     %edx, %edx
    xchg    %rdx, ${own.mail}(%r15,%rsi,8)
2:  bsf     %rdx, %rax
    je      3f
    btr     %rax, %rdx
    mov     %rsi, %rcx
    shl     $6, %rcx
    or      %rcx, %rax
    ${areaOf('%rax')}
    lock incq ${own.acks}(%rax)
    incq    ${own.answers}(%r15)
    jmp     2b
3:  inc     %esi
    cmp     $2, %esi
    jb      1b
    ret`;
