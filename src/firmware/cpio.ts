/**
 * cpio archives in the "newc" format, which Linux uses for an initramfs (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst): a header of hexadecimal digits, the name, the content,
 * each padded to four bytes.
 */
import { InputError } from '../base/index.js';
import { compressionOf } from './compression.js';
import { byteText } from './byte_streams.js';

/** The file types of a mode (Linux uapi/linux/stat.h). */
export const fileType = {
  directory: 0o040000,
  regular: 0o100000,
  symlink: 0o120000,
  character: 0o020000,
} as const;

/** A member of an archive. */
export interface CpioEntry {
  /** Has no leading slash. */
  readonly path: string;
  /** File type and permissions. */
  readonly mode: number;
  /** The content of a file, or the target of a symbolic link. */
  readonly content: Uint8Array;
  /** The major and minor number of a device; [0, 0] for everything else. */
  readonly device: readonly [major: number, minor: number];
}

const magic = '070701';
const headerBytes = 110;
const trailer = 'TRAILER!!!';

function bytesOf(text: string): Uint8Array {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  if (units.some((unit) => unit === 0 || unit > 0xff)) {
    throw new InputError(`the name ${JSON.stringify(text)} is not allowed in a cpio archive`);
  }
  return Uint8Array.from(units);
}

/** The fields of a header, in order (buffer-format.rst). */
function header(inode: number, entry: CpioEntry, nameBytes: number): string {
  const { mode, content, device } = entry;
  const links = (mode & 0o170000) === fileType.directory ? 2 : 1;
  // ino, mode, uid, gid, nlink, mtime, filesize, maj, min, rmaj, rmin, namesize, chksum
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, ...device, nameBytes, 0];
  return magic + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
}

const padded = (length: number): number => (length + 3) & ~3;

/** Writes an archive of `entries`. Throws {@link InputError} if a name has a character above U+00FF. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const end: CpioEntry = { path: trailer, mode: 0, content: new Uint8Array(), device: [0, 0] };
  const parts = [...entries, end].map((entry, i) => {
    const name = bytesOf(entry.path);
    const inode = entry === end ? 0 : i + 1;
    return { head: bytesOf(header(inode, entry, name.length + 1)), name, content: entry.content };
  });
  const contentAt = (nameBytes: number): number => padded(headerBytes + nameBytes + 1);
  const total = parts.reduce(
    (sum, { name, content }) => sum + contentAt(name.length) + padded(content.length),
    0,
  );
  const archive = new Uint8Array(total);
  let at = 0;
  for (const { head, name, content } of parts) {
    archive.set(head, at);
    archive.set(name, at + headerBytes);
    archive.set(content, at + contentAt(name.length));
    at += contentAt(name.length) + padded(content.length);
  }
  return archive;
}

/** A field of the header at `at`. */
function field(bytes: Uint8Array, at: number, index: number): number {
  const digits = byteText(bytes.subarray(at + 6 + 8 * index, at + 14 + 8 * index));
  if (!/^[0-9a-fA-F]{8}$/.test(digits)) throw new InputError(`the cpio archive has no number at byte ${at}`);
  return Number.parseInt(digits, 16);
}

/** Reads the member whose header is at `at`, and returns where the next begins. */
function readEntry(bytes: Uint8Array, at: number): { entry: CpioEntry; next: number } {
  if (byteText(bytes.subarray(at, at + 6)) !== magic) {
    throw new InputError(`not a cpio archive of the newc format: no member begins at byte ${at}`);
  }
  const [mode, size, nameBytes] = [field(bytes, at, 1), field(bytes, at, 6), field(bytes, at, 11)];
  const device = [field(bytes, at, 9), field(bytes, at, 10)] as const;
  const nameAt = at + headerBytes;
  const contentAt = at + padded(headerBytes + nameBytes);
  if (nameBytes === 0 || contentAt + size > bytes.length)
    throw new InputError('the cpio archive is truncated');
  const path = byteText(bytes.subarray(nameAt, nameAt + nameBytes - 1));
  const content = bytes.slice(contentAt, contentAt + size);
  return { entry: { path, mode, content, device }, next: contentAt + padded(size) };
}

/** The members of a "newc" archive, up to its trailer. Throws {@link InputError} if it is damaged or truncated. */
export function readCpio(bytes: Uint8Array): CpioEntry[] {
  const entries: CpioEntry[] = [];
  for (let at = 0; ;) {
    const { entry, next } = readEntry(bytes, at);
    if (entry.path === trailer) return entries;
    entries.push(entry);
    at = next;
  }
}

/** The beginnings of what Linux unpacks as an initramfs, beside the compressions of compression.ts (lib/decompress.c of Linux 6.1; init/initramfs.c). */
const initramfsMagics: readonly (readonly number[])[] = [
  [0x30, 0x37, 0x30, 0x37, 0x30, 0x31],
  [0x30, 0x37, 0x30, 0x37, 0x30, 0x32],
  [0x42, 0x5a, 0x68],
  [0x5d, 0x00, 0x00],
  [0x89, 0x4c, 0x5a, 0x4f, 0x00],
  [0x02, 0x21, 0x4c, 0x18],
];

/** Whether Linux would try to unpack `bytes` as an initramfs: a cpio archive, plain or compressed, after zeros if there are any. */
export function looksLikeInitramfs(bytes: Uint8Array): boolean {
  const start = bytes.findIndex((byte) => byte !== 0);
  if (start < 0 || compressionOf(bytes.subarray(start)) !== 'none') return true;
  return initramfsMagics.some((magic) => magic.every((byte, i) => bytes[start + i] === byte));
}
