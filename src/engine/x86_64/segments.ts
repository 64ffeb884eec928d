/** Segment registers with their hidden parts, and descriptors (Intel SDM, volume 3, 3.4). */

/** A segment register. */
export interface Segment {
  readonly selector: number;
  readonly base: bigint;
  /** The last offset, in bytes. */
  readonly limit: number;
  /** See `attribute`. */
  readonly attributes: number;
}

/** Bits 55 to 52 and 47 to 40 of a descriptor, next to each other. */
export const attribute = {
  accessed: 1,
  /** Of data: writable. Of code: readable. */
  access: 2,
  /** Of data: expands down. Of code: conforming. */
  direction: 4,
  code: 8,
  /** Code or data; else a system segment or gate. */
  ordinary: 0x10,
  privilegeAt: 5,
  present: 0x80,
  long: 0x200,
  big: 0x400,
  granular: 0x800,
} as const;

/** The type of a system descriptor: bits 3 to 0. */
export const systemType = {
  localTable: 2,
  callGate16: 4,
  taskGate: 5,
  busyTask: 0xb,
  callGate: 0xc,
  availableTask: 9,
} as const;

export function privilegeOf({ attributes }: Pick<Segment, 'attributes'>): number {
  return (attributes >> attribute.privilegeAt) & 3;
}

export function has({ attributes }: Pick<Segment, 'attributes'>, bits: number): boolean {
  return (attributes & bits) === bits;
}

/** A segment register that holds a null selector, and so cannot be used. */
export function nullSegment(selector: number): Segment {
  return { selector, base: 0n, limit: 0, attributes: 0 };
}

/** A segment register as a load in real mode leaves it. */
export function realModeSegment(selector: number, before: Segment): Segment {
  return { ...before, selector, base: BigInt(selector) << 4n };
}

/** The segment that 8 bytes of a descriptor table describe. */
export function segmentOf(selector: number, descriptor: bigint): Segment {
  const field = (shift: bigint, bits: bigint): number => Number((descriptor >> shift) & ((1n << bits) - 1n));
  const attributes = field(40n, 8n) | (field(52n, 4n) << 8);
  const limit = field(0n, 16n) | (field(48n, 4n) << 16);
  return {
    selector,
    base: BigInt(field(16n, 24n)) | (BigInt(field(56n, 8n)) << 24n),
    limit: (attributes & attribute.granular) === 0 ? limit : ((limit << 12) | 0xfff) >>> 0,
    attributes,
  };
}

/** The 8 bytes of a descriptor. Base has 32 bits. */
export function descriptorOf({ base, limit, attributes }: Omit<Segment, 'selector'>): bigint {
  const units = BigInt((attributes & attribute.granular) === 0 ? limit : limit >>> 12);
  return (
    (units & 0xffffn) |
    ((base & 0xffffffn) << 16n) |
    (BigInt(attributes & 0xff) << 40n) |
    (((units >> 16n) & 0xfn) << 48n) |
    (BigInt((attributes >> 8) & 0xf) << 52n) |
    (((base >> 24n) & 0xffn) << 56n)
  );
}

/** Whether `bytes` bytes from an offset on are within the limit. */
export function isWithin(segment: Segment, offset: number, bytes: number): boolean {
  const { limit } = segment;
  const last = offset + Math.max(bytes, 1) - 1;
  const expandsDown = has(segment, attribute.direction) && !has(segment, attribute.code);
  if (!expandsDown) return last <= limit;
  return offset > limit && last <= (has(segment, attribute.big) ? 0xffffffff : 0xffff);
}
