/** All hypercalls of this hypervisor, one row for each family. */
import { XEN_ENOSYS } from '../abi/index.js';
import { present, u64 } from '../base/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { CallerPort, Domain } from './domain.js';
import { callFamily, markNotModelled } from './hypercall.js';
import type { HypercallContext, CallRecord, HypercallFamily } from './hypercall.js';
import { console_io } from './hypercalls/console_io.js';
import { event_channel_op } from './hypercalls/event_channel_op.js';
import { grant_table_op } from './hypercalls/grant_table_op.js';
import { hvm_op } from './hypercalls/hvm_op.js';
import { memory_op } from './hypercalls/memory_op.js';
import { physdev_op } from './hypercalls/physdev_op.js';
import { sched_op } from './hypercalls/sched_op.js';
import { vcpu_op } from './hypercalls/vcpu_op.js';
import { vm_assist } from './hypercalls/vm_assist.js';
import { xen_version } from './hypercalls/xen_version.js';
import { takeMapChange } from './physmap.js';
import { isRunnable } from './power.js';
import { refreshAreas, updateRunstates } from './runstate.js';

/** By number. */
export const hypercallTable: readonly HypercallFamily[] = [
  memory_op,
  xen_version,
  console_io,
  grant_table_op,
  vm_assist,
  vcpu_op,
  sched_op,
  event_channel_op,
  hvm_op,
  physdev_op,
];

const familyOfNumber: ReadonlyMap<number, HypercallFamily> = new Map(
  hypercallTable.map((family) => [family.number, family]),
);

/**
 * Makes hypercall `number` for vCPU `vcpu`, with up to five argument registers. Changes the domain's state and
 * memory; returns a record of the call and its answer. Never throws, whatever the guest passes.
 */
export function hypercall(
  domain: Domain,
  vcpu: XenVcpuId,
  number: number,
  args: readonly bigint[],
  cpu: CallerPort,
): CallRecord {
  const caller = present(domain.state.vcpus[vcpu], `vCPU ${vcpu}`);
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = args;
  const registers = [u64(a), u64(b), u64(c), u64(d), u64(e)];
  // A change that was made outside of a call is none of this call's effects.
  takeMapChange(domain);
  const record = callNumber(number, { domain, cpu, caller, args: registers });
  updateRunstates(domain);
  if (isRunnable(domain, vcpu)) refreshAreas(domain, vcpu, cpu);
  return record;
}

function callNumber(number: number, context: HypercallContext): CallRecord {
  const family = familyOfNumber.get(number);
  if (family !== undefined) return callFamily(family, context);
  const name = `hypercall_${number}`;
  const refusal = { hypercall: name, op: name, vcpuId: null, detail: {}, returned: -XEN_ENOSYS };
  return markNotModelled(refusal, context.domain, number, 0);
}
