/** The cache's record of the files that it has from a release, and a check of parsed JSON. */
import type { SuiteReport } from './archive.js';
import { hasFields, isHash, isText, listOf } from './checks.js';
import type { Check } from './checks.js';

/** A file, and the package from which it came. Hashes are 64 hexadecimal digits. */
export interface FileRecord {
  /** Path within the package. */
  readonly path: string;
  readonly sha256: string;
  readonly package: { readonly name: string; readonly version: string; readonly sha256: string };
}

export interface ReleaseRecord {
  readonly version: 1;
  /** When it was fetched, in seconds since 1970. */
  readonly fetched: number;
  readonly suites: readonly SuiteReport[];
  readonly files: {
    readonly kernel?: FileRecord;
    readonly busybox?: FileRecord;
    readonly kexec?: FileRecord;
    readonly makedumpfile?: FileRecord;
  };
  /** The texts that a user may give as the kernel's version. Older records do not have them. */
  readonly versions?: readonly string[];
}

const isTime: Check = (value) => value === null || typeof value === 'number';

const isFile = hasFields({
  path: isText,
  sha256: isHash,
  package: hasFields({ name: isText, version: isText, sha256: isHash }),
});
const isFileOrNone: Check = (value) => value === undefined || isFile(value);

const isGood = hasFields({
  state: (value) => value === 'good',
  keys: listOf(isText),
});
const isUnchecked = hasFields({ state: (value) => value === 'unchecked', reason: isText });

const isSuite = hasFields({
  suite: isText,
  date: isTime,
  validUntil: isTime,
  expired: (value) => typeof value === 'boolean',
  signature: (value) => isGood(value) || isUnchecked(value),
});

const isTextsOrNone: Check = (value) => value === undefined || listOf(isText)(value);

const check = hasFields({
  version: (value) => value === 1,
  fetched: (value) => typeof value === 'number',
  suites: listOf(isSuite),
  files: hasFields({
    kernel: isFileOrNone,
    busybox: isFileOrNone,
    kexec: isFileOrNone,
    makedumpfile: isFileOrNone,
  }),
  versions: isTextsOrNone,
});

/** Whether `value` is a record that this version wrote, or could have. */
export function isRecord(value: unknown): value is ReleaseRecord {
  return check(value);
}
