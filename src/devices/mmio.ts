/**
 * Memory-mapped devices: registers at offsets, tables of them, and who reads or writes. No offset, width or value that
 * a guest can choose makes any of this throw.
 */

export type MmioBytes = 1 | 2 | 4 | 8;

/** A device as the bus sees it. Offsets count from the device's own start; a device never sees a guest address. */
export interface MmioDevice {
  /** Bytes that it answers to. */
  readonly size: number;
  /** The value at `offset`; null when the access is refused, for which the guest takes an external abort. */
  read(offset: number, bytes: MmioBytes): bigint | null;
  /** Writes `value`, of which bits above `bytes` are not looked at; false when the access is refused, as above. */
  write(offset: number, bytes: MmioBytes, value: bigint): boolean;
}

/** A register, or a row of them: `count` times `bytes` bytes from `offset` on. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 4 | 8;
  readonly count: number;
  /** The accesses that it takes, in bytes; one of another width is refused. */
  readonly widths: readonly MmioBytes[];
  /** The value of register `index` of the row; null when reads are refused. */
  readonly read: ((index: number) => bigint) | null;
  /** Writes it; `mask` has ones at the bits that are written, `value` is 0 outside of them. Null when refused. */
  readonly write: ((index: number, value: bigint, mask: bigint) => void) | null;
}

/** How a row differs from one register of 32 bits that is accessed whole. */
interface RowShape {
  readonly count?: number;
  readonly widths?: readonly MmioBytes[];
}

const wholeWord: readonly MmioBytes[] = [4];

/** A row of 32-bit registers, as numbers; a narrow write keeps the other bytes as they read. Without `write`, read only. */
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

/** A row of 32-bit registers that read as zero and take no write, but do answer. */
export function zeroes(name: string, offset: number, shape: RowShape): Register {
  return registers32(name, offset, shape, () => 0);
}

/** What a device does where it has no register: answers nothing, or is refused. */
export type Elsewhere = 'zero' | 'refused';

interface Place {
  readonly register: Register;
  readonly index: number;
  /** Of the access within the register, in bits. */
  readonly shift: bigint;
}

/** Offsets below this have what was found for them kept. */
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
      // An access that sticks out of its register ends there, as in Xen (asm/vreg.h, vreg_reg32_extract).
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

/** The same device, that says so when it was written to. */
export function withWrites(device: MmioDevice, written: () => void): MmioDevice {
  return {
    ...device,
    write: (offset, bytes, value) => {
      written();
      return device.write(offset, bytes, value);
    },
  };
}
