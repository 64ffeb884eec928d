import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultStatus, Mmu } from './mmu.js';
import type { AccessType, Translation } from './mmu.js';
import type { Range, Regime } from './regime.js';

type Granule = 12 | 14 | 16;

/**
 * Translation tables as a map from physical address to descriptor. A missing entry reads 0; there is no memory at or
 * above `end`.
 */
class Tables {
  readonly descriptors = new Map<number, bigint>();
  low = 0;
  high = 0;
  readonly #end = 2 ** 40;

  readEntry(address: number): boolean {
    const value = this.descriptors.get(address) ?? 0n;
    this.low = Number(value & 0xffffffffn);
    this.high = Number(value >> 32n);
    return address < this.#end;
  }
}

const tableType = 3n;
const pageType = 3n;
const blockType = 1n;
const accessed = 1n << 10n;
const user = 1n << 6n;
const readOnly = 1n << 7n;
const pxn = 1n << 53n;
const uxn = 1n << 54n;

function shiftOf(granule: Granule, level: number): bigint {
  return BigInt(granule + (granule - 3) * (3 - level));
}

function startLevel(granule: Granule, bits: number): number {
  return 4 - Math.ceil((bits - granule) / (granule - 3));
}

function rangeOf(granule: Granule, bits: number, table: number): Range {
  const level = startLevel(granule, bits);
  return {
    size: 2 ** bits,
    granuleLog2: granule,
    table,
    startLevel: level,
    firstEntries: Number(1n << (BigInt(bits) - shiftOf(granule, level))),
    disabled: false,
    ignoresTag: false,
  };
}

/** Both ranges with `bits` address bits: the lower range's table is at 1 MiB, the upper range's at 2 MiB. */
function regimeOf(granule: Granule, bits: number, changes: Partial<Regime> = {}): Regime {
  return {
    enabled: true,
    writableIsNotExecutable: false,
    ranges: [rangeOf(granule, bits, 1 << 20), rangeOf(granule, bits, 2 << 20)],
    outputLimit: 2 ** 44,
    attributes: [0x00, 0xff, 0x44, 0x04, 0, 0, 0, 0],
    asid: 0,
    ...changes,
  };
}

/** Writes a descriptor at a level, and the table descriptors that lead to it. */
function map(
  tables: Tables,
  regime: Regime,
  granule: Granule,
  bits: number,
  address: bigint,
  level: number,
  value: bigint,
): void {
  const range = regime.ranges[(address >> 55n) & 1n ? 1 : 0];
  const offset = BigInt.asUintN(bits, address);
  let table = range.table;
  for (let at = range.startLevel; ; at += 1) {
    const mask = at === range.startLevel ? BigInt(range.firstEntries - 1) : (1n << BigInt(granule - 3)) - 1n;
    const entry = table + 8 * Number((offset >> shiftOf(granule, at)) & mask);
    if (at === level) {
      tables.descriptors.set(entry, value);
      return;
    }
    const next =
      tables.descriptors.get(entry) ?? BigInt((8 << 20) + tables.descriptors.size * 65536) | tableType;
    tables.descriptors.set(entry, next);
    table = Number(next & 0xfffffffff000n & -(1n << BigInt(granule)));
  }
}

function translate(
  tables: Tables,
  regime: Regime,
  address: bigint,
  access: AccessType = 'read',
  el0 = false,
): Translation {
  const [low, high] = [Number(address & 0xffffffffn), Number((address >> 32n) & 0xffffffffn)];
  return { ...new Mmu(tables).translate(regime, low, high, access, el0) };
}

const granules: readonly Granule[] = [12, 14, 16];
const upperBase = (bits: number): bigint => BigInt.asUintN(64, -(1n << BigInt(bits)));

