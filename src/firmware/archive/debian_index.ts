/**
 * The indexes of a Debian archive: the Release file of a suite, which has the hash of every index, and Packages files,
 * which have the hash of every package.
 */
import { InputError } from '../../base/index.js';
import { parseStanzas } from './control_file.js';
import type { Stanza } from './control_file.js';
import { compareVersions } from './debian_version.js';

/** An index listed in the Release file. */
export interface IndexFile {
  readonly path: string;
  readonly bytes: number;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
}

export interface Release {
  readonly origin: string;
  readonly suite: string;
  readonly codename: string;
  /** Seconds since 1970; null if the field is missing or not a date. */
  readonly date: number | null;
  /** Seconds since 1970; null if the suite does not expire. */
  readonly validUntil: number | null;
  readonly acquireByHash: boolean;
  readonly files: readonly IndexFile[];
}

const signedBegin = '-----BEGIN PGP SIGNED MESSAGE-----';
const signatureBegin = '-----BEGIN PGP SIGNATURE-----';
const signatureEnd = '-----END PGP SIGNATURE-----';

/**
 * The text of a clear-signed message (RFC 9580, 7), without anything outside the signed part. Text without a signature
 * is returned unchanged. Throws {@link InputError} if there is more than one message with its signature.
 */
export function signedText(text: string, what: string): string {
  const lines = text.split(/\r?\n/);
  if (!lines.some((line) => line.trimEnd() === signedBegin)) return text;
  const end = lines.findIndex((line) => line.trimEnd() === signatureBegin);
  const blank = lines.indexOf('');
  const after = lines.slice(lines.findIndex((line) => line.trimEnd() === signatureEnd) + 1);
  const wellFormed =
    lines[0]?.trimEnd() === signedBegin &&
    lines.filter((line) => line.startsWith('-----')).length === 3 &&
    blank > 0 &&
    end > blank &&
    after.every((line) => line.trim() === '');
  if (!wellFormed) throw new InputError(`${what} is not a single signed message`);
  // Lines that start with a dash are escaped by a dash and a blank (7.1).
  return lines
    .slice(blank + 1, end)
    .map((line) => line.replace(/^- /, ''))
    .join('\n');
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** Number of days from 1970-01-01 to a date of the Gregorian calendar. `month` counts from 0. */
function daysFromEpoch(year: number, month: number, day: number): number {
  // If years start in March, the leap day is the last day.
  const y = month < 2 ? year - 1 : year;
  const m = (month + 10) % 12;
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return 365 * y + leapDays + Math.floor((153 * m + 2) / 5) + day - 1 - 719_468;
}

/**
 * Parses a date of a Release file, such as `Sat, 21 Nov 2026 00:53:02 UTC`, to seconds since 1970; null if it is
 * invalid.
 */
export function parseReleaseDate(text: string): number | null {
  const match =
    /^(?:[A-Za-z]{3}, )?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) (?:UTC|GMT|[+-]0000)$/.exec(
      text.trim(),
    );
  if (match === null) return null;
  const [, day = '', name = '', year = '', hour = '', minute = '', second = ''] = match;
  const month = months.indexOf(name.toLowerCase());
  if (month < 0) return null;
  const days = daysFromEpoch(Number(year), month, Number(day));
  return ((days * 24 + Number(hour)) * 60 + Number(minute)) * 60 + Number(second);
}

/** Parses a hash list: one line per file with hash, size and path. Other lines are skipped. */
function indexFiles(list: string): IndexFile[] {
  return list.split('\n').flatMap((line) => {
    const match = /^([0-9a-f]{64})\s+(\d{1,15})\s+(\S+)$/.exec(line.trim());
    return match === null ? [] : [{ sha256: match[1] ?? '', bytes: Number(match[2]), path: match[3] ?? '' }];
  });
}

