/**
 * grant_table_op(cmd, uop, count): setting up the grant table. No other domain grants anything to this one, so mapping
 * and copying are answered as for references that grant nothing.
 */
import {
  __HYPERVISOR_grant_table_op,
  gnttab_copy,
  gnttab_get_status_frames,
  gnttab_get_version,
  gnttab_map_grant_ref,
  gnttab_query_size,
  gnttab_set_version,
  gnttab_setup_table,
  gnttab_unmap_grant_ref,
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_bad_virt_addr,
  GNTST_general_error,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTABOP_copy,
  GNTTABOP_get_status_frames,
  GNTTABOP_get_version,
  GNTTABOP_map_grant_ref,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
  GNTTABOP_unmap_grant_ref,
  u64,
  viewOf,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOSYS,
} from '../../abi/index.js';
import type { Struct } from '../../abi/index.js';
import { isX86Hvm } from '../arch.js';
import type { Domain } from '../domain.js';
import { domainNamed } from '../event_channels/bind.js';
import { gfnOfGrantFrame, grantEntries, growGrantTable, setGrantVersion } from '../grant_frames.js';
import { copyIn, copyOut, plainOperation } from '../hypercall.js';
import type {
  HypercallContext,
  CallRecord,
  Detail,
  ErrorRow,
  HypercallFamily,
  SubOperation,
} from '../hypercall.js';
import { copyToGuest } from '../physmap.js';
import { targetError, targetErrors } from './domid.js';

const source = 'Xen 4.17 common/grant_table.c';
/** The bits of the command other than the operation's number (Xen's GNTTABOP_ARG_MASK). */
const commandMask = 0xf_ffff;

/** The third argument, a count of elements, as Xen reads it: 32 bits, signed. */
function countOf({ args }: HypercallContext): number {
  return Number(BigInt.asIntN(32, args[2] ?? 0n));
}

function wholeCommand({ args }: HypercallContext): number {
  return Number(BigInt.asUintN(32, args[0] ?? 0n));
}

/** For HVM guests Xen compares the whole command, with a shorter list (arch/x86/hvm/hypercall.c, hvm_grant_table_op). */
function commandOf(context: HypercallContext): number {
  const command = wholeCommand(context);
  return isX86Hvm(context.domain) ? command : command & commandMask;
}

const sharedErrors: readonly ErrorRow[] = [
  { error: 'XEN_EINVAL', when: 'the count is negative' },
  { error: 'XEN_EINVAL', when: "PV and Arm: the command has bits beside the operation's number" },
];

function sharedError(context: HypercallContext): number {
  return countOf(context) < 0 || wholeCommand(context) > commandMask ? -XEN_EINVAL : 0;
}

interface GrantOperation {
  readonly name: string;
  readonly command: number;
  readonly source: string;
  readonly errors: readonly ErrorRow[];
  /** Xen does not support it for HVM guests, and refuses it there before all other checks. */
  readonly notOnHvm?: boolean;
  body(context: HypercallContext, address: bigint): number | GrantOutcome;
}

type GrantOutcome = Pick<CallRecord, 'returned' | 'detail' | 'again'>;

function grantOperation(definition: GrantOperation): SubOperation {
  const { notOnHvm = false } = definition;
  return plainOperation({
    ...definition,
    errors: [...(notOnHvm ? [onHvm] : []), ...sharedErrors, ...definition.errors],
    body: (context, address) => {
      if (notOnHvm && isX86Hvm(context.domain)) return -XEN_ENOSYS;
      return sharedError(context) || definition.body(context, address);
    },
  });
}

const onHvm: ErrorRow = { error: 'XEN_ENOSYS', when: 'x86 HVM: always' };

const fault: ErrorRow = {
  error: 'XEN_EFAULT',
  when: 'the argument cannot be read, or the answer not written',
};
const oneOnly: ErrorRow = { error: 'XEN_EINVAL', when: 'the count is not 1' };

/**
 * An operation on one structure that names a domain and contains its answer as a status. The call itself answers 0
 * whatever the status is.
 */
