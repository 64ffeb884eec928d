import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Mmu, pageFault } from './mmu.js';
import type { AccessType, PagingMode, Regime, TableAccess } from './mmu.js';

/** Tables as a map from physical address to entry. A missing entry reads 0; there is no memory at or above 2^40. */
class Tables implements TableAccess {
  readonly entries = new Map<number, bigint>();
  low = 0;
  high = 0;

  readEntry(address: number, bytes: 4 | 8): boolean {
    const value = this.entries.get(address) ?? 0n;
    this.low = Number(value & 0xffff_ffffn);
    this.high = bytes === 4 ? 0 : Number(value >> 32n);
    return address < 2 ** 40;
  }

  setBits(address: number, bits: number): void {
    this.entries.set(address, (this.entries.get(address) ?? 0n) | BigInt(bits));
  }
}

const present = 1n;
const writable = 2n;
const user = 4n;
const accessed = 0x20n;
const dirty = 0x40n;
const large = 0x80n;
const global = 0x100n;
const nx = 1n << 63n;
const all = present | writable | user;

const regime = (mode: PagingMode, changes: Partial<Regime> = {}): Regime => ({
  mode,
  root: 0x1000,
  writeProtect: true,
  noExecute: true,
  largePages: true,
  globalPages: true,
  smep: false,
  smap: false,
  ...changes,
});

const shifts: Readonly<Record<Exclude<PagingMode, 'off'>, readonly number[]>> = {
  '32-bit': [22, 12],
  PAE: [30, 21, 12],
  '4-level': [39, 30, 21, 12],
};

interface Mapped {
  readonly tables: Tables;
  readonly mmu: Mmu;
  /** The addresses of the entries that lead to the page, from the root down. */
  readonly path: readonly number[];
}

/** Tables at 0x1000, 0x2000, ... in which `address` is mapped at depth `depth` by `entries`, from the root down. */
function mapped(mode: Exclude<PagingMode, 'off'>, address: bigint, entries: readonly bigint[]): Mapped {
  const tables = new Tables();
  const [bytes, bits] = mode === '32-bit' ? [4, 10] : [8, 9];
  const path = entries.map((value, depth) => {
    const shift = shifts[mode][depth] ?? 0;
    const width = mode === 'PAE' && depth === 0 ? 2 : bits;
    const index = Number((address >> BigInt(shift)) & ((1n << BigInt(width)) - 1n));
    const at = 0x1000 * (depth + 1) + bytes * index;
    const next = depth === entries.length - 1 ? 0n : BigInt(0x1000 * (depth + 2));
    tables.entries.set(at, value | next);
    return at;
  });
  return { tables, mmu: new Mmu(tables), path };
}

interface Outcome {
  readonly fault: number | null;
  readonly page: bigint;
}

function look(
  { mmu }: Mapped,
  how: Regime,
  address: bigint,
  access: AccessType = 'read',
  byUser = false,
): Outcome {
  const { fault, page } = mmu.translate(
    how,
    Number(address & 0xffff_ffffn),
    Number(BigInt.asUintN(64, address) >> 32n),
    access,
    byUser,
  );
  return { fault, page: BigInt(page) };
}

const tableBits = all;
const address = 0xffff_8880_1234_5678n;

void test('without paging an address is a physical address', () => {
  const some = { tables: new Tables(), mmu: new Mmu(new Tables()), path: [] };
  assert.deepEqual(look(some, regime('off'), 0xfee0_1234n, 'write', true), {
    fault: null,
    page: 0xfee0_1000n,
  });
});

void test('pages of 4 KiB, 2 MiB and 1 GiB in long mode', () => {
  const small = mapped('4-level', address, [tableBits, tableBits, tableBits, all | 0x12_3456_7000n]);
  assert.deepEqual(look(small, regime('4-level'), address), { fault: null, page: 0x12_3456_7000n });
  const middle = mapped('4-level', address, [tableBits, tableBits, all | large | 0x12_3460_0000n]);
  assert.deepEqual(look(middle, regime('4-level'), address), { fault: null, page: 0x12_3474_5000n });
  const big = mapped('4-level', address, [tableBits, all | large | 0x12_4000_0000n]);
  assert.deepEqual(look(big, regime('4-level'), address), { fault: null, page: 0x12_5234_5000n });
});

void test('pages of 4 KiB and 4 MiB in 32-bit paging, also above 4 GiB, and of 2 MiB with PAE', () => {
  const at = 0xc1a3_4567n;
  const small = mapped('32-bit', at, [all, all | 0x89ab_c000n]);
  assert.deepEqual(look(small, regime('32-bit'), at), { fault: null, page: 0x89ab_c000n });
  const big = mapped('32-bit', at, [all | large | 0x8000_0000n | (0x12n << 13n)]);
  assert.deepEqual(look(big, regime('32-bit'), at), { fault: null, page: 0x12_8023_4000n });
  const pae = mapped('PAE', at, [present, all | large | 0x12_3460_0000n]);
  assert.deepEqual(look(pae, regime('PAE'), at), { fault: null, page: 0x12_3463_4000n });
});

void test('without CR4.PSE bit 7 of a directory entry means nothing', () => {
  const at = 0x0040_5000n;
  const some = mapped('32-bit', at, [all | large, all | 0x7000n]);
  assert.deepEqual(look(some, regime('32-bit', { largePages: false }), at), { fault: null, page: 0x7000n });
});

