import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  a64,
  extractFields,
  fixedBits,
  insertFields,
  modes,
  parseInstruction,
  printInstruction,
} from '../index.js';
import type { A64Instruction } from '../index.js';

/** A word of `definition` with random fields; null if these fields are not allocated. */
function drawWord(definition: A64Instruction, random: number): number | null {
  const { pattern } = definition;
  const free = (random & ~pattern.mask) | pattern.value;
  const word = insertFields(pattern, extractFields(pattern, free));
  return modes.some((mode) => definition.decodes(word, mode)) ? word : null;
}

test('assembling the printed text of a word gives the same word', () => {
  const pc = 0xffff800080012340n;
  for (const definition of a64()) {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (random) => {
        const word = drawWord(definition, random);
        if (word === null) return;
        const text = printInstruction(definition, word, pc);
        const read = parseInstruction(definition, text, pc);
        const what = `${definition.name}: ${text}`;
        assert.ok(read !== null, what);
        if (read === word) return;
        // The text loses the encoding where a bit mask has several encodings or an operation ignores a register.
        assert.match(definition.name, /log_imm|^SYS/, what);
        assert.equal(printInstruction(definition, read, pc), text, what);
      }),
      { numRuns: 20, seed: 1 },
    );
  }
});

test('every definition has a name of its own', () => {
  const names = a64().map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
});

/** Whether one of two patterns is a special case of the other. */
function isNested(a: A64Instruction, b: A64Instruction): boolean {
  const both = (a.pattern.mask & b.pattern.mask) >>> 0;
  return (
    fixedBits(a.pattern) !== fixedBits(b.pattern) && (both === a.pattern.mask || both === b.pattern.mask)
  );
}

/** A word that matches both patterns; null if 64 random words of their common part do not give one. */
function commonWord(a: A64Instruction, b: A64Instruction, random: () => number): number | null {
  const [first, second] = [a.pattern, b.pattern];
  if (((first.value ^ second.value) & first.mask & second.mask) !== 0) return null;
  const fixed = first.value | second.value;
  const free = ~(first.mask | second.mask);
  for (let tries = 0; tries < 64; tries += 1) {
    const word = (fixed | (random() & free)) >>> 0;
    if (modes.some((mode) => a.decodes(word, mode) && b.decodes(word, mode))) return word;
  }
  return null;
}

test('no word matches two instructions unless one is a special case of the other', () => {
  let state = 12345;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state ^ (state >>> 13)) >>> 0;
  };
  const doubles: string[] = [];
  for (const [index, a] of a64().entries()) {
    for (const b of a64().slice(index + 1)) {
      const word = isNested(a, b) ? null : commonWord(a, b, random);
      if (word !== null) doubles.push(`${a.name} and ${b.name}: 0x${word.toString(16)}`);
    }
  }
  assert.deepEqual(doubles, []);
});