test('finds mapped pages in every granule, address space size, range and level, and faults beside them', () => {
  const property = fc.property(
    fc.constantFrom(...granules),
    fc.integer({ min: 25, max: 48 }),
    fc.boolean(),
    fc.bigInt(0n, (1n << 48n) - 1n),
    fc.bigInt(0n, (1n << 44n) - 1n),
    fc.constantFrom(1, 2, 3),
    (granule, bits, isUpper, random, output, wanted) => {
      const lowest = Math.max(startLevel(granule, bits), granule === 12 ? 1 : 2);
      const level = Math.max(wanted, lowest);
      const shift = shiftOf(granule, level);
      const regime = regimeOf(granule, bits);
      const tables = new Tables();
      const offset = BigInt.asUintN(bits, random);
      const address = isUpper ? upperBase(bits) + offset : offset;
      const base = (output >> shift) << shift;
      const attributes = 1n << 2n;
      const type = level === 3 ? pageType : blockType;
      map(tables, regime, granule, bits, address, level, base | type | accessed | attributes | (3n << 8n));
      const expected = base | (offset & ((1n << shift) - 1n));
      assert.deepEqual(translate(tables, regime, address), {
        fault: null,
        page: Number((expected >> 12n) << 12n),
        attributes: 0xff,
        shareability: 3,
        log2Size: Number(shift),
        nonGlobal: !isUpper,
      });
      // The next page or block is not mapped.
      const beside = address ^ (1n << shift);
      if (Number(shift) < bits)
        assert.equal(translate(tables, regime, beside).fault, faultStatus.translation + level);
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test('an address outside both ranges is a translation fault of level 0, including its top byte unless TBI is set', () => {
  for (const bits of [25, 39, 48]) {
    const regime = regimeOf(12, bits);
    const tables = new Tables();
    for (const address of [
      1n << BigInt(bits),
      upperBase(bits) - 1n,
      0x0100000000000000n,
      0xfeffffffffffffffn,
    ]) {
      assert.equal(translate(tables, regime, address).fault, faultStatus.translation, `${bits} ${address}`);
    }
    const [lower, upper] = regime.ranges;
    const tagged: Regime = {
      ...regime,
      ranges: [
        { ...lower, ignoresTag: true },
        { ...upper, ignoresTag: true },
      ],
    };
    map(tables, tagged, 12, bits, 0n, 3, 0x5000n | pageType | accessed);
    map(tables, tagged, 12, bits, upperBase(12), 3, 0x6000n | pageType | accessed);
    assert.equal(translate(tables, tagged, 0xab00000000000123n).page, 0x5000);
    assert.equal(translate(tables, tagged, 0x12fffffffffff123n).page, 0x6000);
    assert.equal(translate(tables, tagged, 0xab80000000000123n).fault, faultStatus.translation);
  }
});

test('block descriptors are valid only at the levels that the granule allows; elsewhere the encoding is reserved', () => {
  for (const granule of granules) {
    const regime = regimeOf(granule, 48);
    for (let level = startLevel(granule, 48); level < 3; level += 1) {
      const tables = new Tables();
      map(tables, regime, granule, 48, 0n, level, blockType | accessed);
      const allowed = level === 2 || (level === 1 && granule === 12);
      assert.equal(translate(tables, regime, 0n).fault, allowed ? null : faultStatus.translation + level);
    }
    const tables = new Tables();
    map(tables, regime, granule, 48, 0n, 3, 1n | accessed);
    assert.equal(translate(tables, regime, 0n).fault, faultStatus.translation + 3);
  }
});

test('a fault reports its level, and the first applicable fault is reported', () => {
  const regime = regimeOf(12, 48, { outputLimit: 2 ** 36 });
  const beyond = 1n << 36n;
  const fault = (level: number, value: bigint, access: AccessType = 'read'): number | null => {
    const tables = new Tables();
    map(tables, regime, 12, 48, 0n, level, value);
    return translate(tables, regime, 0n, access).fault;
  };
  for (const level of [0, 1, 2, 3]) {
    assert.equal(fault(level, 0n), faultStatus.translation + level);
    assert.equal(fault(level, beyond | tableType), faultStatus.addressSize + level);
  }
  for (const level of [1, 2, 3]) {
    const type = level === 3 ? pageType : blockType;
    assert.equal(fault(level, type), faultStatus.accessFlag + level);
    assert.equal(fault(level, beyond | type), faultStatus.addressSize + level);
    assert.equal(fault(level, type | readOnly, 'write'), faultStatus.accessFlag + level);
    assert.equal(fault(level, type | readOnly | accessed, 'write'), faultStatus.permission + level);
  }
  // A table outside memory (the test's memory ends at 2^40), and one above all physical addresses.
  const elsewhere = (table: number): Regime => ({
    ...regime,
    outputLimit: 2 ** 44,
    ranges: [rangeOf(12, 48, table), regime.ranges[1]],
  });
  assert.equal(translate(new Tables(), elsewhere(2 ** 41), 0n).fault, faultStatus.externalOnWalk);
  assert.equal(translate(new Tables(), elsewhere(2 ** 44), 0n).fault, faultStatus.addressSize);
  const off: Regime = { ...regime, ranges: [{ ...regime.ranges[0], disabled: true }, regime.ranges[1]] };
  assert.equal(translate(new Tables(), off, 0n).fault, faultStatus.translation);
});

/** Access rights as a string: r, w, x for EL1, then for EL0. */
function rights(tables: Tables, regime: Regime): string {
  const accesses = ['read', 'write', 'fetch'] as const;
  return [false, true]
    .map((el0) =>
      accesses
        .map((access) => (translate(tables, regime, 0n, access, el0).fault === null ? access[0] : '-'))
        .join(''),
    )
    .join(' ')
    .replaceAll('f', 'x');
}

test('permissions match the table in the manual', () => {
  // DDI 0487, D8.4.1: AP[2:1], then PXN and UXN.
  const expected: readonly (readonly [bigint, string, string])[] = [
    [0n, 'rwx --x', 'rw- --x'],
    [user, 'rw- rwx', 'rw- rw-'],
    [readOnly, 'r-x --x', 'r-x --x'],
    [readOnly | user, 'r-x r-x', 'r-x r-x'],
    [pxn, 'rw- --x', 'rw- --x'],
    [uxn, 'rwx ---', 'rw- ---'],
    [readOnly | user | pxn, 'r-- r-x', 'r-- r-x'],
    [readOnly | user | uxn, 'r-x r--', 'r-x r--'],
    [user | uxn | pxn, 'rw- rw-', 'rw- rw-'],
  ];
  for (const [limits, plain, writableNotExecutable] of expected) {
    const tables = new Tables();
    const regime = regimeOf(12, 48);
    map(tables, regime, 12, 48, 0n, 3, pageType | accessed | limits);
    assert.equal(rights(tables, regime), plain, `${limits}`);
    assert.equal(
      rights(tables, { ...regime, writableIsNotExecutable: true }),
      writableNotExecutable,
      `${limits}`,
    );
  }
});

test('table descriptors restrict the rights of everything below them', () => {
  const [pxnTable, uxnTable, noUser, noWrite] = [59n, 60n, 61n, 62n].map((bit) => 1n << bit) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const expected: readonly (readonly [bigint, string])[] = [
    [0n, 'r-x r-x'],
    [pxnTable, 'r-- r-x'],
    [uxnTable, 'r-x r--'],
    [noUser, 'r-x --x'],
    [noWrite, 'r-x r-x'],
    [pxnTable | uxnTable | noUser | noWrite, 'r-- ---'],
  ];
  for (const level of [0, 1, 2]) {
    for (const [limits, right] of expected) {
      const tables = new Tables();
      const regime = regimeOf(12, 48);
      map(tables, regime, 12, 48, 0n, 3, pageType | accessed | readOnly | user);
      const [entry, value] = [...tables.descriptors].find(([, descriptor]) => descriptor !== 0n) ?? [0, 0n];
      assert.ok(entry > 0);
      const table = [...tables.descriptors.keys()][level] ?? 0;
      tables.descriptors.set(table, (tables.descriptors.get(table) ?? value) | limits);
      assert.equal(rights(tables, regime), right, `${level} ${limits.toString(16)}`);
    }
  }
  // A writable page below a table that forbids writes.
  const tables = new Tables();
  const regime = regimeOf(12, 48);
  map(tables, regime, 12, 48, 0n, 3, pageType | accessed | user);
  const [table] = [...tables.descriptors.keys()];
  tables.descriptors.set(table ?? 0, (tables.descriptors.get(table ?? 0) ?? 0n) | noWrite);
  assert.equal(rights(tables, regime), 'r-x r-x');
});

test('with translation off, addresses are physical addresses of 44 bits, and memory is Device memory', () => {
  const regime = regimeOf(12, 48, { enabled: false });
  const tables = new Tables();
  const { fault, page, attributes } = translate(tables, regime, 0xfffffffffffn, 'write', true);
  assert.deepEqual([fault, page, attributes], [null, 0xffffffff000, 0]);
  for (const address of [1n << 44n, 1n << 48n, 1n << 55n, 0xffff000000000000n]) {
    assert.equal(translate(tables, regime, address).fault, faultStatus.addressSize);
  }
});

test('a translation is not global if nG is set or if it comes from the lower range', () => {
  const regime = regimeOf(12, 48);
  const notGlobal = 1n << 11n;
  const nonGlobal = (address: bigint, bits: bigint): boolean => {
    const tables = new Tables();
    map(tables, regime, 12, 48, address, 3, pageType | accessed | bits);
    return translate(tables, regime, address).nonGlobal;
  };
  const high = upperBase(48);
  assert.deepEqual(
    [nonGlobal(0n, 0n), nonGlobal(0n, notGlobal), nonGlobal(high, 0n), nonGlobal(high, notGlobal)],
    [true, true, false, true],
  );
});
