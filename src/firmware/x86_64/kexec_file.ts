/**
 * The file of a kernel as kexec-tools take it for a crash kernel. They load a bzImage wherever memory was reserved, but a vmlinux where it
 * was linked, which is where the kernel that is to crash lies; unless the file says that it is a program that lies anywhere (kexec-tools
 * kexec/kexec-elf-exec.c, elf_exec_load).
 */
import { viewOf } from '../../abi/index.js';
import { collect } from '../byte_streams.js';
import { compressionOf, decompress } from '../compression.js';
import { imageLimit } from '../image_bytes.js';
import { elf, ET_DYN, programHeader, PT_LOAD } from './elf.js';
import { isBzImage, isVmlinux } from './kernel_image.js';

/**
 * A copy of a vmlinux that is a program from physical address 0 on, which may be loaded at any other. A kernel finds out where it lies
 * when it is entered (Linux arch/x86/kernel/head64.c, __startup_64).
 */
function relocatable(vmlinux: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(vmlinux);
  const view = viewOf(bytes);
  const table = Number(view.getBigUint64(elf.programHeaders, true));
  const [each, count] = [view.getUint16(elf.entryBytes, true), view.getUint16(elf.entries, true)];
  const loads = Array.from({ length: count }, (_, i) => table + each * i)
    .filter((at) => view.getUint32(at + programHeader.type, true) === PT_LOAD)
    .map((at) => at + programHeader.physical);
  const addresses = loads.map((at) => view.getBigUint64(at, true));
  const first = addresses.reduce((least, address) => (address < least ? address : least));
  for (const [i, at] of loads.entries()) view.setBigUint64(at, (addresses[i] ?? 0n) - first, true);
  view.setBigUint64(elf.entry, view.getBigUint64(elf.entry, true) - first, true);
  view.setUint16(elf.type, ET_DYN, true);
  return bytes;
}

/**
 * The file of a kernel that {@link readX86Image} has read, packed or not, for kexec-tools: a bzImage as it is, or a vmlinux that may lie
 * anywhere. `what` names the file in errors.
 */
export async function kexecFile(file: Uint8Array, what: string): Promise<Uint8Array> {
  const compression = compressionOf(file);
  const bytes =
    isBzImage(file) || compression === 'none'
      ? file
      : await collect(decompress(file, compression, what), imageLimit, what);
  return isVmlinux(bytes) ? relocatable(bytes) : bytes;
}
