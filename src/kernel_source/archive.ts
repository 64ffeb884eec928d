/**
 * A Debian release as its mirror has it now: its Release files, checked as far as this machine allows, and the packages
 * that are needed from it, each with its hash from the index.
 */
import { InputError } from '../base/index.js';
import {
  collect,
  compressionOf,
  decompress,
  isKernelPackage,
  packagesIn,
  parseRelease,
  signedText,
} from '../firmware/index.js';
import type { Architecture, IndexFile, PackageEntry, Release } from '../firmware/index.js';
import { sha256 } from './cache.js';
import type { Cache } from './cache.js';
import { fetchBytes, HttpStatusError, NetworkError } from './http.js';
import type { FetchSettings } from './http.js';
import { knownPackages, rememberPackages } from './known_indices.js';
import { libraryDependencies, programPackages } from './program_packages.js';
import { checkSignature, debianKeyrings } from './signature.js';
import type { SignatureCheck } from './signature.js';
import type { Suite, SuiteChoice } from './suites.js';

/** What was checked of a suite, and the results. Times are in seconds since 1970. */
export interface SuiteReport {
  readonly suite: string;
  readonly date: number | null;
  readonly validUntil: number | null;
  readonly expired: boolean;
  readonly signature: SignatureCheck;
}

/** A package, and its archive. */
export interface ArchivePackage extends PackageEntry {
  readonly base: string;
}

export interface ArchiveSettings {
  readonly architecture: Architecture;
  readonly fetch: FetchSettings;
  /** Keyrings to use in addition to those that the machine's sources name. */
  readonly keyrings: readonly string[];
  readonly gpgv: string;
  /** Seconds since 1970. */
  readonly now: number;
  readonly warn: (line: string) => void;
}

export const defaultArchiveSettings = {
  architecture: 'arm64',
  keyrings: debianKeyrings,
  gpgv: 'gpgv',
} as const;

/** Maximum unpacked size of an index, in bytes. */
const indexLimit = 1 << 29;

/** The package from which the default user space is made. */
export const busyboxPackage = 'busybox-static';

/** The packages of an index that are needed here. */
function isOfUse(name: string): boolean {
  return name === busyboxPackage || programPackages.includes(name) || isKernelPackage(name);
}

/** The packages of an index that are needed here, with the libraries of programs and what those depend on. */
function neededIn(index: string): PackageEntry[] {
  const found = packagesIn(index, isOfUse);
  const known = new Set(found.map(({ name }) => name));
  let added = found.filter(({ name }) => programPackages.includes(name));
  while (added.length > 0) {
    const names = new Set(added.flatMap(libraryDependencies).filter((name) => !known.has(name)));
    added = names.size === 0 ? [] : packagesIn(index, (name) => names.has(name));
    for (const { name } of added) known.add(name);
    found.push(...added);
  }
  return found;
}

interface LoadedSuite {
  readonly report: SuiteReport;
  readonly packages: readonly ArchivePackage[];
}

