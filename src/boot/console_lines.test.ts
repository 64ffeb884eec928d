import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsoleLines } from './console_lines.js';

function linesOf(pieces: readonly Uint8Array[]): string[] {
  const lines: string[] = [];
  const console = new ConsoleLines((line) => void lines.push(line));
  for (const piece of pieces) console.push(piece);
  return lines;
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

test('a line ends with its newline, and carriage returns are left out', () => {
  assert.deepEqual(linesOf([bytesOf('one\r\ntwo'), bytesOf('\n\nthree')]), ['one', 'two', '']);
});

test('it does not matter in which pieces the bytes come', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 5 }), (pieces) => {
      const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
      assert.deepEqual(linesOf(pieces), linesOf([whole]));
    }),
  );
});

test('a line without an end is cut, and no byte of it is lost', () => {
  const text = Array.from({ length: 10_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');
  const lines = linesOf([bytesOf(`${text}\n`)]);
  assert.equal(lines.join(''), text);
  assert.ok(lines.every(({ length }) => length <= 4096));
});
