import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { textsIn } from './text_search.js';

/** The same by the plainest search. */
function expected(bytes: Uint8Array, texts: readonly string[]): [number, string][] {
  const all = Buffer.from(bytes).toString('latin1');
  return texts
    .flatMap((text) =>
      [...bytes.keys()]
        .filter((at) => all.startsWith(`${text}\0`, at))
        .map((at): [number, string] => [at, text]),
    )
    .sort(([a], [b]) => a - b);
}

const found = (bytes: Uint8Array, texts: readonly string[]): [number, string][] =>
  [...textsIn(bytes, texts)].sort(([a], [b]) => a - b);

it('finds every text with NUL behind it, whatever stands around', () => {
  const text = fc.stringMatching(/^[ab]{1,6}$/);
  const pieces = fc.array(fc.oneof(text, fc.constantFrom('\0', 'a\0', 'ab\0', '\xff')), { maxLength: 30 });
  fc.assert(
    fc.property(fc.uniqueArray(text, { minLength: 1, maxLength: 5 }), pieces, (texts, parts) => {
      const bytes = Buffer.from(parts.join(''), 'latin1');
      assert.deepEqual(found(bytes, texts), expected(bytes, texts));
    }),
    { numRuns: 2000 },
  );
});

it('finds texts longer than a byte can advance', () => {
  const long = 'x'.repeat(600);
  const bytes = Buffer.from(`${'y'.repeat(1000)}${long}\0${'z'.repeat(700)}x${long}\0`, 'latin1');
  assert.deepEqual(found(bytes, [long]), [
    [1000, long],
    [2302, long],
  ]);
});

it('finds nothing in too few bytes', () => {
  for (let length = 0; length < 4; length += 1)
    assert.equal(textsIn(new Uint8Array(length), ['abc']).size, 0);
  assert.equal(textsIn(new Uint8Array(9), ['a']).size, 0);
});
