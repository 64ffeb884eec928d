/** Reads a kernel from a file: an image in any supported format, or a Debian package that contains one. */
import { InputError } from '../base/index.js';
import { debControl, findInDeb, isDeb, isKernelPath, openDeb } from './archive/deb.js';
import type { DebPackage } from './archive/deb.js';
import { parseDepends } from './archive/debian_index.js';
import { isKernelPackage } from './archive/debian_kernels.js';
import type { Architecture } from './architecture.js';
import { checkArchitecture, readKernelImage } from './kernel_image.js';
import type { KernelImage } from './kernel_image.js';

const architectures: readonly Architecture[] = ['arm64', 'amd64'];

export interface KernelFile {
  /** The kernel as packaged: the whole file, or the file in the package. */
  readonly packed: Uint8Array;
  readonly image: KernelImage;
  /** The package that contained it; null if there was none. */
  readonly package: { readonly name: string; readonly version: string; readonly path: string } | null;
}

/** An error that names the package that may have the kernel, for a package without one. */
async function noKernel(deb: DebPackage): Promise<InputError> {
  const control = await debControl(deb);
  const [needed] = parseDepends(control.get('depends') ?? '')
    .flat()
    .filter(({ name }) => isKernelPackage(name));
  return new InputError(
    needed === undefined
      ? `${deb.what} contains no kernel`
      : `${deb.what} contains no kernel; try the package ${needed.name}, which it depends on`,
  );
}

async function readPackage(
  bytes: Uint8Array,
  what: string,
  wanted: Architecture | null,
): Promise<KernelFile> {
  const deb = openDeb(bytes, what);
  const control = await debControl(deb);
  const own = architectures.find((one) => one === control.get('architecture')) ?? null;
  checkArchitecture(own, wanted, what);
  const file = await findInDeb(deb, isKernelPath);
  if (file === null) throw await noKernel(deb);
  return {
    packed: file.bytes,
    image: await readKernelImage(file.bytes, `${file.path} of ${what}`, wanted),
    package: { name: control.get('package') ?? '', version: control.get('version') ?? '', path: file.path },
  };
}

/**
 * The kernel in `bytes`, for the architecture `wanted` if it is not null. Throws {@link InputError} as {@link readKernelImage} does;
 * `what` names the file.
 */
export async function readKernelFile(
  bytes: Uint8Array,
  what: string,
  wanted: Architecture | null = null,
): Promise<KernelFile> {
  if (isDeb(bytes)) return await readPackage(bytes, what, wanted);
  return { packed: bytes, image: await readKernelImage(bytes, what, wanted), package: null };
}
