/** physdev_op(cmd, arg): physical interrupts. Of the guests here only PVHVM has it, for the interrupts of its emulated devices. */
import {
  __HYPERVISOR_physdev_op,
  DOMID_SELF,
  MAP_PIRQ_TYPE_GSI,
  MAP_PIRQ_TYPE_MSI,
  MAP_PIRQ_TYPE_MSI_SEG,
  physdev_eoi,
  physdev_get_free_pirq,
  physdev_irq_status_query,
  physdev_map_pirq,
  physdev_unmap_pirq,
  PHYSDEVOP_eoi,
  PHYSDEVOP_get_free_pirq,
  PHYSDEVOP_irq_status_query,
  PHYSDEVOP_map_pirq,
  PHYSDEVOP_unmap_pirq,
  XEN_EINVAL,
  XEN_ENOSYS,
  XEN_EPERM,
  XEN_ESRCH,
  XENIRQSTAT_needs_eoi,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { domainNamed } from '../event_channels/bind.js';
import { operation } from '../hypercall.js';
import type { ErrorRow, HypercallFamily, SubOperation } from '../hypercall.js';
import {
  domainGsis,
  endOfPirq,
  freePirq,
  gsiOfPirq,
  hasPirqs,
  mapPirq,
  pirqCount,
  portOfPirq,
  reservePirq,
  unmapPirq,
} from '../pirqs.js';

const source = 'Xen 4.17 arch/x86/physdev.c, do_physdev_op';
const others: ErrorRow = { error: 'XEN_ENOSYS', when: 'the domain is not PVHVM' };
const fault: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };
const noPirq: ErrorRow = { error: 'XEN_EINVAL', when: 'there is no pirq of that number' };
const noDomain: ErrorRow = { error: 'XEN_ESRCH', when: 'no domain has that id' };

const eoi = operation({
  name: 'PHYSDEVOP_eoi',
  command: PHYSDEVOP_eoi,
  source,
  argument: physdev_eoi,
  errors: [others, fault, noPirq, { error: 'XEN_EINVAL', when: 'the pirq was never used' }],
  body: ({ domain }, { irq }) => {
    if (irq >= pirqCount(domain)) return -XEN_EINVAL;
    if (gsiOfPirq(domain, irq) === null && portOfPirq(domain, irq) === null) return -XEN_EINVAL;
    endOfPirq(domain, irq);
    return 0;
  },
});

const statusQuery = operation({
  name: 'PHYSDEVOP_irq_status_query',
  command: PHYSDEVOP_irq_status_query,
  source,
  argument: physdev_irq_status_query,
  copyBack: true,
  errors: [
    others,
    fault,
    noPirq,
    { error: 'XEN_EINVAL', when: 'the pirq is not mapped' },
    { error: 'XEN_EFAULT', when: 'the answer cannot be written' },
  ],
  body: ({ domain }, argument) => {
    if (argument.irq >= pirqCount(domain) || gsiOfPirq(domain, argument.irq) === null) return -XEN_EINVAL;
    argument.flags = XENIRQSTAT_needs_eoi;
    return 0;
  },
});

type Mapping = ValueOf<typeof physdev_map_pirq>;

/** Whether the domain gets events by a vector (is_hvm_pv_evtchn_domain). */
function takesVector({ state }: Domain): boolean {
  return state.callbackVector !== null || state.vcpus[0]?.upcallVector !== 0;
}

function mapOwn(domain: Domain, mapping: Mapping): number {
  if (!takesVector(domain)) return -XEN_EINVAL;
  const isGsi = mapping.type === MAP_PIRQ_TYPE_GSI && mapping.index >= 0 && mapping.index < domainGsis;
  if (!isGsi) return -XEN_EINVAL;
  if (mapping.pirq < 0) mapping.pirq = freePirq(domain, mapping.type);
  return mapPirq(domain, mapping.pirq, mapping.index);
}

const map = operation({
  name: 'PHYSDEVOP_map_pirq',
  command: PHYSDEVOP_map_pirq,
  source: `${source}; physdev_map_pirq`,
  argument: physdev_map_pirq,
  copyBack: true,
  errors: [
    others,
    fault,
    noDomain,
    { error: 'XEN_EPERM', when: 'the domain is not named as DOMID_SELF' },
    {
      error: 'XEN_EINVAL',
      when: 'no vector for events is set, the type is not GSI, or there is no such interrupt or pirq',
    },
    { error: 'XEN_EFAULT', when: 'the answer cannot be written' },
  ],
  body: ({ domain }, argument) => {
    if (argument.type === MAP_PIRQ_TYPE_MSI_SEG) argument.type = MAP_PIRQ_TYPE_MSI;
    if (domainNamed(domain, argument.domid) === null) return -XEN_ESRCH;
    return argument.domid === DOMID_SELF ? mapOwn(domain, argument) : -XEN_EPERM;
  },
});

const unmap = operation({
  name: 'PHYSDEVOP_unmap_pirq',
  command: PHYSDEVOP_unmap_pirq,
  source: `${source}; physdev_unmap_pirq`,
  argument: physdev_unmap_pirq,
  errors: [others, fault, noDomain, { error: 'XEN_EPERM', when: 'the domain is not named as DOMID_SELF' }],
  body: ({ domain }, { domid, pirq }) => {
    if (domainNamed(domain, domid) === null) return -XEN_ESRCH;
    if (domid !== DOMID_SELF) return -XEN_EPERM;
    if (gsiOfPirq(domain, pirq) !== null) unmapPirq(domain, pirq);
    return 0;
  },
});

const getFree = operation({
  name: 'PHYSDEVOP_get_free_pirq',
  command: PHYSDEVOP_get_free_pirq,
  source,
  argument: physdev_get_free_pirq,
  copyBack: true,
  errors: [
    others,
    fault,
    { error: 'XEN_ENOSPC', when: 'no pirq is free' },
    { error: 'XEN_EFAULT', when: 'the answer cannot be written' },
  ],
  body: ({ domain }, argument) => {
    const pirq = freePirq(domain, argument.type);
    if (pirq < 0) return pirq;
    reservePirq(domain, pirq);
    argument.pirq = pirq;
    return 0;
  },
});

/** Every other guest, and every other command, is refused before the argument is read (arch/x86/hvm/hypercall.c, hvm_physdev_op). */
function pvhvmOnly(made: SubOperation): SubOperation {
  const refused = { vcpuId: null, detail: {}, returned: -XEN_ENOSYS };
  return {
    ...made,
    run: (context, address) => (hasPirqs(context.domain) ? made.run(context, address) : refused),
  };
}

export const physdev_op: HypercallFamily = {
  name: 'physdev_op',
  number: __HYPERVISOR_physdev_op,
  argumentRegister: 1,
  operations: [eoi, statusQuery, map, unmap, getFree].map(pvhvmOnly),
  unknown: () => -XEN_ENOSYS,
};
