/**
 * Debian binary packages (deb(5)): an ar archive of a version, a control archive and a data archive, which are tar
 * archives in gzip, xz or Zstandard.
 */
import { InputError } from '../base/index.js';
import { byteText, piecesOf } from './byte_streams.js';
import type { Pieces } from './byte_streams.js';
import { compressionOf, decompress } from './compression.js';
import { parseStanzas } from './control_file.js';
import type { Stanza } from './control_file.js';
import { tarFiles } from './tar.js';
import type { ArchiveFile } from './tar.js';

const arMagic = '!<arch>\n';
const headerBytes = 60;
/** A file of a package may have this many bytes. */
const fileLimit = 1 << 29;
const controlLimit = 1 << 24;

interface ArMember {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A package, of which nothing has been unpacked yet. */
export interface DebPackage {
  /** How messages name it. */
  readonly what: string;
  readonly control: ArMember;
  readonly data: ArMember;
}

/** Whether `bytes` begin as a package does. */
export function isDeb(bytes: Uint8Array): boolean {
  return byteText(bytes.subarray(0, arMagic.length)) === arMagic;
}

/** The members of an ar archive; each begins at an even offset (deb(5), "Format"). */
function arMembers(bytes: Uint8Array, what: string): ArMember[] {
  const members: ArMember[] = [];
  for (let at = arMagic.length; at < bytes.length;) {
    const header = byteText(bytes.subarray(at, at + headerBytes));
    const size = /^\d{1,10}$/.exec(header.slice(48, 58).trim())?.[0];
    if (header.length < headerBytes || !header.endsWith('`\n') || size === undefined) {
      throw new InputError(`${what} is damaged: no archive member begins at byte ${at}`);
    }
    const start = at + headerBytes;
    const end = start + Number(size);
    if (end > bytes.length) {
      throw new InputError(`${what} is truncated: it has ${bytes.length} bytes, but should have ${end}`);
    }
    members.push({ name: header.slice(0, 16).trim().replace(/\/$/, ''), bytes: bytes.subarray(start, end) });
    at = end + (Number(size) % 2);
  }
  return members;
}

/** The package in `bytes`. Throws {@link InputError} when it is none; `what` names it there and later. */
export function openDeb(bytes: Uint8Array, what: string): DebPackage {
  if (!isDeb(bytes)) throw new InputError(`${what} is not a Debian package`);
  const [version, ...rest] = arMembers(bytes, what);
  if (version?.name !== 'debian-binary' || !byteText(version.bytes.subarray(0, 8)).startsWith('2.')) {
    throw new InputError(`${what} is not a Debian package of format 2`);
  }
  const archive = (name: string): ArMember => {
    const found = rest.find((member) => member.name === name || member.name.startsWith(`${name}.`));
    if (found === undefined) throw new InputError(`${what} is not a Debian package: it has no ${name}`);
    return found;
  };
  return { what, control: archive('control.tar'), data: archive('data.tar') };
}

/** What a member unpacks to. Its name says how it is packed, and so do its bytes; the bytes are believed. */
function unpacked({ name, bytes }: ArMember, what: string): Pieces {
  const compression = compressionOf(bytes);
  if (compression !== 'none') return decompress(bytes, compression, what);
  if (!name.endsWith('.tar')) throw new InputError(`${what} uses an unknown compression: ${name}`);
  return piecesOf(bytes);
}

/** The control file of the package: its fields. Throws {@link InputError} when there is none. */
export async function debControl({ control, what }: DebPackage): Promise<Stanza> {
  const wanted = (path: string): boolean => path === 'control';
  for await (const { bytes } of tarFiles(unpacked(control, what), wanted, controlLimit, what)) {
    const [stanza] = parseStanzas(byteText(bytes));
    if (stanza !== undefined) return stanza;
  }
  throw new InputError(`${what} has no control file`);
}

/** The package's regular files for which `wanted` says yes, as {@link tarFiles}. */
export async function* debFiles(
  { data, what }: DebPackage,
  wanted: (path: string) => boolean,
): AsyncGenerator<ArchiveFile, void, undefined> {
  yield* tarFiles(unpacked(data, what), wanted, fileLimit, what);
}

/** The first of the package's regular files for which `wanted` says yes; null when there is none. */
export async function findInDeb(
  deb: DebPackage,
  wanted: (path: string) => boolean,
): Promise<ArchiveFile | null> {
  for await (const file of debFiles(deb, wanted)) return file;
  return null;
}

/** Whether a package has its kernel at `path`: in boot/, or since 2026 beside its modules. */
export function isKernelPath(path: string): boolean {
  return /^boot\/vmlinu[xz]-[^/]+$/.test(path) || /^(usr\/)?lib\/modules\/[^/]+\/vmlinu[xz]$/.test(path);
}
