/**
 * Calls that Xen has for an Arm guest and this hypervisor does not. They are refused, as Xen refuses an unknown number,
 * so that the guest continues. The caller is informed, because the guest's outcome proves nothing then.
 * Calls that Xen also refuses with the same answer (physdev_op, xsm_op, argo_op) are not included.
 */
import {
  GNTTABOP_names,
  GNTTABOP_cache_flush,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_transfer,
  GNTTABOP_unmap_and_replace,
  XENMEM_access_op,
  XENMEM_exchange,
  XENMEM_names,
  XENMEM_reserved_device_memory_map,
  __HYPERVISOR_domctl,
  __HYPERVISOR_event_channel_op_compat,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_hypfs_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_multicall,
  __HYPERVISOR_names,
  __HYPERVISOR_physdev_op_compat,
  __HYPERVISOR_platform_op,
  __HYPERVISOR_sched_op_compat,
  __HYPERVISOR_sysctl,
} from '../abi/index.js';
import { archOf } from './arch.js';
import type { Domain } from './domain.js';

/** Whole hypercalls, by the column `arm` of Xen 4.17 include/hypercall-defs.c in its default configuration. */
const hypercalls: readonly number[] = [
  __HYPERVISOR_sched_op_compat,
  __HYPERVISOR_platform_op,
  __HYPERVISOR_multicall,
  __HYPERVISOR_event_channel_op_compat,
  __HYPERVISOR_physdev_op_compat,
  __HYPERVISOR_sysctl,
  __HYPERVISOR_domctl,
  __HYPERVISOR_hypfs_op,
];

const memoryCommands: readonly number[] = [
  XENMEM_exchange,
  XENMEM_access_op,
  XENMEM_reserved_device_memory_map,
];
const grantCommands: readonly number[] = [
  GNTTABOP_transfer,
  GNTTABOP_unmap_and_replace,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_cache_flush,
];

function nameOf(number: number, command: number): string | null {
  if (hypercalls.includes(number)) return __HYPERVISOR_names[number]?.replace('__HYPERVISOR_', '') ?? null;
  // Xen 4.17 common/memory.c, do_memory_op; common/grant_table.c, do_grant_table_op.
  if (number === __HYPERVISOR_memory_op && memoryCommands.includes(command))
    return XENMEM_names[command] ?? null;
  if (number === __HYPERVISOR_grant_table_op && grantCommands.includes(command))
    return GNTTABOP_names[command] ?? null;
  return null;
}

/** The name of that command of hypercall `number` if Xen has it for this guest and it is not modelled; else null. */
export function notModelled(domain: Domain, number: number, command: number): string | null {
  return archOf(domain) === 'arm64' ? nameOf(number, command) : null;
}
