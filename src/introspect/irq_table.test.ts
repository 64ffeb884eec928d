import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findIrqInfoLayout, IrqTable } from './index.js';
import type { IrqInfoLayout, ReadKernel } from './index.js';

const layout: IrqInfoLayout = { list: 8, evtchn: 100, cpu: 104 };
const base = 0xffff_0000_0000_0000n;
/** The list's head lies in the image, which is the first page. */
const head = base + 0x800n;
const memoryBytes = 0x4000;

interface Entry {
  readonly at: number;
  readonly port: number;
  readonly cpu: number;
}

class Memory {
  readonly bytes = new Uint8Array(memoryBytes);
  readonly view = new DataView(this.bytes.buffer);
  reads = 0;

  readonly read: ReadKernel = (address, size) => {
    this.reads += 1;
    const at = Number(address - base);
    return at < 0 || at + size > memoryBytes ? null : this.bytes.slice(at, at + size);
  };

  /** Writes the list: the head, then each entry. */
  link(entries: readonly Entry[]): this {
    const nodes = [head, ...entries.map(({ at }) => base + BigInt(at + layout.list))];
    for (const [index, node] of nodes.entries()) {
      const next = nodes[(index + 1) % nodes.length] ?? head;
      const previous = nodes.at(index - 1) ?? head;
      this.view.setBigUint64(Number(node - base), next, true);
      this.view.setBigUint64(Number(node - base) + 8, previous, true);
    }
    for (const { at, port, cpu } of entries) {
      this.view.setUint32(at + layout.evtchn, port, true);
      this.view.setUint16(at + layout.cpu, cpu, true);
    }
    return this;
  }
}

function newTable(): IrqTable {
  return new IrqTable(layout, (address) => address >= base && address < base + 0x1000n);
}

const entries: readonly Entry[] = [
  { at: 0x1000, port: 1, cpu: 0 },
  { at: 0x1100, port: 2, cpu: 3 },
  { at: 0x1200, port: 0, cpu: 0 },
  { at: 0x1300, port: 7, cpu: 2 },
];

describe('the table of interrupts', () => {
  it('is found by one of its entries, and tells of every port', () => {
    const memory = new Memory().link(entries);
    const table = newTable();
    table.search(memory.read, 2, [0n, 5n, base + 0x1108n, base + 0x1000n, base + 0x1100n]);
    assert.ok(table.isFound);
    const cpus = [1, 2, 7, 0, 9].map((port) => table.cpuOf(memory.read, port));
    assert.deepEqual(cpus, [0, 3, 2, null, null]);
  });

  it('is read anew each time, also when entries come and go', () => {
    const memory = new Memory().link(entries);
    const table = newTable();
    table.search(memory.read, 2, [base + 0x1100n]);
    memory.view.setUint16(0x1100 + layout.cpu, 1, true);
    assert.equal(table.cpuOf(memory.read, 2), 1);
    memory.link([...entries.slice(0, 2), { at: 0x1400, port: 12, cpu: 1 }]);
    assert.deepEqual(
      [7, 12].map((port) => table.cpuOf(memory.read, port)),
      [null, 1],
    );
  });

  it('is not found by what only looks like an entry', () => {
    const inImage = new Memory().link([{ at: 0x100, port: 2, cpu: 1 }]);
    const unlinked = new Memory().link(entries);
    unlinked.view.setBigUint64(0x1100 + layout.list, base + 0x1308n, true);
    const cases: readonly [Memory, bigint][] = [
      [new Memory().link(entries), base + 0x1000n],
      [new Memory().link(entries), base + 0x1101n],
      [inImage, base + 0x100n],
      [unlinked, base + 0x1100n],
    ];
    for (const [memory, candidate] of cases) {
      const table = newTable();
      table.search(memory.read, 2, [candidate]);
      assert.equal(table.isFound, false);
      assert.equal(table.cpuOf(memory.read, 2), null);
    }
  });

  it('says nothing of a port that two entries have, or of a list without a head in the image', () => {
    const twice = new Memory().link([...entries, { at: 0x1400, port: 7, cpu: 1 }]);
    const table = newTable();
    table.search(twice.read, 2, [base + 0x1100n]);
    assert.equal(table.cpuOf(twice.read, 7), null);
    const headless = new Memory().link(entries);
    const lost = new IrqTable(layout, () => false);
    lost.search(headless.read, 2, [base + 0x1100n]);
    assert.equal(lost.cpuOf(headless.read, 7), null);
  });

  it('reads memory that holds anything, and ends', () => {
    const writes = fc.array(fc.tuple(fc.nat(memoryBytes / 8 - 1), fc.nat(memoryBytes)), { maxLength: 60 });
    fc.assert(
      fc.property(writes, fc.nat(9), (words, port) => {
        const memory = new Memory().link(entries);
        for (const [word, value] of words) memory.view.setBigUint64(8 * word, base + BigInt(value), true);
        const table = newTable();
        table.search(
          memory.read,
          2,
          words.map(([, value]) => base + BigInt(value)),
        );
        table.search(memory.read, 2, [base + 0x1100n]);
        const cpu = table.cpuOf(memory.read, port);
        assert.ok(cpu === null || (cpu >= 0 && cpu < 0x1_0000));
      }),
    );
  });

  it('costs a bounded number of reads, however often a guest changes it', () => {
    const many = Array.from({ length: 80 }, (_, i) => ({ at: 0x1000 + 0x98 * i, port: i + 1, cpu: 0 }));
    const memory = new Memory().link(many);
    const table = new IrqTable(layout, (address) => address < base + 0x1000n, 1000);
    table.search(memory.read, 1, [base + 0x1000n]);
    assert.equal(table.cpuOf(memory.read, 80), 0);
    for (let i = 0; i < 100; i += 1) table.cpuOf(memory.read, 500);
    const { reads } = memory;
    for (let i = 0; i < 100; i += 1) table.cpuOf(memory.read, 500);
    assert.equal(memory.reads, reads);
    assert.equal(table.cpuOf(memory.read, 80), 0);
  });

  it('has no layout where the image has no BTF', () => {
    assert.equal(findIrqInfoLayout(new Uint8Array(4096)), null);
  });
});
