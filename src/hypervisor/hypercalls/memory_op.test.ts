import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain, GuestKind } from '../domain.js';
import { gfnOfMfn, mapGfn, mfnOfGfn } from '../physmap.js';
import { complaints, unreadable, unwritable } from '../test_check_order.js';
import type { CheckOrder, Fault } from '../test_check_order.js';
import {
  call,
  makeTestDomain,
  nowhere,
  peekView,
  poke,
  pokeBytes,
  scratch,
  testXenFrames,
} from '../test_domain.js';
import { memory_op } from './memory_op.js';

const allOnes = 0xffff_ffff_ffff_ffffn;

function checkOrder<A>(order: Omit<CheckOrder<A>, 'family'>, mayChange = false): void {
  const whole: CheckOrder<A> = {
    registers: (command, { other, address }) => [command | (other << 6n), address],
    ...order,
    family: memory_op,
  };
  const { source } = memory_op.operations.find(({ name }) => name === order.op)!;
  test(`${order.op} on ${order.config?.kind ?? 'pvhvm'}: errors, and their order as in ${source}`, () => {
    assert.deepEqual(complaints(whole, mayChange), []);
  });
}

/** `other` is the start extent here. */
const continued: Fault<unknown> = { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other = 1n) };
const onPv: Fault<unknown> = { error: 'XEN_EACCES', config: { kind: 'pv' } };

for (const op of ['XENMEM_current_reservation', 'XENMEM_maximum_reservation', 'XENMEM_maximum_gpfn']) {
  checkOrder({
    op,
    type: abi.xen_memory_domain,
    good: () => ({ domid: abi.DOMID_SELF }),
    faults: [
      continued,
      unreadable,
      { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.domid = 77) },
      { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.domid = 0) },
    ],
    apart: [[2, 3]],
  });
}

checkOrder({
  op: 'XENMEM_remove_from_physmap',
  type: abi.xen_remove_from_physmap,
  good: () => ({ domid: abi.DOMID_SELF, gpfn: 5n }),
  faults: [
    continued,
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.domid = 77) },
    onPv,
    { error: 'XEN_EPERM', config: { kind: 'arm' }, spoil: ({ argument }) => (argument.domid = 0) },
    { error: 'XEN_ENOENT', spoil: ({ argument }) => (argument.gpfn = 0x5000n) },
  ],
  apart: [[2, 4]],
});

type Add = abi.ValueOf<typeof abi.xen_add_to_physmap>;

const add = (change: Partial<Add>): Add => ({
  ...{ domid: abi.DOMID_SELF, size: 1, space: abi.XENMAPSPACE_shared_info, idx: 0n, gpfn: 5n },
  ...change,
});
const range = { space: abi.XENMAPSPACE_gmfn_range, idx: 6n };

