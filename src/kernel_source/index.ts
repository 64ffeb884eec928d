/**
 * kernel_source: the origin of kernels. A kernel comes from a file that the user names, or from a Debian release in the user's
 * cache or on a mirror. The module checks each as far as the machine allows, and never runs it. It uses the host's files and
 * network, and does not know what a kernel does.
 */
import { InputError } from '../base/index.js';
import { readKernelFile } from '../firmware/index.js';
import type { Architecture, KernelImage } from '../firmware/index.js';
import { cachePlace } from '../user_cache/index.js';
import { defaultArchiveSettings } from './archive.js';
import type { SuiteReport } from './archive.js';
import { sha256 } from './cache.js';
import { debianFiles } from './debian_files.js';
import type { DebianSettings } from './debian_files.js';
import { readInputFile } from './files.js';
import { defaultFetchSettings } from './http.js';
import type { DebianSpec } from './kernel_spec.js';
import { usualReleases } from './releases.js';

export { readAptSources } from './apt_sources.js';
export type { AptSource } from './apt_sources.js';
export { NotGenuineError } from './archive.js';
export type { SuiteReport } from './archive.js';
export type { Wanted } from './cached_files.js';
export { debianFiles } from './debian_files.js';
export type { DebianFile, DebianSettings } from './debian_files.js';
export { readInputFile } from './files.js';
export { checkMirror } from './suites.js';
export { listKernels } from './kernel_list.js';
export type { KernelList, ListedKernel } from './kernel_list.js';
export {
  debianGrammar,
  debianSpecText,
  kernelName,
  kernelSpecOf,
  parseDebianSpec,
  parseKernelSpec,
  releaseSpec,
} from './kernel_spec.js';
export type { DebianSpec, KernelSpec } from './kernel_spec.js';
export { defaultRelease, usualReleases } from './releases.js';
export { kernelPackageFiles } from './package_files.js';
export type { FileRecord } from './record.js';
export type { SignatureCheck } from './signature.js';

/** A kernel that can be booted, and where it came from. */
export interface LoadedKernel {
  /** The user's request: `debian:bookworm/cloud`, or the file. */
  readonly name: string;
  /** The version that the kernel contains; null if there is none. */
  readonly version: string | null;
  /** SHA-256 of the file as it was packed: the file itself, or the file in the package. */
  readonly sha256: string;
  readonly package: { readonly name: string; readonly version: string } | null;
  readonly image: KernelImage;
  /** The kernel as it was packed: what a boot loader or kexec would be given. */
  readonly file: Uint8Array;
  /** For an archive: what was checked when it was fetched. */
  readonly suites: readonly SuiteReport[];
  readonly fromCache: boolean;
}

/**
 * The kernel in a file. Throws {@link InputError} with one line if it contains no bootable kernel, or one for another architecture than
 * `wanted`; null for any.
 */
export async function loadKernelFile(
  file: string,
  wanted: Architecture | null = null,
): Promise<LoadedKernel> {
  const bytes = await readInputFile(file, 'kernel').catch((error: unknown) => {
    // Not where such a file exists and is merely unreadable.
    const isMissing = error instanceof InputError && error.message.endsWith('there is no such file');
    if (!isMissing || !usualReleases.includes(file)) throw error;
    throw new InputError(`${error.message}; did you mean debian:${file}?`, { cause: error });
  });
  return await loadKernelBytes(bytes, file, wanted);
}

/** The same for a file's bytes; `name` is used in messages. */
export async function loadKernelBytes(
  bytes: Uint8Array,
  name: string,
  wanted: Architecture | null = null,
): Promise<LoadedKernel> {
  const found = await readKernelFile(bytes, name, wanted);
  return {
    name,
    version: found.image.version,
    sha256: sha256(found.packed),
    package: found.package,
    image: found.image,
    file: found.packed,
    suites: [],
    fromCache: false,
  };
}

/** A kernel of a Debian release. Throws {@link InputError} with one line if it is not available. */
export async function loadDebianKernel(spec: DebianSpec, settings: DebianSettings): Promise<LoadedKernel> {
  // A boot of a kernel from an archive usually needs the initramfs that is made from its busybox.
  const { kernel } = await debianFiles(spec, ['kernel'], settings, ['busybox']);
  const { bytes: file, path, name, sha256: digest, package: package_, suites, fromCache } = kernel;
  const { image } = await readKernelFile(file, `${path} of ${name}`);
  return { name, version: image.version, sha256: digest, package: package_, image, file, suites, fromCache };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings of a machine with this environment, at the time `now` (seconds since 1970). `warn` takes single lines. */
export function debianSettings(
  env: Environment,
  now: number,
  warn: (line: string) => void,
  more: Partial<DebianSettings> = {},
): DebianSettings {
  const mirror = env['DOMULATOR_MIRROR'] ?? '';
  const { folder, note } = cachePlace(env);
  return {
    ...defaultArchiveSettings,
    fetch: { ...defaultFetchSettings, env },
    mirror: mirror === '' ? null : mirror,
    aptFolder: '/etc/apt',
    cacheFolder: folder,
    cacheNote: note,
    refresh: false,
    now,
    warn,
    ...more,
  };
}
