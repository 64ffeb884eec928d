import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  array,
  bytes,
  packedStruct,
  s16,
  s32,
  s64,
  s8,
  struct,
  u16,
  u32,
  u64,
  u8,
  union,
  viewOf,
  type CType,
  type Struct,
} from './struct.js';

const scalars: Readonly<Record<string, CType<number> | CType<bigint>>> = {
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
};

/** A C type told in words, from which the tests build the declaration and, apart from it, work out the layout. */
type Told =
  | { readonly is: 'scalar'; readonly name: string }
  | { readonly is: 'bytes'; readonly count: number }
  | { readonly is: 'array'; readonly of: Told; readonly count: number }
  | { readonly is: 'struct' | 'packed'; readonly members: readonly Told[] };

const { aggregate } = fc.letrec<{ any: Told; aggregate: Told }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({ is: fc.constant('scalar' as const), name: fc.constantFrom(...Object.keys(scalars)) }),
    fc.record({ is: fc.constant('bytes' as const), count: fc.nat(9) }),
    fc.record({ is: fc.constant('array' as const), of: tie('any'), count: fc.nat(4) }),
    tie('aggregate'),
  ),
  aggregate: fc.record({
    is: fc.constantFrom('struct' as const, 'packed' as const),
    members: fc.array(tie('any'), { maxLength: 6 }),
  }),
}));

type AnyStruct = Struct<Record<string, CType<unknown>>, Record<string, unknown>>;

function declare(told: Told): CType<unknown> {
  switch (told.is) {
    case 'scalar':
      return scalars[told.name] as CType<unknown>;
    case 'bytes':
      return bytes(told.count);
    case 'array':
      return array(declare(told.of), told.count);
    case 'struct':
    case 'packed': {
      const members = Object.fromEntries(told.members.map((member, i) => [`m${i}`, declare(member)]));
      return (told.is === 'packed' ? packedStruct : struct)('random', members);
    }
  }
}

const declareStruct = (told: Told): AnyStruct => declare(told) as unknown as AnyStruct;

/** The rule in the small: a place is found by stepping on, byte by byte, until it divides. */
function step(at: number, align: number): number {
  let place = at;
  while (place % align !== 0) place += 1;
  return place;
}

function alignOf(told: Told): number {
  if (told.is === 'scalar') return Number(/\d+/.exec(told.name)![0]) / 8;
  if (told.is === 'array') return alignOf(told.of);
  return told.is === 'struct' ? Math.max(1, ...told.members.map(alignOf)) : 1;
}

function placesOf(members: readonly Told[], packed: boolean): { places: number[]; end: number } {
  let end = 0;
  const places = members.map((member) => {
    const place = step(end, packed ? 1 : alignOf(member));
    end = place + sizeOf(member);
    return place;
  });
  return { places, end };
}

function sizeOf(told: Told): number {
  if (told.is === 'scalar') return alignOf(told);
  if (told.is === 'bytes') return told.count;
  if (told.is === 'array') return told.count * sizeOf(told.of);
  return step(placesOf(told.members, told.is === 'packed').end, alignOf(told));
}

/** Any value that fits, and the bytes that C would store for it, worked out by shifts alone. */
function valueOf(told: Told): fc.Arbitrary<{ value: unknown; stored: number[] }> {
  switch (told.is) {
    case 'scalar': {
      const bits = 8 * alignOf(told);
      return fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n }).map((raw) => {
        const signed = told.name.startsWith('s') ? BigInt.asIntN(bits, raw) : raw;
        const stored = Array.from({ length: bits / 8 }, (_, i) => Number((raw >> BigInt(8 * i)) & 0xffn));
        return { value: bits === 64 ? signed : Number(signed), stored };
      });
    }
    case 'bytes':
      return fc
        .uint8Array({ minLength: told.count, maxLength: told.count })
        .map((value) => ({ value, stored: [...value] }));
    case 'array':
      return fc.array(valueOf(told.of), { minLength: told.count, maxLength: told.count }).map((all) => ({
        value: all.map(({ value }) => value),
        stored: all.flatMap(({ stored }) => stored),
      }));
    case 'struct':
    case 'packed':
      return fc.tuple(...told.members.map(valueOf)).map((all) => {
        const stored = Array.from({ length: sizeOf(told) }, () => 0);
        const { places } = placesOf(told.members, told.is === 'packed');
        for (const [i, member] of all.entries())
          stored.splice(places[i]!, member.stored.length, ...member.stored);
        return { value: Object.fromEntries(all.map(({ value }, i) => [`m${i}`, value])), stored };
      });
  }
}

