/** Loads the bytes that a boot needs, from the places that the request names. */
import { InputError } from '../base/index.js';
import { defaultArchitecture, KernelImage } from '../boot/index.js';
import type { Architecture, BootKernel, KernelOrigin } from '../boot/index.js';
import { builtinKernel } from '../builtin_guest/arm64/index.js';
import {
  crashInitramfs,
  defaultInitramfs,
  isBzImage,
  kexecFile,
  looksLikeInitramfs,
  OtherArchitectureError,
} from '../firmware/index.js';
import type { KexecSyscall } from '../firmware/index.js';
import {
  debianFiles,
  debianSettings,
  defaultRelease,
  kernelName,
  kernelSpecOf,
  loadDebianKernel,
  loadKernelBytes,
  loadKernelFile,
  NotGenuineError,
  readInputFile,
  releaseSpec,
} from '../kernel_source/index.js';
import type { KernelSpec, LoadedKernel } from '../kernel_source/index.js';
import { addCommand, busyboxWithCommand, hasCommand } from './guest_command.js';
import { architectureAsked, checkEngine, checkType, checkWhatIf } from './request.js';
import type { BootRequest } from './request.js';

/** A kernel of an archive, or a package that it needs, is not available: neither cache nor mirror has it. */
export class UnavailableError extends InputError {
  /** The message without the advice. */
  readonly reason: string;

  constructor(reason: string, help: string, options: ErrorOptions) {
    super(help === '' ? reason : `${reason}; ${help}`, options);
    this.reason = reason;
  }
}

/** `loading`, with failures of an archive turned into an UnavailableError, except for files that fail their checks. */
async function fromArchive<T>(loading: Promise<T>): Promise<T> {
  try {
    return await loading;
  } catch (error) {
    if (!(error instanceof InputError) || error instanceof NotGenuineError) throw error;
    const [reason = '', ...help] = error.message.split('; ');
    throw new UnavailableError(reason, help.join('; '), { cause: error });
  }
}

/** The release whose user space is used with the kernels of a suite: backports and similar suites have none of their own. */
function userSpaceRelease(release: string): string {
  if (release === 'experimental' || release === 'rc-buggy') return 'sid';
  return release.replace(/-(backports(-sloppy)?|(proposed-)?updates|security)$/, '');
}

type Settings = Parameters<typeof loadDebianKernel>[1];

export interface Sources {
  readonly kernel: BootKernel;
  readonly initrd: Uint8Array | null;
  readonly origin: KernelOrigin;
}

/** The settings for archives and cache, from the caller's options. No warning is given twice. */
export function archiveSettings({
  arch,
  mirror,
  warn,
}: Pick<BootRequest, 'arch' | 'mirror' | 'warn'>): Settings {
  const now = Math.floor(Date.now() / 1000);
  // The kernel and the other packages may cause the same warning about an archive or the cache.
  const said = new Set<string>();
  const warnOnce = (line: string): void => {
    if (!said.has(line)) warn?.(line);
    said.add(line);
  };
  const architecture = architectureAsked({ ...(arch === undefined ? {} : { arch }) });
  return debianSettings(process.env, now, warnOnce, {
    ...(mirror === undefined ? {} : { mirror }),
    ...(architecture === null ? {} : { architecture }),
  });
}

/** A kernel, and the file that kexec would be given. */
type Kernel = Pick<Sources, 'kernel' | 'origin'> & { readonly file: Uint8Array };

/** That of another architecture than arm64 is loaded only where it is asked for. */
async function loadBuiltin(architecture: Settings['architecture']): Promise<BootKernel> {
  if (architecture === 'arm64') return builtinKernel();
  return (await import('../builtin_guest/x86_64/index.js')).builtinKernel();
}

function builtin(kernel: BootKernel): Kernel {
  return { kernel, origin: { package: null, suites: [] }, file: KernelImage.of(kernel.image).bytes };
}

/** `asked`: the architecture that a file must have; null for any. */
async function loadKernel(
  spec: KernelSpec,
  settings: Settings,
  asked: Architecture | null = null,
): Promise<Kernel> {
  switch (spec.kind) {
    case 'bytes':
      return bootable(await loadKernelBytes(spec.bytes, kernelName(spec), asked));
    case 'builtin':
      return builtin(await loadBuiltin(settings.architecture));
    case 'file':
      return bootable(await loadKernelFile(spec.file, asked));
    case 'debian':
      return bootable(await fromArchive(loadDebianKernel(spec, settings)));
  }
}

/** `loaded`, with its file where the guest is to unpack it. Throws InputError if it cannot. */
function asUnpacked({ kernel, file }: Kernel, { unpack }: Pick<BootRequest, 'unpack'>): BootKernel {
  if (unpack !== 'guest') return kernel;
  if (isBzImage(file)) return { ...kernel, packed: file };
  throw new InputError(`${kernel.name} is no bzImage, and cannot unpack itself; let the host do it`);
}

/** An initrd that is no initramfs may still be the image of a disk, so the guest gets it; but it is more likely a mistake. */
async function readInitrd(file: string, { warn }: BootRequest): Promise<Uint8Array> {
  const bytes = await readInputFile(file, 'initrd');
  if (!looksLikeInitramfs(bytes))
    warn?.(`the initrd ${file} is no cpio archive, plain or compressed; Linux will not unpack it`);
  return bytes;
}

