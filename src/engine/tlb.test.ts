import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { tlbEntry, tlbOffsets } from './layout.js';
import { EngineMemory } from './memory.js';
import { Tlbs, tlbBytes } from './tlb.js';
import type { AddressSpaceKey } from './tlb.js';

function tlbs(vcpus = 1, highMask = 0xffffff): { tlbs: Tlbs; memory: EngineMemory } {
  const memory = new EngineMemory(tlbBytes(vcpus));
  return { memory, tlbs: new Tlbs(memory, 0, vcpus, highMask) };
}

function key(number: number, group = number): AddressSpaceKey {
  return { words: [number, 0], group };
}

/** Whether the set has an entry for the page of an address. */
function knows(
  memory: EngineMemory,
  set: number,
  low: number,
  high: number,
  table: 'read' | 'write' = 'read',
): boolean {
  const entry = set + tlbOffsets[table] + ((low >>> 12) & 1023) * tlbEntry.bytes;
  return memory.word(entry) === (low & ~0xfff) >>> 0 && memory.word(entry + 4) === high;
}

/** Inserts a page the way the engine does. */
function remember(
  { tlbs: all }: { tlbs: Tlbs },
  vcpu: number,
  set: number,
  [low, high]: readonly [number, number],
  log2Size = 12,
  nonGlobal = false,
): void {
  all.putData(set, 'read', { low, high }, 0x5000, false);
  all.note(vcpu, set, low, high, log2Size, nonGlobal);
}

const page = [0x12345000, 0xffff8000] as const;

test('an entry translates an address to its byte offset', () => {
  const { tlbs: all, memory } = tlbs();
  const set = all.privileged(0);
  all.putData(set, 'write', { low: 0x8000_3123, high: 0 }, 0x7000, true);
  const entry = set + tlbOffsets.write + 3 * tlbEntry.bytes;
  assert.equal((0x8000_3123 + memory.word(entry + tlbEntry.value)) >>> 0, 0x7123);
  assert.equal(memory.word(entry + tlbEntry.alignedOnly), 1);
  assert.ok(!knows(memory, set, 0x8000_3000, 0, 'read'));
});

test('the byte offset of data is known for pages with an entry in that table only', () => {
  const made = tlbs();
  const set = made.tlbs.privileged(0);
  const [low, high] = page;
  made.tlbs.putData(set, 'write', { low, high }, 0x7000, false);
  assert.equal(made.tlbs.dataAt(set, 'read', low, high), -1);
  remember(made, 0, set, page);
  for (const within of [0, 64, 4095]) {
    assert.equal(made.tlbs.dataAt(set, 'read', low + within, high), 0x5000 + within);
    assert.equal(made.tlbs.dataAt(set, 'write', low + within, high), 0x7000 + within);
  }
  for (const [otherLow, otherHigh] of [
    [low + 4096, high],
    [low + 1024 * 4096, high],
    [low, high ^ 1],
  ] as const) {
    assert.equal(made.tlbs.dataAt(set, 'read', otherLow, otherHigh), -1);
  }
  made.tlbs.flushPages(0, low, high, 1);
  assert.equal(made.tlbs.dataAt(set, 'read', low, high), -1);
});

test('user code has one set for each recent address space', () => {
  const { tlbs: all } = tlbs();
  const first = all.provide(0, key(1));
  assert.equal(all.find(0, key(1)), first);
  const others = [2, 3, 4].map((number) => all.provide(0, key(number)));
  assert.equal(new Set([first, ...others, all.privileged(0)]).size, 5);
  // The fifth replaces the least recently used set. This is not the first, which is used again.
  all.find(0, key(1));
  assert.equal(all.provide(0, key(5)), others[0]);
  assert.equal(all.find(0, key(1)), first);
  assert.equal(all.find(0, key(2)), all.find(0, key(77)));
});

test('a set that is reused for another address space is empty', () => {
  const both = tlbs();
  const { tlbs: all, memory } = both;
  const set = all.provide(0, key(1));
  remember(both, 0, set, page);
  for (const number of [2, 3, 4, 5]) all.provide(0, key(number));
  assert.equal(all.find(0, key(5)), set);
  assert.ok(!knows(memory, set, ...page));
});

test('invalidating a page drops it in all sets, whatever its tag, and keeps its neighbours', () => {
  const both = tlbs();
  const { tlbs: all, memory } = both;
  const sets = [all.privileged(0), all.provide(0, key(1)), all.provide(0, key(2))];
  const [low] = page;
  const neighbour = [low + 4096, page[1]] as const;
  for (const set of sets) {
    remember(both, 0, set, page);
    remember(both, 0, set, neighbour);
  }
  all.flushPages(0, low, 0x12ff8000 & 0xffffff, 1);
  for (const set of sets) {
    assert.ok(!knows(memory, set, ...page));
    assert.ok(knows(memory, set, ...neighbour));
  }
  all.flushPages(0, low & ~0xffff, page[1], 16);
  for (const set of sets) assert.ok(!knows(memory, set, ...neighbour));
});

