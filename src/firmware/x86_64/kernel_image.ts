/**
 * Kernels for a PVH guest: a vmlinux (ELF) with the note that names its PVH entry, and the vmlinux inside a bzImage (Linux
 * Documentation/arch/x86/boot.rst), as libxl unpacks it.
 */
import { viewOf, zeroPage } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { isElfFor } from '../architecture.js';
import { collect, textAt } from '../byte_streams.js';
import { compressionOf, decompress } from '../compression.js';
import type { Compression } from '../compression.js';
import { imageLimit, linuxVersionIn } from '../image_bytes.js';
import type { KernelImage } from '../kernel_image.js';
import { refuseFile } from '../mistaken_files.js';
import { codeOffset } from './bzimage.js';
import { elf, programHeader, PT_LOAD, PT_NOTE } from './elf.js';

/** Where a kernel lies in memory, and where it is entered; guest physical addresses. */
export interface X86Placement {
  readonly architecture: 'amd64';
  /** The first byte of the image. */
  readonly loadAt: number;
  /** The entry in 32-bit protected mode without paging (XEN_ELFNOTE_PHYS32_ENTRY). */
  readonly entry: number;
  /** The entry in 64-bit mode, where a kernel's own decompressor enters it (the ELF header's e_entry); absent if it has none. */
  readonly entry64?: number;
}

/** A kernel whose `bytes` are the contents of memory from `placement.loadAt` on. */
export type X86KernelImage = KernelImage & { readonly placement: X86Placement };

type Container = Pick<KernelImage, 'container' | 'compression'>;

/** A note with the name "Xen" and this type has the entry (Xen public/elfnote.h). */
const phys32Entry = { name: 'Xen\0', type: 18 } as const;

/** The end of that part of a bzImage's setup header which is read here. */
const setupEnd = zeroPage.payloadBytes + 4;
/** Protocol 2.08 is the first with a payload that can be found. */
const payloadVersion = 0x208;

/** Methods of the kernel's build for which there is no library here, and how their data begin. */
const otherMethods = [
  ['lzma', '\x5d\0\0'],
  ['bzip2', 'BZh'],
  ['lzop', '\x89LZO'],
] as const;

/** Whether `bytes` start like a bzImage. */
export function isBzImage(bytes: Uint8Array): boolean {
  return textAt(bytes, zeroPage.magic, 4) === 'HdrS';
}

/** Whether `bytes` start like a vmlinux for this architecture. */
export function isVmlinux(bytes: Uint8Array): boolean {
  return isElfFor(bytes, 'amd64');
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly physical: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
}

/** A number of 64 bits that is an address or a size below 4 GiB, as those of a kernel that is entered in 32-bit mode. */
function number32(view: DataView, at: number, what: string): number {
  const value = view.getBigUint64(at, true);
  if (value > 0xffff_ffffn) throw new InputError(`${what} is damaged: it asks for address or size ${value}`);
  return Number(value);
}

function segmentsOf(bytes: Uint8Array, what: string): Segment[] {
  if (bytes.length < elf.headerBytes) {
    throw new InputError(
      `${what} is truncated: it has ${bytes.length} bytes, and its header has ${elf.headerBytes}`,
    );
  }
  const view = viewOf(bytes);
  const table = number32(view, elf.programHeaders, what);
  const [each, count] = [view.getUint16(elf.entryBytes, true), view.getUint16(elf.entries, true)];
  if (each < programHeader.bytes || table + each * count > bytes.length) {
    throw new InputError(`${what} is damaged: its program headers are not in the file`);
  }
  return Array.from({ length: count }, (_, i) => table + each * i)
    .filter((at) => [PT_LOAD, PT_NOTE].includes(view.getUint32(at, true)))
    .map((at) => segmentAt(view, at, what));
}

function segmentAt(view: DataView, at: number, what: string): Segment {
  const segment = {
    type: view.getUint32(at, true),
    offset: number32(view, at + programHeader.offset, what),
    physical: number32(view, at + programHeader.physical, what),
    fileBytes: number32(view, at + programHeader.fileBytes, what),
    memoryBytes: number32(view, at + programHeader.memoryBytes, what),
  };
  const end = segment.offset + segment.fileBytes;
  if (end > view.byteLength) {
    throw new InputError(`${what} is truncated: it has ${view.byteLength} bytes, but needs at least ${end}`);
  }
  if (segment.fileBytes > segment.memoryBytes && segment.type === PT_LOAD) {
    throw new InputError(`${what} is damaged: a segment has more bytes in the file than in memory`);
  }
  return segment;
}

/** The PVH entry in a segment of notes; null if it has none. Notes are aligned to 4 bytes. */
function entryIn(bytes: Uint8Array, { offset, fileBytes }: Segment): number | null {
  const view = viewOf(bytes);
  const end = offset + fileBytes;
  const padded = (size: number): number => Math.ceil(size / 4) * 4;
  for (let at = offset; at + 12 <= end;) {
    const [nameBytes, valueBytes, type] = [0, 4, 8].map((field) => view.getUint32(at + field, true)) as [
      number,
      number,
      number,
    ];
    const value = at + 12 + padded(nameBytes);
    const next = value + padded(valueBytes);
    if (next > end) return null;
    const isEntry = type === phys32Entry.type && textAt(bytes, at + 12, nameBytes) === phys32Entry.name;
    if (isEntry && valueBytes >= 4) return view.getUint32(value, true);
    at = next;
  }
  return null;
}

