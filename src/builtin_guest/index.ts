/**
 * builtin_guest: a small kernel of our own for each architecture, assembled from the instruction definitions. It brings its vCPUs
 * up, knows the vCPU id of each CPU, and has each CPU call every other by every means that Xen offers. The folder of an
 * architecture has its kernel, so that a guest of another does not load it.
 */
import { hashBytes, prepared } from '../base/index.js';
import type { PreparedBytes } from '../base/index.js';

/** A kernel that needs no file. */
export interface BuiltinKernel<Placement> {
  readonly name: 'builtin';
  readonly version: string;
  readonly sha256: string;
  /** The bytes to load, a kernel in the format of its architecture. */
  readonly image: Uint8Array;
  /** The size in memory. */
  readonly memoryBytes: number;
  readonly placement: Placement;
}

const version = '1.0';

/** An assembled image, with its SHA-256. */
interface Image<Bytes> {
  readonly bytes: Bytes;
  readonly memoryBytes: number;
  readonly sha256: string;
}

/** What is prepared (base/prepared.ts) of the kernel of an architecture. */
export function imageValue({
  bytes,
  memoryBytes,
}: {
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
}): Image<Uint8Array> {
  return { bytes, memoryBytes, sha256: hashBytes(bytes) };
}

function preparedImage(architecture: string): Image<Uint8Array> | null {
  const ready = prepared(`builtin guest ${architecture}`);
  if (ready === null) return null;
  const image = ready.value as Image<PreparedBytes>;
  return { ...image, bytes: ready.bytes(image.bytes).slice() };
}

/** The kernel of an architecture, with the prepared image or else the one that `assemble` returns. */
export function kernelOf<Placement extends { readonly architecture: string }>(
  placement: Placement,
  assemble: () => { readonly bytes: Uint8Array; readonly memoryBytes: number },
): BuiltinKernel<Placement> {
  const { bytes, memoryBytes, sha256 } = preparedImage(placement.architecture) ?? imageValue(assemble());
  return { name: 'builtin', version, sha256, image: bytes, memoryBytes, placement };
}
