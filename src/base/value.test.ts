import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, InvariantError } from './assert.js';
import {
  cloneValue,
  equalValues,
  hashText,
  hashValue,
  ValueHash,
  valueFromJson,
  valueToJson,
} from './value.js';

/** Any plain value. Numbers are those that JSON can represent (no NaN, no infinities, no minus zero). */
const plainValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.string(),
    fc.integer(),
    fc.bigInt(),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ minLength: 1 }), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

test('a value survives a round trip through JSON, and equal texts mean equal values', () => {
  fc.assert(
    fc.property(plainValue, (value) => {
      const text = valueToJson(value);
      const back = valueFromJson(text);
      assert.equal(valueToJson(back), text);
      assert.deepEqual(back, value);
    }),
  );
});

test('a clone is equal and shares nothing: changing it does not change the original', () => {
  fc.assert(
    fc.property(plainValue, (value) => {
      const before = valueToJson(value);
      const copy = cloneValue(value);
      assert.ok(equalValues(copy, value));
      spoil(copy);
      assert.equal(valueToJson(value), before);
    }),
  );
});

/** Changes everything mutable in `value`. */
function spoil(value: unknown): void {
  if (value instanceof Uint8Array) value.fill(0xee);
  else if (value !== null && typeof value === 'object') {
    for (const inner of Object.values(value)) spoil(inner);
    (value as Record<string, unknown>)['spoilt'] = true;
  }
}

test('the insertion order of keys does not matter', () => {
  assert.equal(valueToJson({ b: 1, a: 2, 10: 3, 9: 4 }), valueToJson({ 9: 4, 10: 3, a: 2, b: 1 }));
  assert.equal(hashValue({ b: 1, a: 2 }), hashValue({ a: 2, b: 1 }));
  // Some are numbers and some are not. Comparing these numerically and those as text would not be transitive.
  const mixed = ['9.5', '10.5', '2x', '-1', '', '0x10', '16', '12345678901', '5000000000', 'a'];
  const texts = mixed.map((_, at) => {
    const keys = [...mixed.slice(at), ...mixed.slice(0, at)];
    return valueToJson(Object.fromEntries(keys.map((key) => [key, mixed.indexOf(key)])));
  });
  assert.deepEqual([...new Set(texts)], texts.slice(0, 1));
});

test('different texts have different hashes', () => {
  fc.assert(
    fc.property(plainValue, plainValue, (a, b) => {
      assert.equal(hashValue(a) === hashValue(b), valueToJson(a) === valueToJson(b));
    }),
  );
});

test('a value that is not plain is refused, because it could not be saved', () => {
  for (const value of [undefined, () => 0, Symbol('x'), { inner: undefined }, [undefined]]) {
    assert.throws(() => cloneValue(value), InvariantError);
    assert.throws(() => valueToJson(value), InvariantError);
  }
  for (const value of [NaN, Infinity]) assert.throws(() => valueToJson(value), InvariantError);
  assert.throws(() => valueToJson(new Map()), InvariantError);
  assert.throws(() => cloneValue({ inner: new Set([1]) }), InvariantError);
});

test('text that is not a saved value is refused with one clear line', () => {
  for (const text of ['', '{', '{"$bigint":"x"}', '{"$bytes":"0"}', '{"$bytes":"zz"}']) {
    assert.throws(() => valueFromJson(text), InputError, text);
  }
  assert.throws(() => valueFromJson('x\n\u001b[2J'), /^InputError: not a saved value: \P{Cc}*$/u);
});

test('a record that looks like a tag is refused, because it would be read back as another value', () => {
  assert.throws(() => valueToJson({ $bigint: '12' }), InvariantError);
  assert.throws(() => valueToJson({ $bytes: '00' }), InvariantError);
});

test('keys with a special meaning in JavaScript are ordinary keys', () => {
  const value: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":2}');
  const text = valueToJson(value);
  assert.equal(text, '{"__proto__":{"a":1},"constructor":2}');
  assert.equal(valueToJson(cloneValue(value)), text);
  assert.equal(valueToJson(valueFromJson(text)), text);
});

test('hashing values one by one equals hashing their texts as lines', () => {
  fc.assert(
    fc.property(fc.array(plainValue, { maxLength: 5 }), (values) => {
      const hash = new ValueHash();
      for (const value of values) hash.add(value);
      assert.equal(hash.digest(), hashText(values.map((value) => `${valueToJson(value)}\n`).join('')));
    }),
  );
});

test('a hash that is saved between two values and continued is the hash of all values', () => {
  const texts = fc.array(fc.string({ maxLength: 9000 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(texts, fc.nat(), (values, at) => {
      let hash = new ValueHash();
      for (const [i, value] of values.entries()) {
        if (i === at % values.length) {
          const saved = valueToJson(hash.save());
          hash = new ValueHash();
          hash.load(valueFromJson(saved) as ReturnType<ValueHash['save']>);
        }
        hash.add(value);
      }
      assert.equal(hash.digest(), hashText(values.map((value) => `${valueToJson(value)}\n`).join('')));
    }),
  );
});

test('a text is hashed in ASCII, with escapes for all other characters', () => {
  const escaped = String.raw`"\u00e9 \ud83d\ude00"`;
  assert.equal(hashText('"é 😀"'), createHash('sha256').update(escaped).digest('hex'));
  assert.equal(hashText(escaped), hashText('"é 😀"'));
});
