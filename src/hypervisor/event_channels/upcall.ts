/**
 * How a vCPU is told of pending events. PV: a call of its event callback. x86 HVM: one vector for all
 * vCPUs, which is pending as long as evtchn_upcall_pending is set, or the vCPU's own vector through its local APIC, once
 * each time evtchn_upcall_pending becomes set. Arm: a private interrupt, also once each time. The other x86
 * callbacks (a GSI, a PCI INTx line) use interrupt controllers that are not modelled here, so they give no upcall.
 */
import { GUEST_EVTCHN_PPI, HVM_PARAM_CALLBACK_TYPE_VECTOR, vcpu_info } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { archOf, isX86Hvm } from '../arch.js';
import type { Domain, VcpuState } from '../domain.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { unblock } from './pollers.js';

/** What is pending for a vCPU. `vector` is an interrupt vector of x86; `intid` an interrupt number of the GIC. */
export type Upcall =
  | { readonly kind: 'callback' }
  | { readonly kind: 'vector'; readonly vector: number }
  | { readonly kind: 'ppi'; readonly intid: number };

// At the same offset on Arm, which has no mask.
const pendingAt = vcpu_info.x86_64.offsets.evtchn_upcall_pending;
const maskAt = vcpu_info.x86_64.offsets.evtchn_upcall_mask;

/** Whether the vCPU's evtchn_upcall_pending is not 0; false if its vcpu_info is Xen's dummy. */
function isUpcallPending(domain: Domain, vcpu: VcpuState): boolean {
  const view = vcpuInfoView(domain, vcpu, false);
  return view !== null && view.getUint8(pendingAt) !== 0;
}

/**
 * Sets evtchn_upcall_pending, and notifies the vCPU if it was not set (Xen 4.17 arch/x86/domain.c and
 * arch/arm/domain.c, vcpu_mark_events_pending). A vCPU without a vcpu_info is never notified: all domains of a host share
 * the dummy page, so in practice its pending byte is always set. `port` is the port of the event, if there is one.
 */
export function markEventsPending(domain: Domain, vcpu: VcpuState, port: number | null = null): void {
  const view = vcpuInfoView(domain, vcpu, true);
  if (view === null) return;
  const before = view.getUint8(pendingAt);
  view.setUint8(pendingAt, before | 1);
  if ((before & 1) !== 0) return;
  assertUpcall(domain, vcpu);
  if (archOf(domain) !== 'arm64') return;
  vcpu.upcallPort = vcpu.up ? port : null;
  vcpu.lostUpcallPort = vcpu.up ? null : port;
}

/**
 * Arm: the vCPU is started, and the interrupt is lost that it did not take before it went down (Xen 4.17 arch/arm/vpsci.c,
 * do_common_cpu_on: vgic_clear_pending_irqs). evtchn_upcall_pending stays as it is. A machine whose interrupt controller has the
 * interrupt says so here.
 */
export function upcallDropped(domain: Domain, id: XenVcpuId): void {
  const vcpu = present(domain.state.vcpus[id], 'a vCPU');
  // An event that came while the vCPU was down is lost already, whatever interrupt was left from before.
  vcpu.lostUpcallPort ??= vcpu.upcallPort;
  vcpu.upcallInjected = false;
}

/**
 * The port of an event of which the vCPU was not told because it was or went down (Arm); null if there is none. While
 * evtchn_upcall_pending stays set (only the guest clears it), the vCPU is not told of any other event either.
 */
export function lostUpcall(domain: Domain, id: XenVcpuId): number | null {
  const vcpu = domain.state.vcpus[id];
  if (vcpu === undefined || vcpu.lostUpcallPort === null) return null;
  return isUpcallPending(domain, vcpu) ? vcpu.lostUpcallPort : null;
}

/** Notifies the vCPU, whether or not anything is pending (Xen 4.17 arch/x86/hvm/irq.c, hvm_assert_evtchn_irq). */
export function assertUpcall(domain: Domain, vcpu: VcpuState): void {
  if (!isX86Hvm(domain)) kick(domain, vcpu);
  else if (vcpu.upcallVector !== 0) injectUpcallVector(vcpu);
  else if (hasPvEventVector(domain)) unblock(vcpu);
}

/**
 * PV: the vCPU is always woken. Arm: the GIC drops an interrupt for a vCPU that is down, and does not use the level: the
 * guest's device tree calls the interrupt level-triggered, but it comes again only when evtchn_upcall_pending is set anew
 * (Xen 4.17 arch/arm/vgic.c, vgic_inject_irq; the experimental CONFIG_NEW_VGIC, which does follow the level, is off).
 */
function kick(domain: Domain, vcpu: VcpuState): void {
  if (archOf(domain) === 'arm64') {
    if (!vcpu.up) return;
    vcpu.upcallInjected = true;
  }
  unblock(vcpu);
}

/** Xen 4.17 arch/x86/include/asm/domain.h, is_hvm_pv_evtchn_domain. */
function hasPvEventVector({ state }: Domain): boolean {
  return state.callbackVector !== null || state.vcpus[0]?.upcallVector !== 0;
}

/**
 * Injects the vector into the local APIC, which accepts nothing while it is disabled: from INIT until the guest enables
 * it. The closest known state here is whether the vCPU has been initialised.
 */
