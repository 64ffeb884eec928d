/**
 * Kernels of a Debian release, and its busybox: from the user's cache if they are there, else from a mirror, checked up to
 * the archive's Release file and stored in the cache.
 */
import { InputError } from '../base/index.js';
import { findInDeb, isBusyboxPath, isKernelPath, newestFirst, openDeb } from '../firmware/index.js';
import type { ArchiveFile } from '../firmware/index.js';
import { readAptSources } from './apt_sources.js';
import { busyboxPackage, fetchPackage, loadRelease, NotGenuineError } from './archive.js';
import type { ArchivePackage, ArchiveSettings, LoadedRelease, SuiteReport } from './archive.js';
import { Cache, cacheReason, sha256 } from './cache.js';
import { CachedFiles } from './cached_files.js';
import type { Wanted } from './cached_files.js';
import { HttpStatusError, NetworkError } from './http.js';
import { offeredKernels } from './kernel_choice.js';
import { debianSpecText } from './kernel_spec.js';
import type { DebianSpec } from './kernel_spec.js';
import { dumpProgram, kexecProgram, programArchive } from './linked_programs.js';
import type { LinkedProgram } from './linked_programs.js';
import { dumpPackage, kexecPackage } from './program_packages.js';
import type { FileRecord, ReleaseRecord } from './record.js';
import { suiteChoices } from './suites.js';
import type { SuiteChoice } from './suites.js';

/** A file of a package of a release. */
export interface DebianFile extends FileRecord {
  /** Such as `debian:bookworm/cloud`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Whether it was in the cache, so that nothing was fetched. */
  readonly fromCache: boolean;
  /** What was checked when it was fetched, for each suite. */
  readonly suites: readonly SuiteReport[];
}

export interface DebianSettings extends ArchiveSettings {
  /** The mirror to use instead of those in the machine's apt sources; null to use these. */
  readonly mirror: string | null;
  /** apt's configuration folder. */
  readonly aptFolder: string;
  /** Null for no cache. */
  readonly cacheFolder: string | null;
  /** Why the cache is not in the expected place, or why there is none; null if all is normal. */
  readonly cacheNote: string | null;
  /** Asks the mirror even when the cache has everything. */
  readonly refresh: boolean;
}

/** A package from which a file may be taken. */
interface Candidate {
  readonly entry: ArchivePackage;
  /** The texts that a user may give as its version. */
  readonly versions?: readonly string[];
}

interface Kind {
  /** The packages from which it may be taken, the best first. Throws {@link InputError} if there are none. */
  readonly candidates: (
    loaded: LoadedRelease,
    spec: DebianSpec,
    settings: ArchiveSettings,
  ) => readonly Candidate[];
  readonly take: (
    entry: ArchivePackage,
    loaded: LoadedRelease,
    settings: ArchiveSettings,
  ) => Promise<ArchiveFile>;
}

/** How a single file is taken from its package. */
function taking(isPath: (path: string) => boolean, called: string): Kind['take'] {
  return async (entry, _loaded, settings) => {
    const what = `the package ${entry.name} ${entry.version}`;
    const deb = openDeb(await fetchPackage(entry, settings.fetch), what);
    const file = await findInDeb(deb, isPath);
    if (file === null) throw new InputError(`${what} contains no ${called}`);
    return file;
  };
}

/** How a cpio archive of a program and its libraries is made. */
function takingWithLibraries(program: LinkedProgram): Kind['take'] {
  return async (entry, { packages }, settings) => ({
    path: `${entry.name}.cpio`,
    bytes: await programArchive(program, entry, packages, settings),
  });
}

/** The packages of that name, the newest first. */
function packagesCalled(name: string): Kind['candidates'] {
  return ({ packages }, { release }, { architecture }) => {
    const found = newestFirst(packages.filter((entry) => entry.name === name));
    if (found.length > 0) return found.map((entry) => ({ entry }));
    throw new InputError(`debian:${release} has no ${name} for ${architecture}`);
  };
}

const kinds: Readonly<Record<Wanted, Kind>> = {
  kernel: {
    candidates: ({ packages }, spec, { architecture }) => offeredKernels(packages, spec, architecture),
    take: taking(isKernelPath, 'kernel'),
  },
  busybox: {
    candidates: packagesCalled(busyboxPackage),
    take: taking(isBusyboxPath, busyboxPackage),
  },
  kexec: { candidates: packagesCalled(kexecPackage), take: takingWithLibraries(kexecProgram) },
  makedumpfile: { candidates: packagesCalled(dumpPackage), take: takingWithLibraries(dumpProgram) },
};

/** The files found in the cache. */
interface Cached {
  readonly found: Partial<Record<Wanted, DebianFile>>;
  /** The paths of damaged files, which count as missing. */
  readonly damaged: readonly string[];
}

/** The files of `wanted` that the cache has; missing and damaged files are left out. */
async function fromCache(
  cache: Cache,
  spec: DebianSpec,
  wanted: readonly Wanted[],
  { architecture }: ArchiveSettings,
): Promise<Cached> {
  const found: Partial<Record<Wanted, DebianFile>> = {};
  const damaged: string[] = [];
  const records = new CachedFiles(cache, architecture);
  for (const one of wanted) {
    const cached = await records.find(spec, one);
    if (cached === null) continue;
    const { file, record } = cached;
    const object = await cache.object(file.sha256);
    if (object.state === 'damaged') damaged.push(file.path);
    if (object.state !== 'there') continue;
    const { bytes } = object;
    found[one] = { ...file, name: debianSpecText(spec), bytes, fromCache: true, suites: record.suites };
  }
  return { found, damaged };
}

interface Taken extends Pick<Candidate, 'versions'> {
  readonly file: FileRecord;
  readonly bytes: Uint8Array;
}

