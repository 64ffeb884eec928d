/**
 * The cached files of Debian's releases. The records, each a {@link ReleaseRecord}, are:
 *
 * - `debian/RELEASE`: busybox, kexec-tools and makedumpfile with their libraries, and the kernel that `debian:RELEASE` means;
 * - `debian/RELEASE/FLAVOUR`: the kernel that `debian:RELEASE/FLAVOUR` means;
 * - `debian/RELEASE/packages/NAME_VERSION`: the kernel of that package, so that several versions can be stored.
 *
 * Records of architectures other than arm64 are in `debian-ARCHITECTURE`.
 */
import {
  compareVersions,
  genericFlavour,
  kernelVersions,
  parseKernelPackageName,
} from '../firmware/index.js';
import type { Architecture } from '../firmware/index.js';
import type { Cache } from './cache.js';
import { isReleaseName } from './kernel_spec.js';
import type { DebianSpec } from './kernel_spec.js';
import { isRecord } from './record.js';
import type { FileRecord, ReleaseRecord } from './record.js';

/** The available files of a release. */
export type Wanted = 'kernel' | 'busybox' | 'kexec' | 'makedumpfile';

/** A file that a record of the cache names, and the record. The file itself may be missing. */
export interface CachedFile {
  readonly file: FileRecord;
  readonly record: ReleaseRecord;
}

/** A kernel that the cache has. */
export interface CachedKernel extends CachedFile {
  readonly flavour: string;
  readonly abi: string;
  /** The texts that a user may give as its version. */
  readonly versions: readonly string[];
}

/** The kernel of a record; null if it has none, or none with a Debian name. */
function kernelOf(record: ReleaseRecord | null, architecture: Architecture): CachedKernel | null {
  const file = record?.files.kernel;
  const name = file === undefined ? null : parseKernelPackageName(file.package.name, architecture);
  if (record === null || file === undefined || name?.abi == null) return null;
  const { flavour, abi } = name;
  const versions = new Set([...kernelVersions(name, file.package.version), ...(record.versions ?? [])]);
  return { file, record, flavour, abi, versions: [...versions] };
}

/** The records of an architecture's files in a cache. */
export class CachedFiles {
  readonly #cache: Cache;
  readonly #architecture: Architecture;

  constructor(cache: Cache, architecture: Architecture) {
    this.#cache = cache;
    this.#architecture = architecture;
  }

  get #top(): string {
    return this.#architecture === 'arm64' ? 'debian' : `debian-${this.#architecture}`;
  }

  #recordName({ release, flavour }: DebianSpec, one: Wanted): string {
    const ofRelease = `${this.#top}/${release}`;
    return one !== 'kernel' || flavour === genericFlavour ? ofRelease : `${ofRelease}/${flavour}`;
  }

  async #read(name: string): Promise<ReleaseRecord | null> {
    const record = await this.#cache.record(name);
    return isRecord(record) ? record : null;
  }

  /** The names of all records of a release that may have a kernel. */
  async #recordNames(release: string): Promise<string[]> {
    const ofRelease = `${this.#top}/${release}`;
    const folders = [`${ofRelease}/packages`, ofRelease];
    const names = await Promise.all(
      folders.map(async (folder) => (await this.#cache.namesIn(folder)).map((name) => `${folder}/${name}`)),
    );
    return [...names.flat(), ofRelease];
  }

  /** The releases with any file, sorted. */
  async releases(): Promise<string[]> {
    const names = await this.#cache.namesIn(this.#top);
    return names.filter((name) => isReleaseName(name));
  }

  /** The kernels of a release, each package once, the newest first. */
  async kernels(release: string): Promise<CachedKernel[]> {
    const found = new Map<string, CachedKernel>();
    for (const name of await this.#recordNames(release)) {
      const kernel = kernelOf(await this.#read(name), this.#architecture);
      if (kernel === null || !(await this.#cache.hasObject(kernel.file.sha256))) continue;
      const { sha256 } = kernel.file.package;
      if (!found.has(sha256)) found.set(sha256, kernel);
    }
    return [...found.values()].sort((a, b) =>
      compareVersions(b.file.package.version, a.file.package.version),
    );
  }

  /** The files of a specification; null if there are none. */
  async find(spec: DebianSpec, one: Wanted): Promise<CachedFile | null> {
    const { release, flavour, version } = spec;
    if (one === 'kernel' && version !== null) {
      const ofFlavour = (await this.kernels(release)).filter((kernel) => kernel.flavour === flavour);
      return ofFlavour.find(({ versions }) => versions.includes(version)) ?? null;
    }
    const record = await this.#read(this.#recordName(spec, one));
    const file = record?.files[one];
    return record === null || file === undefined ? null : { file, record };
  }

  /** Adds a file to a record. The record's information on the archive is about its kernel, if it has one. */
  async #add(name: string, one: Wanted, record: ReleaseRecord): Promise<void> {
    const before = await this.#read(name);
    const isAside = one !== 'kernel' && before?.files.kernel !== undefined;
    const files = { ...before?.files, ...record.files };
    await this.#cache.writeRecord(name, { ...(isAside ? before : record), files });
  }

  /** Records the file `one` of a specification, which is in the cache. Throws what the file system says. */
  async add(spec: DebianSpec, one: Wanted, record: ReleaseRecord): Promise<void> {
    const file = record.files[one];
    if (file === undefined) return;
    if (one !== 'kernel' || spec.version === null) await this.#add(this.#recordName(spec, one), one, record);
    if (one !== 'kernel') return;
    const own = [file.package.name, file.package.version].map(encodeURIComponent).join('_');
    await this.#add(`${this.#top}/${spec.release}/packages/${own}`, one, record);
  }
}
