/** A vCPU halts: HLT on x86, WFI on Arm. */
import { vcpu_info } from '../abi/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { archOf, isX86Hvm } from './arch.js';
import type { Domain, VcpuState } from './domain.js';
import { blockVcpu, unblock } from './event_channels/index.js';
import { takeDown } from './init_sipi_nmi.js';
import { vcpuOf } from './power.js';
import { vcpuInfoView } from './vcpu_info.js';

/**
 * vCPU `id` halts; `interruptsOn` says whether interrupts are enabled (RFLAGS.IF, or PSTATE.I clear). With interrupts enabled
 * it waits until an event is pending. On x86 HVM with interrupts disabled it goes down, because only an NMI could end that
 * HLT; if no vCPU stays up, the domain shuts down with reason poweroff (Xen 4.17 arch/x86/hvm/hvm.c, hvm_hlt and
 * hvm_vcpu_down). In Xen, an interrupt or NMI that is about to be injected ends the HLT immediately; here the machine takes
 * such an event before it executes the HLT. Xen emulates a PV kernel's HLT, which waits. Arm's WFI also wakes for masked
 * interrupts (arch/x86/pv/emul-priv-op.c; arch/arm/traps.c, do_trap_guest_sync).
 */
export function haltVcpu(domain: Domain, id: XenVcpuId, interruptsOn: boolean): void {
  const vcpu = vcpuOf(domain, id);
  if (archOf(domain) === 'arm64') blockUnlessPending(domain, vcpu);
  else if (isX86Hvm(domain) && !interruptsOn) takeDown(domain, vcpu, id);
  else block(domain, vcpu, interruptsOn);
}

/** The same as SCHEDOP_block, which Xen uses for it: event upcalls are unmasked. */
function block(domain: Domain, vcpu: VcpuState, interruptsOn: boolean): void {
  vcpuInfoView(domain, vcpu, true)?.setUint8(vcpu_info.x86_64.offsets.evtchn_upcall_mask, 0);
  blockVcpu(domain, vcpu, interruptsOn);
}

/** The vCPU waits unless an event is pending, even if it could not take it now (vcpu_block_unless_event_pending). */
export function blockUnlessPending(domain: Domain, vcpu: VcpuState): void {
  blockVcpu(domain, vcpu, true);
}

/**
 * An interrupt that is not Xen's own is pending for the vCPU. This ends its wait or its poll (Xen 4.17
 * arch/arm/domain.c, vcpu_kick).
 */
export function wakeVcpu(domain: Domain, id: XenVcpuId): void {
  unblock(vcpuOf(domain, id));
}