const aggregateAndValue = aggregate.chain((told) => fc.tuple(fc.constant(told), valueOf(told)));

test('a member stands at the first place that its alignment allows, and the size is a multiple of it', () => {
  fc.assert(
    fc.property(aggregate, (told) => {
      const declared = declareStruct(told);
      assert.ok(told.is === 'struct' || told.is === 'packed');
      const { places } = placesOf(told.members, told.is === 'packed');
      assert.deepEqual(Object.values(declared.offsets), places);
      assert.equal(declared.size, sizeOf(told));
      assert.equal(declared.align, alignOf(told));
    }),
  );
});

test('encoding stores little-endian members and zero padding; decoding gives the value back', () => {
  fc.assert(
    fc.property(aggregateAndValue, ([told, { value, stored }]) => {
      const declared = declareStruct(told);
      const encoded = declared.encode(value as Record<string, unknown>);
      assert.deepEqual([...encoded], stored);
      assert.deepEqual(declared.decode(encoded), value);
    }),
  );
});

test('a struct is read and written in the middle of other bytes, which stay as they are', () => {
  fc.assert(
    fc.property(aggregateAndValue, fc.nat(20), fc.nat(20), ([told, { value, stored }], before, after) => {
      const declared = declareStruct(told);
      const whole = new Uint8Array(before + declared.size + after).fill(0xa5);
      // The view itself starts within a larger buffer, as a frame of guest memory may.
      const inner = new Uint8Array(new ArrayBuffer(whole.length + 8), 8);
      inner.set(whole);
      declared.write(viewOf(inner), before, value as Record<string, unknown>);
      assert.deepEqual(declared.decode(inner, before), value);
      assert.deepEqual([...inner.slice(0, before)], [...whole.slice(0, before)]);
      assert.deepEqual([...inner.slice(before + declared.size)], [...whole.slice(before + declared.size)]);
      assert.ok(stored.every((byte, i) => byte === 0 || inner[before + i] === byte));
    }),
  );
});

test('too few bytes are refused with a RangeError, even if only padding is missing', () => {
  fc.assert(
    fc.property(aggregate, fc.nat(8), (told, at) => {
      const declared = declareStruct(told);
      fc.pre(declared.size > 0);
      // What lies behind the view's end must not be read either.
      const short = new Uint8Array(new ArrayBuffer(at + declared.size + 8), 0, at + declared.size - 1);
      assert.throws(() => declared.decode(short, at), RangeError);
      assert.throws(() => declared.decode(short, -1), RangeError);
    }),
  );
  assert.throws(() => struct('padded', { a: u32, b: u8 }).decode(new Uint8Array(5)), RangeError);
});

test('writing into too few bytes is refused with a RangeError', () => {
  const form = struct('form', { a: u8, text: bytes(4), b: u64 });
  const value = { a: 1, text: new Uint8Array([1, 2, 3, 4]), b: 1n };
  assert.throws(() => form.write(viewOf(new Uint8Array(new ArrayBuffer(64), 0, 15)), 0, value), RangeError);
  assert.throws(
    () => bytes(4).write(viewOf(new Uint8Array(new ArrayBuffer(64), 0, 3)), 0, value.text),
    RangeError,
  );
});

test('natural padding as a C compiler has it', () => {
  const form = struct('form', { dom: u16, port: u32, flag: u8, gfn: u64, tail: u8 });
  assert.deepEqual(form.offsets, { dom: 0, port: 4, flag: 8, gfn: 16, tail: 24 });
  assert.deepEqual([form.kind, form.size, form.align], ['struct', 32, 8]);
  const packed = packedStruct('packed', { dom: u16, port: u32, flag: u8, gfn: u64, tail: u8 });
  assert.deepEqual(packed.offsets, { dom: 0, port: 2, flag: 6, gfn: 7, tail: 15 });
  assert.deepEqual([packed.size, packed.align], [16, 1]);
});

