/** Says what a file is that was given as a kernel and is none that can be booted. */
import { InputError } from '../base/index.js';
import { textAt } from './byte_streams.js';

/** A shorter file contains no kernel: headers of kernels have at least as many bytes. */
const fewestBytes = 64;

/** Names for ELF's e_machine (System V ABI), for common kernel architectures. */
const elfMachines: Readonly<Record<number, string>> = {
  3: 'x86',
  21: 'PowerPC',
  22: 'S/390',
  40: '32-bit Arm',
  62: 'amd64',
  183: 'arm64',
  243: 'RISC-V',
};

function describeElf(bytes: Uint8Array): string {
  const machine = (bytes[18] ?? 0) | ((bytes[19] ?? 0) << 8);
  const name = elfMachines[machine] ?? 'unknown';
  return machine === 183
    ? 'an ELF file (a vmlinux?); the Image beside it in arch/arm64/boot is what can be booted'
    : `an ELF file for ${name} machines, not a kernel for arm64 or amd64`;
}

/** Files that users give by mistake, by signature. */
const mistakes: readonly (readonly [
  test: (bytes: Uint8Array) => boolean,
  what: string | typeof describeElf,
])[] = [
  [(bytes) => textAt(bytes, 0, 4) === '\x7fELF', describeElf],
  [
    (bytes) => textAt(bytes, 0x24, 4) === '\x18\x28\x6f\x01',
    'a kernel for 32-bit Arm (zImage), not for arm64 or amd64',
  ],
  [(bytes) => textAt(bytes, 56, 4) === 'RSC\x05', 'a RISC-V kernel, not one for arm64 or amd64'],
  [(bytes) => textAt(bytes, 0, 4) === '\x27\x05\x19\x56', 'a U-Boot image; the Image in it is needed'],
  [(bytes) => textAt(bytes, 0, 6) === '070701', 'a cpio archive: an initramfs rather than a kernel?'],
  [(bytes) => textAt(bytes, 257, 5) === 'ustar', 'a tar archive, not a kernel'],
  [
    (bytes) => textAt(bytes, 0, 4) === '\x04\x22\x4d\x18',
    'compressed by lz4 in another format than the kernel\'s (lz4 -l); unpack it with "lz4 -d" first',
  ],
  [
    (bytes) => textAt(bytes, 0, 3) === 'BZh',
    'compressed by bzip2, which cannot be unpacked here; unpack it with "bunzip2" first',
  ],
  [
    (bytes) => textAt(bytes, 0, 3) === '\x5d\0\0',
    'compressed by lzma, which cannot be unpacked here; unpack it with "unlzma" first',
  ],
  [
    (bytes) => textAt(bytes, 0, 4) === '\x89LZO',
    'compressed by lzop, which cannot be unpacked here; unpack it with "lzop -d" first',
  ],
];

/** Throws {@link InputError} with one line that says what `bytes` are instead of a kernel; `what` names them. */
export function refuseFile(bytes: Uint8Array, what: string): never {
  const mistake = mistakes.find(([test]) => test(bytes))?.[1];
  if (mistake !== undefined) {
    throw new InputError(`${what} is ${typeof mistake === 'string' ? mistake : mistake(bytes)}`);
  }
  if (bytes.length < fewestBytes) {
    throw new InputError(`${what} is too short to be a kernel: it has ${bytes.length} bytes`);
  }
  throw new InputError(
    `${what} is not a kernel: it has neither the "ARMd" of arm64 at byte 56 nor the "HdrS" of amd64 at byte 514`,
  );
}
