/** Memory-mapped devices: registers at offsets, tables of them, and who reads or writes. */

export type MmioBytes = 1 | 2 | 4 | 8;

/** A device as the bus sees it. Offsets count from the device's own start; a device never sees a guest address. */
export interface MmioDevice {
  /** Bytes that it answers to. */
  readonly size: number;
  /** The value at `offset`; 0 where there is no register. */
  read(offset: number, bytes: MmioBytes, vcpu: number): bigint;
  /** Writes `value`; without effect where there is no register or it cannot be written. */
  write(offset: number, bytes: MmioBytes, value: bigint, vcpu: number): void;
}

/** A register, or a row of them: `count` times `bytes` bytes from `offset` on. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 4 | 8;
  readonly count: number;
  /** The value of register `index` of the row. */
  readonly read: (index: number) => bigint;
  /** Writes it; `mask` has ones at the bytes that are written. */
  readonly write: (index: number, value: bigint, mask: bigint) => void;
}

/** A row of 32-bit registers, as numbers. */
export function registers32(
  name: string,
  offset: number,
  count: number,
  read: (index: number) => number,
  write: (index: number, value: number) => void = () => undefined,
): Register {
  return {
    name,
    offset,
    bytes: 4,
    count,
    read: (index) => BigInt(read(index) >>> 0),
    write: (index, value, mask) => {
      // A narrow write keeps the other bytes as they read.
      const kept = mask === 0xffffffffn ? 0n : BigInt(read(index) >>> 0) & ~mask;
      write(index, Number((kept | (value & mask)) & 0xffffffffn));
    },
  };
}

/** A row of 64-bit registers. */
export function registers64(
  name: string,
  offset: number,
  count: number,
  read: (index: number) => bigint,
  write: (index: number, value: bigint) => void = () => undefined,
): Register {
  return {
    name,
    offset,
    bytes: 8,
    count,
    read,
    write: (index, value, mask) => write(index, (read(index) & ~mask) | (value & mask)),
  };
}

function find(table: readonly Register[], offset: number): Register | undefined {
  return table.find(({ offset: start, bytes, count }) => offset >= start && offset < start + bytes * count);
}

/** Reads `bytes` bytes at `offset` by the table; an access wider than a register takes the next one too. */
export function readRegister(table: readonly Register[], offset: number, bytes: MmioBytes): bigint {
  const register = find(table, offset);
  if (register === undefined) return 0n;
  const within = (offset - register.offset) % register.bytes;
  const index = Math.floor((offset - register.offset) / register.bytes);
  const value = register.read(index) >> BigInt(8 * within);
  const here = Math.min(bytes, register.bytes - within);
  const low = BigInt.asUintN(8 * here, value);
  if (here === bytes) return low;
  return low | (readRegister(table, offset + here, 4) << BigInt(8 * here));
}

/** Writes `bytes` bytes at `offset` by the table. */
export function writeRegister(
  table: readonly Register[],
  offset: number,
  bytes: MmioBytes,
  value: bigint,
): void {
  const register = find(table, offset);
  if (register === undefined) return;
  const within = (offset - register.offset) % register.bytes;
  const index = Math.floor((offset - register.offset) / register.bytes);
  const here = Math.min(bytes, register.bytes - within);
  const mask = ((1n << BigInt(8 * here)) - 1n) << BigInt(8 * within);
  register.write(index, (value << BigInt(8 * within)) & mask, mask);
  if (here < bytes) writeRegister(table, offset + here, 4, value >> BigInt(8 * here));
}
