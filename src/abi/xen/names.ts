/**
 * The numbers of each family by name, for printing. They are read off the declarations, never written a second
 * time: `VCPUOP_names[10]` is `'VCPUOP_register_vcpu_info'`. A number without a name gives undefined.
 */
import { invariant } from '../../base/index.js';
import * as psci from '../arm/psci.js';
import * as errno from './errno.js';
import * as event_channel from './event_channel.js';
import * as features from './features.js';
import * as grant_table from './grant_table.js';
import * as hvm_op from './hvm_op.js';
import * as hvm_params from './hvm_params.js';
import * as io_xs_wire from './io_xs_wire.js';
import * as memory from './memory.js';
import * as physdev from './physdev.js';
import * as sched from './sched.js';
import * as vcpu from './vcpu.js';
import * as version from './version.js';
import * as xen from './xen.js';

export type Names = Readonly<Record<number, string>>;

/** Every number that `module` exports under a name which `family` matches, by that number; no two share one. */
function namesOf(module: Readonly<Record<string, unknown>>, family: RegExp): Names {
  const names: Record<number, string> = {};
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'number' || !family.test(name)) continue;
    invariant(!(value in names), `${name} and ${names[value]} are one number`);
    names[value] = name;
  }
  return names;
}

export const __HYPERVISOR_names = namesOf(xen, /^__HYPERVISOR_/);
export const VIRQ_names = namesOf(xen, /^VIRQ_/);
export const VMASST_TYPE_names = namesOf(xen, /^VMASST_TYPE_/);
export const VMASST_CMD_names = namesOf(xen, /^VMASST_CMD_/);
export const DOMID_names = namesOf(xen, /^DOMID_(?!FIRST_RESERVED|MASK)/);
export const CONSOLEIO_names = namesOf(xen, /^CONSOLEIO_/);
/** Positive numbers; of two names for one number, the one that Xen's own sources use. */
export const XEN_errno_names = namesOf(errno, /^XEN_E(?!WOULDBLOCK$|DEADLOCK$)/);
export const EVTCHNOP_names = namesOf(event_channel, /^EVTCHNOP_/);
export const EVTCHNSTAT_names = namesOf(event_channel, /^EVTCHNSTAT_/);
export const VCPUOP_names = namesOf(vcpu, /^VCPUOP_/);
export const RUNSTATE_names = namesOf(vcpu, /^RUNSTATE_/);
export const SCHEDOP_names = namesOf(sched, /^SCHEDOP_/);
export const SHUTDOWN_names = namesOf(sched, /^SHUTDOWN_(?!MAX$)/);
export const XENVER_names = namesOf(version, /^XENVER_/);
export const XENFEAT_names = namesOf(features, /^XENFEAT_(?!NR_SUBMAPS$)/);
export const XENMEM_names = namesOf(memory, /^XENMEM_(?!resource_)/);
export const XENMAPSPACE_names = namesOf(memory, /^XENMAPSPACE_/);
export const HVMOP_names = namesOf(hvm_op, /^HVMOP_/);
export const HVMMEM_names = namesOf(hvm_op, /^HVMMEM_/);
export const HVM_PARAM_names = namesOf(hvm_params, /^HVM_PARAM_(?!CALLBACK_IRQ_TYPE|CALLBACK_TYPE)/);
export const GNTTABOP_names = namesOf(grant_table, /^GNTTABOP_/);
/** Zero and negative numbers. */
export const GNTST_names = namesOf(grant_table, /^GNTST_/);
export const PHYSDEVOP_names = namesOf(physdev, /^PHYSDEVOP_/);
export const XS_names = namesOf(io_xs_wire, /^XS_/);
/** Functions of PSCI 0.2 and later, in both their 32- and 64-bit forms. */
export const PSCI_FN_names = namesOf(psci, /^PSCI_\d_\d_FN(64)?_/);
/** PSCI's return values, which are zero or negative. */
export const PSCI_RET_names = namesOf(psci, /^PSCI_RET_/);
export const PSCI_AFFINITY_LEVEL_names = namesOf(psci, /^PSCI_0_2_AFFINITY_LEVEL_/);
