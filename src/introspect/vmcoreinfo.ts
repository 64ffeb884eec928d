/**
 * VMCOREINFO, the kernel's note for tools that read its memory after a crash: lines of text with addresses and layouts
 * (Linux Documentation/admin-guide/kdump/vmcoreinfo.rst). It stands in a page of its own once the kernel has made it
 * (subsys_initcall), found by its first line.
 */
import type { Layouts } from './layouts.js';

/** The values in the note, by the word before `=`: `SYMBOL(prb)`, `OFFSET(printk_ringbuffer.fail)`, `OSRELEASE`. */
export type VmcoreInfo = ReadonlyMap<string, string>;

const firstWord = Array.from('OSRELEASE=', (letter) => letter.charCodeAt(0));
/** Its first four letters, as 32 bits. */
const start = firstWord.slice(0, 4).reduceRight((number, letter) => number * 256 + letter, 0);
/** The note is at most a page. */
const noteBytes = 4096;

/** A memory in which a note is searched. */
export interface NoteMemory {
  readonly bytes: number;
  /** The first 32 bits of the page at an offset, little-endian; 0 for one that was never written, which a host need not allocate. */
  readonly startAt: (offset: number) => number;
  readonly pageAt: (offset: number) => Uint8Array;
}

/** The note in a memory, which is searched page by page; null if it is not there (yet). Of several, the first that `isWanted`. */
export function findVmcoreInfo(
  { bytes, startAt, pageAt }: NoteMemory,
  isWanted: (info: VmcoreInfo) => boolean = () => true,
): VmcoreInfo | null {
  for (let offset = 0; offset + noteBytes <= bytes; offset += noteBytes) {
    if (startAt(offset) !== start) continue;
    const page = pageAt(offset);
    if (!firstWord.every((byte, index) => page[index] === byte)) continue;
    const info = parse(page);
    if (info.has('PAGESIZE') && isWanted(info)) return info;
  }
  return null;
}

function parse(note: Uint8Array): VmcoreInfo {
  const end = note.indexOf(0);
  const text = Array.from(end < 0 ? note : note.subarray(0, end), (byte) => String.fromCharCode(byte)).join(
    '',
  );
  const pairs = text.split('\n').flatMap((line): [string, string][] => {
    const at = line.indexOf('=');
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
  });
  return new Map(pairs);
}

/** A symbol's address; null if the note does not contain it. */
export function symbolIn(info: VmcoreInfo, name: string): bigint | null {
  const text = info.get(`SYMBOL(${name})`);
  return text !== undefined && /^[0-9a-f]{1,16}$/.test(text) ? BigInt(`0x${text}`) : null;
}

function layoutIn(info: VmcoreInfo, kind: 'SIZE' | 'OFFSET', name: string): number | null {
  const text = info.get(`${kind}(${name})`);
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** The layouts in the note. */
export function layoutsIn(info: VmcoreInfo): Layouts {
  return {
    size: (name) => layoutIn(info, 'SIZE', name),
    offset: (path) => layoutIn(info, 'OFFSET', path),
  };
}
