import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { mapGfn } from '../physmap.js';
import { complaints, unreadable, unwritable } from '../test_check_order.js';
import type { CheckOrder, Fault } from '../test_check_order.js';
import { call, makeTestDomain, nowhere, peek, peekView, poke, pokeBytes, scratch } from '../test_domain.js';
import { grant_table_op } from './grant_table_op.js';

const { __HYPERVISOR_grant_table_op: number, DOMID_SELF } = abi;

function checkOrder<A>(order: Omit<CheckOrder<A>, 'family'>, mayChange = false): void {
  const whole: CheckOrder<A> = {
    other: 1n,
    registers: (command, { other, address }) => [command, address, other],
    config: { kind: 'pv' },
    ...order,
    family: grant_table_op,
  };
  const { source } = grant_table_op.operations.find(({ name }) => name === order.op)!;
  test(`${order.op}: errors, and their order as in ${source}`, () => {
    assert.deepEqual(complaints(whole, mayChange), []);
  });
}

/** `other` is the count here; and a command with more bits is another command to the test, so it has its own. */
const negative: Fault<unknown> = { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other = 0xffff_ffffn) };
const opaque: Fault<unknown> = { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other |= 1n << 40n) };
const withOpaque = (command: bigint, { other, address }: { other: bigint; address: bigint }): bigint[] => [
  other >> 40n === 0n ? command : command | 0x10_0000n,
  address,
  BigInt.asUintN(32, other),
];
const two: Fault<unknown> = { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other = 2n) };

checkOrder({
  op: 'GNTTABOP_query_size',
  type: abi.gnttab_query_size,
  registers: withOpaque,
  good: () => ({ dom: DOMID_SELF, nr_frames: 0, max_nr_frames: 0, status: 9 }),
  faults: [negative, opaque, two, unreadable],
  apart: [
    [0, 2],
    [1, 2],
  ],
});

checkOrder({
  op: 'GNTTABOP_setup_table',
  type: abi.gnttab_setup_table,
  registers: withOpaque,
  good: () => ({ dom: DOMID_SELF, nr_frames: 0, status: 9, frame_list: 0n }),
  faults: [negative, opaque, two, unreadable],
  apart: [
    [0, 2],
    [1, 2],
  ],
});

checkOrder({
  op: 'GNTTABOP_get_status_frames',
  type: abi.gnttab_get_status_frames,
  registers: withOpaque,
  good: () => ({ dom: DOMID_SELF, nr_frames: 0, status: 9, frame_list: 0n }),
  faults: [{ error: 'XEN_ENOSYS', config: { kind: 'pvh' } }, negative, opaque, two, unreadable],
  // On HVM a command with more bits is unknown, which has the same answer.
  apart: [
    [1, 3],
    [2, 3],
  ],
});

checkOrder({
  op: 'GNTTABOP_get_version',
  type: abi.gnttab_get_version,
  registers: withOpaque,
  good: () => ({ dom: DOMID_SELF, pad: 0, version: 0 }),
  faults: [
    negative,
    opaque,
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.dom = 77) },
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.dom = 0) },
    unwritable,
  ],
  apart: [[3, 4]],
});

/** A first entry of version 2 that version 1 has no form for. */
function makeTransitive(domain: Domain): void {
  setVersion(domain, 2);
  domain.memory.writable(domain.state.grants.frames[0]!)![0] = abi.GTF_transitive;
}

function exhaust({ state }: Domain): void {
  state.nextXenFrame = state.config.xenFrames.count;
}

checkOrder(
  {
    op: 'GNTTABOP_set_version',
    type: abi.gnttab_set_version,
    registers: withOpaque,
    good: () => ({ version: 2 }),
    faults: [
      negative,
      opaque,
      unreadable,
      unwritable,
      { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.version = 3) },
      { error: 'XEN_ENOSYS', config: { kind: 'arm' } },
      { error: 'XEN_ENOMEM', spoil: ({ domain }) => exhaust(domain) },
      {
        error: 'XEN_ERANGE',
        config: { kind: 'pv' },
        spoil: ({ domain, argument }) => {
          makeTransitive(domain);
          argument.version = 1;
        },
      },
    ],
    // One version. Without frames there are none of version 2 either.
    apart: [
      [4, 7],
      [6, 7],
    ],
  },
  true, // the version in force is written back
);

