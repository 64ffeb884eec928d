/** The list of Debian kernels: those that an archive offers now, and those in the cache. */
import { InputError } from '../base/index.js';
import {
  compareFlavours,
  compareVersions,
  genericFlavour,
  kernelOffers,
  offersFor,
} from '../firmware/index.js';
import type { KernelOffer } from '../firmware/index.js';
import { NoReleaseError, NotGenuineError } from './archive.js';
import type { ArchivePackage } from './archive.js';
import { Cache } from './cache.js';
import { CachedFiles } from './cached_files.js';
import type { CachedKernel } from './cached_files.js';
import { asInputError, askMirror } from './debian_files.js';
import type { DebianSettings } from './debian_files.js';
import { HttpStatusError, NetworkError } from './http.js';
import { checkReleaseName, debianSpecText } from './kernel_spec.js';
import { usualReleases } from './releases.js';
import { checkMirror } from './suites.js';

/** One kernel of a Debian release. */
export interface ListedKernel {
  /** The value for `--kernel`, with the version: `debian:bookworm/cloud=6.1.0-57`. */
  readonly kernel: string;
  readonly release: string;
  readonly flavour: string;
  /** The ABI version; or the package's version if a newer package has the same ABI version. */
  readonly version: string;
  readonly package: { readonly name: string; readonly version: string };
  /** Whether `debian:RELEASE/FLAVOUR` without a version means this kernel: the one in the cache, else the archive's newest. */
  readonly isDefault: boolean;
  readonly isCached: boolean;
  /** Whether the archive lists it now; null if the archive was not asked. */
  readonly isListed: boolean | null;
}

/** The kernels that can be booted now. */
export interface KernelList {
  /** By release, then by flavour, then from the newest to the oldest. */
  readonly kernels: readonly ListedKernel[];
  /** Why only cached kernels of a release are listed; empty if all archives could be asked. */
  readonly notAsked: readonly { readonly release: string; readonly why: string }[];
}

/** A kernel that will be listed, with the hash of its package. */
interface Found {
  readonly flavour: string;
  readonly abi: string;
  readonly package: { readonly name: string; readonly version: string; readonly sha256: string };
}

function ofOffer({ flavour, abi, entry }: KernelOffer<ArchivePackage>): Found {
  const { name, version, sha256 } = entry;
  return { flavour, abi, package: { name, version, sha256 } };
}

function ofCache({ flavour, abi, file }: CachedKernel): Found {
  return { flavour, abi, package: file.package };
}

/**
 * Each kernel once, sorted by flavour and age: of the signed and the unsigned package, or of copies in several suites, only
 * the first.
 */
function inOrder(all: readonly Found[]): Found[] {
  const keyOf = ({ flavour, abi, package: { version } }: Found): string => [flavour, abi, version].join(' ');
  const once = new Map<string, Found>();
  for (const found of all) if (!once.has(keyOf(found))) once.set(keyOf(found), found);
  return [...once.values()].sort(
    (a, b) => compareFlavours(a.flavour, b.flavour) || compareVersions(b.package.version, a.package.version),
  );
}

/** The hashes of each flavour's default packages: the one in the cache, else the archive's. */
async function defaultPackages(
  cache: Cache,
  release: string,
  offers: readonly KernelOffer<ArchivePackage>[],
  all: readonly Found[],
  { architecture }: DebianSettings,
): Promise<Set<string>> {
  const hashes = new Set<string>();
  const records = new CachedFiles(cache, architecture);
  for (const flavour of new Set([genericFlavour, ...all.map((found) => found.flavour)])) {
    const cached = await records.find({ release, flavour, version: null }, 'kernel');
    const isThere = cached !== null && (await cache.hasObject(cached.file.sha256));
    const hash = isThere ? cached.file.package.sha256 : offersFor(offers, flavour, null)[0]?.entry.sha256;
    if (hash !== undefined) hashes.add(hash);
  }
  return hashes;
}

