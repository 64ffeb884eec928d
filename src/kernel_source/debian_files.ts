/**
 * Kernel and busybox of a Debian release: from the user's cache where they are there, else from a mirror, checked up to
 * the archive's Release file, and kept.
 */
import { InputError } from '../base/index.js';
import {
  findInDeb,
  isBusyboxPath,
  isKernelPackage,
  isKernelPath,
  kernelPackages,
  newestFirst,
  openDeb,
} from '../firmware/index.js';
import type { ArchiveFile } from '../firmware/index.js';
import { readAptSources } from './apt_sources.js';
import { fetchPackage, loadRelease, NotGenuineError } from './archive.js';
import type { ArchivePackage, ArchiveSettings, LoadedRelease, SuiteReport } from './archive.js';
import { Cache, sha256 } from './cache.js';
import { HttpStatusError, NetworkError } from './http.js';
import { isRecord } from './record.js';
import type { FileRecord, ReleaseRecord } from './record.js';
import { suiteChoices } from './suites.js';
import type { SuiteChoice } from './suites.js';

/** What can be had of a release. */
export type Wanted = 'kernel' | 'busybox';

/** A file of a package of a release. */
export interface DebianFile extends FileRecord {
  /** As `debian:bookworm`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Whether it was in the cache, so that nothing was fetched. */
  readonly fromCache: boolean;
  /** What was checked when it was fetched, a suite each. */
  readonly suites: readonly SuiteReport[];
}

export interface DebianSettings extends ArchiveSettings {
  /** The mirror to use instead of those that the machine names; null for those. */
  readonly mirror: string | null;
  /** apt's folder of settings. */
  readonly aptFolder: string;
  readonly cacheFolder: string;
  /** Asks the mirror even when the cache has everything. */
  readonly refresh: boolean;
}

interface Kind {
  readonly isWanted: (name: string) => boolean;
  /** The packages that it may be taken from, the best first. */
  readonly candidates: (packages: readonly ArchivePackage[]) => ArchivePackage[];
  readonly isPath: (path: string) => boolean;
  readonly called: string;
}

const kinds: Readonly<Record<Wanted, Kind>> = {
  kernel: {
    isWanted: isKernelPackage,
    candidates: (packages) => kernelPackages(packages, 'linux-image-arm64'),
    isPath: isKernelPath,
    called: 'kernel',
  },
  busybox: {
    isWanted: (name) => name === 'busybox-static',
    candidates: (packages) => newestFirst(packages.filter(({ name }) => name === 'busybox-static')),
    isPath: isBusyboxPath,
    called: 'busybox-static',
  },
};

/** Checks that `release` is a name that can be part of an address and of a file's name. */
export function checkReleaseName(release: string): void {
  if (/^[a-z][a-z0-9-]{0,40}$/.test(release)) return;
  throw new InputError(`${JSON.stringify(release)} is not the name of a Debian release, such as bookworm`);
}

/** What a cache has. */
interface Cached {
  readonly found: Partial<Record<Wanted, DebianFile>>;
  /** The paths of files that were damaged, which are as good as not there. */
  readonly damaged: readonly string[];
}

/** What the cache has of `wanted`; a file that is not there or damaged is left out. */
async function fromCache(cache: Cache, release: string, wanted: readonly Wanted[]): Promise<Cached> {
  const record = await cache.record(release);
  if (!isRecord(record)) return { found: {}, damaged: [] };
  const found: Partial<Record<Wanted, DebianFile>> = {};
  const damaged: string[] = [];
  for (const one of wanted) {
    const file = record.files[one];
    if (file === undefined) continue;
    const object = await cache.object(file.sha256);
    if (object.state === 'damaged') damaged.push(file.path);
    if (object.state !== 'there') continue;
    const { bytes } = object;
    found[one] = { ...file, name: `debian:${release}`, bytes, fromCache: true, suites: record.suites };
  }
  return { found, damaged };
}

/** The file of a package. Throws {@link InputError} when it is not in it. */
async function takeFrom(entry: ArchivePackage, kind: Kind, settings: ArchiveSettings): Promise<ArchiveFile> {
  const what = `the package ${entry.name} ${entry.version}`;
  const deb = openDeb(await fetchPackage(entry, settings.fetch), what);
  const file = await findInDeb(deb, kind.isPath);
  if (file === null) throw new InputError(`${what} has no ${kind.called} in it`);
  return file;
}

type Taken = FileRecord & { readonly bytes: Uint8Array };

