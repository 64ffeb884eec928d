/** How the kernel lays its structures out: as VMCOREINFO or BTF says, whichever there is. */
export interface Layouts {
  /** The size of structure `name`, bytes; null when that is not known. */
  size(name: string): number | null;
  /** The offset of `structure.member`, bytes; null when that is not known. */
  offset(path: string): number | null;
}

/** Reads `size` bytes at a kernel virtual address; null where nothing is mapped. */
export type ReadKernel = (address: bigint, size: number) => Uint8Array | null;
