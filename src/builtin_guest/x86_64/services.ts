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
  xenstore_domain_interface,
  xsd_sockmsg,
} from '../../abi/index.js';
import { quoted } from '../text.js';
import { idOfCpu, idUnless } from './errors.js';
import { directBase, own } from './layout.js';
import { enter, eventOperation, hypercall, leave, panic, say } from './words.js';

const store = xenstore_domain_interface.offsets;

/** The xenstore path to read: relative to the domain's own directory, with its NUL. */
const question = 'name';
const longestAnswer = 63;

const finding = `
// Reads HVM parameter EDI into RAX; 0 where there is none. Changes RDI and RSI.
get_param:
    movw    $${DOMID_SELF}, ${own.argument + xen_hvm_param.offsets.domid}(%r15)
    movw    $0, ${own.argument + xen_hvm_param.offsets.pad}(%r15)
    mov     %edi, ${own.argument + xen_hvm_param.offsets.index}(%r15)
    movq    $0, ${own.argument + xen_hvm_param.offsets.value}(%r15)
    mov     $${HVMOP_get_param}, %edi
    lea     ${own.argument}(%r15), %rsi
    ${hypercall(__HYPERVISOR_hvm_op)}
    test    %rax, %rax
    jne     1f
    mov     ${own.argument + xen_hvm_param.offsets.value}(%r15), %rax
    ret
1:  xor     %eax, %eax
    ret

// Finds the service whose page is in parameter EDI and whose port is in parameter ESI. RAX and RDX become address and
// port; 0 for none.
find_service:
    push    %rbx
    push    %rsi
    call    get_param
    pop     %rdi
    mov     %rax, %rbx
    test    %rax, %rax
    je      1f
    shl     $12, %rbx
    movabs  $${directBase}, %rax
    add     %rax, %rbx
    call    get_param
    mov     %rax, %rdx
1:  mov     %rbx, %rax
    pop     %rbx
    ret

find_console:
    mov     $${HVM_PARAM_CONSOLE_PFN}, %edi
    mov     $${HVM_PARAM_CONSOLE_EVTCHN}, %esi
    call    find_service
    mov     %rdx, console_port(%rip)
    mov     %rax, console_ring(%rip)
    ret

find_store:
    mov     $${HVM_PARAM_STORE_PFN}, %edi
    mov     $${HVM_PARAM_STORE_EVTCHN}, %esi
    call    find_service
    mov     %rdx, store_port(%rip)
    mov     %rax, store_ring(%rip)
    ret

// Has the events of the services, if there are any, come to this CPU.
route_services:
    ${enter}
    mov     %r15, %rbx
    call    find_store
    cmpq    $0, store_ring(%rip)
    je      1f
    mov     store_port(%rip), %eax
    call    route_port
1:  cmpq    $0, console_ring(%rip)
    je      2f
    mov     console_port(%rip), %eax
    call    route_port
2:  ${leave}

// Moves port EAX to this CPU, whose area is also at RBX.
route_port:
    mov     %eax, ${own.argument + evtchn_bind_vcpu.offsets.port}(%r15)
    push    %rax
    ${idUnless('store', '%r15', '%eax', idOfCpu(1, '%eax'))}
    mov     %eax, ${own.argument + evtchn_bind_vcpu.offsets.vcpu}(%r15)
    ${eventOperation(EVTCHNOP_bind_vcpu)}
    pop     %rsi
    test    %rax, %rax
    je      own_port
    ${panic('the port of a service cannot be moved')}

// Notifies the service at port EAX. Changes RAX, RDI and RSI.
notify:
    mov     %eax, ${own.argument}(%r15)
    ${eventOperation(EVTCHNOP_send)}
    ret`;

const asking = `
// Writes the text at RDI to the PV console, if there is one.
write_console:
    cmpq    $0, console_ring(%rip)
    je      1f
    push    %rdi
    call    lock_console
    pop     %rdi
    mov     $-1, %rsi
    call    print_text
    call    unlock_console
1:  ret

// Reads the domain's name from xenstore, if there is one, and prints it.
read_store:
    ${enter}
    mov     store_ring(%rip), %rbx
    test    %rbx, %rbx
    je      store_done
    // Write the request byte by byte to the ring.
    lea     store_request(%rip), %rsi
    mov     ${store.req_prod}(%rbx), %edx
    mov     $${xsd_sockmsg.size + question.length + 1}, %ecx
1:  mov     %edx, %edi
    and     $1023, %edi
    movzbl  (%rsi), %eax
    mov     %al, ${store.req}(%rbx,%rdi,1)
    inc     %rsi
    inc     %edx
    dec     %ecx
    jne     1b
    mov     %edx, ${store.req_prod}(%rbx)
    mov     store_port(%rip), %eax
    call    notify
    // Read the answer's header, then the number of bytes that it gives.
    lea     store_answer(%rip), %r12
    mov     $${xsd_sockmsg.size}, %r13d
    call    take_answer
    lea     store_answer(%rip), %r12
    mov     ${xsd_sockmsg.offsets.len}(%r12), %r13d
    cmpl    $${XS_READ}, ${xsd_sockmsg.offsets.type}(%r12)
    jne     store_refused
    cmp     $${longestAnswer}, %r13d
    ja      store_refused
    movb    $0, (%r12,%r13,1)
    call    take_answer
    call    lock_console
    ${say('xenstore: name is ')}
    lea     store_answer(%rip), %rdi
    mov     $${longestAnswer}, %esi
    call    print_text
    ${say('\n')}
    call    unlock_console
store_done:
    ${leave}
store_refused:
    ${panic('xenstore does not say the name')}

// Copies R13 bytes from the ring at RBX to R12.
take_answer:
    call    set_deadline
1:  test    %r13, %r13
    je      4f
2:  cli
    mov     ${store.rsp_cons}(%rbx), %edx
    cmp     ${store.rsp_prod}(%rbx), %edx
    jne     3f
    call    check_deadline
    sti
    hlt
    jmp     2b
3:  sti
    mov     %edx, %eax
    and     $1023, %eax
    movzbl  ${store.rsp}(%rbx,%rax,1), %eax
    mov     %al, (%r12)
    inc     %r12
    inc     %edx
    mov     %edx, ${store.rsp_cons}(%rbx)
    dec     %r13
    jmp     1b
4:  mov     store_port(%rip), %eax
    call    notify
    ret

    .balign 4
store_request:
    .long   ${XS_READ}, 1, 0, ${question.length + 1}
    .asciz  ${quoted(question)}`;

export const services = [finding, asking].join('\n');