/** Null for the builtin kernel unless one is given, because it needs none. */
async function loadInitrd(
  request: BootRequest,
  spec: KernelSpec,
  { placement: { architecture } }: BootKernel,
  settings: Settings,
): Promise<Uint8Array | null> {
  const { initrd } = request;
  if (initrd instanceof Uint8Array) return await addCommand(initrd, architecture, request);
  if (initrd !== undefined) return await addCommand(await readInitrd(initrd, request), architecture, request);
  if (spec.kind === 'builtin') return null;
  const release = spec.kind === 'debian' ? userSpaceRelease(spec.release) : defaultRelease;
  const { busybox } = await fromArchive(debianFiles(releaseSpec(release), ['busybox'], settings));
  if (hasCommand(request)) return await busyboxWithCommand(busybox.bytes, architecture, request);
  return defaultInitramfs(busybox.bytes, architecture);
}

/** The origin in the form of the report, with its members in the report's order. */
export function originOf({ package: package_, suites }: KernelOrigin): KernelOrigin {
  return {
    package: package_ === null ? null : { name: package_.name, version: package_.version },
    suites: suites.map(({ suite, date, validUntil, expired, signature }) => ({
      suite,
      date,
      validUntil,
      expired,
      signature:
        signature.state === 'good'
          ? { state: signature.state, keys: signature.keys }
          : { state: signature.state, reason: signature.reason },
    })),
  };
}

/** The loaded files, in the form that a boot needs. */
function bootable(loaded: LoadedKernel): Kernel {
  const { name, version, sha256, image } = loaded;
  const { bytes, memoryBytes, placement } = image;
  return {
    kernel: { name, version, sha256, image: bytes, memoryBytes, placement },
    origin: originOf(loaded),
    file: loaded.file,
  };
}

/**
 * Fetches or reads the kernel `spec` and the other files of `request`. Throws InputError with one line when they are not available or cannot
 * be booted.
 */
export async function loadSources(request: BootRequest, spec: KernelSpec): Promise<Sources> {
  const settings = archiveSettings(request);
  const loaded = await loadKernel(spec, settings, architectureAsked(request));
  const kernel = asUnpacked(loaded, request);
  const { origin } = loaded;
  const { architecture } = kernel.placement;
  checkType(architecture, request);
  checkEngine(architecture, request);
  checkWhatIf(architecture, request);
  const initrd = await loadInitrd(request, spec, kernel, { ...settings, architecture });
  return { kernel, origin, initrd };
}

/** What the kernel to go on in is, beside the request for the first one. */
interface CrashKernelRequest extends Pick<
  BootRequest,
  'arch' | 'type' | 'cpu' | 'unpack' | 'mirror' | 'warn' | 'command' | 'script'
> {
  readonly crashKernel?: string | Uint8Array;
  readonly kexecSyscall?: KexecSyscall;
}

/** A kernel that crashes, or in which a crashed one goes on. One for another architecture is refused before it is unpacked. */
async function loadCrashed(
  spec: KernelSpec,
  settings: Settings,
  architecture: Architecture,
): Promise<Kernel> {
  try {
    return await loadKernel(spec, settings, architecture);
  } catch (error) {
    if (!(error instanceof OtherArchitectureError)) throw error;
    throw new InputError(`${error.message}; give the architecture (--arch) if both kernels are for it`, {
      cause: error,
    });
  }
}

/** What runs in the crash kernel: the command of `request`, for which there is makedumpfile; or what shows its CPUs. */
async function crashUserSpace(
  request: CrashKernelRequest,
  release: string,
  busybox: Uint8Array,
  settings: Settings,
): Promise<Uint8Array> {
  const { architecture } = settings;
  if (!hasCommand(request)) return defaultInitramfs(busybox, architecture);
  const { makedumpfile } = await fromArchive(debianFiles(releaseSpec(release), ['makedumpfile'], settings));
  return await busyboxWithCommand(busybox, architecture, request, makedumpfile.bytes);
}

/**
 * Fetches or reads `kernel` and a crash kernel, with the initramfs that loads it and the one that runs in it. Throws InputError as
 * {@link loadSources} does.
 */
export async function loadCrashSources(
  request: CrashKernelRequest,
  spec: KernelSpec,
  crashCommandLine: string,
): Promise<Sources> {
  const settings = archiveSettings(request);
  const architecture = architectureAsked(request) ?? defaultArchitecture;
  checkType(architecture, request);
  const first = await loadCrashed(spec, settings, architecture);
  const kernel = asUnpacked(first, request);
  const { origin } = first;
  const { crashKernel } = request;
  const next =
    crashKernel === undefined ? first : await loadCrashed(kernelSpecOf(crashKernel), settings, architecture);
  const release = spec.kind === 'debian' ? userSpaceRelease(spec.release) : defaultRelease;
  const { busybox, kexec } = await fromArchive(
    debianFiles(releaseSpec(release), ['busybox', 'kexec'], settings),
  );
  const initrd = crashInitramfs(
    {
      busybox: busybox.bytes,
      kexecTools: kexec.bytes,
      // An Image as kexec takes it is not packed; a bzImage unpacks itself.
      kernel:
        architecture === 'arm64'
          ? KernelImage.of(next.kernel.image).bytes
          : await kexecFile(next.file, next.kernel.name),
      initrd: await crashUserSpace(request, release, busybox.bytes, { ...settings, architecture }),
      commandLine: crashCommandLine,
      syscall: request.kexecSyscall ?? 'kexec_load',
    },
    architecture,
  );
  return { kernel, initrd, origin };
}