function injectUpcallVector(vcpu: VcpuState): void {
  if (!vcpu.initialised || vcpu.upcallInjected) return;
  vcpu.upcallInjected = true;
  unblock(vcpu);
}

/**
 * The vCPU's local APIC was enabled (x86): its upcall vector comes again if events are pending, since an upcall
 * in the meantime was lost (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_reg_write, APIC_SPIV).
 */
export function localApicEnabled(domain: Domain, id: XenVcpuId): void {
  const vcpu = present(domain.state.vcpus[id], `vCPU ${id}`);
  if (vcpu.upcallVector !== 0 && isUpcallPending(domain, vcpu)) injectUpcallVector(vcpu);
}

/** Sets the vCPU's own upcall vector, and injects it at once (Xen 4.17 arch/x86/hvm/hvm.c, HVMOP_set_evtchn_upcall_vector). */
export function setUpcallVector(domain: Domain, vcpu: VcpuState, vector: number): void {
  vcpu.upcallVector = vector;
  assertUpcall(domain, vcpu);
}

/**
 * HVM_PARAM_CALLBACK_IRQ was set to `via` on x86 (Xen 4.17 arch/x86/hvm/irq.c, hvm_set_callback_via). On PVH,
 * which has no PIC and no IO-APIC, a value of any type but "vector" changes nothing: an earlier vector stays in
 * force, though the parameter reads otherwise.
 */
export function setCallbackVia(domain: Domain, via: bigint): void {
  const { state } = domain;
  const isVector = via >> 56n === BigInt(HVM_PARAM_CALLBACK_TYPE_VECTOR);
  if (!isVector && state.config.kind === 'pvh') return;
  state.callbackVector = isVector ? Number(via & 0xffn) : null;
  for (const vcpu of state.vcpus) {
    if (vcpu.up) assertUpcall(domain, vcpu);
  }
}

/** What is pending for the vCPU now; null for nothing. The machine decides whether the CPU takes it (RFLAGS.IF, PSTATE.I). */
export function pendingUpcall(domain: Domain, id: XenVcpuId): Upcall | null {
  const vcpu = present(domain.state.vcpus[id], 'a vCPU');
  if (archOf(domain) === 'arm64')
    return vcpu.upcallInjected ? { kind: 'ppi', intid: GUEST_EVTCHN_PPI } : null;
  const pending = isUpcallPending(domain, vcpu);
  if (isX86Hvm(domain)) return pendingVector(domain.state.callbackVector, vcpu, pending);
  const masked = vcpuInfoView(domain, vcpu, false)?.getUint8(maskAt) !== 0;
  return pending && !masked ? { kind: 'callback' } : null;
}

/**
 * The common vector comes first; evtchn_upcall_mask counts for nothing (Xen 4.17 arch/x86/hvm/irq.c,
 * hvm_vcpu_has_pending_irq).
 */
function pendingVector(common: number | null, vcpu: VcpuState, pending: boolean): Upcall | null {
  if (common !== null && pending) return { kind: 'vector', vector: common };
  return vcpu.upcallInjected ? { kind: 'vector', vector: vcpu.upcallVector } : null;
}

/**
 * x86 HVM: the vector that is common to all vCPUs, as long as it is pending for this one; null otherwise. It does not go through
 * the local APIC, so that nothing remembers it but evtchn_upcall_pending.
 */
export function commonUpcallVector(domain: Domain, id: XenVcpuId): number | null {
  const { callbackVector } = domain.state;
  if (callbackVector === null) return null;
  return isUpcallPending(domain, present(domain.state.vcpus[id], 'a vCPU')) ? callbackVector : null;
}

/**
 * The vCPU takes the upcall that {@link pendingUpcall} gives. A vector of its own leaves the local APIC's request register,
 * and Arm's interrupt the GIC; the common vector stays until the guest clears evtchn_upcall_pending; a PV callback is entered
 * with evtchn_upcall_mask set (Xen 4.17 arch/x86/x86_64/entry.S, create_bounce_frame).
 */
export function acknowledgeUpcall(domain: Domain, id: XenVcpuId): void {
  const vcpu = present(domain.state.vcpus[id], `vCPU ${id}`);
  const upcall = pendingUpcall(domain, id);
  if (upcall?.kind === 'callback') vcpuInfoView(domain, vcpu, true)?.setUint8(maskAt, 1);
  const isCommon = domain.state.callbackVector !== null && isUpcallPending(domain, vcpu);
  if (upcall?.kind === 'ppi' || (upcall?.kind === 'vector' && !isCommon)) vcpu.upcallInjected = false;
}

/**
 * Whether the vCPU should not wait now, since something awaits it that it would take (Xen 4.17
 * arch/x86/include/asm/event.h and arch/arm/include/asm/event.h, local_events_need_delivery). `interruptsOn` is
 * the CPU's own state, which means nothing on PV.
 */
export function eventsNeedDelivery(domain: Domain, vcpu: VcpuState, interruptsOn: boolean): boolean {
  if (isX86Hvm(domain) && vcpu.nmiPending) return true;
  const takes = interruptsOn || domain.state.config.kind === 'pv';
  // Arm's GIC has no say in this: evtchn_upcall_pending keeps a vCPU from waiting though its interrupt was taken.
  if (archOf(domain) === 'arm64' && isUpcallPending(domain, vcpu)) return takes;
  return takes && pendingUpcall(domain, vcpu.id) !== null;
}
