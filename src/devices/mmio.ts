/**
 * Memory-mapped devices: tables of registers at offsets, and the accesses to them. No offset, width or value that a
 * guest can choose makes these functions throw.
 */

export type MmioBytes = 1 | 2 | 4 | 8;

/**
 * A device as the bus uses it. Offsets are relative to the start of the device; a device never sees a guest address.
 */
export interface MmioDevice {
  /** Size of its address range in bytes. */
  readonly size: number;
  /** The value at `offset`; null if the access is refused, which is an external abort for the guest. */
  read(offset: number, bytes: MmioBytes): bigint | null;
  /**
   * Writes the low `bytes` bytes of `value`; false if the access is refused, which is an external abort for the guest.
   */
  write(offset: number, bytes: MmioBytes, value: bigint): boolean;
}

/** A register, or a row of registers: `count` registers of `bytes` bytes starting at `offset`. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 4 | 8;
  readonly count: number;
  /** Supported access widths in bytes. Other widths are refused. */
  readonly widths: readonly MmioBytes[];
  /** The value of register `index` of the row; null if reads are refused. */
  readonly read: ((index: number) => bigint) | null;
  /** Writes a register. `mask` has ones at the bits to write; `value` is 0 elsewhere. Null if writes are refused. */
  readonly write: ((index: number, value: bigint, mask: bigint) => void) | null;
}

/** The differences from a single 32-bit register with 32-bit accesses. */
interface RowShape {
  readonly count?: number;
  readonly widths?: readonly MmioBytes[];
}

const wholeWord: readonly MmioBytes[] = [4];

/**
 * A row of 32-bit registers with values as numbers. A narrow write keeps the other bytes as they read. Without `write`,
 * it is read-only.
 */
export function registers32(
  name: string,
  offset: number,
  { count = 1, widths = wholeWord }: RowShape,
  read: (index: number) => number,
  write: (index: number, value: number) => void = () => undefined,
): Register {
  return {
    name,
    offset,
    bytes: 4,
    count,
    widths,
    read: (index) => BigInt(read(index) >>> 0),
    write: (index, value, mask) => {
      const kept = mask === 0xffff_ffffn ? 0n : BigInt(read(index) >>> 0) & ~mask;
      write(index, Number(kept | value));
    },
  };
}

/** A row of 32-bit registers that read as zero and ignore writes. */
export function zeroes(name: string, offset: number, shape: RowShape): Register {
  return registers32(name, offset, shape, () => 0);
}

/** The answer where a device has no register: zero, or a refusal. */
export type Elsewhere = 'zero' | 'refused';

interface Place {
  readonly register: Register;
  readonly index: number;
  /** Position of the access in the register, in bits. */
  readonly shift: bigint;
}

/** Lookups of offsets below this are cached. */
const keptOffsets = 4096;
const ones = { 1: 0xffn, 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;

function placeAt(table: readonly Register[], offset: number): Place | null {
  const register = table.find(
    ({ offset: start, bytes, count }) => offset >= start && offset < start + bytes * count,
  );
  if (register === undefined) return null;
  const within = offset - register.offset;
  return {
    register,
    index: Math.floor(within / register.bytes),
    shift: BigInt(8 * (within % register.bytes)),
  };
}

/** The bits of its register that an access writes. */
function maskOf({ bytes: registerBytes }: Register, bytes: MmioBytes, shift: bigint): bigint {
  return BigInt.asUintN(8 * registerBytes, ones[bytes] << shift);
}

/** A device of `size` bytes with the registers of `table`. */
export function registerDevice(size: number, table: readonly Register[], elsewhere: Elsewhere): MmioDevice {
  const known = new Map<number, Place | null>();
  const find = (offset: number): Place | null => {
    const found = known.get(offset);
    if (found !== undefined) return found;
    const place = placeAt(table, offset);
    if (offset < keptOffsets) known.set(offset, place);
    return place;
  };
  return {
    size,
    read: (offset, bytes) => {
      const place = find(offset);
      if (place === null) return elsewhere === 'zero' ? 0n : null;
      const { register, index, shift } = place;
      if (register.read === null || !register.widths.includes(bytes)) return null;
      // An access past the end of its register is cut off there, as in Xen (asm/vreg.h, vreg_reg32_extract).
      return BigInt.asUintN(8 * bytes, register.read(index) >> shift);
    },
    write: (offset, bytes, value) => {
      const place = find(offset);
      if (place === null) return elsewhere === 'zero';
      const { register, index, shift } = place;
      if (register.write === null || !register.widths.includes(bytes)) return false;
      const mask = shift === 0n && bytes <= register.bytes ? ones[bytes] : maskOf(register, bytes, shift);
      register.write(index, (shift === 0n ? value : value << shift) & mask, mask);
      return true;
    },
  };
}

/** The same device, with a callback after writes. */
export function withWrites(device: MmioDevice, written: () => void): MmioDevice {
  return {
    ...device,
    write: (offset, bytes, value) => {
      written();
      return device.write(offset, bytes, value);
    },
  };
}