/** Every declared error, in one test each: most exclude one another, since one space has one set of checks. */
test('XENMEM_add_to_physmap: each error, and what is checked before it (xenmem_add_to_physmap)', () => {
  const cases: [GuestKind, Partial<Add>, bigint, string | null][] = [
    ['pvh', {}, 0x1_0000n, 'XEN_EDOM'],
    ['pvh', { space: abi.XENMAPSPACE_gmfn_foreign, domid: 77 }, 0n, 'XEN_ENOSYS'],
    ['pv', { domid: 77 }, 0n, 'XEN_ESRCH'],
    ['pv', { gpfn: allOnes }, 0n, 'XEN_EACCES'],
    ['pvh', { domid: 0 }, 0n, 'XEN_EACCES'],
    ['arm', { domid: 0, gpfn: allOnes }, 0n, 'XEN_EPERM'],
    ['pvh', { space: abi.XENMAPSPACE_dev_mmio, gpfn: allOnes }, 0n, 'XEN_EACCES'],
    ['pvh', { gpfn: allOnes, idx: 1n }, 0n, 'XEN_EINVAL'],
    ['pvh', { ...range, size: 1 }, 2n, 'XEN_EILSEQ'],
    ['pvh', { ...range, size: 2, idx: allOnes }, 0n, 'XEN_EOVERFLOW'],
    ['pvh', { ...range, size: 2, gpfn: allOnes - 1n }, 0n, 'XEN_EOVERFLOW'],
    ['pvh', { ...range, size: 2, idx: 0x5000n }, 0n, 'XEN_EINVAL'],
    ['pvh', { idx: 1n }, 0n, 'XEN_EINVAL'],
    ['pvh', { space: abi.XENMAPSPACE_grant_table, idx: 8n }, 0n, 'XEN_EINVAL'],
    ['pvh', { space: abi.XENMAPSPACE_gmfn, idx: 0x5000n }, 0n, 'XEN_EINVAL'],
    ['pvh', { space: 77 }, 0n, 'XEN_EINVAL'],
    ['pvh', { gpfn: 1n << 36n }, 0n, 'XEN_EINVAL'],
    ['arm', { gpfn: 1n << 28n }, 0n, 'XEN_EINVAL'],
    ['arm', { idx: 1n }, 0n, 'XEN_EINVAL'],
    ['arm', { space: abi.XENMAPSPACE_gmfn, idx: 0x5000n }, 0n, 'XEN_ENOSYS'],
    ['arm', { ...range, size: 1 }, 0n, 'XEN_ENOSYS'],
    ['arm', {}, 0n, null],
    ['pvh', {}, 3n, null],
    ['pvh', { ...range, size: 2 }, 0n, null],
  ];
  for (const [kind, to, start, error] of cases) {
    const domain = makeTestDomain(kind);
    poke(domain, abi.xen_add_to_physmap, add(to));
    const { returned } = call(domain, 0, 12, BigInt(abi.XENMEM_add_to_physmap) | (start << 6n), scratch);
    const answer = returned === 0 ? null : abi.XEN_errno_names[-returned];
    assert.equal(answer, error, `${kind} ${JSON.stringify(to, (_, v: unknown) => String(v))}`);
  }
});

test('XENMEM_add_to_physmap: EDOM before the argument is read, EFAULT before all else', () => {
  const domain = makeTestDomain('pvh');
  const command = BigInt(abi.XENMEM_add_to_physmap);
  assert.equal(call(domain, 0, 12, command | (0x1_0000n << 6n), nowhere).returned, -abi.XEN_EDOM);
  assert.equal(call(domain, 0, 12, command, nowhere).returned, -abi.XEN_EFAULT);
});

function map(domain: Domain, to: Partial<Add>): number {
  poke(domain, abi.xen_add_to_physmap, add(to));
  return call(domain, 0, 12, abi.XENMEM_add_to_physmap, scratch).returned;
}

test('x86: shared_info moves from where it was, which becomes a hole (xenmem_add_to_physmap_one)', () => {
  const domain = makeTestDomain('pvhvm');
  const { sharedInfoMfn } = domain.state;
  assert.equal(gfnOfMfn(domain, sharedInfoMfn), null);
  assert.equal(map(domain, { gpfn: 5n }), 0);
  assert.equal(map(domain, { gpfn: 5n }), 0);
  assert.equal(mfnOfGfn(domain, 5), sharedInfoMfn);
  assert.equal(map(domain, { gpfn: 9n }), 0);
  assert.deepEqual([mfnOfGfn(domain, 5), mfnOfGfn(domain, 9)], [null, sharedInfoMfn]);
});

test("Arm: a frame of Xen's must be removed before it is mapped again, at the same place too", () => {
  const domain = makeTestDomain('arm');
  assert.equal(map(domain, { gpfn: 5n }), 0);
  assert.equal(map(domain, { gpfn: 5n }), -abi.XEN_EBUSY);
  assert.equal(map(domain, { gpfn: 9n }), -abi.XEN_EBUSY);
  poke(domain, abi.xen_remove_from_physmap, { domid: abi.DOMID_SELF, gpfn: 5n });
  assert.equal(call(domain, 0, 12, abi.XENMEM_remove_from_physmap, scratch).returned, 0);
  assert.equal(map(domain, { gpfn: 9n }), 0);
});

