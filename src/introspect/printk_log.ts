/**
 * The kernel's log, read from its printk ring buffer in memory: descriptors with the position of each record's text, and
 * a ring of text (Linux kernel/printk/printk_ringbuffer.h, 5.10 on). Layouts come from VMCOREINFO or BTF.
 */
import type { Layouts, ReadKernel } from './layouts.js';

/** A record of the log. */
export interface LogRecord {
  /** Time of the record, ns since boot by the kernel's clock. */
  readonly timeNs: bigint;
  readonly text: string;
  /** Present if a program wrote the record, by /dev/kmsg: its facility is not LOG_KERN. */
  readonly isOfProgram?: true;
}

/** A few of the newest records may still be being written; if more than this in a row cannot be read, the data are not a log. */
const mostUnreadable = 256;
/** Maximum length of a record; memory may contain anything. */
const longestText = 1 << 16;

class Structures {
  readonly #layouts: Layouts;
  readonly #read: ReadKernel;

  constructor(layouts: Layouts, read: ReadKernel) {
    this.#layouts = layouts;
    this.#read = read;
  }

  /** The address of a member of the structure at `base`; null if its layout is not known. */
  member(base: bigint, path: string): bigint | null {
    const offset = this.#layouts.offset(path);
    return offset === null ? null : base + BigInt(offset);
  }

  size(name: string): number | null {
    return this.#layouts.size(name);
  }

  number(address: bigint | null, bytes: 2 | 4 | 8): bigint | null {
    const found = address === null ? null : this.#read(address, bytes);
    if (found?.length !== bytes) return null;
    let value = 0n;
    for (let at = bytes - 1; at >= 0; at -= 1) value = (value << 8n) | BigInt(found[at] ?? 0);
    return value;
  }

  text(address: bigint, size: number): string | null {
    const found = this.#read(address, size);
    return found === null ? null : Array.from(found, (byte) => String.fromCharCode(byte)).join('');
  }
}

/** The rings: the number of descriptors and of bytes of text, and their addresses. */
interface Rings {
  readonly countBits: bigint;
  readonly descriptors: bigint;
  readonly infos: bigint;
  readonly headId: bigint;
  readonly tailId: bigint;
  readonly textBits: bigint;
  readonly text: bigint;
}

function readRings(s: Structures, prb: bigint): Rings | null {
  const ring = s.member(prb, 'printk_ringbuffer.desc_ring');
  const textRing = s.member(prb, 'printk_ringbuffer.text_data_ring');
  if (ring === null || textRing === null) return null;
  const counter = (name: string): bigint | null => s.number(s.member(ring, name), 8);
  const values = {
    countBits: s.number(s.member(ring, 'prb_desc_ring.count_bits'), 4),
    descriptors: counter('prb_desc_ring.descs'),
    infos: counter('prb_desc_ring.infos'),
    headId: counter('prb_desc_ring.head_id'),
    tailId: counter('prb_desc_ring.tail_id'),
    textBits: s.number(s.member(textRing, 'prb_data_ring.size_bits'), 4),
    text: s.number(s.member(textRing, 'prb_data_ring.data'), 8),
  };
  const { countBits, descriptors, infos, headId, tailId, textBits, text } = values;
  if (countBits === null || descriptors === null || infos === null || headId === null) return null;
  if (tailId === null || textBits === null || text === null) return null;
  if (countBits > 20n || textBits > 30n) return null;
  return { countBits, descriptors, infos, headId, tailId, textBits, text };
}

/** A descriptor's state is in the top two bits of state_var, its id below (enum desc_state): 1 committed, 2 final. */
const idMask = (1n << 62n) - 1n;

function readRecord(s: Structures, rings: Rings, id: bigint): LogRecord | null {
  const index = id & ((1n << rings.countBits) - 1n);
  const descriptor = rings.descriptors + index * BigInt(s.size('prb_desc') ?? 0);
  const state = s.number(s.member(descriptor, 'prb_desc.state_var'), 8);
  if (state === null || (state & idMask) !== id || ![1n, 2n].includes(state >> 62n)) return null;
  const block = s.member(descriptor, 'prb_desc.text_blk_lpos');
  const begin = block === null ? null : s.number(s.member(block, 'prb_data_blk_lpos.begin'), 8);
  const next = block === null ? null : s.number(s.member(block, 'prb_data_blk_lpos.next'), 8);
  const info = rings.infos + index * BigInt(s.size('printk_info') ?? 0);
  const timeNs = s.number(s.member(info, 'printk_info.ts_nsec'), 8);
  const length = s.number(s.member(info, 'printk_info.text_len'), 2);
  if (begin === null || next === null || timeNs === null || length === null) return null;
  const text = readText(s, rings, begin, next, Number(length));
  return isKernels(s, info) ? { timeNs, text } : { timeNs, text, isOfProgram: true };
}

/** The facility is the byte behind text_len (Linux 5.10 to 6.12 kernel/printk/printk_ringbuffer.h, struct printk_info). */
function isKernels(s: Structures, info: bigint): boolean {
  const length = s.member(info, 'printk_info.text_len');
  const facilityAndFlags = s.number(length === null ? null : length + 2n, 2);
  return facilityAndFlags === null || (facilityAndFlags & 0xffn) === 0n;
}

/** A record's text: it follows the 8 bytes of its id; a text that would cross the ring's end is at the ring's start. */
function readText(
  s: Structures,
  { text, textBits }: Rings,
  begin: bigint,
  next: bigint,
  length: number,
): string {
  const size = 1n << textBits;
  // Odd positions mean that there is no data.
  if (((begin | next) & 1n) !== 0n) return '';
  const wraps = begin / size !== (next - 1n) / size;
  const at = (wraps ? 0n : begin % size) + 8n;
  return s.text(text + at, Math.min(length, longestText)) ?? '';
}

/**
 * The last `most` records of the log whose struct printk_ringbuffer is at `ring`, oldest first; null if there is no log
 * there.
 */
export function readKernelLog(
  layouts: Layouts,
  ring: bigint,
  read: ReadKernel,
  most: number,
): LogRecord[] | null {
  const s = new Structures(layouts, read);
  const rings = readRings(s, ring);
  if (rings === null) return null;
  const records: LogRecord[] = [];
  let id = rings.headId;
  for (let unreadable = 0; unreadable < mostUnreadable && records.length < most;) {
    const record = readRecord(s, rings, id);
    unreadable = record === null ? unreadable + 1 : 0;
    if (record !== null) records.unshift(record);
    if (id === rings.tailId) break;
    id = (id - 1n) & idMask;
  }
  return records;
}
