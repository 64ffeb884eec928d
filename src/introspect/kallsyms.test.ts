import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { arm64 } from './arm64/anchors.js';
import { findKallsyms as find } from './kallsyms.js';
import type { Kallsyms, PointerAt } from './kallsyms.js';
import { MadeImage, writeKallsyms } from './test_image.js';
import type { KallsymsLayout, MadeSymbol } from './test_image.js';

const vectorsOffset = arm64.knownSymbol.usualOffset ?? 0;

function findKallsyms(image: Uint8Array, pointerAt?: PointerAt): Kallsyms | null {
  return find(image, arm64.knownSymbol, pointerAt);
}

const layouts: readonly KallsymsLayout[] = ['5.10', '6.1', '6.12', '7.2'];

/** As many symbols as a small kernel has, `vectors` among them, at distances drawn from `gaps`. */
function symbolsWith(gaps: readonly number[]): MadeSymbol[] {
  const symbols: MadeSymbol[] = [
    { kind: 'T', name: '_stext', offset: 0x10000 },
    { kind: 'T', name: 'vectors', offset: vectorsOffset },
  ];
  let offset = vectorsOffset;
  for (let i = 0; i < 1200; i += 1) {
    offset += gaps[i % gaps.length] ?? 4;
    // A name of more than 127 tokens needs two bytes for its length.
    const name = i === 700 ? `long_${'q'.repeat(200)}` : `xen_function_${i}`;
    symbols.push({ kind: i % 3 === 0 ? 't' : 'T', name, offset });
  }
  return symbols;
}

function imageOf(symbols: readonly MadeSymbol[], layout: KallsymsLayout): Uint8Array {
  const image = new MadeImage().bytes(Array.from({ length: 4100 }, (_, i) => i * 7));
  return writeKallsyms(image, symbols, layout).align(4096).bytes([1]).done();
}