/** Parses a Release file without its signature. Throws {@link InputError} if it has no SHA256 list. */
export function parseRelease(text: string, what: string): Release {
  const [stanza] = parseStanzas(text);
  const list = stanza?.get('sha256');
  if (stanza === undefined || list === undefined) {
    throw new InputError(`${what} is not a Release file: it lists no SHA256 of any index`);
  }
  const date = (field: string): number | null => parseReleaseDate(stanza.get(field) ?? '');
  return {
    origin: stanza.get('origin') ?? '',
    suite: stanza.get('suite') ?? '',
    codename: stanza.get('codename') ?? '',
    date: date('date'),
    validUntil: date('valid-until'),
    acquireByHash: stanza.get('acquire-by-hash') === 'yes',
    files: indexFiles(list),
  };
}

/** A dependency: alternative packages of which one is needed, the preferred one first. */
export type Alternatives = readonly {
  readonly name: string;
  /** Such as `= 6.1.192-2`; empty for any version. */
  readonly constraint: string;
}[];

/** A package listed in a Packages file. */
export interface PackageEntry {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Path from the root of the archive. */
  readonly filename: string;
  readonly bytes: number;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
  readonly depends: readonly Alternatives[];
}

/** Parses a Depends field (Debian Policy 7.1). */
export function parseDepends(text: string): Alternatives[] {
  const alternatives = text.split(',').map((part) =>
    part.split('|').flatMap((one) => {
      const match = /^\s*([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*([^)]*?)\s*\))?/.exec(one);
      return match === null ? [] : [{ name: match[1] ?? '', constraint: match[2] ?? '' }];
    }),
  );
  return alternatives.filter((each) => each.length > 0);
}

/** Whether a path stays within its archive. */
function isPlainPath(path: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9+.:~_/-]*$/.test(path) && !path.split('/').includes('..');
}

/** The package of a stanza; undefined if a field is missing that is needed to fetch it. */
function packageOf(stanza: Stanza): PackageEntry | undefined {
  const field = (name: string): string => stanza.get(name) ?? '';
  const bytes = /^\d{1,15}$/.test(field('size')) ? Number(field('size')) : -1;
  const sha256 = field('sha256').toLowerCase();
  const usable = bytes > 0 && /^[0-9a-f]{64}$/.test(sha256) && isPlainPath(field('filename'));
  if (!usable || field('package') === '' || field('version') === '') return undefined;
  return {
    name: field('package'),
    version: field('version'),
    architecture: field('architecture'),
    filename: field('filename'),
    bytes,
    sha256,
    depends: [...parseDepends(field('pre-depends')), ...parseDepends(field('depends'))],
  };
}

/** The packages of a Packages file whose names satisfy `wanted`. No text is refused. */
export function packagesIn(text: string, wanted: (name: string) => boolean): PackageEntry[] {
  const found: PackageEntry[] = [];
  for (let at = 0; at < text.length;) {
    const blank = text.indexOf('\n\n', at);
    const end = blank < 0 ? text.length : blank;
    const part = text.slice(at, end);
    at = end + 2;
    // Most stanzas are for other packages. Looking at the name first is cheaper than parsing them.
    const name = /^Package:[ \t]*(\S+)/im.exec(part)?.[1];
    if (name === undefined || !wanted(name)) continue;
    for (const stanza of parseStanzas(part)) {
      const entry = packageOf(stanza);
      if (entry?.name === name) found.push(entry);
    }
  }
  return found;
}

/** Whether `version` satisfies a constraint such as `>= 6.1` (Debian Policy 7.1). */
export function satisfies(version: string, constraint: string): boolean {
  const [, relation = '', wanted = ''] = /^(<<|<=|=|>=|>>)?\s*(.*)$/.exec(constraint) ?? [];
  if (wanted === '') return true;
  const order = compareVersions(version, wanted);
  const holds: Readonly<Record<string, boolean>> = {
    '<<': order < 0,
    '<=': order <= 0,
    '=': order === 0,
    '>=': order >= 0,
    '>>': order > 0,
  };
  return holds[relation === '' ? '=' : relation] ?? false;
}

/** Packages by version, newest first. Equal versions keep their order. */
export function newestFirst<Entry extends PackageEntry>(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => compareVersions(b.version, a.version));
}