test('a packed struct keeps the padding inside its members, as gcc does', () => {
  const inner = struct('inner', { a: u8, b: u32 });
  const outer = packedStruct('outer', { first: u8, inner, last: u16 });
  assert.deepEqual(outer.offsets, { first: 0, inner: 1, last: 9 });
  assert.equal(outer.size, 11);
});

test('an empty struct takes no room', () => {
  const form = struct('form', { a: u8, nothing: struct('nothing', {}), b: u8 });
  assert.deepEqual([form.size, form.align, form.offsets.b], [2, 1, 1]);
  assert.deepEqual(form.decode(new Uint8Array([1, 2])), { a: 1, nothing: {}, b: 2 });
});

test('a union overlays its members: reading gives every view, writing stores the members given', () => {
  const form = union('form', {
    byte: u8,
    half: u16,
    pair: struct('pair', { low: u32, high: u32 }),
    whole: u64,
  });
  assert.deepEqual([form.kind, form.size, form.align], ['union', 8, 8]);
  assert.deepEqual(form.offsets, { byte: 0, half: 0, pair: 0, whole: 0 });
  const encoded = form.encode({ whole: 0x1122_3344_5566_7788n });
  assert.deepEqual(form.decode(encoded), {
    byte: 0x88,
    half: 0x7788,
    pair: { low: 0x5566_7788, high: 0x1122_3344 },
    whole: 0x1122_3344_5566_7788n,
  });
  assert.deepEqual([...form.encode({ half: 0x0102 })], [2, 1, 0, 0, 0, 0, 0, 0]);
});

test('a union of any members is as large as the largest, and each is read back', () => {
  const anyMember = fc
    .array(aggregateAndValue, { minLength: 1, maxLength: 4 })
    .chain((all) => fc.record({ all: fc.constant(all), chosen: fc.nat(all.length - 1) }));
  fc.assert(
    fc.property(anyMember, ({ all, chosen }) => {
      const members = Object.fromEntries(all.map(([told], i) => [`m${i}`, declareStruct(told)]));
      const form = union('form', members);
      const align = Math.max(...all.map(([told]) => alignOf(told)));
      assert.equal(form.align, align);
      assert.equal(form.size, step(Math.max(...all.map(([told]) => sizeOf(told))), align));
      const value = all[chosen]![1].value as Record<string, unknown>;
      assert.deepEqual(form.decode(form.encode({ [`m${chosen}`]: value }))[`m${chosen}`], value);
    }),
  );
});

test('an array or bytes given short leave the rest, and given long are cut off', () => {
  const form = struct('form', { list: array(u16, 3), text: bytes(3), end: u8 });
  const target = new Uint8Array(form.size).fill(0xff);
  form.write(viewOf(target), 0, { list: [1], text: new Uint8Array([2]), end: 3 });
  assert.deepEqual([...target], [1, 0, 255, 255, 255, 255, 2, 255, 255, 3]);
  const long = { list: [1, 2, 3, 4], text: new Uint8Array([5, 6, 7, 8]), end: 9 };
  assert.deepEqual(form.decode(form.encode(long)), {
    list: [1, 2, 3],
    text: new Uint8Array([5, 6, 7]),
    end: 9,
  });
});

test('bytes that were read are a copy', () => {
  const form = struct('form', { text: bytes(2) });
  const source = new Uint8Array([1, 2]);
  const { text } = form.decode(source);
  text[0] = 9;
  assert.deepEqual([...source], [1, 2]);
});

test('integers beyond their width keep their low bits, as in C', () => {
  const form = struct('form', { a: u8, b: s8, c: u64, d: s64 });
  const value = form.decode(form.encode({ a: 0x1ff, b: 0x80, c: -1n, d: 2n ** 63n }));
  assert.deepEqual(value, { a: 0xff, b: -0x80, c: 2n ** 64n - 1n, d: -(2n ** 63n) });
});