describe('kallsyms', () => {
  for (const layout of layouts) {
    it(`is found in an image as ${layout} lays it out`, () => {
      const symbols = symbolsWith([4, 64, 8]);
      const found = findKallsyms(imageOf(symbols, layout));
      assert.equal(found?.count, symbols.length);
      for (const { name, offset } of symbols) assert.equal(found.offsetOf(name), offset, name);
      assert.equal(found.offsetOf('nobody'), null);
    });
  }

  it('is anchored by `_text` where that is listed, wherever `vectors` lies', () => {
    for (const layout of layouts) {
      const symbols = symbolsWith([4, 64]).map((each) =>
        each.name === 'vectors' ? { ...each, offset: 0x10000 } : each,
      );
      const all = [{ kind: 'T', name: '_text', offset: 0 }, ...symbols];
      const found = findKallsyms(imageOf(all, layout));
      for (const { name, offset } of all) assert.equal(found?.offsetOf(name), offset, `${layout} ${name}`);
    }
  });

  it('is anchored by what the running kernel’s own word says where `_text` is not listed', () => {
    for (const layout of ['5.10', '6.1', '6.12'] as const) {
      const symbols = symbolsWith([4, 64]).map((each) =>
        each.name === 'vectors' ? { ...each, offset: 0x10000 } : each,
      );
      const image = imageOf(symbols, layout);
      const asked: number[] = [];
      const found = findKallsyms(image, (place) => {
        asked.push(place);
        return 0x10000;
      });
      for (const { name, offset } of symbols)
        assert.equal(found?.offsetOf(name), offset, `${layout} ${name}`);
      // The word lies there in the image, as the releases have it; it is 0 until the kernel relocates itself.
      for (const place of asked)
        assert.equal(new DataView(image.buffer).getBigUint64(place, true), 0n, layout);
    }
  });

  it('tells per-CPU variables at address 0 from the symbols of the image, as x86-64 lays it out', () => {
    const linkedText = 0xffff_ffff_8100_0000n;
    const absolute = {
      symbols: [
        { name: 'fixed_percpu_data', address: 0 },
        { name: 'xen_vcpu_id', address: 0x1e0d8 },
      ],
      text: linkedText,
    };
    const known = { name: 'entry_SYSCALL_64', usualOffset: null, alignment: 16 };
    const symbols = [
      { kind: 'T', name: '_text', offset: 0 },
      ...symbolsWith([16, 64]).map((each) => ({ ...each, kind: 't' })),
      { kind: 'T', name: known.name, offset: 0x800080 },
    ];
    for (const layout of ['5.10', '6.1', '6.12'] as const) {
      const image = new MadeImage().bytes(Array.from({ length: 4100 }, (_, i) => i * 7));
      const bytes = writeKallsyms(image, symbols, layout, absolute).align(4096).bytes([1]).done();
      const found = find(bytes, known);
      assert.equal(found?.count, symbols.length + 2, layout);
      for (const { name, offset } of symbols) assert.equal(found.offsetOf(name), offset, name);
      for (const { name, address } of absolute.symbols) {
        const offset: number = found.offsetOf(name) ?? NaN;
        assert.equal(BigInt.asUintN(64, linkedText + BigInt(offset)), BigInt(address), name);
      }
      assert.deepEqual(found.symbolAt(0x800085), null, 'behind the last');
      assert.deepEqual(found.symbolAt(vectorsOffset + 5), { name: 'vectors', offset: 5 });
    }
  });

  it('names the symbol in which an address lies', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 4, max: 4096 }), { minLength: 1, maxLength: 9 }),
        fc.nat(1199),
        fc.nat(4095),
        fc.constantFrom(...layouts),
        (gaps, index, behind, layout) => {
          const symbols = symbolsWith(gaps);
          const found = findKallsyms(imageOf(symbols, layout));
          const { name, offset } = symbols[index] ?? { name: '', offset: 0 };
          const next = symbols[index + 1]?.offset ?? offset + 1;
          const within = behind % (next - offset);
          assert.deepEqual(found?.symbolAt(offset + within), { name, offset: within });
        },
      ),
      { numRuns: 20 },
    );
  });

  it('gives the first of several names for a place, and none outside of its range', () => {
    const [stext, vectors, ...others] = symbolsWith([16]);
    assert.ok(stext !== undefined && vectors !== undefined);
    const alias = { kind: 'W', name: 'alias', offset: vectorsOffset };
    const found = findKallsyms(imageOf([stext, vectors, alias, ...others], '6.1'));
    assert.deepEqual(found?.symbolAt(vectorsOffset + 4), { name: 'vectors', offset: 4 });
    assert.equal(found.symbolAt(0xffff), null);
    assert.equal(found.symbolAt(2 ** 30), null);
  });

  it('is not found where there is none, or none that says where `vectors` is', () => {
    assert.equal(findKallsyms(new Uint8Array(0)), null);
    assert.equal(findKallsyms(new MadeImage().text('0').align(8).done()), null);
    const symbols = symbolsWith([4]).filter(({ name }) => name !== 'vectors');
    assert.equal(findKallsyms(imageOf(symbols, '6.1')), null);
  });

  it('throws for no image, however it is broken', () => {
    const whole = imageOf(symbolsWith([4, 8]), '6.12');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 40 }),
        fc.nat(whole.length),
        (changes, length) => {
          const broken = whole.slice(0, length);
          for (const [at, value] of changes) if (at < length) broken[at] = value;
          findKallsyms(broken)?.symbolAt(vectorsOffset);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is none where a token is longer than any name', () => {
    const digits = Array.from({ length: 10 }, (_, i) => String.fromCharCode(0x30 + i));
    const texts = Array.from(
      { length: 256 },
      (_, i) => digits[i - 0x30] ?? (i < 255 ? 'a' : 'z'.repeat(300_000)),
    );
    const image = new MadeImage().bytes([0]);
    const first = image.size;
    const index = texts.map((text) => {
      image.text(text);
      return image.size - text.length - 1 - first;
    });
    image.align(8).bytes(index.flatMap((at) => [at, at >>> 8]));
    assert.equal(findKallsyms(image.done()), null);
  });

  it('is not looked for without end in what looks like names everywhere', () => {
    // Each word is a number of names, and the first byte of it a name as long as the word; the table behind them is a real one.
    const table = writeKallsyms(new MadeImage(), symbolsWith([4]), '6.1').done();
    const words = 1 << 20;
    const image = new Uint8Array(8 * words + table.length);
    for (let word = 0; word < words; word += 1) image.set([7, 0, 8], 8 * word);
    image.set(table, 8 * words);
    assert.equal(findKallsyms(image), null);
  });
});
