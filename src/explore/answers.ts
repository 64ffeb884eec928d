/** What was answered, by name: errors as `-ENOENT`, the way kernels print them. */
import { PSCI_RET_names, XEN_errno_names } from '../abi/index.js';
import type { StartEvent } from '../audit/index.js';

/** Xen's answer to a hypercall: `0`, `12` or `-EINVAL`; the bare number where it has no name. */
export function answerText(returned: number): string {
  const name = XEN_errno_names[-returned];
  return returned < 0 && name !== undefined ? `-${name.replace('XEN_', '')}` : String(returned);
}

/** The answer to a request to start a vCPU. PSCI has its own names (`SUCCESS`); an INIT or SIPI is not answered. */
export function startAnswerText({ how, returned }: Pick<StartEvent, 'how' | 'returned'>): string | null {
  if (how === 'sipi') return null;
  if (how === 'VCPUOP_up') return answerText(returned);
  return PSCI_RET_names[returned]?.replace('PSCI_RET_', '') ?? String(returned);
}

/** A vCPU id in a call. Numbers that read better so, all ones above all, in hexadecimal. */
export function idText(id: number): string {
  return id >= 0x1000 ? `0x${id.toString(16)}` : String(id);
}
