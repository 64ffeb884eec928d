/**
 * A bzImage that unpacks itself, as a boot loader of the 64-bit boot protocol takes it (Linux Documentation/arch/x86/boot.rst, "64-bit
 * boot protocol").
 */
import { viewOf, zeroPage } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';

/** The first protocol whose header says what a bzImage can do. */
const leastVersion = 0x20c;
/** XLF_KERNEL_64: there is an entry for 64-bit mode, this many bytes behind the start of the code. */
const has64 = 1;
const entry64 = 0x200;
const sectorBytes = 512;

/** Offset in a bzImage's file of its code, behind the sectors of setup code. 0 means 4 of them, for old boot loaders. */
export function codeOffset(file: DataView): number {
  const sectors = file.getUint8(zeroPage.header) === 0 ? 4 : file.getUint8(zeroPage.header);
  return (sectors + 1) * sectorBytes;
}

/** What a boot loader needs of a bzImage. */
export interface SelfUnpacking {
  /** The setup header, from its offset in boot_params on. */
  readonly header: Uint8Array;
  /** The code with the packed kernel, which is loaded at the start of `memory`. */
  readonly code: Uint8Array;
  /** The memory that it needs before the kernel itself runs: where it prefers to lie, and how much. */
  readonly memory: MemoryRange;
  /** Guest physical address of the entry. */
  readonly entry: bigint;
}

/** Reads a bzImage; `what` names it. Throws {@link InputError} if it cannot be entered in 64-bit mode, or is damaged. */
export function readSelfUnpacking(file: Uint8Array, what: string): SelfUnpacking {
  const view = viewOf(file);
  if (file.length < zeroPage.memoryBytes + 4)
    throw new InputError(`${what} is truncated: it is no whole bzImage`);
  const flags = view.getUint16(zeroPage.extendedFlags, true);
  if (view.getUint16(zeroPage.version, true) < leastVersion || (flags & has64) === 0)
    throw new InputError(`${what} has no entry in 64-bit mode; let the host unpack it`);
  // The setup header ends where the jump at its start leads.
  const headerEnd = zeroPage.magic + view.getUint8(zeroPage.jump + 1);
  const code = file.subarray(codeOffset(view));
  const memory = {
    start: view.getBigUint64(zeroPage.preferredAt, true),
    size: BigInt(view.getUint32(zeroPage.memoryBytes, true)),
  };
  if (headerEnd > zeroPage.map || code.length <= entry64 || BigInt(code.length) > memory.size)
    throw new InputError(`${what} is damaged: its parts do not fit together`);
  return {
    header: file.subarray(zeroPage.header, headerEnd),
    code,
    memory,
    entry: memory.start + BigInt(entry64),
  };
}
