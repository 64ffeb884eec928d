/** A domain's parameters (public/hvm/params.h): which of them a guest may read and write, and the effect of a write. */
import {
  HVM_PARAM_ACPI_IOPORTS_LOCATION,
  HVM_PARAM_ALTP2M,
  HVM_PARAM_BUFIOREQ_EVTCHN,
  HVM_PARAM_CALLBACK_IRQ,
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_DM_DOMAIN,
  HVM_PARAM_MEMORY_EVENT_CR0,
  HVM_PARAM_MEMORY_EVENT_CR3,
  HVM_PARAM_MEMORY_EVENT_CR4,
  HVM_PARAM_MEMORY_EVENT_INT3,
  HVM_PARAM_MEMORY_EVENT_MSR,
  HVM_PARAM_MEMORY_EVENT_SINGLE_STEP,
  HVM_PARAM_MONITOR_RING_PFN,
  HVM_PARAM_NESTEDHVM,
  HVM_PARAM_PAE_ENABLED,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  HVM_PARAM_VM86_TSS,
  HVM_PARAM_VM86_TSS_SIZED,
  HVM_PARAM_VM_GENERATION_ID_ADDR,
  HVM_PARAM_X87_FIP_WIDTH,
  SHUTDOWN_crash,
  XEN_EINVAL,
  XEN_ENODEV,
  XEN_EPERM,
} from '../abi/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { archOf } from './arch.js';
import type { Domain } from './domain.js';
import { setCallbackVia } from './event_channels/index.js';
import { domainShutdown } from './power.js';

/** Parameters that any guest may read. */
const readable: readonly number[] = [
  HVM_PARAM_CALLBACK_IRQ,
  HVM_PARAM_STORE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_CONSOLE_EVTCHN,
];

const readableX86: readonly number[] = [
  ...readable,
  HVM_PARAM_VM86_TSS,
  HVM_PARAM_VM86_TSS_SIZED,
  HVM_PARAM_ACPI_IOPORTS_LOCATION,
  HVM_PARAM_VM_GENERATION_ID_ADDR,
  HVM_PARAM_ALTP2M,
  HVM_PARAM_X87_FIP_WIDTH,
];

const writableX86: readonly number[] = [
  HVM_PARAM_CALLBACK_IRQ,
  HVM_PARAM_VM86_TSS,
  HVM_PARAM_VM86_TSS_SIZED,
  HVM_PARAM_ACPI_IOPORTS_LOCATION,
  HVM_PARAM_VM_GENERATION_ID_ADDR,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_X87_FIP_WIDTH,
];

/** Deprecated parameters, which cannot be used any more. */
const deprecatedX86: readonly number[] = [
  HVM_PARAM_PAE_ENABLED,
  HVM_PARAM_DM_DOMAIN,
  HVM_PARAM_MEMORY_EVENT_CR0,
  HVM_PARAM_MEMORY_EVENT_CR3,
  HVM_PARAM_MEMORY_EVENT_CR4,
  HVM_PARAM_MEMORY_EVENT_INT3,
  HVM_PARAM_NESTEDHVM,
  HVM_PARAM_MEMORY_EVENT_SINGLE_STEP,
  HVM_PARAM_BUFIOREQ_EVTCHN,
  HVM_PARAM_MEMORY_EVENT_MSR,
];

/** Arm has the readable ones and this one; a guest may write none of them (Xen 4.17 arch/arm/hvm.c). */
const toolstackOnlyArm: readonly number[] = [HVM_PARAM_MONITOR_RING_PFN];

/** The error for a guest that reads the parameter of that index (below HVM_NR_PARAMS on x86); 0 if it may. */
export function readError(domain: Domain, index: number): number {
  if (archOf(domain) === 'x86_64') return accessError(index, readableX86);
  if (readable.includes(index)) return 0;
  return toolstackOnlyArm.includes(index) ? -XEN_EPERM : -XEN_EINVAL;
}

function accessError(index: number, allowed: readonly number[]): number {
  if (allowed.includes(index)) return 0;
  return deprecatedX86.includes(index) ? -XEN_EINVAL : -XEN_EPERM;
}

/** The error for a write, in the same way. */
function writeError(domain: Domain, index: number): number {
  if (archOf(domain) === 'x86_64') return accessError(index, writableX86);
  return [...readable, ...toolstackOnlyArm].includes(index) ? -XEN_EPERM : -XEN_EINVAL;
}

const tssUpdated = 1n << 63n;
/**
 * The minimum and maximum size of a 32-bit TSS: the maximum includes the interrupt redirection map, the I/O bitmap and its
 * end byte.
 */
const tssBytes = 104n;
const tssMostBytes = tssBytes + 32n + 8192n + 1n;
const lowHalf = 0xffff_ffffn;

/** The parameter as the guest reads it; 0 if it was never set. */
export function hvmParam({ state }: Domain, index: number): bigint {
  const stored = (at: number): bigint => state.hvmParams[at] ?? 0n;
  if (index === HVM_PARAM_VM86_TSS) return stored(HVM_PARAM_VM86_TSS_SIZED) & lowHalf;
  if (index === HVM_PARAM_VM86_TSS_SIZED) return stored(HVM_PARAM_VM86_TSS_SIZED) & ~tssUpdated;
  return stored(index);
}

/** The toolstack sets a parameter, without checks; the effect on event upcalls is the same as for a guest. */
export function setHvmParam(domain: Domain, index: number, value: bigint): void {
  domain.state.hvmParams[index] = value;
  if (index === HVM_PARAM_CALLBACK_IRQ && archOf(domain) === 'x86_64') setCallbackVia(domain, value);
}

/** vCPU `by` sets a parameter of its own domain; 0 or minus an error (Xen 4.17 arch/x86/hvm/hvm.c, hvm_set_param). */
export function setOwnParam(domain: Domain, by: XenVcpuId, index: number, value: bigint): number {
  const refused = writeError(domain, index);
  if (refused !== 0) return refused;
  switch (index) {
    case HVM_PARAM_ACPI_IOPORTS_LOCATION:
      return setIoPorts(domain, value);
    case HVM_PARAM_X87_FIP_WIDTH:
      if (value !== 0n && value !== 4n && value !== 8n) return -XEN_EINVAL;
      break;
    case HVM_PARAM_VM86_TSS:
      if (value > lowHalf) return crash(domain, by);
      return setTss(domain, value === 0n ? 0n : value | (128n << 32n) | tssUpdated);
    case HVM_PARAM_VM86_TSS_SIZED:
      if (value >> 32n < tssBytes) return crash(domain, by);
      return setTss(domain, cappedTss(value) | tssUpdated);
  }
  setHvmParam(domain, index, value);
  return 0;
}

/** The location of the ACPI power management ports: old (0) or new (1); PVH has none. */
function setIoPorts({ state }: Domain, value: bigint): number {
  if (state.config.kind === 'pvh') return -XEN_ENODEV;
  if (value > 1n) return -XEN_EINVAL;
  state.hvmParams[HVM_PARAM_ACPI_IOPORTS_LOCATION] = value;
  return 0;
}

function setTss({ state }: Domain, value: bigint): number {
  state.hvmParams[HVM_PARAM_VM86_TSS_SIZED] = value;
  return 0;
}

function cappedTss(value: bigint): bigint {
  return value >> 32n > tssMostBytes ? (value & lowHalf) | (tssMostBytes << 32n) : value;
}

/** Xen crashes a guest that sets such a value. */
function crash(domain: Domain, by: XenVcpuId): number {
  domainShutdown(domain, SHUTDOWN_crash, by);
  return -XEN_EINVAL;
}
