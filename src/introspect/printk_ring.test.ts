import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { printkRingsIn, readKernelLog } from './index.js';
import type { Layouts } from './index.js';

/** Layouts as of Linux 6.1 in their order, with gaps as another release might have them. */
const sizes: Readonly<Record<string, number>> = { printk_ringbuffer: 96, prb_desc: 24, printk_info: 88 };
const offsets: Readonly<Record<string, number>> = {
  'printk_ringbuffer.desc_ring': 0,
  'printk_ringbuffer.text_data_ring': 56,
  'prb_desc_ring.count_bits': 0,
  'prb_desc_ring.descs': 8,
  'prb_desc_ring.infos': 16,
  'prb_desc_ring.head_id': 24,
  'prb_desc_ring.tail_id': 32,
  'prb_data_ring.size_bits': 0,
  'prb_data_ring.data': 8,
  'prb_desc.state_var': 0,
  'prb_desc.text_blk_lpos': 8,
  'prb_data_blk_lpos.begin': 0,
  'prb_data_blk_lpos.next': 8,
  'printk_info.ts_nsec': 8,
  'printk_info.text_len': 16,
};
const layouts: Layouts = {
  size: (name) => sizes[name] ?? null,
  offset: (path) => offsets[path] ?? null,
};

const base = 0xffff_8000_0800_0000n;
const places = { ring: 0x208, descriptors: 0x1000, infos: 0x2000, text: 0x8000 } as const;
const countBits = 5;
const textBits = 12;

/** Kernel memory with a ring into which `lines` were written one after the other, as the kernel writes them. */
function memoryWith(lines: readonly string[]): Uint8Array {
  const memory = new Uint8Array(0xa000);
  const view = new DataView(memory.buffer);
  const put = (at: number, value: bigint): void => view.setBigUint64(at, BigInt.asUintN(64, value), true);
  const first = BigInt.asUintN(62, -BigInt((1 << countBits) + 1));
  let head = first;
  let position = 0;
  for (const [index, line] of lines.entries()) {
    head = BigInt.asUintN(62, head + 1n);
    const slot = Number(head & BigInt((1 << countBits) - 1));
    const size = 8 + Math.ceil(line.length / 8) * 8;
    const wraps = Math.floor(position / 4096) !== Math.floor((position + size - 1) / 4096);
    const next = wraps ? Math.ceil(position / 4096) * 4096 + size : position + size;
    const at = wraps ? 0 : position % 4096;
    for (const [i, letter] of Array.from(line).entries())
      memory[places.text + at + 8 + i] = letter.charCodeAt(0);
    put(places.descriptors + slot * 24, (2n << 62n) | head);
    put(places.descriptors + slot * 24 + 8, BigInt(position));
    put(places.descriptors + slot * 24 + 16, BigInt(next));
    put(places.infos + slot * 88 + 8, BigInt(index) * 1000n);
    view.setUint16(places.infos + slot * 88 + 16, line.length, true);
    position = next;
  }
  const ring = places.ring;
  view.setUint32(ring, countBits, true);
  put(ring + 8, base + BigInt(places.descriptors));
  put(ring + 16, base + BigInt(places.infos));
  put(ring + 24, head);
  const held = BigInt(Math.min(lines.length, (1 << countBits) - 1));
  put(ring + 32, BigInt.asUintN(62, head - held));
  view.setUint32(ring + 56, textBits, true);
  put(ring + 64, base + BigInt(places.text));
  return memory;
}

function reader(memory: Uint8Array) {
  return (address: bigint, size: number): Uint8Array | null => {
    const at = address - base;
    return at < 0n || at + BigInt(size) > BigInt(memory.length)
      ? null
      : memory.slice(Number(at), Number(at) + size);
  };
}

const line = fc.stringMatching(/^[ -~]{1,60}$/);

describe('the printk ring', () => {
  it('is found by its shape, and its last lines read', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 100 }), (lines) => {
        const memory = memoryWith(lines);
        assert.deepEqual([...printkRingsIn(memory, layouts)], [places.ring]);
        const log = readKernelLog(layouts, base + BigInt(places.ring), reader(memory), 20);
        assert.deepEqual(
          log?.map(({ text }) => text),
          lines.slice(-20),
        );
        assert.equal(log.at(-1)?.timeNs, BigInt(lines.length - 1) * 1000n);
      }),
    );
  });

  it('tells records of the kernel from those that a program wrote', () => {
    const memory = memoryWith(['of the kernel', 'of a program']);
    const last = Number(BigInt.asUintN(62, -BigInt((1 << countBits) + 1)) & BigInt((1 << countBits) - 1)) + 2;
    const slot = last % (1 << countBits);
    // LOG_USER, and the level and flags behind it.
    memory.set([1, 0x60], places.infos + slot * 88 + 18);
    const log = readKernelLog(layouts, base + BigInt(places.ring), reader(memory), 20);
    assert.deepEqual(
      log?.map(({ text, isOfProgram = false }) => [text, isOfProgram]),
      [
        ['of the kernel', false],
        ['of a program', true],
      ],
    );
  });

  it('is not found where nothing was written yet, nor where layouts are not known', () => {
    assert.deepEqual([...printkRingsIn(memoryWith([]), layouts)], []);
    const unknown: Layouts = { size: () => null, offset: () => null };
    assert.deepEqual([...printkRingsIn(memoryWith(['a']), unknown)], []);
  });

  it('may hold anything', () => {
    const whole = memoryWith(['one', 'two', 'three']);
    const change = fc.tuple(fc.nat(places.text - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 40 }), (changes) => {
        const memory = whole.slice();
        for (const [at, value] of changes) memory[places.ring + (at % 96)] = value;
        for (const [at, value] of changes) memory[places.descriptors + (at % 0x3000)] = value;
        assert.doesNotThrow(() => readKernelLog(layouts, base + BigInt(places.ring), reader(memory), 20));
        assert.doesNotThrow(() => [...printkRingsIn(memory, layouts)]);
      }),
    );
  });
});