function statusOperation<A extends { dom: number; status: number } & Detail>(definition: {
  readonly name: string;
  readonly command: number;
  readonly type: Struct<unknown, A>;
  readonly notOnHvm?: boolean;
  status(context: HypercallContext, argument: A): number;
}): SubOperation {
  const { name, command, type, notOnHvm = false } = definition;
  return grantOperation({
    name,
    command,
    notOnHvm,
    source: `${source}, ${name.replace('GNTTABOP_', 'gnttab_')}`,
    errors: [oneOnly, fault],
    body: (context, address) => {
      if (countOf(context) !== 1) return -XEN_EINVAL;
      const argument = copyIn(context, type, address);
      if (argument === null) return -XEN_EFAULT;
      argument.status = domainStatus(context.domain, argument.dom) ?? definition.status(context, argument);
      const returned = copyOut(context, type, address, argument) ? 0 : -XEN_EFAULT;
      return { returned, detail: { ...argument } };
    },
  });
}

/** Why the operation on that domain is refused; null for the caller's own. */
function domainStatus(domain: Domain, dom: number): number | null {
  const named = domainNamed(domain, dom);
  if (named === 'self') return null;
  return named === null ? GNTST_bad_domain : GNTST_permission_denied;
}

const querySize = statusOperation({
  name: 'GNTTABOP_query_size',
  command: GNTTABOP_query_size,
  type: gnttab_query_size,
  status: ({ domain }, argument) => {
    argument.nr_frames = domain.state.grants.frames.length;
    argument.max_nr_frames = domain.state.config.maxGrantFrames;
    return GNTST_okay;
  },
});

/** Writes the guest frame of each of the frames; a fault only affects the status. */
function giveFrames(
  { domain, cpu, caller }: HypercallContext,
  list: bigint,
  frames: readonly number[],
): number {
  let status: number = GNTST_okay;
  for (const [i, mfn] of frames.entries()) {
    const bytes = new Uint8Array(8);
    u64.write(viewOf(bytes), 0, gfnOfGrantFrame(domain, mfn));
    const at = BigInt.asUintN(64, list + BigInt(8 * i));
    if (!copyToGuest(domain, cpu, caller.id, at, bytes)) status = GNTST_bad_virt_addr;
  }
  return status;
}

const setupTable = statusOperation({
  name: 'GNTTABOP_setup_table',
  command: GNTTABOP_setup_table,
  type: gnttab_setup_table,
  status: (context, { nr_frames, frame_list }) => {
    const { grants, config } = context.domain.state;
    if (nr_frames > config.maxGrantFrames) return GNTST_general_error;
    if (growGrantTable(context.domain, nr_frames) !== 0) return GNTST_general_error;
    return giveFrames(context, frame_list, grants.frames.slice(0, nr_frames));
  },
});

const getStatusFrames = statusOperation({
  name: 'GNTTABOP_get_status_frames',
  command: GNTTABOP_get_status_frames,
  type: gnttab_get_status_frames,
  notOnHvm: true,
  status: (context, { nr_frames, frame_list }) => {
    const { statusFrames } = context.domain.state.grants;
    if (nr_frames > statusFrames.length) return GNTST_general_error;
    return giveFrames(context, frame_list, statusFrames.slice(0, nr_frames));
  },
});

/** The current version is written back, whatever the answer. */
const setVersion = grantOperation({
  name: 'GNTTABOP_set_version',
  command: GNTTABOP_set_version,
  source: `${source}, gnttab_set_version`,
  errors: [
    { error: 'XEN_EFAULT', when: 'the argument cannot be read' },
    { error: 'XEN_EFAULT', when: 'the version in force cannot be written back, whatever else is wrong' },
    { error: 'XEN_EINVAL', when: 'the version is neither 1 nor 2' },
    { error: 'XEN_ENOSYS', when: 'the version is 2, on Arm' },
    { error: 'XEN_ENOMEM', when: 'Xen has no frames left' },
    { error: 'XEN_ERANGE', when: 'the version is 1 and cannot express a reserved entry' },
  ],
  body: (context, address) => {
    const argument = copyIn(context, gnttab_set_version, address);
    if (argument === null) return -XEN_EFAULT;
    const answer = setGrantVersion(context.domain, argument.version);
    const { version } = context.domain.state.grants;
    const written = copyOut(context, gnttab_set_version, address, { version });
    return { returned: written ? answer : -XEN_EFAULT, detail: { version: argument.version } };
  },
});