for (const [op, type, good] of [
  ['GNTTABOP_map_grant_ref', abi.gnttab_map_grant_ref, { flags: 2, dom: 0 }],
  ['GNTTABOP_unmap_grant_ref', abi.gnttab_unmap_grant_ref, {}],
  ['GNTTABOP_copy', abi.gnttab_copy, {}],
] as const) {
  const typed = type as unknown as abi.Struct<unknown, Record<string, unknown>>;
  checkOrder({
    op,
    type: typed,
    registers: withOpaque,
    good: () => ({ ...typed.decode(new Uint8Array(typed.size)), ...good }),
    faults: [negative, opaque, unreadable],
  });
}

function setVersion(domain: Domain, version: number): number {
  poke(domain, abi.gnttab_set_version, { version });
  return call(domain, 0, number, abi.GNTTABOP_set_version, scratch, 1).returned;
}

test('an unknown command: ENOSYS; beside PV and Arm, of a command with more bits too', () => {
  const answer = (kind: 'pvh' | 'arm', command: number): number =>
    call(makeTestDomain(kind), 0, number, command, nowhere, 1).returned;
  assert.equal(answer('pvh', 77), -abi.XEN_ENOSYS);
  assert.equal(answer('arm', 77), -abi.XEN_ENOSYS);
  assert.equal(answer('pvh', 0x10_0006), -abi.XEN_ENOSYS);
  assert.equal(answer('arm', 0x10_0006), -abi.XEN_EINVAL);
});

test('GNTTABOP_query_size: the frames there are, and how many there may be; of other domains a status', () => {
  const domain = makeTestDomain('pvh', 1, { maxGrantFrames: 5 });
  const query = (dom: number): { nr_frames: number; max_nr_frames: number; status: number } => {
    poke(domain, abi.gnttab_query_size, { dom, nr_frames: 0, max_nr_frames: 0, status: 9 });
    assert.equal(call(domain, 0, number, abi.GNTTABOP_query_size, scratch, 1).returned, 0);
    return peek(domain, abi.gnttab_query_size);
  };
  assert.deepEqual(query(DOMID_SELF), { dom: DOMID_SELF, nr_frames: 1, max_nr_frames: 5, status: 0 });
  assert.equal(query(77).status, abi.GNTST_bad_domain);
  assert.equal(query(0).status, abi.GNTST_permission_denied);
});

test('GNTTABOP_setup_table grows the table, and says where the guest sees its frames', () => {
  const setup = (domain: Domain, nr_frames: number, frame_list: bigint): number => {
    poke(domain, abi.gnttab_setup_table, { dom: DOMID_SELF, nr_frames, status: 9, frame_list });
    assert.equal(call(domain, 0, number, abi.GNTTABOP_setup_table, scratch, 1).returned, 0);
    return peek(domain, abi.gnttab_setup_table).status;
  };
  const pv = makeTestDomain('pv', 1);
  assert.equal(setup(pv, 2, 0x2000n), abi.GNTST_okay);
  const { frames } = pv.state.grants;
  const list = peekView(pv, 16, 0x2000n);
  assert.deepEqual([list.getBigUint64(0, true), list.getBigUint64(8, true)], frames.map(BigInt));
  assert.equal(setup(pv, 9, 0x2000n), abi.GNTST_general_error, 'more than the toolstack allows');
  assert.equal(setup(pv, 1, nowhere), abi.GNTST_bad_virt_addr);
  const hvm = makeTestDomain('pvh', 1);
  assert.equal(setup(hvm, 1, 0x2000n), abi.GNTST_okay);
  assert.equal(peekView(hvm, 8, 0x2000n).getBigUint64(0, true), 0xffff_ffff_ffff_ffffn, 'not mapped');
  mapGfn(hvm, 9, hvm.state.grants.frames[0]!);
  setup(hvm, 1, 0x2000n);
  assert.equal(peekView(hvm, 8, 0x2000n).getBigUint64(0, true), 9n);
});

test('changing the version carries the reserved entries over, and drops all others (gnttab_set_version)', () => {
  const domain = makeTestDomain('pv', 1);
  const table = BigInt(domain.state.grants.frames[0]!) * 4096n;
  const entry = { flags: abi.GTF_permit_access | abi.GTF_reading, domid: 7, frame: 0x123 };
  poke(domain, abi.grant_entry_v1, entry, table + 8n);
  poke(domain, abi.grant_entry_v1, entry, table + 8n * 8n);
  assert.equal(setVersion(domain, 2), 0);
  const { full_page } = peek(domain, abi.grant_entry_v2, table + 16n);
  assert.deepEqual(full_page, { hdr: { flags: 1, domid: 7 }, pad0: 0, frame: 0x123n });
  const status = BigInt(domain.state.grants.statusFrames[0]!) * 4096n;
  assert.equal(peekView(domain, 2, status + 2n).getUint16(0, true), abi.GTF_reading);
  assert.equal(peek(domain, abi.grant_entry_v2, table + 8n * 16n).hdr!.flags, 0);
  assert.equal(setVersion(domain, 1), 0);
  assert.deepEqual(peek(domain, abi.grant_entry_v1, table + 8n), entry);
  assert.deepEqual([domain.state.grants.version, domain.state.grants.statusFrames], [1, []]);
});

