/**
 * Debian binary packages (deb(5)): an ar archive of a version, a control archive and a data archive. The latter two are
 * tar archives, compressed by gzip, xz or Zstandard.
 */
import { InputError } from '../../base/index.js';
import { byteText, piecesOf } from '../byte_streams.js';
import type { Pieces } from '../byte_streams.js';
import { compressionOf, decompress } from '../compression.js';
import { parseStanzas } from './control_file.js';
import type { Stanza } from './control_file.js';
import { tarFiles } from './tar.js';
import type { ArchiveFile } from './tar.js';

const arMagic = '!<arch>\n';
const headerBytes = 60;
/** Maximum size of a file in a package, in bytes. */
const fileLimit = 1 << 29;
const controlLimit = 1 << 24;

interface ArMember {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** An opened package. Nothing has been decompressed yet. */
export interface DebPackage {
  /** Its name in messages. */
  readonly what: string;
  readonly control: ArMember;
  readonly data: ArMember;
}

/** Whether `bytes` start with the signature of a package. */
export function isDeb(bytes: Uint8Array): boolean {
  return byteText(bytes.subarray(0, arMagic.length)) === arMagic;
}

/** The members of an ar archive. Each starts at an even offset (deb(5), "Format"). */
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

/** Opens the package in `bytes`. Throws {@link InputError} if it is not a package; `what` names it in messages. */
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

/** The decompressed content of a member. The compression is detected from the bytes, not from the name. */
function unpacked({ name, bytes }: ArMember, what: string): Pieces {
  const compression = compressionOf(bytes);
  if (compression !== 'none') return decompress(bytes, compression, what);
  if (!name.endsWith('.tar')) throw new InputError(`${what} uses an unknown compression: ${name}`);
  return piecesOf(bytes);
}

/** The fields of the package's control file. Throws {@link InputError} if it has none. */
export async function debControl({ control, what }: DebPackage): Promise<Stanza> {
  const wanted = (path: string): boolean => path === 'control';
  for await (const { bytes } of tarFiles(unpacked(control, what), wanted, controlLimit, what)) {
    const [stanza] = parseStanzas(byteText(bytes));
    if (stanza !== undefined) return stanza;
  }
  throw new InputError(`${what} has no control file`);
}

/** The regular files in the package that satisfy `wanted`, as {@link tarFiles}. */
export async function* debFiles(
  { data, what }: DebPackage,
  wanted: (path: string) => boolean,
): AsyncGenerator<ArchiveFile, void, undefined> {
  yield* tarFiles(unpacked(data, what), wanted, fileLimit, what);
}

/** The first regular file in the package that satisfies `wanted`; null if there is none. */
export async function findInDeb(
  deb: DebPackage,
  wanted: (path: string) => boolean,
): Promise<ArchiveFile | null> {
  for await (const file of debFiles(deb, wanted)) return file;
  return null;
}

/** Whether `path` is the kernel of a package: in boot/, or since 2026 next to its modules. */
export function isKernelPath(path: string): boolean {
  return /^boot\/vmlinu[xz]-[^/]+$/.test(path) || /^(usr\/)?lib\/modules\/[^/]+\/vmlinu[xz]$/.test(path);
}