function readVmlinux(bytes: Uint8Array, what: string, container: Container): X86KernelImage {
  const segments = segmentsOf(bytes, what);
  const notes = segments.filter(({ type }) => type === PT_NOTE);
  const entry = notes.map((notesAt) => entryIn(bytes, notesAt)).find((found) => found !== null) ?? null;
  if (entry === null) {
    throw new InputError(
      `${what} has no PVH entry (XEN_ELFNOTE_PHYS32_ENTRY); a kernel with CONFIG_PVH=y is needed`,
    );
  }
  const loaded = segments.filter(({ type, memoryBytes }) => type === PT_LOAD && memoryBytes > 0);
  const loadAt = Math.min(...loaded.map(({ physical }) => physical));
  const end = Math.max(...loaded.map(({ physical, memoryBytes }) => physical + memoryBytes));
  const fileEnd = Math.max(...loaded.map(({ physical, fileBytes }) => physical + fileBytes));
  if (loaded.length === 0 || end - loadAt > imageLimit) {
    throw new InputError(
      `${what} is damaged: it asks for ${loaded.length === 0 ? 'no' : end - loadAt} bytes of memory`,
    );
  }
  if (entry < loadAt || entry >= fileEnd) {
    throw new InputError(`${what} is damaged: its entry 0x${entry.toString(16)} is outside of its image`);
  }
  // A kernel without another entry than PVH's names that one.
  const entry64 = number32(viewOf(bytes), elf.entry, what);
  const isEntry64 = entry64 !== entry && entry64 >= loadAt && entry64 < fileEnd;
  const image = new Uint8Array(fileEnd - loadAt);
  for (const { physical, offset, fileBytes } of loaded) {
    image.set(bytes.subarray(offset, offset + fileBytes), physical - loadAt);
  }
  return {
    bytes: image,
    ...container,
    memoryBytes: end - loadAt,
    version: linuxVersionIn(image),
    placement: { architecture: 'amd64', loadAt, entry, ...(isEntry64 ? { entry64 } : {}) },
  };
}

/** The packed kernel in a bzImage, and its unpacked size in bytes; null if that is not known. */
interface Payload {
  readonly bytes: Uint8Array;
  readonly compression: Compression;
  readonly size: number | null;
}

/** For all methods but gzip, the size is behind the packed kernel, in 4 bytes. */
function payloadOf(bytes: Uint8Array, what: string): Payload {
  if (bytes.length < setupEnd) {
    throw new InputError(
      `${what} is truncated: it has ${bytes.length} bytes, and its header has ${setupEnd}`,
    );
  }
  const view = viewOf(bytes);
  if (view.getUint16(zeroPage.version, true) < payloadVersion) {
    throw new InputError(`${what} is a kernel older than Linux 2.6.26, which no PVH guest can boot`);
  }
  const start = codeOffset(view) + view.getUint32(zeroPage.payloadOffset, true);
  const end = start + view.getUint32(zeroPage.payloadBytes, true);
  if (end > bytes.length) {
    throw new InputError(`${what} is truncated: it has ${bytes.length} bytes, but needs at least ${end}`);
  }
  const payload = bytes.subarray(start, end);
  const compression = compressionOf(payload);
  if (compression === 'none') {
    const [method = 'a method'] =
      otherMethods.find(([, magic]) => textAt(payload, 0, magic.length) === magic) ?? [];
    throw new InputError(
      `${what} is packed by ${method}, which cannot be unpacked here; give its vmlinux instead`,
    );
  }
  if (compression === 'gzip') return { bytes: payload, compression, size: null };
  const size = viewOf(payload).getUint32(payload.length - 4, true);
  if (size > imageLimit) throw new InputError(`${what} unpacks to more than ${imageLimit >> 20} MiB`);
  return { bytes: payload.subarray(0, -4), compression, size };
}

/**
 * Reads the kernel in `bytes`, a vmlinux or a bzImage that is packed by gzip, xz, lz4 or Zstandard. Throws {@link InputError} with
 * one line that says what is wrong with it; `what` names it.
 */
export async function readX86Image(
  bytes: Uint8Array,
  what: string,
  container: Container,
): Promise<X86KernelImage> {
  if (isVmlinux(bytes)) return readVmlinux(bytes, what, container);
  if (!isBzImage(bytes)) refuseFile(bytes, what);
  const { bytes: payload, compression, size } = payloadOf(bytes, what);
  const vmlinux = await collect(decompress(payload, compression, what, size), imageLimit, what);
  if (!isVmlinux(vmlinux)) throw new InputError(`${what} is damaged: there is no kernel in it`);
  return readVmlinux(vmlinux, what, { container: 'bzimage', compression });
}