test('the status frames of version 2 vanish with it, and are used again', () => {
  const domain = makeTestDomain('pvh', 1);
  setVersion(domain, 2);
  const [first] = domain.state.grants.statusFrames;
  mapGfn(domain, 9, first!);
  for (let i = 0; i < 100; i += 1) {
    assert.equal(setVersion(domain, 1), 0);
    assert.equal(setVersion(domain, 2), 0);
  }
  assert.deepEqual(domain.state.grants.statusFrames, [first]);
  assert.equal(domain.state.physmap[9], null);
});

test('under version 2 the guest maps status frames by a bit of the index, under version 1 it means nothing', () => {
  const domain = makeTestDomain('pvh', 1, { maxGrantFrames: 16 });
  const map = (idx: bigint): number => {
    const space = abi.XENMAPSPACE_grant_table;
    poke(domain, abi.xen_add_to_physmap, { domid: DOMID_SELF, size: 0, space, idx, gpfn: 9n });
    return call(domain, 0, abi.__HYPERVISOR_memory_op, abi.XENMEM_add_to_physmap, scratch).returned;
  };
  const bit = BigInt(abi.XENMAPIDX_grant_table_status);
  assert.equal(map(bit), -abi.XEN_EINVAL);
  setVersion(domain, 2);
  assert.equal(map(bit), 0);
  assert.equal(domain.state.physmap[9], domain.state.grants.statusFrames[0]);
  assert.equal(map(bit | 1n), 0, 'the table grows to the sixteen frames that it takes');
  assert.deepEqual([domain.state.grants.frames.length, domain.state.grants.statusFrames.length], [16, 2]);
  assert.equal(map(bit | 2n), -abi.XEN_EINVAL);
});

test('mapping, unmapping and copying find nothing that is granted', () => {
  const domain = makeTestDomain('pvhvm', 1);
  const map = (flags: number, dom: number, ref: number): number => {
    const request = { host_addr: 0n, flags, ref, dom, status: 9, handle: 0, dev_bus_addr: 0n };
    poke(domain, abi.gnttab_map_grant_ref, request);
    assert.equal(call(domain, 0, number, abi.GNTTABOP_map_grant_ref, scratch, 1).returned, 0);
    return peek(domain, abi.gnttab_map_grant_ref).status;
  };
  assert.equal(map(0, 0, 0), abi.GNTST_bad_gntref);
  assert.equal(map(abi.GNTMAP_host_map | abi.GNTMAP_contains_pte, 0, 0), abi.GNTST_general_error);
  assert.equal(map(abi.GNTMAP_host_map, 77, 0), abi.GNTST_bad_domain);
  assert.equal(map(abi.GNTMAP_host_map, 0, 512), abi.GNTST_bad_gntref);
  assert.equal(map(abi.GNTMAP_host_map, 0, 511), abi.GNTST_general_error);
  pokeBytes(domain, new Uint8Array(2 * abi.gnttab_unmap_grant_ref.size));
  assert.equal(call(domain, 0, number, abi.GNTTABOP_unmap_grant_ref, scratch, 2).returned, 0);
  const second = scratch + BigInt(abi.gnttab_unmap_grant_ref.size);
  assert.equal(peek(domain, abi.gnttab_unmap_grant_ref, second).status, abi.GNTST_bad_handle);
});

test('a long array is interrupted, and the call made again for the rest', () => {
  const domain = makeTestDomain('arm');
  const { size } = abi.gnttab_unmap_grant_ref;
  const status = (element: number): number =>
    peek(domain, abi.gnttab_unmap_grant_ref, scratch + BigInt(element * size)).status;
  pokeBytes(domain, new Uint8Array(150 * size));
  const [command, count] = [abi.GNTTABOP_unmap_grant_ref, 0x7fff_ffff];
  const first = call(domain, 0, number, command, scratch, count);
  const rest = [BigInt(command), scratch + BigInt(64 * size), BigInt(count - 64)];
  assert.deepEqual(first.again, rest);
  assert.deepEqual([status(63), status(64)], [abi.GNTST_bad_handle, 0]);
  const second = call(domain, 0, number, command, rest[1] ?? 0n, 86);
  const third = call(domain, 0, number, ...(second.again ?? []));
  assert.deepEqual([third.again, third.returned, status(149)], [undefined, 0, abi.GNTST_bad_handle]);
});
