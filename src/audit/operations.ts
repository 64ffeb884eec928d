/**
 * Which hypercalls carry a vCPU id, and how the guest chooses that id. The kinds follow what
 * Linux does (6.1; arch/x86/xen, arch/arm/xen/enlighten.c, drivers/xen/events) and what public/vcpu.h,
 * public/event_channel.h and public/hvm/hvm_op.h say of each operation.
 */
import { VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU, XEN_LEGACY_MAX_VCPUS } from '../abi/index.js';
import type { Platform, TracedCall } from './trace.js';

/**
 * How to find the id that was meant:
 * - `self`: the call is for the calling CPU.
 * - `control-block`: once for each CPU. The caller's first call is for itself, a later one for the CPU that is started next.
 * - `own-then-next`: the same; if no start follows, the record shows for which CPU the call was.
 * - `own-or-next`: the same, but the call may be repeated for the same CPU, which is harmless.
 * - `comes-up`: names the vCPU that is being started and so runs next.
 * - `goes-down`: names the calling CPU if that goes, and otherwise another one, by its record.
 * - `binding`: names the CPU for which the kernel binds a port, as its interrupt table says afterwards.
 * - `record`: names any CPU, by that CPU's record.
 * - `question`: asks whether the vCPU with that id exists or is up; every id is allowed.
 */
export type Intention =
  | 'self'
  | 'control-block'
  | 'own-then-next'
  | 'own-or-next'
  | 'comes-up'
  | 'goes-down'
  | 'binding'
  | 'record'
  | 'question';

const everywhere: Readonly<Record<string, Intention>> = {
  // Xen itself refuses the one-shot timer of another vCPU. It would accept the periodic one for any, but Linux
  // stops the periodic timer of the CPU that it runs on (xen_vcpuop_set_oneshot, xen_time_init).
  VCPUOP_set_singleshot_timer: 'self',
  VCPUOP_stop_singleshot_timer: 'self',
  VCPUOP_set_periodic_timer: 'self',
  VCPUOP_stop_periodic_timer: 'self',
  // A PV CPU takes itself down (xen_pv_play_dead, and stop_self after a panic), when it is no longer online. A CPU that is online
  // may take others down, as Linux does when it resumes from a suspension (xen_vcpu_restore).
  VCPUOP_down: 'goes-down',
  // evtchn_fifo_init_control for the boot CPU, later evtchn_fifo_percpu_init for a CPU in prepare.
  EVTCHNOP_init_control: 'control-block',
  // PV Linux sets the initial registers of the new CPU, then starts it (xen_pv_cpu_up). A PVH guest may do so too.
  VCPUOP_initialise: 'comes-up',
  VCPUOP_up: 'comes-up',
  // Bindings for any CPU: xen_vcpu_nr(cpu) of the CPU for which the port is.
  EVTCHNOP_bind_ipi: 'binding',
  EVTCHNOP_bind_virq: 'binding',
  EVTCHNOP_bind_vcpu: 'binding',
  // PV: an NMI for another CPU (xen_send_IPI_one); the physical CPU or the times of any CPU.
  VCPUOP_send_nmi: 'record',
  VCPUOP_get_physid: 'record',
  VCPUOP_get_runstate_info: 'record',
  // PV Linux counts its possible CPUs by asking until ENOENT (xen_filter_cpu_maps), and waits for a CPU that is
  // going down. It finds the last CPU by asking for one more.
  VCPUOP_is_up: 'question',
};

/** In Arm guests each CPU registers its own areas when it starts (xen_starting_cpu). */
const onArm: Readonly<Record<string, Intention>> = {
  VCPUOP_register_vcpu_info: 'self',
  VCPUOP_register_runstate_memory_area: 'self',
  VCPUOP_register_runstate_phys_area: 'self',
};

/** On x86 the CPU that brings another up registers for it (xen_cpu_up_prepare_hvm; xen_pv_cpu_up: runstate). */
const onX86: Readonly<Record<string, Intention>> = {
  VCPUOP_register_vcpu_info: 'own-then-next',
  HVMOP_set_evtchn_upcall_vector: 'own-or-next',
  VCPUOP_register_runstate_memory_area: 'own-or-next',
  VCPUOP_register_runstate_phys_area: 'own-or-next',
  // For the vDSO, by the boot CPU for its own clock (xen_setup_vsyscall_time_info, pvclock_set_pvti_cpu0_va). Linux
  // passes a literal 0, which names the boot CPU's vCPU only where the kernel was entered on vCPU 0.
  VCPUOP_register_vcpu_time_memory_area: 'self',
  VCPUOP_register_vcpu_time_phys_area: 'self',
};

/** PV Linux registers the vcpu_info of all possible CPUs at once, by their records, long before it starts them. */
const onPv: Readonly<Record<string, Intention>> = { VCPUOP_register_vcpu_info: 'record' };

/** How the guest chooses the vCPU id in `op`. An operation that is in no table is assumed to use a CPU's record. */
export function intentionOf(kind: Platform['kind'], op: string): Intention {
  const ofPlatform = kind === 'arm' ? onArm : kind === 'pv' ? { ...onX86, ...onPv } : onX86;
  return ofPlatform[op] ?? everywhere[op] ?? 'record';
}

/** Whether an operation binds a port to a vCPU. */
export function bindsPort(op: string): boolean {
  return everywhere[op] === 'binding';
}

/** Whether a VIRQ belongs to a vCPU, rather than to the domain (Xen 4.17 common/event_channel.c, virq_is_global). */
export function isPerVcpuVirq(virq: number): boolean {
  return [VIRQ_TIMER, VIRQ_DEBUG, VIRQ_XENOPROF, VIRQ_XENPMU].includes(virq);
}

/** How many vCPUs have a vcpu_info in shared_info, and so need not register one. */
export function legacyVcpus(kind: Platform['kind']): number {
  return kind === 'arm' ? XEN_LEGACY_MAX_VCPUS.arm64 : XEN_LEGACY_MAX_VCPUS.x86_64;
}

/** A 64-bit number in a call's decoded argument; null when the call has no field of that name, or it is not a number. */
export function wideArgument({ detail }: TracedCall, name: string): bigint | null {
  const value = detail[name];
  if (typeof value === 'bigint') return value;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : null;
}

/** A number of at most 53 bits in a call's decoded argument; null as above. */
export function argument(call: TracedCall, name: string): number | null {
  const value = wideArgument(call, name);
  return value === null ? null : Number(value);
}
