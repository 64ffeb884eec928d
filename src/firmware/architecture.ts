/** The architectures of kernels and programs, by Debian's names, and how their files show them. */

/** Debian's name of an architecture. */
export type Architecture = 'arm64' | 'amd64';

/** ELF's e_machine (System V ABI, gABI 4.1, "ELF Header"): EM_X86_64 and EM_AARCH64. */
const elfMachines: Readonly<Record<Architecture, number>> = { arm64: 183, amd64: 62 };

/** The start of an ELF file (gABI 4.1, e_ident): the magic, class 64-bit, little-endian. */
const elf64 = [0x7f, 0x45, 0x4c, 0x46, 2, 1];

/** Whether `bytes` are a program, or a vmlinux, for `architecture`: a 64-bit little-endian ELF file. */
export function isElfFor(bytes: Uint8Array, architecture: Architecture): boolean {
  const machine = (bytes[18] ?? 0) | ((bytes[19] ?? 0) << 8);
  return elf64.every((byte, i) => bytes[i] === byte) && machine === elfMachines[architecture];
}
