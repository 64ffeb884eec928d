/**
 * builtin_guest: a small kernel of our own for each architecture, assembled from the instruction definitions. It brings its vCPUs
 * up, knows the vCPU id of each CPU, and has each CPU call every other by every means that Xen offers. The folder of an
 * architecture has its kernel, so that a guest of another does not load it.
 */
import { hashBytes } from '../base/index.js';

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

/** The kernel with an assembled image. */
export function kernelOf<Placement>(
  { bytes, memoryBytes }: { readonly bytes: Uint8Array; readonly memoryBytes: number },
  placement: Placement,
): BuiltinKernel<Placement> {
  return { name: 'builtin', version, sha256: hashBytes(bytes), image: bytes, memoryBytes, placement };
}
