/**
 * The contents of the indices of suites, stored in the cache, so that an unchanged index of some 50 MB is not fetched and
 * unpacked again. There is one record for each suite, `indices/SUITE`; for architectures other than arm64 it is
 * `indices-ARCHITECTURE/SUITE`.
 */
import type { Architecture, PackageEntry } from '../firmware/index.js';
import type { Cache } from './cache.js';
import { hasFields, isHash, isText, listOf } from './checks.js';
import type { Check } from './checks.js';

interface KnownIndex {
  readonly version: 3;
  /** Hash of the index, from the Release file. */
  readonly sha256: string;
  readonly packages: readonly PackageEntry[];
}

const isAlternatives = listOf(hasFields({ name: isText, constraint: isText }));

const isEntry: Check = hasFields({
  name: isText,
  version: isText,
  architecture: isText,
  filename: isText,
  bytes: (value) => typeof value === 'number',
  sha256: isHash,
  depends: listOf(isAlternatives),
});

const check = hasFields({ version: (value) => value === 3, sha256: isHash, packages: listOf(isEntry) });

function isKnownIndex(value: unknown): value is KnownIndex {
  return check(value);
}

function nameOf(suite: string, architecture: Architecture): string {
  const part = architecture === 'arm64' ? 'indices' : `indices-${architecture}`;
  return `${part}/${encodeURIComponent(suite)}`;
}

/** The relevant packages in the index with this hash, if it is the one stored for `suite`; else null. */
export async function knownPackages(
  cache: Cache,
  suite: string,
  architecture: Architecture,
  sha256: string,
): Promise<readonly PackageEntry[] | null> {
  const known = await cache.record(nameOf(suite, architecture));
  return isKnownIndex(known) && known.sha256 === sha256 ? known.packages : null;
}

/** Stores them for the next time, if the cache is writable. */
export async function rememberPackages(
  cache: Cache,
  suite: string,
  architecture: Architecture,
  sha256: string,
  packages: readonly PackageEntry[],
): Promise<void> {
  const known: KnownIndex = { version: 3, sha256, packages };
  await cache.writeRecord(nameOf(suite, architecture), known).catch(() => undefined);
}