/** `offers` is null if the archive was not asked. */
async function listRelease(
  cache: Cache,
  release: string,
  offers: readonly KernelOffer<ArchivePackage>[] | null,
  settings: DebianSettings,
): Promise<ListedKernel[]> {
  const cached = await new CachedFiles(cache, settings.architecture).kernels(release);
  const inCache = new Set(cached.map(({ file }) => file.package.sha256));
  const offered = new Set((offers ?? []).map(({ entry }) => entry.sha256));
  const vanished = cached.filter(({ file }) => !offered.has(file.package.sha256));
  const all = inOrder([...(offers ?? []).map(ofOffer), ...vanished.map(ofCache)]);
  const defaults = await defaultPackages(cache, release, offers ?? [], all, settings);
  return all.map((found, i) => {
    const { flavour, abi, package: package_ } = found;
    const { name, sha256 } = package_;
    const isNewest = !all.slice(0, i).some((each) => each.flavour === flavour && each.abi === abi);
    const version = isNewest ? abi : package_.version;
    return {
      kernel: debianSpecText({ release, flavour, version }),
      release,
      flavour,
      version,
      package: { name, version: package_.version },
      isDefault: defaults.has(sha256),
      isCached: inCache.has(sha256),
      isListed: offers === null ? null : offered.has(sha256),
    };
  });
}

interface Answer {
  /** Null if the archive could not be asked. */
  readonly offers: readonly KernelOffer<ArchivePackage>[] | null;
  readonly error: Error | null;
}

/** The archive's kernels of a release; or why it could not be asked, if the cache may still have some. */
async function ask(cache: Cache, release: string, settings: DebianSettings): Promise<Answer> {
  try {
    const { packages } = await askMirror(release, cache, settings);
    return { offers: kernelOffers(packages, settings.architecture), error: null };
  } catch (error) {
    const isPassable =
      error instanceof NetworkError || error instanceof HttpStatusError || error instanceof InputError;
    if (!isPassable || error instanceof NotGenuineError) throw error;
    return { offers: null, error };
  }
}

async function releasesToList(
  cache: Cache,
  release: string | null,
  { architecture }: DebianSettings,
): Promise<string[]> {
  if (release !== null) return [checkReleaseName(release)];
  return [...new Set([...usualReleases, ...(await new CachedFiles(cache, architecture).releases())])];
}

/** The message if there is nothing to list. */
function nothing(release: string, error: Error | null, settings: DebianSettings): unknown {
  if (error !== null)
    return asInputError(error, { release, flavour: genericFlavour, version: null }, settings);
  return new InputError(`debian:${release} has no kernel for ${settings.architecture}`);
}

/**
 * The kernels of `release`, or of the default releases and those in the cache. If an archive cannot be asked, only cached kernels
 * are listed, and the list says so. Throws {@link InputError} with one line if there is nothing to list.
 */
export async function listKernels(release: string | null, settings: DebianSettings): Promise<KernelList> {
  const cache = new Cache(settings.cacheFolder);
  if (settings.cacheNote !== null) settings.warn(settings.cacheNote);
  if (settings.mirror !== null) checkMirror(settings.mirror);
  const releases = await releasesToList(cache, release, settings);
  const kernels: ListedKernel[] = [];
  const notAsked: KernelList['notAsked'][number][] = [];
  let last: Error | null = null;
  for (const one of releases) {
    // If an archive cannot be reached for one release, it is not tried for the next.
    const answer: Answer =
      last instanceof NetworkError ? { offers: null, error: last } : await ask(cache, one, settings);
    last = answer.error;
    if (last !== null && !(last instanceof NoReleaseError))
      notAsked.push({ release: one, why: last.message });
    kernels.push(...(await listRelease(cache, one, answer.offers, settings)));
  }
  if (kernels.length === 0) throw nothing(release ?? usualReleases.join(', '), last, settings);
  return { kernels, notAsked };
}