/** Takes the file from the newest package that the mirror really has, in the form that its index says. */
async function take(
  kind: Kind,
  release: string,
  loaded: LoadedRelease,
  settings: ArchiveSettings,
): Promise<Taken> {
  const candidates = kind.candidates(loaded.packages);
  let last: Error = new InputError(`debian:${release} has no ${kind.called} for arm64`);
  for (const entry of candidates) {
    try {
      const { path, bytes } = await takeFrom(entry, kind, settings);
      const { name, version, sha256: packageSha256 } = entry;
      return { path, bytes, sha256: sha256(bytes), package: { name, version, sha256: packageSha256 } };
    } catch (error) {
      if (!(error instanceof HttpStatusError) && !(error instanceof InputError)) throw error;
      last = error;
      if (entry !== candidates.at(-1)) settings.warn(`${error.message}; the next older version is tried`);
    }
  }
  throw last instanceof NotGenuineError ? last : new InputError(last.message, { cause: last });
}

/** Keeps what was taken, if the cache can be written at all. */
async function keep(
  cache: Cache,
  release: string,
  record: ReleaseRecord,
  taken: readonly Taken[],
  warn: (line: string) => void,
): Promise<void> {
  try {
    for (const { bytes } of taken) await cache.keep(bytes);
    const before = await cache.record(release);
    const files = { ...(isRecord(before) ? before.files : {}), ...record.files };
    await cache.writeRecord(release, { ...record, files });
  } catch (error) {
    warn(
      `the cache ${cache.folder} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Where this machine finds the release's archive. */
export async function suiteChoicesOf(release: string, settings: DebianSettings): Promise<SuiteChoice[]> {
  const sources = settings.mirror === null ? await readAptSources(settings.aptFolder) : [];
  return suiteChoices(release, sources, settings.mirror);
}

/** The release's packages of all kinds. */
async function askMirror(release: string, settings: DebianSettings): Promise<LoadedRelease> {
  const choices = await suiteChoicesOf(release, settings);
  const isWanted = (name: string): boolean => Object.values(kinds).some((kind) => kind.isWanted(name));
  return await loadRelease(release, choices, isWanted, settings);
}

/** Fetches the files from the mirror and keeps them; those of `also` if they can be had. */
async function fromMirror(
  cache: Cache,
  release: string,
  wanted: readonly Wanted[],
  also: readonly Wanted[],
  settings: DebianSettings,
): Promise<Partial<Record<Wanted, DebianFile>>> {
  const loaded = await askMirror(release, settings);
  const { suites } = loaded;
  const files: Partial<Record<Wanted, FileRecord>> = {};
  const found: Partial<Record<Wanted, DebianFile>> = {};
  const taken: Taken[] = [];
  for (const one of new Set([...wanted, ...also])) {
    const got = await take(kinds[one], release, loaded, settings).catch((error: unknown) => {
      if (wanted.includes(one)) throw error;
      return null;
    });
    if (got === null) continue;
    const { bytes, ...file } = got;
    taken.push(got);
    files[one] = file;
    found[one] = { ...file, name: `debian:${release}`, bytes, fromCache: false, suites };
  }
  await keep(cache, release, { version: 1, fetched: settings.now, suites, files }, taken, settings.warn);
  return found;
}

/**
 * The files `wanted` of a Debian release, from the cache if all are there whole, else from a mirror. When a mirror has
 * to be asked, those of `also` are put into the cache with them, so that it need not be asked again. Throws
 * {@link InputError} with one line when the wanted ones can be had from neither.
 */
export async function debianFiles<One extends Wanted>(
  release: string,
  wanted: readonly One[],
  settings: DebianSettings,
  also: readonly Wanted[] = [],
): Promise<Record<One, DebianFile>> {
  checkReleaseName(release);
  const cache = new Cache(settings.cacheFolder);
  const { found: cached, damaged } = await fromCache(cache, release, wanted);
  const missing = wanted.filter((one) => cached[one] === undefined);
  if (missing.length === 0 && !settings.refresh) return cached as Record<One, DebianFile>;
  try {
    const asked = settings.refresh ? wanted : missing;
    const fetched = await fromMirror(cache, release, asked, also, settings);
    for (const path of damaged)
      settings.warn(`the cached ${path} of debian:${release} was damaged and is not used`);
    return { ...cached, ...fetched } as Record<One, DebianFile>;
  } catch (error) {
    if (error instanceof NetworkError && missing.length === 0) {
      settings.warn(`${error.message}; the cached files are used`);
      return cached as Record<One, DebianFile>;
    }
    throw asInputError(error, release, settings, damaged.length > 0);
  }
}

/** Any failure to fetch as one line for the user. */
export function asInputError(
  error: unknown,
  release: string,
  { cacheFolder }: DebianSettings,
  wasDamaged = false,
): unknown {
  if (error instanceof NetworkError) {
    const state = wasDamaged ? 'is damaged in' : 'is not in';
    return new InputError(
      `debian:${release} ${state} the cache (${cacheFolder}), and ${error.message}; connect, or give a kernel with --kernel FILE`,
      { cause: error },
    );
  }
  return error instanceof HttpStatusError ? new InputError(error.message, { cause: error }) : error;
}
