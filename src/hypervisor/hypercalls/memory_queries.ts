/** XENMEM operations that are of no use to a domU, and two that only the set-up of a PV guest uses. */
import {
  xen_machphys_mapping,
  xen_mem_acquire_resource,
  xen_memory_reservation,
  xen_pod_target,
  xen_vnuma_topology_info,
  XEN_EACCES,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOSYS,
  XEN_EOPNOTSUPP,
  XEN_EPERM,
  XEN_ESRCH,
  XENMEM_acquire_resource,
  XENMEM_claim_pages,
  XENMEM_get_pod_target,
  XENMEM_get_sharing_freed_pages,
  XENMEM_get_sharing_shared_pages,
  XENMEM_get_vnumainfo,
  XENMEM_machine_memory_map,
  XENMEM_machphys_mapping,
  XENMEM_set_pod_target,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { archOf, isTranslated, isX86Hvm } from '../arch.js';
import type { Domain } from '../domain.js';
import { toolstackDomid } from '../event_channels/index.js';
import { domainNamed } from '../event_channels/bind.js';
import { copyOut, plainOperation } from '../hypercall.js';
import type { HypercallContext, ErrorRow, SubOperation } from '../hypercall.js';
import { targetError, targetErrors } from './domid.js';
import { fault, memoryOperation, notContinued, startExtent } from './memory_operation.js';

const common = 'Xen 4.17 common/memory.c, do_memory_op';
const x86 = 'Xen 4.17 arch/x86/mm.c, arch_memory_op';
const unprivileged: ErrorRow = { error: 'XEN_EPERM', when: 'the domain is unprivileged (here it always is)' };
const onlyPv: ErrorRow = { error: 'XEN_ENOSYS', when: 'the domain is not a PV guest' };

function refuseContinued(context: HypercallContext): number {
  return startExtent(context) === 0n ? 0 : -XEN_EINVAL;
}

const claimPages = memoryOperation({
  name: 'XENMEM_claim_pages',
  command: XENMEM_claim_pages,
  source: common,
  argument: xen_memory_reservation,
  errors: [
    notContinued,
    fault,
    { error: 'XEN_EINVAL', when: 'extent_start, extent_order or mem_flags is not 0' },
    { error: 'XEN_EINVAL', when: 'no domain has that id; DOMID_SELF is none here' },
    unprivileged,
  ],
  precheck: refuseContinued,
  body: ({ domain }, { extent_start, extent_order, mem_flags, domid }) => {
    if (extent_start !== 0n || extent_order !== 0 || mem_flags !== 0) return -XEN_EINVAL;
    return isDomid(domain, domid) ? -XEN_EPERM : -XEN_EINVAL;
  },
});

/** A real domain id. */
function isDomid({ state }: Domain, domid: number): boolean {
  return domid === state.config.domid || domid === toolstackDomid;
}

const getVnumainfo = memoryOperation({
  name: 'XENMEM_get_vnumainfo',
  command: XENMEM_get_vnumainfo,
  source: common,
  argument: xen_vnuma_topology_info,
  errors: [
    notContinued,
    fault,
    { error: 'XEN_EINVAL', when: 'the padding is not 0' },
    ...targetErrors,
    { error: 'XEN_EOPNOTSUPP', when: 'the domain has no virtual NUMA: always, here' },
  ],
  precheck: refuseContinued,
  body: ({ domain }, { pad, domid }) => {
    if (pad !== 0) return -XEN_EINVAL;
    return targetError(domain, domid) || -XEN_EOPNOTSUPP;
  },
});

type Resource = ValueOf<typeof xen_mem_acquire_resource>;

function isOverlong({ frame, nr_frames }: Resource): boolean {
  return frame >> 32n !== 0n || (frame + BigInt(nr_frames)) >> 32n !== 0n;
}

const acquireResource = memoryOperation({
  name: 'XENMEM_acquire_resource',
  command: XENMEM_acquire_resource,
  source: 'Xen 4.17 common/memory.c, acquire_resource',
  argument: xen_mem_acquire_resource,
  errors: [
    { error: 'XEN_EACCES', when: 'x86: the domain is not a PV guest' },
    fault,
    { error: 'XEN_EINVAL', when: 'the padding is not 0, or the frames go beyond 2^32' },
    { error: 'XEN_ESRCH', when: 'no domain has that id; DOMID_SELF is none here' },
    unprivileged,
  ],
  precheck: ({ domain }) => (isX86Hvm(domain) ? -XEN_EACCES : 0),
  body: ({ domain }, argument) => {
    if (argument.pad !== 0 || isOverlong(argument)) return -XEN_EINVAL;
    return isDomid(domain, argument.domid) ? -XEN_EPERM : -XEN_ESRCH;
  },
});

/** Populate-on-demand is only for the builder of the domain. The toolstack's domain is PV. */
function podTarget(name: string, command: number): SubOperation {
  return memoryOperation({
    name,
    command,
    source: x86,
    argument: xen_pod_target,
    errors: [
      { error: 'XEN_ENOSYS', when: 'on Arm, or the command has a start extent' },
      fault,
      { error: 'XEN_ESRCH', when: 'no domain has that id' },
      { error: 'XEN_EINVAL', when: 'the domain is not HVM' },
      unprivileged,
    ],
    precheck: (context) =>
      archOf(context.domain) === 'arm64' || startExtent(context) !== 0n ? -XEN_ENOSYS : 0,
    body: ({ domain }, { domid }) => {
      const named = domainNamed(domain, domid);
      if (named === null) return -XEN_ESRCH;
      return named === 'self' && isX86Hvm(domain) ? -XEN_EPERM : -XEN_EINVAL;
    },
  });
}

const machineMemoryMap = plainOperation({
  name: 'XENMEM_machine_memory_map',
  command: XENMEM_machine_memory_map,
  source: `${x86}; arch/x86/hvm/hypercall.c, hvm_memory_op`,
  errors: [onlyPv, unprivileged],
  body: ({ domain }) => (isTranslated(domain) ? -XEN_ENOSYS : -XEN_EPERM),
});

/** Where a 64-bit PV guest finds the table of guest frames by machine frame (public/arch-x86/xen-x86_64.h). */
const machineToPhys = { v_start: 0xffff_8000_0000_0000n, v_end: 0xffff_8040_0000_0000n } as const;

const machphysMapping = plainOperation({
  name: 'XENMEM_machphys_mapping',
  command: XENMEM_machphys_mapping,
  source: `${x86}; arch/x86/hvm/hypercall.c, hvm_memory_op`,
  errors: [onlyPv, { error: 'XEN_EFAULT', when: 'the answer cannot be written' }],
  body: (context, address) => {
    if (isTranslated(context.domain)) return -XEN_ENOSYS;
    const max_mfn = (machineToPhys.v_end - machineToPhys.v_start) / 8n - 1n;
    return copyOut(context, xen_machphys_mapping, address, { ...machineToPhys, max_mfn }) ? 0 : -XEN_EFAULT;
  },
});

/** No page is shared between domains. */
function sharingCount(name: string, command: number): SubOperation {
  return plainOperation({
    name,
    command,
    source: 'Xen 4.17 arch/x86/x86_64/mm.c, subarch_memory_op; arch/arm/mm.c, arch_memory_op',
    errors: [],
    body: () => 0,
  });
}

export const memoryQueries: readonly SubOperation[] = [
  machineMemoryMap,
  machphysMapping,
  podTarget('XENMEM_set_pod_target', XENMEM_set_pod_target),
  podTarget('XENMEM_get_pod_target', XENMEM_get_pod_target),
  sharingCount('XENMEM_get_sharing_freed_pages', XENMEM_get_sharing_freed_pages),
  sharingCount('XENMEM_get_sharing_shared_pages', XENMEM_get_sharing_shared_pages),
  claimPages,
  getVnumainfo,
  acquireResource,
];
