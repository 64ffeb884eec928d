/**
 * Compares the text of every instruction with GNU objdump, for random words of each definition. DOMULATOR_A64_WORDS and
 * DOMULATOR_A64_SEED are as in a64_execution.test.ts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  a64,
  higherLevelInstruction,
  makeDecoder,
  printInstruction,
  registerAccessText,
} from '../../src/isa/index.js';
import { Dice, drawWord } from './a64_draw.js';

const disassembler = 'aarch64-linux-gnu-objdump';
const wanted = Number(process.env['DOMULATOR_A64_WORDS'] ?? 20_000);
const seed = Number(process.env['DOMULATOR_A64_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_A64_ONLY'] ?? '');

const missing =
  spawnSync(disassembler, ['--version'], { stdio: 'ignore' }).status === 0 ? null : `no ${disassembler}`;

/** objdump's text of each word, the first at address 0, with or without preferred aliases. */
function disassemble(words: readonly number[], aliases: boolean): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'domulator-objdump-'));
  const file = join(directory, 'words');
  try {
    const bytes = new DataView(new ArrayBuffer(words.length * 4));
    for (const [index, word] of words.entries()) bytes.setUint32(index * 4, word, true);
    writeFileSync(file, new Uint8Array(bytes.buffer));
    const style = aliases ? 'aliases' : 'no-aliases';
    const options = ['-D', '-z', '-b', 'binary', '-m', 'aarch64', '-M', style, file];
    const { stdout } = spawnSync(disassembler, options, { encoding: 'utf8', maxBuffer: 2 ** 28 });
    const lines = [...stdout.matchAll(/^ +[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$/gm)];
    return lines.map(([, text = '']) => normal(text));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The text without comments and with uniform white space. */
function normal(text: string): string {
  return text
    .replace(/\s*\/\/.*$/, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Allocated words that objdump refuses: equal registers, or should-be-one bits that are 0. */
const refused = /^(LDPSW|LDAR|STLR|LDX|LDAX|STX|STLX|MSR_spsel)/;

test('every instruction has the same text as in objdump', { skip: missing ?? false }, (t) => {
  const dice = new Dice(seed);
  const decoder = makeDecoder(a64());
  const chosen = a64().filter(({ name }) => only.test(name));
  const words = Array.from({ length: wanted }, (_, turn) => {
    const definition = chosen[turn % chosen.length]!;
    return drawWord(definition, dice, 'EL1h') ?? drawWord(definition, dice, 'EL0t');
  }).filter((word) => word !== null);
  const [plain, aliased] = [disassemble(words, false), disassemble(words, true)];
  assert.equal(plain.length, words.length);
  assert.equal(aliased.length, words.length);
  const found = words.flatMap((word, index) => {
    const definition = decoder.decode(word, 'EL1h') ?? decoder.decode(word, 'EL0t');
    const mine = definition === null ? '' : normal(printInstruction(definition, word, BigInt(4 * index)));
    const other = plain[index]!;
    if (refused.test(definition?.name ?? '') && /; undefined$|^msr s0/.test(other)) return [];
    return mine === other || mine === aliased[index]
      ? []
      : [`0x${word.toString(16)} ${definition?.name}: ${mine}, objdump ${other}`];
  });
  t.diagnostic(`${words.length} words, ${found.length} differ`);
  assert.equal(found.length, 0, `${found.length} differ:\n${found.slice(0, 40).join('\n')}`);
});

/** Words of the system group: every register and operation, of which the level above EL1 are 4, 5 and 6 by op1. */
function systemWords(): number[] {
  return [1, 2, 3].flatMap((op0) =>
    [0, 1].flatMap((read) =>
      Array.from(
        { length: 2 ** 14 },
        (_, rest) => (0xd5000000 | (read << 21) | (op0 << 19) | (rest << 5) | 3) >>> 0,
      ),
    ),
  );
}

test('what EL2 and EL3 have is written as objdump writes it', { skip: missing ?? false }, () => {
  const words = systemWords();
  const plain = disassemble(words, false);
  const aliased = disassemble(words, true);
  assert.equal(plain.length, words.length);
  const named = words.flatMap((word, index) => {
    const found = higherLevelInstruction(word);
    if (found?.isNamed !== true) return [];
    // Some operations take no register, where objdump wants 31.
    const [mine, ...others] = [found.text, plain[index], aliased[index], plain[index]?.replace(/, x3$/, '')];
    const written = others.includes(mine) || (plain[index] ?? '').startsWith('sys ');
    return [written ? null : `0x${word.toString(16)}: ${mine}, objdump ${plain[index]}`];
  });
  assert.ok(named.length > 250, `${named.length} words`);
  assert.deepEqual(
    named.filter((each) => each !== null),
    [],
  );
});

test(
  'an access to a register is written by its number as objdump writes one that it does not know',
  { skip: missing ?? false },
  () => {
    const words = systemWords().filter((word) => ((word >>> 19) & 3) >= 2);
    const plain = disassemble(words, false);
    const differ = words.flatMap((word, index) => {
      const text = plain[index] ?? '';
      if (!/\bs[23]_/.test(text) || text === registerAccessText(word)) return [];
      return [`${registerAccessText(word)}, objdump ${text}`];
    });
    assert.deepEqual(differ.slice(0, 10), []);
  },
);

test(
  'a register that objdump gives the name of a higher level is said to need it',
  { skip: missing ?? false },
  () => {
    const words = systemWords().filter((word) => ((word >>> 19) & 3) === 3);
    const plain = disassemble(words, false);
    const differ = words.flatMap((word, index) => {
      const [, suffix] = /_el(2|3|12|02)\b/.exec(plain[index] ?? '') ?? [];
      if (suffix === undefined) return [];
      // EL2's stack pointer can be named at EL3 only.
      const level = suffix === '3' || (plain[index] ?? '').includes('sp_el2') ? 3 : 2;
      return higherLevelInstruction(word)?.level === level ? [] : [`0x${word.toString(16)}: ${plain[index]}`];
    });
    assert.deepEqual(differ, []);
  },
);
