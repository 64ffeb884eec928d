/**
 * What the cache has of Debian's releases. Its records, each a {@link ReleaseRecord}:
 *
 * - `debian/RELEASE`: busybox, and the kernel that `debian:RELEASE` means;
 * - `debian/RELEASE/FLAVOUR`: the kernel that `debian:RELEASE/FLAVOUR` means;
 * - `debian/RELEASE/packages/NAME_VERSION`: the kernel of that package, so that many stand side by side.
 */
import { genericFlavour, kernelVersions, parseKernelPackageName } from '../firmware/index.js';
import type { DebianArchitecture } from '../firmware/index.js';
import type { Cache } from './cache.js';
import { isReleaseName } from './kernel_spec.js';
import type { DebianSpec } from './kernel_spec.js';
import { isRecord } from './record.js';
import type { FileRecord, ReleaseRecord } from './record.js';

/** What can be had of a release. */
export type Wanted = 'kernel' | 'busybox';

/** A file that the cache speaks of, and the record that does. The file itself may be gone. */
export interface CachedFile {
  readonly file: FileRecord;
  readonly record: ReleaseRecord;
}

/** A kernel that the cache has. */
export interface CachedKernel extends CachedFile {
  readonly flavour: string;
  readonly abi: string;
  /** All that a user may give as its version. */
  readonly versions: readonly string[];
}

async function readRecord(cache: Cache, name: string): Promise<ReleaseRecord | null> {
  const record = await cache.record(name);
  return isRecord(record) ? record : null;
}

function nameOf({ release, flavour }: DebianSpec, one: Wanted): string {
  return one === 'busybox' || flavour === genericFlavour
    ? folderOf(release)
    : `${folderOf(release)}/${flavour}`;
}

const top = 'debian';
const folderOf = (release: string): string => `${top}/${release}`;
const packagesOf = (release: string): string => `${folderOf(release)}/packages`;

/** The names of all records of a release that may have a kernel. */
async function recordNames(cache: Cache, release: string): Promise<string[]> {
  const folders = [packagesOf(release), folderOf(release)];
  const names = await Promise.all(
    folders.map(async (folder) => (await cache.namesIn(folder)).map((name) => `${folder}/${name}`)),
  );
  return [...names.flat(), folderOf(release)];
}

/** The kernel of a record; null when it has none, or none that is called as Debian's are. */
function kernelOf(record: ReleaseRecord | null, architecture: DebianArchitecture): CachedKernel | null {
  const file = record?.files.kernel;
  const name = file === undefined ? null : parseKernelPackageName(file.package.name, architecture);
  if (record === null || file === undefined || name?.abi == null) return null;
  const { flavour, abi } = name;
  const versions = new Set([...kernelVersions(name, file.package.version), ...(record.versions ?? [])]);
  return { file, record, flavour, abi, versions: [...versions] };
}

/** The kernels that the cache has of a release, each package once. */
export async function cachedKernels(
  cache: Cache,
  release: string,
  architecture: DebianArchitecture,
): Promise<CachedKernel[]> {
  const found = new Map<string, CachedKernel>();
  for (const name of await recordNames(cache, release)) {
    const kernel = kernelOf(await readRecord(cache, name), architecture);
    if (kernel === null || !(await cache.hasObject(kernel.file.sha256))) continue;
    const { sha256 } = kernel.file.package;
    if (!found.has(sha256)) found.set(sha256, kernel);
  }
  return [...found.values()];
}

/** What the cache has of a specification; null when it has nothing. */
export async function findCached(
  cache: Cache,
  spec: DebianSpec,
  one: Wanted,
  architecture: DebianArchitecture,
): Promise<CachedFile | null> {
  const { release, flavour, version } = spec;
  if (one === 'busybox' || version === null) {
    const record = await readRecord(cache, nameOf(spec, one));
    const file = record?.files[one];
    return record === null || file === undefined ? null : { file, record };
  }
  const kernels = await cachedKernels(cache, release, architecture);
  return kernels.find((kernel) => kernel.flavour === flavour && kernel.versions.includes(version)) ?? null;
}

/** Adds a file to a record. What the record says of its archive is said of its kernel, where it has one. */
async function addFile(cache: Cache, name: string, one: Wanted, record: ReleaseRecord): Promise<void> {
  const before = await readRecord(cache, name);
  const isAside = one === 'busybox' && before?.files.kernel !== undefined;
  const files = { ...before?.files, ...record.files };
  await cache.writeRecord(name, { ...(isAside ? before : record), files });
}

/** Records the file `one` of a specification, which is in the cache. Throws what the file system says. */
export async function recordFile(
  cache: Cache,
  spec: DebianSpec,
  one: Wanted,
  record: ReleaseRecord,
): Promise<void> {
  const file = record.files[one];
  if (file === undefined) return;
  if (one === 'busybox' || spec.version === null) await addFile(cache, nameOf(spec, one), one, record);
  if (one === 'busybox') return;
  const { name, version } = file.package;
  const own = [name, version].map(encodeURIComponent).join('_');
  await addFile(cache, `${packagesOf(spec.release)}/${own}`, one, record);
}

/** The releases that the cache has anything of, sorted. */
export async function cachedReleases(cache: Cache): Promise<string[]> {
  const names = await cache.namesIn(top);
  return names.filter((name) => isReleaseName(name));
}
