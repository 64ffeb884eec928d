/** Every hypercall that this hypervisor knows, one row a family. */
import { XEN_ENOSYS } from '../abi/index.js';
import type { CallerPort, Domain } from './domain.js';
import { callFamily } from './hypercall.js';
import type { CallRecord, HypercallFamily } from './hypercall.js';
import { event_channel_op } from './hypercalls/event_channel_op.js';
import { sched_op } from './hypercalls/sched_op.js';
import { present } from '../base/index.js';
import type { XenVcpuId } from '../identity/index.js';

export const hypercallTable: readonly HypercallFamily[] = [sched_op, event_channel_op];

/**
 * Makes hypercall `number` for vCPU `vcpu`, with up to five argument registers. Changes the domain's state and
 * memory; answers what was asked and what Xen returned. Never throws for anything that the guest passes.
 */
export function hypercall(
  domain: Domain,
  vcpu: XenVcpuId,
  number: number,
  args: readonly bigint[],
  cpu: CallerPort,
): CallRecord {
  const caller = present(domain.state.vcpus[vcpu], `vCPU ${vcpu}`);
  const family = hypercallTable.find((candidate) => candidate.number === number);
  if (family !== undefined) return callFamily(family, { domain, cpu, caller, args });
  const name = `hypercall_${number}`;
  return { hypercall: name, op: name, vcpuId: null, detail: {}, returned: -XEN_ENOSYS };
}
