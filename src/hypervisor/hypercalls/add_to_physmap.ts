/** XENMEM_add_to_physmap, its batch form, and XENMEM_remove_from_physmap: the guest's physical map. */
import {
  s32,
  u64 as xen_ulong_t,
  viewOf,
  xen_add_to_physmap,
  xen_add_to_physmap_batch,
  xen_remove_from_physmap,
  XEN_EACCES,
  XEN_EBUSY,
  XEN_EDOM,
  XEN_EFAULT,
  XEN_EILSEQ,
  XEN_EINVAL,
  XEN_ENOENT,
  XEN_ENOSYS,
  XEN_EOPNOTSUPP,
  XEN_EOVERFLOW,
  XEN_EPERM,
  XEN_ESRCH,
  XENMAPSPACE_dev_mmio,
  XENMAPSPACE_gmfn,
  XENMAPSPACE_gmfn_foreign,
  XENMAPSPACE_gmfn_range,
  XENMAPSPACE_grant_table,
  XENMAPSPACE_shared_info,
  XENMEM_add_to_physmap,
  XENMEM_add_to_physmap_batch,
  XENMEM_remove_from_physmap,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { archOf, isTranslated } from '../arch.js';
import type { Domain } from '../domain.js';
import { domainNamed } from '../event_channels/bind.js';
import { grantFrame } from '../grant_frames.js';
import type { HypercallContext, ErrorRow, SubOperation } from '../hypercall.js';
import { copyFromGuest, copyToGuest, gfnOfMfn, isAddressableGfn, mapGfn, mfnOfGfn } from '../physmap.js';
import { targetError } from './domid.js';
import { fault, memoryOperation, notContinued, startExtent } from './memory_operation.js';

const allOnes = 0xffff_ffff_ffff_ffffn;

/** Checks in Xen's order: translation, spaces of the hardware domain, then the domain. The toolstack's domain is PV on x86. */
function permissionError(domain: Domain, domid: number, space: number): number {
  const named = domainNamed(domain, domid);
  if (named === null) return -XEN_ESRCH;
  const translated = named === 'self' ? isTranslated(domain) : archOf(domain) === 'arm64';
  if (!translated || (space === XENMAPSPACE_dev_mmio && named === 'self')) return -XEN_EACCES;
  return targetError(domain, domid);
}

/**
 * Maps one frame of a space at `gfn`; 0 or minus an error. On x86 its previous mapping is removed, and RAM that
 * was at `gfn` is freed (Xen 4.17 arch/x86/mm/p2m.c, xenmem_add_to_physmap_one).
 */
function addX86(domain: Domain, space: number, idx: bigint, gfn: bigint): number {
  const mfn = frameOfSpace(domain, space, idx);
  if (mfn < 0) return mfn;
  if (!isAddressableGfn(domain, gfn)) return -XEN_EINVAL;
  const old = space === XENMAPSPACE_gmfn ? Number(idx) : gfnOfMfn(domain, mfn);
  if (old !== null) mapGfn(domain, old, null);
  mapGfn(domain, Number(gfn), mfn);
  return 0;
}

function frameOfSpace(domain: Domain, space: number, idx: bigint): number {
  switch (space) {
    case XENMAPSPACE_shared_info:
      return idx === 0n ? domain.state.sharedInfoMfn : -XEN_EINVAL;
    case XENMAPSPACE_grant_table:
      return grantFrame(domain, idx);
    case XENMAPSPACE_gmfn:
      return mfnOfGfn(domain, Number(idx)) ?? -XEN_EINVAL;
    default:
      return -XEN_EINVAL;
  }
}

/**
 * The same on Arm, where a frame of Xen's that is already mapped anywhere must be removed first (since 4.17,
 * Xen commit 71320946d5ed): a kernel that takes over without a reset can map shared_info only if the previous one
 * unmapped it. The mapping at `gfn` is replaced (Xen 4.17 arch/arm/mm.c, xenmem_add_to_physmap_one).
 */
function addArm(domain: Domain, space: number, idx: bigint, gfn: bigint): number {
  if (space !== XENMAPSPACE_shared_info && space !== XENMAPSPACE_grant_table) return -XEN_ENOSYS;
  const mfn = frameOfSpace(domain, space, idx);
  if (mfn < 0) return mfn;
  if (gfnOfMfn(domain, mfn) !== null) return -XEN_EBUSY;
  if (!isAddressableGfn(domain, gfn)) return -XEN_EINVAL;
  mapGfn(domain, Number(gfn), mfn);
  return 0;
}

function addOne(domain: Domain, space: number, idx: bigint, gfn: bigint): number {
  return archOf(domain) === 'arm64' ? addArm(domain, space, idx, gfn) : addX86(domain, space, idx, gfn);
}

/** Where an interrupted call continues; a guest may also pass any value. It must fit into 16 bits. */
const badExtent: ErrorRow = { error: 'XEN_EDOM', when: "the command's start extent is above 65535" };
const notTranslated: ErrorRow = { error: 'XEN_EACCES', when: 'the domain is a PV guest' };
const onlyHardware: ErrorRow = { error: 'XEN_EACCES', when: 'the space is XENMAPSPACE_dev_mmio' };

const addErrors: readonly ErrorRow[] = [
  { error: 'XEN_EINVAL', when: 'shared_info: idx is not 0' },
  { error: 'XEN_EINVAL', when: 'grant_table: the table may not grow so far, or Xen has no frames left' },
  { error: 'XEN_EINVAL', when: 'x86, gmfn: there is no page at idx; or there is no such space' },
  { error: 'XEN_ENOSYS', when: 'Arm: any other space (checked before idx)' },
  { error: 'XEN_EBUSY', when: 'Arm: the frame is already mapped and must be unmapped first' },
  { error: 'XEN_EINVAL', when: 'gpfn is beyond what the processor can address' },
];

type AddToPhysmap = ValueOf<typeof xen_add_to_physmap>;

/** A range is moved page by page up to the first failure, whose error is the answer. */
function addRange({ domain }: HypercallContext, { size, idx, gpfn }: AddToPhysmap, start: number): number {
  if (size < start) return -XEN_EILSEQ;
  if (gpfn + BigInt(size) > allOnes || idx + BigInt(size) > allOnes) return -XEN_EOVERFLOW;
  for (let i = BigInt(start); i < BigInt(size); i += 1n) {
    const error = addOne(domain, XENMAPSPACE_gmfn, idx + i, gpfn + i);
    if (error < 0) return error;
  }
  return 0;
}

const add = memoryOperation({
  name: 'XENMEM_add_to_physmap',
  command: XENMEM_add_to_physmap,
  source: 'Xen 4.17 common/memory.c, do_memory_op and xenmem_add_to_physmap',
  argument: xen_add_to_physmap,
  errors: [
    badExtent,
    fault,
    { error: 'XEN_ENOSYS', when: 'the space is XENMAPSPACE_gmfn_foreign' },
    { error: 'XEN_ESRCH', when: 'no domain has that id' },
    notTranslated,
    onlyHardware,
    { error: 'XEN_EPERM', when: 'the domain is another one' },
    { error: 'XEN_EINVAL', when: 'gpfn is all ones' },
    { error: 'XEN_EILSEQ', when: 'gmfn_range: the start extent is above size' },
    { error: 'XEN_EOVERFLOW', when: 'gmfn_range: idx or gpfn plus size goes beyond 64 bits' },
    ...addErrors,
  ],
  precheck: (context) => (startExtent(context) > 0xffffn ? -XEN_EDOM : 0),
  body: (context, argument) => {
    const { domid, space, idx, gpfn } = argument;
    if (space === XENMAPSPACE_gmfn_foreign) return -XEN_ENOSYS;
    const refused = permissionError(context.domain, domid, space);
    if (refused !== 0) return refused;
    if (gpfn === allOnes) return -XEN_EINVAL;
    if (space === XENMAPSPACE_gmfn_range) return addRange(context, argument, Number(startExtent(context)));
    return addOne(context.domain, space, idx, gpfn);
  },
});

type Batch = ValueOf<typeof xen_add_to_physmap_batch>;

function readWord({ domain, cpu, caller }: HypercallContext, address: bigint, index: number): bigint | null {
  const at = BigInt.asUintN(64, address + BigInt(index * 8));
  const bytes = copyFromGuest(domain, cpu, caller.id, at, 8);
  return bytes === null ? null : xen_ulong_t.read(viewOf(bytes), 0);
}

function writeError(
  { domain, cpu, caller }: HypercallContext,
  address: bigint,
  index: number,
  error: number,
): boolean {
  const bytes = new Uint8Array(4);
  s32.write(viewOf(bytes), 0, error);
  return copyToGuest(domain, cpu, caller.id, BigInt.asUintN(64, address + BigInt(index * 4)), bytes);
}

/** The answer for each page goes to `errs`; the call fails only if it cannot continue. */
function addBatch(
  context: HypercallContext,
  { space, size, idxs, gpfns, errs }: Batch,
  start: number,
): number {
  if (size < start) return -XEN_EILSEQ;
  if (size === start) return start === 0 ? 0 : -XEN_EILSEQ;
  for (let i = start; i < size; i += 1) {
    const idx = readWord(context, idxs, i);
    const gpfn = readWord(context, gpfns, i);
    if (idx === null || gpfn === null) return -XEN_EFAULT;
    if (gpfn === allOnes) return -XEN_EINVAL;
    if (!writeError(context, errs, i, addToBatch(context.domain, space, idx, gpfn))) return -XEN_EFAULT;
  }
  return 0;
}

/** A domU may not map the frames of any other domain. */
function addToBatch(domain: Domain, space: number, idx: bigint, gpfn: bigint): number {
  return space === XENMAPSPACE_gmfn_foreign ? -XEN_EPERM : addOne(domain, space, idx, gpfn);
}

const batch = memoryOperation({
  name: 'XENMEM_add_to_physmap_batch',
  command: XENMEM_add_to_physmap_batch,
  source: 'Xen 4.17 common/memory.c, do_memory_op and xenmem_add_to_physmap_batch',
  argument: xen_add_to_physmap_batch,
  errors: [
    badExtent,
    fault,
    { error: 'XEN_EOPNOTSUPP', when: 'the space is XENMAPSPACE_gmfn_range' },
    { error: 'XEN_ESRCH', when: 'no domain has that id' },
    notTranslated,
    onlyHardware,
    { error: 'XEN_EPERM', when: 'the domain is another one' },
    { error: 'XEN_EILSEQ', when: 'the start extent is above size, or is size and not 0' },
    { error: 'XEN_EFAULT', when: 'an idx or gpfn cannot be read' },
    { error: 'XEN_EINVAL', when: 'a gpfn is all ones' },
    { error: 'XEN_EFAULT', when: 'an error cannot be written' },
  ],
  precheck: (context) => (startExtent(context) > 0xffffn ? -XEN_EDOM : 0),
  body: (context, argument) => {
    if (argument.space === XENMAPSPACE_gmfn_range) return -XEN_EOPNOTSUPP;
    const refused = permissionError(context.domain, argument.domid, argument.space);
    return refused === 0 ? addBatch(context, argument, Number(startExtent(context))) : refused;
  },
});

/** In Xen a removed RAM page still belongs to the domain, unmapped; here it counts as freed. */
const remove = memoryOperation({
  name: 'XENMEM_remove_from_physmap',
  command: XENMEM_remove_from_physmap,
  source: 'Xen 4.17 common/memory.c, do_memory_op',
  argument: xen_remove_from_physmap,
  errors: [
    notContinued,
    fault,
    { error: 'XEN_ESRCH', when: 'no domain has that id' },
    notTranslated,
    { error: 'XEN_EPERM', when: 'the domain is another one' },
    { error: 'XEN_ENOENT', when: 'nothing is mapped there' },
  ],
  precheck: (context) => (startExtent(context) === 0n ? 0 : -XEN_EINVAL),
  body: ({ domain }, { domid, gpfn }) => {
    const refused = permissionError(domain, domid, XENMAPSPACE_shared_info);
    if (refused !== 0) return refused;
    if (mfnOfGfn(domain, Number(gpfn)) === null) return -XEN_ENOENT;
    mapGfn(domain, Number(gpfn), null);
    return 0;
  },
});

export const physmapOperations: readonly SubOperation[] = [add, remove, batch];