const getVersion = grantOperation({
  name: 'GNTTABOP_get_version',
  command: GNTTABOP_get_version,
  source: `${source}, gnttab_get_version`,
  errors: [
    { error: 'XEN_EFAULT', when: 'the argument cannot be read' },
    ...targetErrors,
    { error: 'XEN_EFAULT', when: 'the version cannot be written' },
  ],
  body: (context, address) => {
    const argument = copyIn(context, gnttab_get_version, address);
    if (argument === null) return -XEN_EFAULT;
    const refused = targetError(context.domain, argument.dom);
    if (refused !== 0) return refused;
    argument.version = context.domain.state.grants.version;
    const returned = copyOut(context, gnttab_get_version, address, argument) ? 0 : -XEN_EFAULT;
    return { returned, detail: { ...argument } };
  },
});

/** The number of elements after which the call is interrupted; Xen does so when other work is due (hypercall_preempt_check). */
const interruptElements = 64;

/** An operation on an array of structures, each with its own status. */
function arrayOperation<A extends { status: number }>(definition: {
  readonly name: string;
  readonly command: number;
  readonly type: Struct<unknown, A>;
  status(domain: Domain, element: A): number;
}): SubOperation {
  const { name, command, type } = definition;
  return grantOperation({
    name,
    command,
    source: `${source}, ${name.replace('GNTTABOP_', 'gnttab_')}`,
    errors: [{ error: 'XEN_EFAULT', when: 'an element cannot be read, or its status not written' }],
    body: (context, address) => {
      const count = countOf(context);
      const elementAt = (i: number): bigint => BigInt.asUintN(64, address + BigInt(i * type.size));
      for (let i = 0; i < count; i += 1) {
        if (i === interruptElements) return interrupted(context, elementAt(i), count - i);
        const at = elementAt(i);
        const element = copyIn(context, type, at);
        if (element === null) return -XEN_EFAULT;
        element.status = definition.status(context.domain, element);
        if (!copyOut(context, type, at, element)) return -XEN_EFAULT;
      }
      return 0;
    },
  });
}

/** The call must be repeated for the `count` elements from `address` on (Xen's do_grant_table_op). */
function interrupted(context: HypercallContext, address: bigint, count: number): GrantOutcome {
  return { returned: 0, detail: {}, again: [BigInt(wholeCommand(context)), address, BigInt(count)] };
}

/** Another domain's table has as many references as this one's; none of them grants anything. */
const mapGrantRef = arrayOperation({
  name: 'GNTTABOP_map_grant_ref',
  command: GNTTABOP_map_grant_ref,
  type: gnttab_map_grant_ref,
  status: (domain, { flags, dom, ref }) => {
    if ((flags & (GNTMAP_device_map | GNTMAP_host_map)) === 0) return GNTST_bad_gntref;
    if ((flags & GNTMAP_contains_pte) !== 0 && domain.state.config.kind !== 'pv') return GNTST_general_error;
    if (domainNamed(domain, dom) === null) return GNTST_bad_domain;
    return ref >= grantEntries(domain) ? GNTST_bad_gntref : GNTST_general_error;
  },
});

const unmapGrantRef = arrayOperation({
  name: 'GNTTABOP_unmap_grant_ref',
  command: GNTTABOP_unmap_grant_ref,
  type: gnttab_unmap_grant_ref,
  status: () => GNTST_bad_handle,
});

/** Only copies from and to references that grant nothing; copies between the domain's own frames are not modelled. */
const copy = arrayOperation({
  name: 'GNTTABOP_copy',
  command: GNTTABOP_copy,
  type: gnttab_copy,
  status: (domain, { source: from, dest }) => {
    const known = domainNamed(domain, from.domid) !== null && domainNamed(domain, dest.domid) !== null;
    return known ? GNTST_general_error : GNTST_bad_domain;
  },
});

export const grant_table_op: HypercallFamily = {
  name: 'grant_table_op',
  number: __HYPERVISOR_grant_table_op,
  argumentRegister: 1,
  commandOf,
  operations: [
    mapGrantRef,
    unmapGrantRef,
    setupTable,
    copy,
    querySize,
    setVersion,
    getStatusFrames,
    getVersion,
  ],
  unknown: (context) => (isX86Hvm(context.domain) ? -XEN_ENOSYS : sharedError(context) || -XEN_ENOSYS),
};