test("the grant table grows as far as the guest maps it, up to the toolstack's limit", () => {
  for (const kind of ['pvh', 'arm'] as const) {
    const domain = makeTestDomain(kind, 1, { maxGrantFrames: 4 });
    const space = abi.XENMAPSPACE_grant_table;
    assert.equal(domain.state.grants.frames.length, 1);
    assert.equal(map(domain, { space, idx: 3n, gpfn: 20n }), 0);
    assert.equal(domain.state.grants.frames.length, 4);
    assert.equal(mfnOfGfn(domain, 20), domain.state.grants.frames[3]);
    assert.equal(map(domain, { space, idx: 4n, gpfn: 21n }), -abi.XEN_EINVAL);
    assert.equal(map(domain, { space, idx: 0xffff_ffffn, gpfn: 21n }), -abi.XEN_EINVAL);
  }
});

test('the grant table cannot grow when Xen has no frames left', () => {
  const domain = makeTestDomain('pvh', 1, { xenFrames: { start: testXenFrames.start, count: 3 } });
  assert.equal(map(domain, { space: abi.XENMAPSPACE_grant_table, idx: 1n }), 0);
  assert.equal(map(domain, { space: abi.XENMAPSPACE_grant_table, idx: 2n }), -abi.XEN_EINVAL);
});

const batch = (to: object) => ({
  ...{ domid: abi.DOMID_SELF, space: abi.XENMAPSPACE_shared_info as number, size: 2, u: { res0: 0 } },
  ...{ idxs: 0x1000n, gpfns: 0x2000n, errs: 0x3000n },
  ...to,
});

checkOrder(
  {
    op: 'XENMEM_add_to_physmap_batch',
    type: abi.xen_add_to_physmap_batch,
    prepare: (domain) => {
      pokeBytes(domain, new Uint8Array(new BigUint64Array([5n, 6n]).buffer), 0x2000n);
    },
    good: () => batch({}),
    faults: [
      { error: 'XEN_EDOM', spoil: (attempt) => (attempt.other = 0x1_0000n) },
      unreadable,
      { error: 'XEN_EOPNOTSUPP', spoil: ({ argument }) => (argument.space = abi.XENMAPSPACE_gmfn_range) },
      { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.domid = 77) },
      onPv,
      { error: 'XEN_EACCES', spoil: ({ argument }) => (argument.space = abi.XENMAPSPACE_dev_mmio) },
      { error: 'XEN_EPERM', config: { kind: 'arm' }, spoil: ({ argument }) => (argument.domid = 0) },
      { error: 'XEN_EILSEQ', spoil: (attempt) => (attempt.other = 2n) },
      { error: 'XEN_EFAULT', spoil: ({ argument }) => (argument.gpfns = nowhere) },
      {
        error: 'XEN_EINVAL',
        spoil: ({ domain }) => pokeBytes(domain, new Uint8Array(8).fill(0xff), 0x2000n),
      },
      { error: 'XEN_EFAULT', spoil: ({ argument }) => (argument.errs = nowhere) },
    ],
    // One start extent, one space, one domid; dev_mmio is the own domain's alone.
    apart: [
      [0, 7],
      [2, 5],
      [3, 6],
      [5, 6],
    ],
  },
  true, // what is done before the call must stop stays done
);

test('XENMEM_add_to_physmap_batch: each page has its own answer', () => {
  const domain = makeTestDomain('pvh');
  pokeBytes(domain, new Uint8Array(new BigUint64Array([0n, 1n]).buffer), 0x1000n);
  pokeBytes(domain, new Uint8Array(new BigUint64Array([5n, 6n]).buffer), 0x2000n);
  poke(domain, abi.xen_add_to_physmap_batch, batch({}));
  assert.equal(call(domain, 0, 12, abi.XENMEM_add_to_physmap_batch, scratch).returned, 0);
  const errors = peekView(domain, 8, 0x3000n);
  assert.deepEqual([errors.getInt32(0, true), errors.getInt32(4, true)], [0, -abi.XEN_EINVAL]);
  assert.equal(mfnOfGfn(domain, 5), domain.state.sharedInfoMfn);
});

checkOrder({
  op: 'XENMEM_maximum_ram_page',
  type: abi.xen_memory_domain,
  good: () => ({ domid: 0 }),
  // The good answer is a number of frames, which is not 0.
  faults: [continued],
});

checkOrder(
  {
    op: 'XENMEM_memory_map',
    type: abi.xen_memory_map,
    good: () => ({ nr_entries: 2, buffer: 0x4000n }),
    faults: [{ error: 'XEN_ENOSYS', config: { kind: 'arm' } }, unreadable, unwritable],
  },
  true,
);