void test('the error code tells of presence, kind, privilege, reserved bits and fetches', () => {
  const none = mapped('4-level', address, [tableBits]);
  const code = (access: AccessType, byUser: boolean, changes: Partial<Regime> = {}): number | null =>
    look(none, regime('4-level', changes), address, access, byUser).fault;
  assert.equal(code('read', false), 0);
  assert.equal(code('write', true), pageFault.write | pageFault.user);
  assert.equal(code('fetch', true), pageFault.fetch | pageFault.user);
  assert.equal(code('fetch', false, { noExecute: false }), 0);
  assert.equal(code('fetch', false, { noExecute: false, smep: true }), pageFault.fetch);
});

void test('reserved bits: above the physical width, in large pages, bit 63 without NXE, bit 7 of the root', () => {
  const reserved = pageFault.present | pageFault.reserved;
  const faultOf = (entries: readonly bigint[], changes: Partial<Regime> = {}): number | null =>
    look(mapped('4-level', address, entries), regime('4-level', changes), address).fault;
  assert.equal(faultOf([tableBits, tableBits, tableBits, all | (1n << 40n)]), reserved);
  assert.equal(faultOf([tableBits | (1n << 51n)]), reserved);
  assert.equal(faultOf([tableBits, tableBits, tableBits, all | (1n << 52n)]), null);
  assert.equal(faultOf([tableBits | large]), reserved);
  assert.equal(faultOf([tableBits, all | large | (1n << 13n)]), reserved);
  assert.equal(faultOf([tableBits, all | large | (1n << 12n)]), null, 'the PAT bit');
  assert.equal(faultOf([tableBits, tableBits, all | large | (1n << 20n)]), reserved);
  assert.equal(faultOf([tableBits, tableBits, tableBits, all | nx], { noExecute: false }), reserved);
  const pae = mapped('PAE', 0x1000n, [present | writable, all, all]);
  assert.equal(look(pae, regime('PAE'), 0x1000n).fault, reserved);
  const wide = mapped('PAE', 0x1000n, [present, all, all | (1n << 52n)]);
  assert.equal(look(wide, regime('PAE'), 0x1000n).fault, reserved);
});

/** What the manual's table of access rights says, for a page whose rights are the combination of all entries. */
function expected(
  { isUser, isWritable, isNx }: { isUser: boolean; isWritable: boolean; isNx: boolean },
  how: Regime,
  access: AccessType,
  byUser: boolean,
): boolean {
  if (byUser) {
    if (!isUser) return false;
    if (access === 'fetch') return !(isNx && how.noExecute);
    return access === 'read' || isWritable;
  }
  if (access === 'fetch') return !(isNx && how.noExecute) && !(isUser && how.smep);
  if (isUser && how.smap) return false;
  return access === 'read' || isWritable || !how.writeProtect;
}

void test('rights: every combination of entries, controls and accesses', () => {
  const bits = fc.record({ u: fc.boolean(), w: fc.boolean(), x: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(bits, { minLength: 4, maxLength: 4 }),
      fc.record({ writeProtect: fc.boolean(), smep: fc.boolean(), smap: fc.boolean() }),
      fc.constantFrom<AccessType>('read', 'write', 'fetch'),
      fc.boolean(),
      (rights, controls, access, byUser) => {
        const how = regime('4-level', controls);
        const entries = rights.map(
          ({ u, w, x }) => present | (u ? user : 0n) | (w ? writable : 0n) | (x ? nx : 0n),
        );
        const some = mapped('4-level', address, entries);
        const page = {
          isUser: rights.every(({ u }) => u),
          isWritable: rights.every(({ w }) => w),
          isNx: rights.some(({ x }) => x),
        };
        const isPermitted = expected(page, how, access, byUser);
        const { fault } = look(some, how, address, access, byUser);
        assert.equal(fault === null, isPermitted);
        if (fault !== null) assert.equal(fault & 0xb, pageFault.present | (access === 'write' ? 2 : 0));
        // The tables on the way are accessed; the page only if the access was permitted, dirty only if it was a write.
        const marks = some.path.map((at) => (some.tables.entries.get(at) ?? 0n) & (accessed | dirty));
        const last = !isPermitted ? 0n : access === 'write' ? accessed | dirty : accessed;
        assert.deepEqual(marks, [accessed, accessed, accessed, last]);
      },
    ),
    { numRuns: 1000 },
  );
});

void test('a walk that fails half way has marked what it used', () => {
  const some = mapped('4-level', address, [tableBits, tableBits]);
  assert.equal(look(some, regime('4-level'), address).fault, 0);
  assert.deepEqual(
    some.path.map((at) => some.tables.entries.get(at)),
    [tableBits | accessed | 0x2000n, tableBits | accessed],
  );
});

void test('a page that is not dirty is walked again for a write', () => {
  const some = mapped('4-level', address, [tableBits, tableBits, tableBits, all | global]);
  const at = [Number(address & 0xffff_ffffn), Number(address >> 32n)] as const;
  const first = { ...some.mmu.translate(regime('4-level'), ...at, 'read', false) };
  assert.deepEqual([first.dirty, first.global], [false, true]);
  const written = { ...some.mmu.translate(regime('4-level'), ...at, 'write', false) };
  assert.equal(written.dirty, true);
  assert.equal(some.mmu.translate(regime('4-level'), ...at, 'read', false).dirty, true);
  assert.equal(
    some.mmu.translate(regime('4-level', { globalPages: false }), ...at, 'read', false).global,
    false,
  );
});

void test('tables where there is no memory are absent', () => {
  const some = mapped('4-level', address, [tableBits]);
  assert.equal(look(some, regime('4-level', { root: 2 ** 40 }), address).fault, 0);
});
