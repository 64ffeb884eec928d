/** memory_op(cmd, arg): the domain's memory and its physical map. */
import {
  __HYPERVISOR_memory_op,
  xen_memory_domain,
  xen_memory_map,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOSYS,
  XENMEM_current_reservation,
  XENMEM_maximum_gpfn,
  XENMEM_maximum_ram_page,
  XENMEM_maximum_reservation,
  XENMEM_memory_map,
} from '../../abi/index.js';
import { viewOf } from '../../abi/index.js';
import { archOf } from '../arch.js';
import type { Domain } from '../domain.js';
import { plainOperation } from '../hypercall.js';
import type { HypercallFamily, SubOperation } from '../hypercall.js';
import { copyToGuest } from '../physmap.js';
import { maximumGfn, populatedFrames, ramFrames } from '../ram.js';
import { physmapOperations } from './add_to_physmap.js';
import { targetError, targetErrors } from './domid.js';
import { fault, memoryCommand, memoryOperation, notContinued, startExtent } from './memory_operation.js';
import { memoryQueries } from './memory_queries.js';
import { reservationOperations } from './reservation.js';

const source = 'Xen 4.17 common/memory.c, do_memory_op';

/** The end of the host's memory, judged by this domain's frames. */
const maximumRamPage = plainOperation({
  name: 'XENMEM_maximum_ram_page',
  command: XENMEM_maximum_ram_page,
  source,
  errors: [notContinued],
  body: (context) => {
    if (startExtent(context) !== 0n) return -XEN_EINVAL;
    const { ram, xenFrames } = context.domain.state.config;
    return [...ram, xenFrames].reduce((end, { start, count }) => Math.max(end, start + count), 0);
  },
});

/** An operation that reads one number of a domain. */
function domainNumber(name: string, command: number, answer: (domain: Domain) => number): SubOperation {
  return memoryOperation({
    name,
    command,
    source,
    argument: xen_memory_domain,
    errors: [notContinued, fault, ...targetErrors],
    precheck: (context) => (startExtent(context) === 0n ? 0 : -XEN_EINVAL),
    body: ({ domain }, { domid }) => {
      const refused = targetError(domain, domid);
      return refused === 0 ? answer(domain) : refused;
    },
  });
}

/** An entry of the E820 form: start and length in bytes, and a type. */
const e820EntryBytes = 20;
const e820Ram = 1;

/** The guest's RAM. Other entries that firmware would list (its tables, holes) are not included. */
function e820({ state }: Domain): Uint8Array[] {
  const ranges = [...state.config.ram].sort((a, b) => a.start - b.start);
  return ranges.map(({ start, count }) => {
    const entry = new Uint8Array(e820EntryBytes);
    const view = viewOf(entry);
    view.setBigUint64(0, BigInt(start) << 12n, true);
    view.setBigUint64(8, BigInt(count) << 12n, true);
    view.setUint32(16, e820Ram, true);
    return entry;
  });
}

/** As many entries as fit into the guest's buffer; their number is written back. */
const memoryMap = memoryOperation({
  name: 'XENMEM_memory_map',
  command: XENMEM_memory_map,
  source: 'Xen 4.17 arch/x86/mm.c and arch/arm/mm.c, arch_memory_op',
  argument: xen_memory_map,
  copyBack: true,
  errors: [
    { error: 'XEN_ENOSYS', when: 'on Arm, or the command has a start extent' },
    fault,
    { error: 'XEN_EFAULT', when: 'the entries or their number cannot be written' },
  ],
  precheck: (context) =>
    archOf(context.domain) === 'arm64' || startExtent(context) !== 0n ? -XEN_ENOSYS : 0,
  body: ({ domain, cpu, caller }, argument) => {
    const entries = e820(domain).slice(0, argument.nr_entries);
    argument.nr_entries = entries.length;
    const bytes = new Uint8Array(entries.length * e820EntryBytes);
    for (const [i, entry] of entries.entries()) bytes.set(entry, i * e820EntryBytes);
    return copyToGuest(domain, cpu, caller.id, argument.buffer, bytes) ? 0 : -XEN_EFAULT;
  },
});

export const memory_op: HypercallFamily = {
  name: 'memory_op',
  number: __HYPERVISOR_memory_op,
  argumentRegister: 1,
  commandOf: memoryCommand,
  operations: [
    ...reservationOperations,
    maximumRamPage,
    domainNumber('XENMEM_current_reservation', XENMEM_current_reservation, populatedFrames),
    domainNumber('XENMEM_maximum_reservation', XENMEM_maximum_reservation, ramFrames),
    domainNumber('XENMEM_maximum_gpfn', XENMEM_maximum_gpfn, maximumGfn),
    ...physmapOperations,
    memoryMap,
    ...memoryQueries,
  ],
  // Xen's answer too. Operations that Xen has and that are not modelled: for Arm those of not_modelled.ts; for x86 these and
  // XENMEM_set_memory_map and machphys_mfn_list. No Linux domU without devices of its own calls them.
  unknown: () => -XEN_ENOSYS,
};