test('XENMEM_memory_map gives the RAM as E820 entries, as many as there is room for', () => {
  const ram = [
    { start: 0x200, count: 16 },
    { start: 0, count: 256 },
  ];
  const domain = makeTestDomain('pvh', 1, { ram });
  poke(domain, abi.xen_memory_map, { nr_entries: 9, buffer: 0x4000n });
  assert.equal(call(domain, 0, 12, abi.XENMEM_memory_map, scratch).returned, 0);
  assert.equal(peekView(domain, 4).getUint32(0, true), 2);
  const second = peekView(domain, 40, 0x4000n);
  assert.deepEqual(
    [second.getBigUint64(20, true), second.getBigUint64(28, true), second.getUint32(36, true)],
    [0x20_0000n, 0x1_0000n, 1],
  );
  poke(domain, abi.xen_memory_map, { nr_entries: 0, buffer: nowhere });
  assert.equal(call(domain, 0, 12, abi.XENMEM_memory_map, scratch).returned, 0);
});

const reservation = { extent_start: 0n, nr_extents: 1n, extent_order: 0, mem_flags: 0 };

/** Operations that a domU cannot have answered well: which error, by what is wrong. */
test('operations that are not for a domU: each error, in order (do_memory_op, acquire_resource, arch_memory_op)', () => {
  type Struct = abi.Struct<unknown, Record<string, unknown>>;
  const cases: [GuestKind, number, unknown, object, number, string][] = [
    [
      'pvh',
      abi.XENMEM_claim_pages,
      abi.xen_memory_reservation,
      { ...reservation, domid: 1 },
      1,
      'XEN_EINVAL',
    ],
    [
      'pvh',
      abi.XENMEM_claim_pages,
      abi.xen_memory_reservation,
      { extent_order: 1, domid: 1 },
      0,
      'XEN_EINVAL',
    ],
    ['pvh', abi.XENMEM_claim_pages, abi.xen_memory_reservation, { domid: abi.DOMID_SELF }, 0, 'XEN_EINVAL'],
    ['pvh', abi.XENMEM_claim_pages, abi.xen_memory_reservation, { ...reservation, domid: 1 }, 0, 'XEN_EPERM'],
    ['pvh', abi.XENMEM_get_vnumainfo, abi.xen_vnuma_topology_info, { pad: 1, domid: 77 }, 1, 'XEN_EINVAL'],
    ['pvh', abi.XENMEM_get_vnumainfo, abi.xen_vnuma_topology_info, { pad: 1, domid: 77 }, 0, 'XEN_EINVAL'],
    ['pvh', abi.XENMEM_get_vnumainfo, abi.xen_vnuma_topology_info, { domid: 77 }, 0, 'XEN_ESRCH'],
    ['pvh', abi.XENMEM_get_vnumainfo, abi.xen_vnuma_topology_info, { domid: 0 }, 0, 'XEN_EPERM'],
    ['arm', abi.XENMEM_get_vnumainfo, abi.xen_vnuma_topology_info, { domid: 1 }, 0, 'XEN_EOPNOTSUPP'],
    ['pvh', abi.XENMEM_acquire_resource, abi.xen_mem_acquire_resource, { pad: 1 }, 0, 'XEN_EACCES'],
    [
      'arm',
      abi.XENMEM_acquire_resource,
      abi.xen_mem_acquire_resource,
      { pad: 1, domid: 77 },
      0,
      'XEN_EINVAL',
    ],
    ['pv', abi.XENMEM_acquire_resource, abi.xen_mem_acquire_resource, { frame: 1n << 32n }, 0, 'XEN_EINVAL'],
    [
      'pv',
      abi.XENMEM_acquire_resource,
      abi.xen_mem_acquire_resource,
      { domid: abi.DOMID_SELF },
      0,
      'XEN_ESRCH',
    ],
    ['pv', abi.XENMEM_acquire_resource, abi.xen_mem_acquire_resource, { domid: 1 }, 0, 'XEN_EPERM'],
    ['arm', abi.XENMEM_set_pod_target, abi.xen_pod_target, { domid: 77 }, 0, 'XEN_ENOSYS'],
    ['pvh', abi.XENMEM_set_pod_target, abi.xen_pod_target, { domid: 77 }, 1, 'XEN_ENOSYS'],
    ['pvh', abi.XENMEM_set_pod_target, abi.xen_pod_target, { domid: 77 }, 0, 'XEN_ESRCH'],
    ['pvh', abi.XENMEM_get_pod_target, abi.xen_pod_target, { domid: 0 }, 0, 'XEN_EINVAL'],
    ['pv', abi.XENMEM_get_pod_target, abi.xen_pod_target, { domid: abi.DOMID_SELF }, 0, 'XEN_EINVAL'],
    ['pvh', abi.XENMEM_get_pod_target, abi.xen_pod_target, { domid: abi.DOMID_SELF }, 0, 'XEN_EPERM'],
  ];
  for (const [kind, command, type, value, start, error] of cases) {
    const domain = makeTestDomain(kind);
    pokeBytes(domain, (type as Struct).encode(value as Record<string, unknown>));
    const { returned, op } = call(domain, 0, 12, command | (start << 6), scratch);
    assert.equal(abi.XEN_errno_names[-returned], error, `${kind} ${op}`);
    const unread = call(domain, 0, 12, command, nowhere).returned;
    const early = ['XEN_EACCES', 'XEN_ENOSYS'].includes(error) && start === 0 ? error : 'XEN_EFAULT';
    assert.equal(abi.XEN_errno_names[-unread], early, `${kind} ${op}, unreadable`);
  }
});

