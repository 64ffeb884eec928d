/** A vCPU has nothing to do: HLT on x86, WFI on Arm. */
import { vcpu_info } from '../abi/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { archOf, isX86Hvm } from './arch.js';
import type { Domain, VcpuState } from './domain.js';
import { blockVcpu, unblock } from './event_channels/index.js';
import { takeDown } from './local_apic.js';
import { vcpuOf } from './power.js';
import { vcpuInfoView } from './vcpu_info.js';

/**
 * vCPU `id` halts, `interruptsOn` or not (RFLAGS.IF, or PSTATE.I clear). With interrupts on it waits until something
 * awaits it. On x86 HVM with interrupts off it goes down, as nothing but an NMI could end that HLT; if no vCPU
 * stays up, the domain shuts down with reason poweroff (Xen 4.17 arch/x86/hvm/hvm.c, hvm_hlt and hvm_vcpu_down).
 * An interrupt or NMI that Xen was about to inject ends its HLT at once; here it is the machine that takes such an
 * event, before it comes to the HLT.
 * A PV kernel's HLT is Xen's to emulate, and waits; Arm's WFI waits for interrupts that are masked too
 * (arch/x86/pv/emul-priv-op.c; arch/arm/traps.c, do_trap_guest_sync).
 */
export function haltVcpu(domain: Domain, id: XenVcpuId, interruptsOn: boolean): void {
  const vcpu = vcpuOf(domain, id);
  if (archOf(domain) === 'arm64') blockUnlessPending(domain, vcpu);
  else if (isX86Hvm(domain) && !interruptsOn) takeDown(domain, vcpu, id);
  else block(domain, vcpu, interruptsOn);
}

/** As SCHEDOP_block, by which Xen carries it out: event upcalls are unmasked. */
function block(domain: Domain, vcpu: VcpuState, interruptsOn: boolean): void {
  vcpuInfoView(domain, vcpu, true)?.setUint8(vcpu_info.x86_64.offsets.evtchn_upcall_mask, 0);
  blockVcpu(domain, vcpu, interruptsOn);
}

/** The vCPU waits unless an event is pending, whether or not it would take it now (vcpu_block_unless_event_pending). */
export function blockUnlessPending(domain: Domain, vcpu: VcpuState): void {
  blockVcpu(domain, vcpu, true);
}

/**
 * An interrupt that is not Xen's own comes for the vCPU: it waits no longer, neither for it nor in a poll (Xen 4.17
 * arch/arm/domain.c, vcpu_kick).
 */
export function wakeVcpu(domain: Domain, id: XenVcpuId): void {
  unblock(vcpuOf(domain, id));
}
