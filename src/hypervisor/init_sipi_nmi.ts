/**
 * What one vCPU does to another through the local APICs of an x86 HVM guest, as far as it starts, stops or
 * interrupts vCPUs: INIT, SIPI and NMI, each to one physical destination. A PV guest has no local APIC.
 */
import { SHUTDOWN_poweroff } from '../abi/index.js';
import type { ApicId, XenVcpuId } from '../identity/index.js';
import { isX86Hvm } from './arch.js';
import type { Domain, VcpuState } from './domain.js';
import { localApicEnabled, unblock } from './event_channels/index.js';
import { domainShutdown, vcpuOf } from './power.js';

/** Whom a request reached. */
export interface Reached {
  /** The vCPU that has that APIC id; null when none has it. */
  readonly target: XenVcpuId | null;
}

function vcpuOfApic(domain: Domain, apicId: ApicId): VcpuState | null {
  if (!isX86Hvm(domain)) return null;
  const { config, vcpus } = domain.state;
  return vcpus[config.hardwareIds.indexOf(apicId)] ?? null;
}

/**
 * vCPU `from` sends INIT: the target goes down and loses its registers, wherever it was. The last vCPU that is up
 * takes the domain with it (poweroff). A vCPU that is not initialised is left alone
 * (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_init_sipi_one; common/domain.c, vcpu_reset).
 */
export function sendInit(domain: Domain, from: XenVcpuId, apicId: ApicId): Reached {
  const vcpu = vcpuOfApic(domain, apicId);
  if (vcpu?.initialised === true) {
    takeDown(domain, vcpu, from);
    vcpu.initialised = false;
    vcpu.start = null;
    vcpu.upcallInjected = false; // the local APIC is reset too
    unblock(vcpu);
  }
  return { target: vcpu?.id ?? null };
}

/**
 * The vCPU goes down; when no other is up, the domain shuts down with reason poweroff
 * (Xen 4.17 arch/x86/hvm/hvm.c, hvm_vcpu_down).
 */
export function takeDown(domain: Domain, vcpu: VcpuState, by: XenVcpuId): void {
  vcpu.up = false;
  if (!domain.state.vcpus.some(({ up }) => up)) domainShutdown(domain, SHUTDOWN_poweroff, by);
}

/**
 * vCPU `from` sends SIPI: a target that is not initialised starts in real mode at `vector` * 4096. One that is
 * initialised, up or down, ignores it (Xen 4.17 arch/x86/hvm/hvm.c, hvm_vcpu_reset_state).
 */
export function sendSipi(domain: Domain, _from: XenVcpuId, apicId: ApicId, vector: number): Reached {
  const vcpu = vcpuOfApic(domain, apicId);
  if (vcpu?.initialised === false) {
    vcpu.initialised = true;
    vcpu.up = true;
    vcpu.start = { how: 'sipi', entry: BigInt(vector & 0xff) << 12n, contextId: 0n };
    localApicEnabled(domain, vcpu.id); // by the guest, shortly
  }
  return { target: vcpu?.id ?? null };
}

/**
 * An NMI by the local APIC. Unlike VCPUOP_send_nmi it also brings an initialised vCPU up that was down: it goes
 * on behind the HLT with which it went (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_accept_irq).
 */
export function sendNmi(domain: Domain, apicId: ApicId): Reached {
  const vcpu = vcpuOfApic(domain, apicId);
  if (vcpu?.nmiPending === false) {
    vcpu.nmiPending = true;
    if (vcpu.initialised) vcpu.up = true;
    unblock(vcpu);
  }
  return { target: vcpu?.id ?? null };
}

/**
 * An NMI from elsewhere than a local APIC: VCPUOP_send_nmi, or from the toolstack (`xl trigger DOMAIN nmi VCPU`). It ends any wait of
 * the vCPU, and brings none up that is down; it waits for the vCPU then. Another one that waits already is the same
 * (Xen 4.17 arch/x86/domain.c, do_vcpu_op; arch/x86/domctl.c, XEN_DOMCTL_sendtrigger).
 */
export function triggerNmi(vcpu: VcpuState): void {
  if (vcpu.nmiPending) return;
  vcpu.nmiPending = true;
  unblock(vcpu);
}

/** Whether an NMI waits for the vCPU, which takes it. */
export function takeNmi(domain: Domain, id: XenVcpuId): boolean {
  const vcpu = vcpuOf(domain, id);
  const { nmiPending } = vcpu;
  vcpu.nmiPending = false;
  return nmiPending;
}