test('a PV guest is told where the machine-to-physical table is', () => {
  const domain = makeTestDomain('pv');
  assert.equal(call(domain, 0, 12, abi.XENMEM_machphys_mapping, scratch).returned, 0);
  assert.equal(peekView(domain, 24).getBigUint64(16, true), 0x7_ffff_ffffn);
  assert.equal(call(domain, 0, 12, abi.XENMEM_machphys_mapping, nowhere).returned, -abi.XEN_EFAULT);
  assert.equal(
    call(makeTestDomain('pvh'), 0, 12, abi.XENMEM_machphys_mapping, scratch).returned,
    -abi.XEN_ENOSYS,
  );
});

test('XENMEM_machine_memory_map and unknown operations: as hvm_memory_op and do_memory_op refuse them', () => {
  const answer = (kind: GuestKind, command: number): number =>
    call(makeTestDomain(kind), 0, 12, command, nowhere).returned;
  assert.equal(answer('pv', abi.XENMEM_machine_memory_map), -abi.XEN_EPERM);
  assert.equal(answer('pvh', abi.XENMEM_machine_memory_map), -abi.XEN_ENOSYS);
  assert.equal(answer('pvh', 63), -abi.XEN_ENOSYS);
  assert.equal(answer('arm', abi.XENMEM_get_sharing_freed_pages), 0);
  assert.equal(answer('pvh', abi.XENMEM_get_sharing_shared_pages), 0);
});

/** To look for a frame in the map of the domain, for each of them, took half an hour. */
test('a batch of 65535 pages, in a domain that has given 131072 back', () => {
  const domain = makeTestDomain('arm', 1, {
    ram: [{ start: 0, count: 140_000 }],
    xenFrames: { start: 2 ** 28, count: 80 },
  });
  for (let gfn = 8000; gfn < 8000 + 131_072; gfn += 1) mapGfn(domain, gfn, null);
  const [idxs, gpfns, errs, size] = [0x10_0000n, 0x20_0000n, 0x30_0000n, 65_535];
  pokeBytes(domain, new Uint8Array(8 * size), idxs);
  pokeBytes(domain, new Uint8Array(new BigUint64Array(size).fill(3n).buffer), gpfns);
  const space = abi.XENMAPSPACE_shared_info;
  poke(domain, abi.xen_add_to_physmap_batch, {
    domid: abi.DOMID_SELF,
    space,
    size,
    idxs,
    gpfns,
    errs,
    u: {},
  });
  assert.equal(call(domain, 0, 12, abi.XENMEM_add_to_physmap_batch, scratch).returned, 0);
  assert.equal(gfnOfMfn(domain, domain.state.sharedInfoMfn), 3);
  const answers = peekView(domain, 4 * size, errs);
  assert.deepEqual([answers.getInt32(0, true), answers.getInt32(4 * (size - 1), true)], [0, -abi.XEN_EBUSY]);
});
