/** ELF files with one segment (System V ABI, gABI 4.1, "Object Files"). */

const fileHeader = 64;
const programHeader = 56;
/** One loadable segment, and one that marks the stack as not executable. */
const segments = 2;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474_e551;
const [readable, writable, executable] = [4, 2, 1];

/** Number of bytes before the code. */
export const headerBytes = fileHeader + segments * programHeader;
/** Load address of the file's first byte; a multiple of 64 KiB, the largest page size. */
export const loadAddress = 0x40_0000;
const pageBytes = 0x1_0000;

const identification = [0x7f, 0x45, 0x4c, 0x46, /* 64 bits */ 2, /* little-endian */ 1, /* version */ 1];
const ET_EXEC = 2;

function writeProgramHeader(view: DataView, at: number, type: number, flags: number, bytes: number): void {
  view.setUint32(at, type, true);
  view.setUint32(at + 4, flags, true);
  const address = bytes === 0 ? 0n : BigInt(loadAddress);
  // Offset, virtual and physical address, bytes in the file and in memory, alignment.
  [0n, address, address, BigInt(bytes), BigInt(bytes), bytes === 0 ? 16n : BigInt(pageBytes)].forEach(
    (value, i) => view.setBigUint64(at + 8 + 8 * i, value, true),
  );
}

/**
 * Builds the file from `code`, which begins with {@link headerBytes} of space for the headers, and the data after it; `machine`
 * is ELF's e_machine.
 */
export function elfFile(machine: number, code: Uint8Array, ...rest: readonly Uint8Array[]): Uint8Array {
  const parts = [code, ...rest];
  const file = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let end = 0;
  for (const part of parts) {
    file.set(part, end);
    end += part.length;
  }
  const view = new DataView(file.buffer);
  file.set(identification);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(loadAddress + headerBytes), true);
  view.setBigUint64(32, BigInt(fileHeader), true);
  view.setUint16(52, fileHeader, true);
  view.setUint16(54, programHeader, true);
  view.setUint16(56, segments, true);
  writeProgramHeader(view, fileHeader, PT_LOAD, readable | writable | executable, file.length);
  writeProgramHeader(view, fileHeader + programHeader, PT_GNU_STACK, readable | writable, 0);
  return file;
}