function day(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

/** Whether a Release file belongs to the requested suite, so that no other suite can be substituted. */
function isNamed({ codename, suite }: Release, asked: string): boolean {
  return [codename, suite, `${codename}/updates`, `${suite}/updates`].includes(asked);
}

/** Data from an archive differ from what was signed. They must not be replaced silently. */
export class NotGenuineError extends InputError {}

/** Warns about problems and continues; a wrong signature is an error. */
function judge(
  suite: string,
  release: Release,
  signature: SignatureCheck,
  settings: ArchiveSettings,
): SuiteReport {
  const { warn, now } = settings;
  if (signature.state === 'bad')
    throw new NotGenuineError(`the Release file of ${suite} is not genuine: ${signature.reason}`);
  if (signature.state === 'unchecked')
    warn(`the signature of ${suite}'s Release file was not checked: ${signature.reason}`);
  const { date, validUntil } = release;
  if (!isNamed(release, suite)) {
    throw new InputError(`the Release file of ${suite} says that it is ${release.codename || release.suite}`);
  }
  const expired = validUntil !== null && validUntil < now;
  if (expired) warn(`the Release file of ${suite} expired on ${day(validUntil)}`);
  if (date !== null && date > now + 86_400)
    warn(`the Release file of ${suite} has a date in the future: ${day(date)}`);
  return { suite, date, validUntil, expired, signature };
}

/** Checks that `bytes` has the size and hash in `index`. Throws {@link NotGenuineError} if not. */
function checked(bytes: Uint8Array, index: { bytes: number; sha256: string }, what: string): Uint8Array {
  if (bytes.length === index.bytes && sha256(bytes) === index.sha256) return bytes;
  throw new NotGenuineError(`${what} is not what the archive's index says: its SHA-256 or size differs`);
}

/** Fetches an index by its hash, which stays valid while the mirror is updated, else by its name. */
async function fetchIndex(
  { base, suite }: Suite,
  release: Release,
  index: IndexFile,
  settings: ArchiveSettings,
): Promise<Uint8Array> {
  const root = `${base}/dists/${suite}`;
  const folder = index.path.slice(0, index.path.lastIndexOf('/') + 1);
  if (release.acquireByHash) {
    try {
      const bytes = await fetchBytes(`${root}/${folder}by-hash/SHA256/${index.sha256}`, settings.fetch);
      return checked(bytes, index, `${index.path} of ${suite}`);
    } catch (error) {
      if (!(error instanceof HttpStatusError)) throw error;
    }
  }
  return checked(
    await fetchBytes(`${root}/${index.path}`, settings.fetch),
    index,
    `${index.path} of ${suite}`,
  );
}

/** The best-compressed Packages file that a Release file lists; undefined if it has none for our architecture. */
function packagesIndex({ files }: Release, architecture: Architecture): IndexFile | undefined {
  const path = `main/binary-${architecture}/Packages`;
  return ['.xz', '.gz', '']
    .map((end) => files.find((file) => file.path === path + end))
    .find((file) => file !== undefined);
}

/** The relevant packages in an index; from the cache if it has the same index. */
async function packagesOf(
  suite: Suite,
  release: Release,
  index: IndexFile,
  cache: Cache,
  settings: ArchiveSettings,
): Promise<readonly PackageEntry[]> {
  const { architecture } = settings;
  const known = await knownPackages(cache, suite.suite, architecture, index.sha256);
  if (known !== null) return known;
  const packed = await fetchIndex(suite, release, index, settings);
  const name = `${index.path} of ${suite.suite}`;
  const bytes = await collect(decompress(packed, compressionOf(packed), name), indexLimit, name);
  const packages = neededIn(Buffer.from(bytes).toString('latin1'));
  await rememberPackages(cache, suite.suite, architecture, index.sha256, packages);
  return packages;
}

/** A suite, fully checked. Throws {@link HttpStatusError} if there is none of that name. */
async function loadSuite(suite: Suite, cache: Cache, settings: ArchiveSettings): Promise<LoadedSuite> {
  const message = await fetchBytes(`${suite.base}/dists/${suite.suite}/InRelease`, settings.fetch);
  const what = `the Release file of ${suite.suite}`;
  const release = parseRelease(signedText(Buffer.from(message).toString('latin1'), what), what);
  const signature = await checkSignature(message, [...suite.keyrings, ...settings.keyrings], settings.gpgv);
  const report = judge(suite.suite, release, signature, settings);
  const index = packagesIndex(release, settings.architecture);
  if (index === undefined) return { report, packages: [] };
  const packages = await packagesOf(suite, release, index, cache, settings);
  return { report, packages: packages.map((entry) => ({ ...entry, base: suite.base })) };
}

/** A suite that may be missing; an unusable one counts as missing. */
async function loadOptional(
  suite: Suite,
  cache: Cache,
  settings: ArchiveSettings,
): Promise<LoadedSuite | null> {
  try {
    return await loadSuite(suite, cache, settings);
  } catch (error) {
    if (error instanceof HttpStatusError) return null;
    if (!(error instanceof Error)) throw error;
    settings.warn(`the suite ${suite.suite} is skipped: ${error.message}`);
    return null;
  }
}

export interface LoadedRelease {
  readonly suites: readonly SuiteReport[];
  readonly packages: readonly ArchivePackage[];
}

async function loadChoice(
  { main, others }: SuiteChoice,
  cache: Cache,
  settings: ArchiveSettings,
): Promise<LoadedRelease> {
  const loaded = [await loadSuite(main, cache, settings)];
  for (const suite of others) {
    const more = await loadOptional(suite, cache, settings);
    if (more !== null) loaded.push(more);
  }
  return {
    suites: loaded.map(({ report }) => report),
    packages: loaded.flatMap(({ packages }) => packages),
  };
}

/** The archive was asked and has no release of that name. */
export class NoReleaseError extends InputError {}

/**
 * The kernels and the busybox of a release from the first of `choices` that has it, including its additional suites.
 * Throws {@link NoReleaseError} when no choice has it, and what {@link fetchBytes} throws.
 */
export async function loadRelease(
  release: string,
  choices: readonly SuiteChoice[],
  cache: Cache,
  settings: ArchiveSettings,
): Promise<LoadedRelease> {
  let unreached: NetworkError | null = null;
  for (const choice of choices) {
    try {
      return await loadChoice(choice, cache, settings);
    } catch (error) {
      if (error instanceof NetworkError) unreached ??= error;
      else if (!(error instanceof HttpStatusError)) throw error;
    }
  }
  if (unreached !== null) throw unreached;
  const where = choices.map(({ main }) => main.base).join(' or ');
  throw new NoReleaseError(
    `no release ${JSON.stringify(release)} at ${where}; 'domulator kernels' lists what there is`,
  );
}

/** The package's bytes. Throws {@link InputError} if they do not match its index. */
export async function fetchPackage(entry: ArchivePackage, settings: FetchSettings): Promise<Uint8Array> {
  const address = `${entry.base}/${entry.filename.split('/').map(encodeURIComponent).join('/')}`;
  return checked(await fetchBytes(address, settings), entry, `the package ${entry.name} ${entry.version}`);
}
