import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { layoutAt, longest, parse } from './parser.js';
import type { Fields } from './parser.js';
import { modes, registerFile } from './registers.js';
import type { Mode } from './registers.js';

function fieldsOf(hex: string, mode: Mode = 64): Fields {
  const parsed = parse(Uint8Array.from(Buffer.from(hex, 'hex')), mode);
  return parsed.kind === 'parsed' ? parsed.fields : assert.fail(`${hex}: ${parsed.kind}`);
}

const kindOf = (hex: string, mode: Mode = 64): string =>
  parse(Uint8Array.from(Buffer.from(hex, 'hex')), mode).kind;

/** Prefixes, escapes and ModRM bytes more often than by chance. */
const anyByte = fc.oneof(
  fc.integer({ min: 0, max: 255 }),
  fc.constantFrom(0x0f, 0x48, 0x66, 0x67, 0xf0, 0xf3, 0x04, 0x05, 0x64, 0x83),
);
const anyBytes = fc.array(anyByte, { minLength: 0, maxLength: 20 }).map((bytes) => Uint8Array.from(bytes));

describe('the parser', () => {
  it('takes the same number of bytes whatever is behind them, and no fewer', () => {
    fc.assert(
      fc.property(anyBytes, fc.constantFrom(...modes), (bytes, mode) => {
        const whole = parse(bytes, mode);
        if (whole.kind !== 'parsed') return;
        const { length } = whole.fields;
        assert.ok(length >= 1 && length <= longest);
        assert.deepEqual(parse(bytes.slice(0, length), mode), whole);
        const shorter = parse(bytes.slice(0, length - 1), mode);
        assert.equal(shorter.kind, 'truncated');
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses more than 15 bytes', () => {
    assert.equal(fieldsOf(`${'66'.repeat(14)}90`).length, 15);
    assert.equal(kindOf(`${'66'.repeat(15)}90`), 'tooLong');
    assert.equal(kindOf('66'.repeat(14)), 'truncated');
    assert.equal(kindOf(`${'2e'.repeat(10)}81801122334455667788`), 'tooLong');
  });

  it('takes operand and address sizes from mode and prefixes', () => {
    const sizes = (hex: string, mode: Mode): number[] => {
      const { operandBits, addressBits } = fieldsOf(hex, mode);
      return [operandBits, addressBits];
    };
    assert.deepEqual(sizes('8b00', 64), [32, 64]);
    assert.deepEqual(sizes('488b00', 64), [64, 64]);
    assert.deepEqual(sizes('66678b00', 64), [16, 32]);
    assert.deepEqual(sizes('66488b00', 64), [64, 64]);
    assert.deepEqual(sizes('8b00', 32), [32, 32]);
    assert.deepEqual(sizes('66678b00', 32), [16, 16]);
    assert.deepEqual(sizes('8b00', 16), [16, 16]);
    assert.deepEqual(sizes('66678b00', 16), [32, 32]);
  });

  it('forgets a REX prefix that another prefix follows', () => {
    const { rex, wide, operandBits, length } = fieldsOf('48668b00');
    assert.deepEqual([rex, wide, operandBits, length], [0, 0, 16, 4]);
  });

  it('ignores segment overrides of ES, CS, SS and DS in 64-bit code alone', () => {
    assert.equal(fieldsOf('2e8b00').segment, -1);
    assert.equal(fieldsOf('652e8b00').segment, 5);
    assert.equal(fieldsOf('2e8b00', 32).segment, 1);
  });

  it('reads ModRM, SIB and displacements', () => {
    const address = (hex: string, mode: Mode = 64): number[] => {
      const { base, index, scale, displacement } = fieldsOf(hex, mode);
      return [base, index, scale, displacement];
    };
    const { zero, nextInstruction } = registerFile;
    assert.deepEqual(address('8b0510000000'), [nextInstruction, zero, 0, 16]);
    assert.deepEqual(address('8b0510000000', 32), [zero, zero, 0, 16]);
    assert.deepEqual(address('8b04253000000f'), [zero, zero, 0, 0x0f000030]);
    assert.deepEqual(address('478b44e5fe'), [13, 12, 3, -2]);
    assert.deepEqual(address('8b42f0', 16), [5, 6, 0, -16]);
    assert.deepEqual(address('8b06f0ff', 16), [zero, zero, 0, -16]);
  });

  it('has an immediate of 64 bits in MOV and in addresses alone', () => {
    const { immediate, high, length } = fieldsOf('48b88877665544332211');
    assert.deepEqual([immediate, high, length], [0x55667788, 0x11223344, 10]);
    assert.equal(fieldsOf('4881c011223344').length, 7);
    assert.equal(fieldsOf('a01122334455667788').length, 9);
    assert.equal(fieldsOf('67a011223344').length, 6);
  });

  it('knows no length of what is no opcode', () => {
    for (const hex of ['06', '9a', 'c5f877', '62f17c48', '8fe97812', '0f04', 'd6'])
      assert.equal(kindOf(hex), 'unknown', hex);
    assert.equal(fieldsOf('c500', 32).length, 2);
    assert.equal(fieldsOf('8f00').length, 2);
  });

  it('has a layout for every opcode', () => {
    for (const map of [0, 1, 2, 3]) {
      for (let opcode = 0; opcode < 256; opcode += 1)
        assert.match(layoutAt(map, opcode), /^[-pumMbwzvZgGoef]$/);
    }
  });
});
