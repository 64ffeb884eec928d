/** What the cache remembers of a release, and whether a parsed JSON text is such a record. */
import type { SuiteReport } from './archive.js';

/** A file, and the package that it came from. Hashes are 64 hexadecimal digits. */
export interface FileRecord {
  /** Within the package. */
  readonly path: string;
  readonly sha256: string;
  readonly package: { readonly name: string; readonly version: string; readonly sha256: string };
}

export interface ReleaseRecord {
  readonly version: 1;
  /** When it was fetched, in seconds since 1970. */
  readonly fetched: number;
  readonly suites: readonly SuiteReport[];
  readonly files: { readonly kernel?: FileRecord; readonly busybox?: FileRecord };
}

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isTime: Check = (value) => value === null || typeof value === 'number';
const isHash: Check = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

/** Whether `value` is an object whose fields pass; fields that are not spoken of may be anything. */
function hasFields(fields: Readonly<Record<string, Check>>): Check {
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(fields).every(([name, check]) => check((value as Record<string, unknown>)[name]));
}

const isFile = hasFields({
  path: isText,
  sha256: isHash,
  package: hasFields({ name: isText, version: isText, sha256: isHash }),
});
const isFileOrNone: Check = (value) => value === undefined || isFile(value);

const isGood = hasFields({
  state: (value) => value === 'good',
  keys: (value) => Array.isArray(value) && value.every(isText),
});
const isUnchecked = hasFields({ state: (value) => value === 'unchecked', reason: isText });

const isSuite = hasFields({
  suite: isText,
  date: isTime,
  validUntil: isTime,
  expired: (value) => typeof value === 'boolean',
  signature: (value) => isGood(value) || isUnchecked(value),
});

const check = hasFields({
  version: (value) => value === 1,
  fetched: (value) => typeof value === 'number',
  suites: (value) => Array.isArray(value) && value.every(isSuite),
  files: hasFields({ kernel: isFileOrNone, busybox: isFileOrNone }),
});

/** Whether `value` is a record that this version wrote, or could have. */
export function isRecord(value: unknown): value is ReleaseRecord {
  return check(value);
}
