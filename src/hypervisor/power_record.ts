/** What a vCPU asked of Xen about the power of vCPUs, in terms that every architecture has. */
import type { XenVcpuId } from '../identity/index.js';

/** By which interface a vCPU starts another: PSCI CPU_ON on Arm, INIT-SIPI or the hypercall VCPUOP_up on x86. */
export type StartHow = 'psci' | 'sipi' | 'VCPUOP_up';

/** By which interface a vCPU stops: PSCI CPU_OFF on Arm; on x86 HLT with interrupts off, or VCPUOP_down, which may name another vCPU. */
export type StopHow = 'psci' | 'hlt' | 'VCPUOP_down';

export type PowerRecord =
  /** The caller asked for the start of a vCPU. */
  | {
      readonly kind: 'start';
      readonly how: StartHow;
      /** The hardware id that the request names, as the guest passed it: an MPIDR or an APIC id, unsigned 64-bit. */
      readonly hardwareId: bigint;
      /** The vCPU that it names; null when it names none. */
      readonly target: XenVcpuId | null;
      /** The answer: 0 if the vCPU was started, minus an error number of the interface otherwise. */
      readonly returned: number;
    }
  /** A vCPU stopped: `target`, which only VCPUOP_down names, or the caller. */
  | { readonly kind: 'stop'; readonly how: StopHow; readonly target?: XenVcpuId }
  /** Any other call of the interface: a question, a suspend, the end of the domain, or one that Xen does not serve. */
  | { readonly kind: 'other' };
