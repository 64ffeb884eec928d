/**
 * Kernels in the formats that a loader accepts: as their architecture's own image (`arm64/kernel_image.ts`), and compressed by
 * gzip, xz or Zstandard (`x86_64/kernel_image.ts` too). The architecture is told from the contents.
 */
import { InputError } from '../base/index.js';
import type { Architecture } from './architecture.js';
import { isElfFor } from './architecture.js';
import { isImage, isZboot, readImage, readZboot } from './arm64/kernel_image.js';
import type { Arm64Placement } from './arm64/kernel_image.js';
import { collect } from './byte_streams.js';
import { compressionOf, decompress } from './compression.js';
import type { Compression } from './compression.js';
import { imageLimit } from './image_bytes.js';
import { refuseFile } from './mistaken_files.js';
import { isBzImage, isVmlinux, readX86Image } from './x86_64/kernel_image.js';
import type { X86Placement } from './x86_64/kernel_image.js';

/** Where an image must lie in memory, in the terms of its architecture. */
export type KernelPlacement = Arm64Placement | X86Placement;

/** A kernel image, ready to be loaded. */
export interface KernelImage {
  /** The image itself. */
  readonly bytes: Uint8Array;
  /** The format of the input. */
  readonly container: 'image' | 'zboot' | 'bzimage' | 'compressed';
  readonly compression: Compression;
  /** Size in memory from the image's first byte on, in bytes, including memory that it clears at its start. */
  readonly memoryBytes: number;
  /** The version text after "Linux version", such as `6.1.0-56-arm64`; null if there is none. */
  readonly version: string | null;
  readonly placement: KernelPlacement;
}

/** The architecture of an uncompressed kernel by its contents; null if it is not known as a kernel. */
export function kernelArchitecture(bytes: Uint8Array): Architecture | null {
  if (isImage(bytes) || isZboot(bytes) || isElfFor(bytes, 'arm64')) return 'arm64';
  return isBzImage(bytes) || isVmlinux(bytes) ? 'amd64' : null;
}

/** A kernel is for another architecture than was wanted. */
export class OtherArchitectureError extends InputError {}

/** Throws {@link OtherArchitectureError} if a kernel, or what may be one, is for another architecture than `wanted`; null for any. */
export function checkArchitecture(is: Architecture | null, wanted: Architecture | null, what: string): void {
  if (is === null || wanted === null || is === wanted) return;
  throw new OtherArchitectureError(`${what} is a kernel for ${is}, not for ${wanted}`);
}

/**
 * Reads the kernel in `bytes`: an arm64 Image or an EFI zboot application, or an amd64 bzImage or vmlinux; each also compressed by
 * gzip, xz or Zstandard. Throws {@link InputError} with one line that tells what it is instead, or what is wrong with it; `what`
 * names it. One that is for another architecture than `wanted` is refused before it is unpacked, as far as it shows that.
 */
export async function readKernelImage(
  bytes: Uint8Array,
  what: string,
  wanted: Architecture | null = null,
): Promise<KernelImage> {
  if (bytes.length === 0) throw new InputError(`${what} is empty`);
  checkArchitecture(kernelArchitecture(bytes), wanted, what);
  if (isZboot(bytes)) return await readZboot(bytes, what);
  const compression = compressionOf(bytes);
  if (compression === 'none') return await readUnpacked(bytes, what, { container: 'image', compression });
  const image = await collect(decompress(bytes, compression, what), imageLimit, what);
  checkArchitecture(kernelArchitecture(image), wanted, what);
  if (image.length === 0) throw new InputError(`${what} is empty after unpacking`);
  return await readUnpacked(image, what, { container: 'compressed', compression });
}

async function readUnpacked(
  bytes: Uint8Array,
  what: string,
  container: Pick<KernelImage, 'container' | 'compression'>,
): Promise<KernelImage> {
  switch (kernelArchitecture(bytes)) {
    case 'arm64':
      return readImage(bytes, what, container);
    case 'amd64':
      return await readX86Image(bytes, what, container);
    case null:
      return refuseFile(bytes, what);
  }
}
