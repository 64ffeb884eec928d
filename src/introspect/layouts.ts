/** The layouts of the kernel's structures, from VMCOREINFO or BTF. */
export interface Layouts {
  /** The size of structure `name` in bytes; null if it is not known. */
  size(name: string): number | null;
  /** The offset of `structure.member` in bytes; null if it is not known. */
  offset(path: string): number | null;
}

/** Reads `size` bytes at a kernel virtual address; null if nothing is mapped there. */
export type ReadKernel = (address: bigint, size: number) => Uint8Array | null;
