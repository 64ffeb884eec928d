/** Any files of a Debian package, such as a kernel's modules, in addition to the kernel itself. */
import { InputError } from '../base/index.js';
import { debFiles, openDeb } from '../firmware/index.js';
import type { ArchiveFile } from '../firmware/index.js';
import { fetchPackage } from './archive.js';
import type { ArchivePackage } from './archive.js';
import { Cache, cacheReason } from './cache.js';
import { asInputError, askMirror, debianFiles } from './debian_files.js';
import type { DebianSettings } from './debian_files.js';
import type { DebianSpec } from './kernel_spec.js';
import type { FileRecord } from './record.js';

type PackageName = FileRecord['package'];

/** The package as it is in the mirror's index now. Throws {@link InputError} if the index has another version. */
async function entryOf(
  release: string,
  wanted: PackageName,
  cache: Cache,
  settings: DebianSettings,
): Promise<ArchivePackage> {
  const { packages } = await askMirror(release, cache, settings);
  const found = packages.find(({ sha256 }) => sha256 === wanted.sha256);
  if (found !== undefined) return found;
  throw new InputError(`debian:${release} no longer has ${wanted.name} ${wanted.version}`);
}

/** The whole package, from the cache or a mirror; a fetched package is stored. */
async function packageBytes(
  release: string,
  wanted: PackageName,
  settings: DebianSettings,
): Promise<Uint8Array> {
  const cache = new Cache(settings.cacheFolder);
  const cached = await cache.object(wanted.sha256);
  if (cached.state === 'there') return cached.bytes;
  const bytes = await fetchPackage(await entryOf(release, wanted, cache, settings), settings.fetch);
  await cache
    .keep(bytes)
    .catch((error: unknown) => settings.warn(`the package cannot be cached: ${cacheReason(error)}`));
  return bytes;
}

/**
 * The regular files for which `isWanted` is true, by path, in the package from which {@link debianFiles} takes the kernel
 * of a release. The package itself, some 60 MB, is stored in the cache. Throws {@link InputError} with one line if it
 * is not available.
 */
export async function kernelPackageFiles(
  spec: DebianSpec,
  isWanted: (path: string) => boolean,
  settings: DebianSettings,
): Promise<ArchiveFile[]> {
  const { kernel } = await debianFiles(spec, ['kernel'], settings);
  try {
    const bytes = await packageBytes(spec.release, kernel.package, settings);
    const what = `the package ${kernel.package.name} ${kernel.package.version}`;
    const files: ArchiveFile[] = [];
    for await (const file of debFiles(openDeb(bytes, what), isWanted)) files.push(file);
    return files;
  } catch (error) {
    throw asInputError(error, spec, settings);
  }
}