function insteadOf({ entry }: Candidate, next: Candidate): string {
  const { name, version } = next.entry;
  const isSame = name === entry.name && version === entry.version;
  return isSame ? 'trying another copy of it' : `trying ${name} ${version} instead`;
}

/** Takes the file from the first package that the mirror has and that matches its index. */
async function take(
  candidates: readonly Candidate[],
  kind: Kind,
  loaded: LoadedRelease,
  settings: ArchiveSettings,
): Promise<Taken> {
  let last: Error = new InputError('no package was tried');
  for (const [i, candidate] of candidates.entries()) {
    const { entry, versions } = candidate;
    try {
      const { path, bytes } = await kind.take(entry, loaded, settings);
      const { name, version, sha256: packageSha256 } = entry;
      const package_ = { name, version, sha256: packageSha256 };
      const file = { path, sha256: sha256(bytes), package: package_ };
      return { file, bytes, ...(versions === undefined ? {} : { versions }) };
    } catch (error) {
      if (!(error instanceof HttpStatusError) && !(error instanceof InputError)) throw error;
      last = error;
      const next = candidates[i + 1];
      if (next !== undefined) settings.warn(`${error.message}; ${insteadOf(candidate, next)}`);
    }
  }
  throw last instanceof NotGenuineError ? last : new InputError(last.message, { cause: last });
}

/** Stores the files, if the cache is writable. */
async function keep(
  cache: Cache,
  spec: DebianSpec,
  one: Wanted,
  { file, bytes, ...more }: Taken,
  record: Omit<ReleaseRecord, 'files'>,
  { architecture, warn }: ArchiveSettings,
): Promise<void> {
  try {
    await cache.keep(bytes);
    await new CachedFiles(cache, architecture).add(spec, one, { ...record, ...more, files: { [one]: file } });
  } catch (error) {
    warn(
      `the cache ${cache.folder ?? ''} cannot be written: ${cacheReason(error)}; the next run downloads the files again`,
    );
  }
}

/** The archives in which this machine looks for the release. */
async function suiteChoicesOf(release: string, settings: DebianSettings): Promise<SuiteChoice[]> {
  const sources = settings.mirror === null ? await readAptSources(settings.aptFolder) : [];
  return suiteChoices(release, sources, settings.mirror);
}

/** The release's kernels and busybox, as a mirror has them now. Throws what {@link loadRelease} throws. */
export async function askMirror(
  release: string,
  cache: Cache,
  settings: DebianSettings,
): Promise<LoadedRelease> {
  return await loadRelease(release, await suiteChoicesOf(release, settings), cache, settings);
}

/** Fetches the files from the mirror and stores them; those of `also` only if they are available. */
async function fromMirror(
  cache: Cache,
  spec: DebianSpec,
  wanted: readonly Wanted[],
  also: readonly Wanted[],
  settings: DebianSettings,
): Promise<Partial<Record<Wanted, DebianFile>>> {
  const loaded = await askMirror(spec.release, cache, settings);
  const { suites } = loaded;
  const found: Partial<Record<Wanted, DebianFile>> = {};
  for (const one of new Set([...wanted, ...also])) {
    const kind = kinds[one];
    try {
      const taken = await take(kind.candidates(loaded, spec, settings), kind, loaded, settings);
      await keep(cache, spec, one, taken, { version: 1, fetched: settings.now, suites }, settings);
      const { file, bytes } = taken;
      found[one] = { ...file, name: debianSpecText(spec), bytes, fromCache: false, suites };
    } catch (error) {
      if (wanted.includes(one)) throw error;
    }
  }
  return found;
}

/**
 * The files `wanted` of a Debian release: from the cache if it has all of them undamaged, else from a mirror. In that
 * case the files of `also` are put into the cache too, so that no mirror is needed later. Throws
 * {@link InputError} with one line if neither has the wanted files.
 */
export async function debianFiles<One extends Wanted>(
  spec: DebianSpec,
  wanted: readonly One[],
  settings: DebianSettings,
  also: readonly Wanted[] = [],
): Promise<Record<One, DebianFile>> {
  const name = debianSpecText(spec);
  if (settings.cacheNote !== null) settings.warn(settings.cacheNote);
  const cache = new Cache(settings.cacheFolder);
  const { found: cached, damaged } = await fromCache(cache, spec, wanted, settings);
  const missing = wanted.filter((one) => cached[one] === undefined);
  if (missing.length === 0 && !settings.refresh) return cached as Record<One, DebianFile>;
  try {
    const toFetch = settings.refresh ? wanted : missing;
    const fetched = await fromMirror(cache, spec, toFetch, also, settings);
    for (const path of damaged) settings.warn(`the cached ${path} of ${name} is damaged and was ignored`);
    return { ...cached, ...fetched } as Record<One, DebianFile>;
  } catch (error) {
    if (error instanceof NetworkError && missing.length === 0) {
      settings.warn(`${error.message}; using the cached files`);
      return cached as Record<One, DebianFile>;
    }
    throw asInputError(error, spec, settings, damaged.length > 0);
  }
}

/** Any failure to fetch as one line for the user. */
export function asInputError(
  error: unknown,
  spec: DebianSpec,
  { cacheFolder }: DebianSettings,
  wasDamaged = false,
): unknown {
  if (error instanceof NetworkError) {
    const state = wasDamaged ? 'is damaged in' : 'is not in';
    const where = cacheFolder === null ? 'cannot be cached' : `${state} the cache (${cacheFolder})`;
    return new InputError(
      `${debianSpecText(spec)} ${where}, and ${error.message}; connect, or give a kernel with --kernel FILE`,
      { cause: error },
    );
  }
  return error instanceof HttpStatusError ? new InputError(error.message, { cause: error }) : error;
}
