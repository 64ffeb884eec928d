/**
 * kernel_source: where kernels come from. A file that the user names, or a Debian release out of the user's cache or a
 * mirror; each checked as far as this machine can, and never run. It knows the host's files and network, and nothing of
 * what a kernel does.
 */
import { readKernelFile } from '../firmware/index.js';
import type { KernelImage } from '../firmware/index.js';
import { defaultArchiveSettings } from './archive.js';
import type { SuiteReport } from './archive.js';
import { cachePlace, sha256 } from './cache.js';
import { debianFiles } from './debian_files.js';
import type { AnySpec, DebianSettings } from './debian_files.js';
import { readInputFile } from './files.js';
import { defaultFetchSettings } from './http.js';

export { readAptSources } from './apt_sources.js';
export type { AptSource } from './apt_sources.js';
export { NotGenuineError } from './archive.js';
export type { SuiteReport } from './archive.js';
export type { Wanted } from './cached_files.js';
export { debianFiles } from './debian_files.js';
export type { DebianFile, DebianSettings } from './debian_files.js';
export { readInputFile } from './files.js';
export { listKernels } from './kernel_list.js';
export type { KernelList, ListedKernel } from './kernel_list.js';
export { debianGrammar, debianSpecText, parseDebianSpec, parseKernelSpec } from './kernel_spec.js';
export type { DebianSpec, KernelSpec } from './kernel_spec.js';
export { kernelPackageFiles } from './package_files.js';
export type { FileRecord } from './record.js';
export type { SignatureCheck } from './signature.js';

/** A kernel that can be booted, and where it came from. */
export interface LoadedKernel {
  /** What the user asked for: `debian:bookworm/cloud` or the file. */
  readonly name: string;
  /** What the kernel calls itself; null when it does not say. */
  readonly version: string | null;
  /** Of the file as it was packed: the file itself, or that in the package. */
  readonly sha256: string;
  readonly package: { readonly name: string; readonly version: string } | null;
  readonly image: KernelImage;
  /** Of an archive: what was checked when it was fetched. */
  readonly suites: readonly SuiteReport[];
  readonly fromCache: boolean;
}

/** The kernel in a file. Throws {@link InputError} with one line when there is none that can be booted. */
export async function loadKernelFile(file: string): Promise<LoadedKernel> {
  return await loadKernelBytes(await readInputFile(file, 'kernel'), file);
}

/** The same of a file's bytes; `name` is what it is called. */
export async function loadKernelBytes(bytes: Uint8Array, name: string): Promise<LoadedKernel> {
  const found = await readKernelFile(bytes, name);
  return {
    name,
    version: found.image.version,
    sha256: sha256(found.packed),
    package: found.package,
    image: found.image,
    suites: [],
    fromCache: false,
  };
}

/** A kernel of a Debian release. Throws {@link InputError} with one line when it cannot be had. */
export async function loadDebianKernel(spec: AnySpec, settings: DebianSettings): Promise<LoadedKernel> {
  // Who boots a kernel of an archive mostly wants the initramfs that is made of its busybox.
  const { kernel } = await debianFiles(spec, ['kernel'], settings, ['busybox']);
  const { image } = await readKernelFile(kernel.bytes, `${kernel.path} of ${kernel.name}`);
  const { name, package: package_, suites, fromCache } = kernel;
  return { name, version: image.version, sha256: kernel.sha256, package: package_, image, suites, fromCache };
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
