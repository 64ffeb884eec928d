import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseStanzas } from './control_file.js';

test('fields, continued values and comments', () => {
  const text = 'Package: a\nDescription: short\n long\n .\n# a note\n more\n\n\nPACKAGE:b \r\nEmpty:\r\n';
  assert.deepEqual(
    parseStanzas(text).map((stanza) => [...stanza]),
    [
      [
        ['package', 'a'],
        ['description', 'short\nlong\n.\nmore'],
      ],
      [
        ['package', 'b'],
        ['empty', ''],
      ],
    ],
  );
});

test('lines that are not fields are skipped', () => {
  assert.deepEqual(parseStanzas(''), []);
  assert.deepEqual(parseStanzas('\n \n\t\n'), []);
  assert.deepEqual(parseStanzas(' continued\nnothing\n: no name\n'), []);
  assert.deepEqual([...parseStanzas(' lost\nA: 1')[0]!], [['a', '1']]);
});

test('any names and values survive a round trip', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
  const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
  const stanza = fc.uniqueArray(fc.tuple(name, value), {
    minLength: 1,
    maxLength: 5,
    selector: ([key]) => key,
  });
  fc.assert(
    fc.property(fc.array(stanza, { maxLength: 4 }), (stanzas) => {
      const text = stanzas
        .map((fields) => fields.map(([key, word]) => `${key}: ${word}\n`).join(''))
        .join('\n');
      assert.deepEqual(
        parseStanzas(text).map((fields) => [...fields]),
        stanzas,
      );
    }),
  );
});

test('no text throws', () => {
  const noise = fc.string({ unit: fc.constantFrom('a', ':', ' ', '\n', '\r', '#', '\t', '.') });
  fc.assert(fc.property(noise, (text) => parseStanzas(text).every((stanza) => stanza.size > 0)));
});
