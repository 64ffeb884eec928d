import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { KernelRecords } from './kernel_records.js';
import { findVmcoreInfo, layoutsIn, symbolIn } from './vmcoreinfo.js';
import type { VmcoreInfo } from './vmcoreinfo.js';

const page = 4096;

function memoryWith(note: string, at: number, pages = 8): Uint8Array {
  const memory = new Uint8Array(pages * page);
  memory.set(
    Array.from(note, (letter) => letter.charCodeAt(0)),
    at,
  );
  return memory;
}

function find(memory: Uint8Array, isWanted?: (info: VmcoreInfo) => boolean): VmcoreInfo | null {
  const view = new DataView(memory.buffer);
  return findVmcoreInfo(
    {
      bytes: memory.length,
      startAt: (at) => view.getUint32(at, true),
      pageAt: (at) => memory.subarray(at, at + page),
    },
    isWanted,
  );
}

const note =
  'OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(prb)=ffff80000a1b2c3d\nSIZE(printk_info)=88\n' +
  'OFFSET(printk_info.text_len)=16\nNUMBER(x)=-1\nLENGTH\n';

describe('VMCOREINFO', () => {
  it('is found in whatever page it begins, and says symbols and layouts', () => {
    for (const at of [0, 3, 7]) {
      const info = find(memoryWith(note, at * page));
      assert.ok(info !== null);
      assert.equal(symbolIn(info, 'prb'), 0xffff_8000_0a1b_2c3dn);
      assert.equal(symbolIn(info, 'nobody'), null);
      assert.equal(layoutsIn(info).size('printk_info'), 88);
      assert.equal(layoutsIn(info).offset('printk_info.text_len'), 16);
      assert.equal(layoutsIn(info).offset('printk_info.seq'), null);
    }
  });

  it('is not taken for another text, nor found within a page', () => {
    assert.equal(find(memoryWith(note, page + 8)), null);
    assert.equal(find(memoryWith('OSRELEASE=6.1.0\n', page)), null);
    assert.equal(find(memoryWith('OTHER', 0)), null);
    assert.equal(find(new Uint8Array(100)), null);
    const both = memoryWith('OSRELEASE=old', 0);
    both.set(memoryWith(note, 0, 1), page);
    assert.equal(find(both)?.get('OSRELEASE'), '6.1.0');
  });

  it('is the first that is wanted: memory may hold the note of a kernel that ran before', () => {
    const two = memoryWith(note.replace('6.1.0', '5.10'), 0);
    two.set(memoryWith(note, 0, 1), page);
    const found = (version: string): string | undefined =>
      find(two, (info) => info.get('OSRELEASE') === version)?.get('OSRELEASE');
    assert.deepEqual(['5.10', '6.1.0', '6.2'].map(found), ['5.10', '6.1.0', undefined]);
  });

  it('may hold anything', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (text) => {
        const info = find(memoryWith(`OSRELEASE=1\nPAGESIZE=4096\n${text}`, 0, 1));
        assert.ok(info !== null);
        for (const key of info.keys()) {
          const value = symbolIn(info, key) ?? layoutsIn(info).size(key) ?? layoutsIn(info).offset(key);
          assert.ok(value === null || value >= 0);
        }
      }),
    );
  });
});

describe('the records of a kernel', () => {
  const text = 0xffff_8000_0800_0000n;
  const places = { xenVcpuId: 0x180_0000, perCpuOffset: 0x190_0000 };

  /** A kernel's memory as words by address; what is not there is not mapped. */
  const recordsOf = (words: ReadonlyMap<bigint, bigint>): KernelRecords =>
    new KernelRecords(places, text, (address, size) => {
      const found = Array.from({ length: Math.ceil(size / 8) }, (_, i) => words.get(address + BigInt(8 * i)));
      if (found.includes(undefined)) return null;
      return Uint8Array.from({ length: size }, (_, i) =>
        Number(((found[i >> 3] ?? 0n) >> BigInt(8 * (i & 7))) & 0xffn),
      );
    });
  const table = text + BigInt(places.perCpuOffset);
  const template = text + BigInt(places.xenVcpuId);

  it('lie at the template plus the CPU’s offset, a sum that wraps', () => {
    const offset = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(offset, fc.nat(127), fc.nat(0xffff_ffff), (own, cpu, id) => {
        const words = new Map([
          [table + 8n * BigInt(cpu), own],
          [BigInt.asUintN(64, template + own), BigInt(id)],
        ]);
        const records = recordsOf(words);
        assert.equal(records.perCpuOffset(cpu), own);
        assert.equal(records.recordedVcpuId(cpu), id);
        assert.equal(records.recordedVcpuId(cpu + 1), null, 'that is not mapped');
      }),
    );
  });

  it('tell by TPIDR_EL1 which CPU runs, of the first so many', () => {
    const words = new Map([0, 1, 2].map((cpu) => [table + 8n * BigInt(cpu), 0x1000n * BigInt(cpu + 1)]));
    const records = recordsOf(words);
    assert.equal(records.linuxCpuOf(0x3000n, 3), 2);
    assert.equal(records.linuxCpuOf(0x3000n, 2), null);
    assert.equal(records.linuxCpuOf(0n, 3), null);
  });
});
