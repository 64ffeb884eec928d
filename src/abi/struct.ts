/**
 * C layouts, declared once. `struct('name', { field: u32, ... })` in C field order gives the TypeScript type,
 * the size, the alignment and every offset by the natural alignment rules that x86-64 (System V ABI 3.1.2)
 * and arm64 (AAPCS64 5.9) share. All of Xen's public ABI is little-endian on both.
 */
import { alignUp } from '../base/index.js';

/** A C type: how many bytes, how aligned, how read and written at a byte offset of a view. */
export interface CType<T> {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  read(view: DataView, at: number): T;
  write(view: DataView, at: number, value: T): void;
}

/** The TypeScript type that a C type reads and writes. */
export type ValueOf<C> = C extends CType<infer T> ? T : never;

export const u8: CType<number> = {
  name: 'u8',
  size: 1,
  align: 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, value) => view.setUint8(at, value),
};
export const u16: CType<number> = {
  name: 'u16',
  size: 2,
  align: 2,
  read: (view, at) => view.getUint16(at, true),
  write: (view, at, value) => view.setUint16(at, value, true),
};
export const u32: CType<number> = {
  name: 'u32',
  size: 4,
  align: 4,
  read: (view, at) => view.getUint32(at, true),
  write: (view, at, value) => view.setUint32(at, value, true),
};
export const s8: CType<number> = {
  name: 's8',
  size: 1,
  align: 1,
  read: (view, at) => view.getInt8(at),
  write: (view, at, value) => view.setInt8(at, value),
};
export const s16: CType<number> = {
  name: 's16',
  size: 2,
  align: 2,
  read: (view, at) => view.getInt16(at, true),
  write: (view, at, value) => view.setInt16(at, value, true),
};
export const s32: CType<number> = {
  name: 's32',
  size: 4,
  align: 4,
  read: (view, at) => view.getInt32(at, true),
  write: (view, at, value) => view.setInt32(at, value, true),
};
export const u64: CType<bigint> = {
  name: 'u64',
  size: 8,
  align: 8,
  read: (view, at) => view.getBigUint64(at, true),
  write: (view, at, value) => view.setBigUint64(at, value, true),
};
export const s64: CType<bigint> = {
  name: 's64',
  size: 8,
  align: 8,
  read: (view, at) => view.getBigInt64(at, true),
  write: (view, at, value) => view.setBigInt64(at, value, true),
};

/** An array in a C struct. */
export interface CArray<T> extends CType<T[]> {
  readonly element: CType<T>;
  readonly count: number;
}

/** `count` values of one type, one behind the other. Writing fewer leaves the rest as it is. */
export function array<T>(element: CType<T>, count: number): CArray<T> {
  return {
    name: `${element.name}[${count}]`,
    size: element.size * count,
    align: element.align,
    element,
    count,
    read: (view, at) => Array.from({ length: count }, (_, i) => element.read(view, at + i * element.size)),
    write: (view, at, values) => {
      for (const [i, value] of values.slice(0, count).entries()) {
        element.write(view, at + i * element.size, value);
      }
    },
  };
}

/**
 * `count` raw bytes: C's `char text[count]` and `uint8_t data[count]` where one wants the bytes rather than a
 * list of numbers. Reading copies; writing fewer leaves the rest as it is, and what is too much is cut off.
 */
export function bytes(count: number): CType<Uint8Array> {
  return {
    name: `bytes[${count}]`,
    size: count,
    align: 1,
    read: (view, at) => bytesAt(view, at, count).slice(),
    write: (view, at, value) => bytesAt(view, at, count).set(value.subarray(0, count)),
  };
}

/** Throws RangeError when the view is too short, as DataView's own accessors do. */
function bytesAt(view: DataView, at: number, count: number): Uint8Array {
  if (at + count > view.byteLength) throw new RangeError(`${count} bytes at ${at} are outside the view`);
  return new Uint8Array(view.buffer, view.byteOffset + at, count);
}

/** The values of a struct's fields, by their names. */
export type FieldValues<F> = { [K in keyof F]: ValueOf<F[K]> };

/** A struct or union: a C type with named members, each at an offset in bytes. */
export interface Struct<F, T = FieldValues<F>> extends CType<T> {
  readonly kind: 'struct' | 'union';
  readonly fields: F;
  readonly offsets: { readonly [K in keyof F]: number };
  /** The value at byte `at` of `bytes`. Throws RangeError when the struct, its last padding included, does not fit. */
  decode(bytes: Uint8Array, at?: number): T;
  /** `size` bytes that hold `value`, padding zero. */
  encode(value: T): Uint8Array;
}

/** A view of `bytes` from byte `at` on. */
export function viewOf(bytes: Uint8Array, at = 0): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + at, bytes.byteLength - at);
}

interface AnyField {
  readonly size: number;
  readonly align: number;
  read(view: DataView, at: number): unknown;
  write(view: DataView, at: number, value: unknown): void;
}

interface Layout {
  readonly offsets: Record<string, number>;
  readonly size: number;
  readonly align: number;
}

function layOut(fields: [string, AnyField][], packed: boolean, overlaid: boolean): Layout {
  const offsets: Record<string, number> = {};
  let end = 0;
  let align = 1;
  for (const [key, field] of fields) {
    const fieldAlign = packed ? 1 : field.align;
    const offset = overlaid ? 0 : alignUp(end, fieldAlign);
    offsets[key] = offset;
    end = Math.max(end, offset + field.size);
    align = Math.max(align, fieldAlign);
  }
  return { offsets, size: alignUp(end, align), align };
}

function aggregate<F, T>(name: string, fields: F, packed: boolean, overlaid: boolean): Struct<F, T> {
  const entries = Object.entries(fields as Record<string, AnyField>);
  const { offsets, size, align } = layOut(entries, packed, overlaid);
  const at = (key: string): number => offsets[key] ?? 0;
  const read = (view: DataView, base: number): T => {
    const value: Record<string, unknown> = {};
    for (const [key, field] of entries) value[key] = field.read(view, base + at(key));
    return value as T;
  };
  const write = (view: DataView, base: number, value: T): void => {
    for (const [key, field] of entries) {
      const member = (value as Record<string, unknown>)[key];
      if (member !== undefined) field.write(view, base + at(key), member);
    }
  };
  return {
    name,
    kind: overlaid ? 'union' : 'struct',
    size,
    align,
    fields,
    offsets: offsets as Struct<F>['offsets'],
    read,
    write,
    decode: (bytes, from = 0) => {
      if (from < 0 || from + size > bytes.length) {
        throw new RangeError(`${name} needs ${size} bytes from ${from} on, of ${bytes.length}`);
      }
      return read(viewOf(bytes), from);
    },
    encode: (value) => {
      const bytes = new Uint8Array(size);
      write(viewOf(bytes), 0, value);
      return bytes;
    },
  };
}

/** A C struct of `fields` in this order, with C's natural padding. */
export function struct<F>(name: string, fields: F): Struct<F> {
  return aggregate(name, fields, false, false);
}

/** A C struct without padding (`__attribute__((packed))`), as ACPI tables are. */
export function packedStruct<F>(name: string, fields: F): Struct<F> {
  return aggregate(name, fields, true, false);
}

/** A C union: reading gives every member's view of the bytes, writing stores the members that are given. */
export function union<F>(name: string, fields: F): Struct<F, Partial<FieldValues<F>>> {
  return aggregate(name, fields, false, true);
}
