/**
 * What the cache has of Debian's releases. Its records, each a {@link ReleaseRecord}:
 *
 * - `debian/RELEASE`: busybox, and the kernel that `debian:RELEASE` means;
 * - `debian/RELEASE/FLAVOUR`: the kernel that `debian:RELEASE/FLAVOUR` means;
 * - `debian/RELEASE/packages/NAME_VERSION`: the kernel of that package, so that many stand side by side.
 *
 * Those of another architecture than arm64 are in `debian-ARCHITECTURE`.
 */
import {
  compareVersions,
  genericFlavour,
  kernelVersions,
  parseKernelPackageName,
} from '../firmware/index.js';
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

/** The kernel of a record; null when it has none, or none that is called as Debian's are. */
function kernelOf(record: ReleaseRecord | null, architecture: DebianArchitecture): CachedKernel | null {
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
  readonly #architecture: DebianArchitecture;

  constructor(cache: Cache, architecture: DebianArchitecture) {
    this.#cache = cache;
    this.#architecture = architecture;
  }

  get #top(): string {
    return this.#architecture === 'arm64' ? 'debian' : `debian-${this.#architecture}`;
  }

  #recordName({ release, flavour }: DebianSpec, one: Wanted): string {
    const ofRelease = `${this.#top}/${release}`;
    return one === 'busybox' || flavour === genericFlavour ? ofRelease : `${ofRelease}/${flavour}`;
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

  /** The releases of which there is anything, sorted. */
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

  /** What there is of a specification; null when there is nothing. */
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

  /** Adds a file to a record. What the record says of its archive is said of its kernel, where it has one. */
  async #add(name: string, one: Wanted, record: ReleaseRecord): Promise<void> {
    const before = await this.#read(name);
    const isAside = one === 'busybox' && before?.files.kernel !== undefined;
    const files = { ...before?.files, ...record.files };
    await this.#cache.writeRecord(name, { ...(isAside ? before : record), files });
  }

  /** Records the file `one` of a specification, which is in the cache. Throws what the file system says. */
  async add(spec: DebianSpec, one: Wanted, record: ReleaseRecord): Promise<void> {
    const file = record.files[one];
    if (file === undefined) return;
    if (one === 'busybox' || spec.version === null) await this.#add(this.#recordName(spec, one), one, record);
    if (one === 'busybox') return;
    const own = [file.package.name, file.package.version].map(encodeURIComponent).join('_');
    await this.#add(`${this.#top}/${spec.release}/packages/${own}`, one, record);
  }
}
