/**
 * Finds the printk ring buffer of a kernel that has no VMCOREINFO yet, as one that dies while it brings up its CPUs: by
 * the shape of the structure in the kernel's data (Linux kernel/printk/printk_ringbuffer.h).
 */
import { wordsOf } from './words.js';
import type { Layouts } from './layouts.js';

/** The structures of the ring, as BTF names them. */
export const ringStructures = [
  'printk_ringbuffer',
  'prb_desc_ring',
  'prb_data_ring',
  'prb_desc',
  'prb_data_blk_lpos',
  'printk_info',
] as const;

/** Offsets within struct printk_ringbuffer of the fields that identify it. */
interface Shape {
  readonly countBits: number;
  readonly pointers: readonly number[];
  readonly headId: number;
  readonly tailId: number;
  readonly textBits: number;
  readonly bytes: number;
}

function shapeOf(layouts: Layouts): Shape | null {
  const ring = layouts.offset('printk_ringbuffer.desc_ring');
  const text = layouts.offset('printk_ringbuffer.text_data_ring');
  const bytes = layouts.size('printk_ringbuffer');
  if (ring === null || text === null || bytes === null) return null;
  const within = (base: number, path: string): number => base + (layouts.offset(path) ?? NaN);
  const shape = {
    countBits: within(ring, 'prb_desc_ring.count_bits'),
    pointers: [
      within(ring, 'prb_desc_ring.descs'),
      within(ring, 'prb_desc_ring.infos'),
      within(text, 'prb_data_ring.data'),
    ],
    headId: within(ring, 'prb_desc_ring.head_id'),
    tailId: within(ring, 'prb_desc_ring.tail_id'),
    textBits: within(text, 'prb_data_ring.size_bits'),
    bytes,
  };
  const offsets = [shape.countBits, ...shape.pointers, shape.headId, shape.tailId, shape.textBits];
  return offsets.every((offset) => offset >= 0 && offset % 4 === 0 && offset + 8 <= bytes) ? shape : null;
}

/** Rings have 2^5 to 2^20 descriptors, and 2^10 to 2^30 bytes of text; the upper half of their words is 0. */
function areSizes(count: number, text: number): boolean {
  return count >= 5 && count <= 20 && text >= 10 && text <= 30 && text > count;
}

/** Kernel addresses have their top 16 bits set, or fewer with 52 bits of address; these lie on a multiple of 8. */
function isKernelPointer(view: DataView, at: number): boolean {
  return view.getUint32(at + 4, true) >>> 20 === 0xfff && view.getUint32(at, true) % 8 === 0;
}

/** Ids increase within 62 bits, and a ring contains at most as many as it has descriptors. */
function hasIds(view: DataView, at: number, { countBits, headId, tailId }: Shape): boolean {
  const head = view.getBigUint64(at + headId, true);
  const tail = view.getBigUint64(at + tailId, true);
  const held = BigInt.asUintN(62, head - tail);
  return (
    head >> 62n === 0n &&
    tail >> 62n === 0n &&
    held > 0n &&
    held < 1n << BigInt(view.getUint32(at + countBits, true))
  );
}

/** The first offset from `from` on, a multiple of 8, where two words can be the sizes of a ring; null if there is none. */
function nextSizes(words: Uint32Array, from: number, { countBits, textBits, bytes }: Shape): number | null {
  const [count, text, end] = [countBits >> 2, textBits >> 2, words.length - (bytes >> 2)];
  for (let at = from >> 2; at <= end; at += 2)
    if (areSizes(words[at + count] ?? 0, words[at + text] ?? 0)) return 4 * at;
  return null;
}

/** Offsets in `memory`, the kernel's image as it is in memory now, of candidates for a ring in use. */
export function* printkRingsIn(memory: Uint8Array, layouts: Layouts): Generator<number> {
  const shape = shapeOf(layouts);
  if (shape === null) return;
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const words = wordsOf(memory);
  for (let at = nextSizes(words, 0, shape); at !== null; at = nextSizes(words, at + 8, shape)) {
    const start = at;
    if (shape.pointers.every((pointer) => isKernelPointer(view, start + pointer)) && hasIds(view, at, shape))
      yield at;
  }
}
