import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { mfnOfGfn } from '../physmap.js';
import { populatedFrames } from '../ram.js';
import { call, makeTestDomain, nowhere, peekView, poke, pokeBytes, scratch } from '../test_domain.js';

const list = 0x8000n;

interface Balloon {
  readonly order?: number;
  readonly count?: number;
  readonly flags?: number;
  readonly domid?: number;
  readonly start?: number;
}

/** Makes a reservation call on these frames; the answer is how many extents were done. */
function balloon(domain: Domain, command: number, frames: number[], options: Balloon = {}): number {
  pokeBytes(domain, new Uint8Array(new BigUint64Array(frames.map(BigInt)).buffer), list);
  poke(domain, abi.xen_memory_reservation, {
    extent_start: list,
    nr_extents: BigInt(options.count ?? frames.length),
    extent_order: options.order ?? 0,
    mem_flags: options.flags ?? 0,
    domid: options.domid ?? abi.DOMID_SELF,
  });
  return call(domain, 0, abi.__HYPERVISOR_memory_op, command | ((options.start ?? 0) << 6), scratch).returned;
}

const { XENMEM_decrease_reservation: decrease, XENMEM_populate_physmap: populate } = abi;
const increase = abi.XENMEM_increase_reservation;

function reservation(domain: Domain): number {
  poke(domain, abi.xen_memory_domain, { domid: abi.DOMID_SELF });
  return call(domain, 0, abi.__HYPERVISOR_memory_op, abi.XENMEM_current_reservation, scratch).returned;
}

test('frames given back and taken again are zeroed, and counted', () => {
  for (const kind of ['pvhvm', 'arm'] as const) {
    const domain = makeTestDomain(kind);
    domain.memory.writable(20)![0] = 0x5a;
    assert.equal(balloon(domain, decrease, [20, 21, 22]), 3);
    assert.deepEqual([mfnOfGfn(domain, 20), reservation(domain)], [null, 253]);
    assert.equal(balloon(domain, populate, [21, 20]), 2);
    assert.deepEqual([mfnOfGfn(domain, 20), mfnOfGfn(domain, 22)], [20, null]);
    assert.equal(domain.memory.readable(20)![0], 0);
    assert.equal(reservation(domain), 255);
  }
});

test('frames can be taken at other guest frames than they were given back from', () => {
  const domain = makeTestDomain('pvh');
  balloon(domain, decrease, [20]);
  assert.equal(balloon(domain, populate, [0x900]), 1);
  assert.equal(mfnOfGfn(domain, 0x900), 20);
  poke(domain, abi.xen_memory_domain, { domid: abi.DOMID_SELF });
  assert.equal(call(domain, 0, 12, abi.XENMEM_maximum_gpfn, scratch).returned, 0x900);
});

test('the call stops at the first extent that cannot be done, and says how many were (decrease_reservation)', () => {
  const domain = makeTestDomain('pvh');
  assert.equal(balloon(domain, decrease, [20, 0x5000, 21]), 1);
  assert.equal(mfnOfGfn(domain, 21), 21);
  assert.equal(balloon(domain, populate, [20, 21]), 1, 'no more than there is');
  assert.equal(balloon(domain, decrease, [40], { order: 2 }), 1);
  assert.deepEqual(
    [40, 43, 44].map((gfn) => mfnOfGfn(domain, gfn)),
    [null, null, 44],
  );
  assert.equal(balloon(domain, populate, [40], { order: 3 }), 0);
  assert.equal(balloon(domain, populate, [40], { order: 2 }), 1);
});

test('a page that Xen holds is not given out again (put_page with a reference left)', () => {
  const domain = makeTestDomain('pvh');
  poke(domain, abi.vcpu_register_vcpu_info, { mfn: 20n, offset: 0, rsvd: 0 });
  call(domain, 0, abi.__HYPERVISOR_vcpu_op, abi.VCPUOP_register_vcpu_info, 0, scratch);
  balloon(domain, decrease, [20]);
  assert.equal(balloon(domain, populate, [20]), 0);
  assert.equal(populatedFrames(domain), 256);
});

test('what makes the whole call answer its start extent (do_memory_op, construct_memop_from_reservation)', () => {
  const domain = makeTestDomain('pvh');
  for (const command of [decrease, populate, increase]) {
    assert.equal(balloon(domain, command, [20], { count: 0x400_0000, start: 3 }), 3, 'too many extents');
    assert.equal(balloon(domain, command, [20], { start: 1 }), 1, 'nothing left to do');
    assert.equal(balloon(domain, command, [20], { domid: 77 }), 0, 'no such domain');
    assert.equal(balloon(domain, command, [20], { domid: 0 }), 0, 'another domain');
    assert.equal(balloon(domain, command, [20], { flags: 12 }), 0, 'too few address bits');
    assert.equal(balloon(domain, command, [20], { flags: 0x2_0100 }), 0, 'a node insisted on');
    assert.equal(balloon(domain, command, [20], { order: 10 }), 0, 'too great an extent');
    assert.equal(call(domain, 0, 12, command, nowhere).returned, 0, 'unreadable');
  }
  assert.equal(populatedFrames(domain), 256);
  assert.equal(balloon(domain, decrease, [20], { flags: 0x20 }), 1);
  assert.equal(balloon(domain, populate, [20], { flags: abi.XENMEMF_populate_on_demand }), 0);
});

test('a PV guest is told which frames it got, contiguous and aligned', () => {
  const domain = makeTestDomain('pv');
  assert.equal(balloon(domain, decrease, [21, 24, 25, 30]), 4);
  assert.equal(balloon(domain, populate, [99], { order: 1 }), 1);
  assert.equal(peekView(domain, 8, list).getBigUint64(0, true), 24n);
  assert.equal(balloon(domain, populate, [99], { order: 1 }), 0, '21 and 30 are not neighbours');
  assert.equal(balloon(domain, increase, [99, 98]), 2);
  assert.equal(peekView(domain, 8, list).getBigUint64(0, true), 21n);
  assert.equal(balloon(domain, increase, [0]), 0, 'none are left');
});