test('invalidating a part of a large page drops all of it', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(21, 25, 29, 30),
      fc.nat(0xffffffff),
      fc.nat(0xffff),
      (log2Size, random, high) => {
        const both = tlbs();
        const { tlbs: all, memory } = both;
        const set = all.privileged(0);
        const start = (random & -(1 << log2Size)) >>> 0;
        const last = start + 2 ** log2Size - 4096;
        remember(both, 0, set, [start, high], log2Size);
        all.flushPages(0, last, high, 1);
        assert.ok(!knows(memory, set, start, high));
        remember(both, 0, set, [start, high], log2Size);
        all.flushPages(0, start, high ^ 1, 1);
        assert.ok(knows(memory, set, start, high));
      },
    ),
  );
});

test('where addresses have no tag, all bits tell pages apart, up to the last page', () => {
  const both = tlbs(1, 0xffffffff);
  const { tlbs: all, memory } = both;
  const set = all.privileged(0);
  for (const log2Size of [12, 21, 30]) {
    // The last page of this size that there is, and the one before it.
    const last = [-(2 ** log2Size) >>> 0, 0xffffffff] as const;
    const before = [(last[0] - 4096) >>> 0, 0xffffffff] as const;
    remember(both, 0, set, last, log2Size);
    all.flushPages(0, ...before, 1);
    assert.ok(knows(memory, set, ...last), `${log2Size}`);
    all.flushPages(0, last[0], 0x00ffffff, 1);
    assert.ok(knows(memory, set, ...last), `${log2Size}`);
    all.flushPages(0, 0xfffff000, 0xffffffff, 1);
    assert.equal(knows(memory, set, ...last), log2Size === 12 && last[0] !== 0xfffff000);
    all.flushAll(0);
  }
});

test('a page is dropped in the privileged set alone', () => {
  const made = tlbs();
  const { tlbs: all, memory } = made;
  const [own, user] = [all.privileged(0), all.provide(0, key(1))];
  const neighbour = [page[0] + 0x1000, page[1]] as const;
  for (const set of [own, user]) for (const each of [page, neighbour]) remember(made, 0, set, each);
  all.flushPrivilegedPage(0, ...page);
  assert.ok(!knows(memory, own, ...page));
  assert.ok(knows(memory, own, ...neighbour) && knows(memory, user, ...page));
});

test('a change of address space drops only those privileged entries that are not global', () => {
  const both = tlbs();
  const { tlbs: all, memory } = both;
  const set = all.privileged(0);
  const global = [0x77777000, 0xffff8000] as const;
  for (const many of [1, 100]) {
    for (let n = 0; n < many; n += 1) remember(both, 0, set, [n * 4096, 0], 12, true);
    remember(both, 0, set, global);
    all.flushNonGlobal(0);
    assert.ok(!knows(memory, set, 0, 0));
    // Beyond a limit, pages are not listed one by one. Then all entries are dropped.
    assert.equal(knows(memory, set, ...global), many === 1);
  }
});

test('invalidating an ASID drops its entries on that vCPU, and no others', () => {
  const both = tlbs(2);
  const { tlbs: all, memory } = both;
  const [a, b] = [all.provide(0, key(1, 7)), all.provide(0, key(2, 8))];
  const elsewhere = all.provide(1, key(1, 7));
  for (const [vcpu, set] of [
    [0, a],
    [0, b],
    [1, elsewhere],
  ] as const) {
    remember(both, vcpu, set, page);
  }
  all.flushNonGlobal(0);
  all.flushGroup(0, 7);
  assert.deepEqual(
    [a, b, elsewhere].map((set) => knows(memory, set, ...page)),
    [false, true, true],
  );
  all.flushAll(0);
  assert.deepEqual(
    [a, b, elsewhere].map((set) => knows(memory, set, ...page)),
    [false, false, true],
  );
});

test('write entries of a memory page are dropped on all vCPUs', () => {
  const both = tlbs(3);
  const { tlbs: all, memory } = both;
  for (const vcpu of [0, 1, 2]) {
    const set = all.privileged(vcpu);
    const low = 0x40001000 + vcpu * 0x3000;
    all.putData(set, 'write', { low, high: 0xffff0000 }, 0x9000, false);
    all.putData(set, 'write', { low: low + 0x1000, high: 0xffff0000 }, 0xa000, false);
    all.note(vcpu, set, low, 0xffff0000, 12, false);
  }
  all.flushWrites(0x9000);
  for (const vcpu of [0, 1, 2]) {
    const low = 0x40001000 + vcpu * 0x3000;
    assert.ok(!knows(memory, all.privileged(vcpu), low, 0xffff0000, 'write'));
    assert.ok(knows(memory, all.privileged(vcpu), low + 0x1000, 0xffff0000, 'write'));
  }
});
