import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { InvariantError } from '../../../base/index.js';
import { a64, assemble, makeDecoder, printInstruction } from '../../index.js';
import { expandAlias } from './aliases.js';

const decoder = makeDecoder(a64());

function words(source: string, origin = 0): number[] {
  const { bytes } = assemble(a64(), source, origin);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getUint32(4 * i, true));
}

/** The text of each instruction of a program, or of its first `most`, by architectural names. */
function texts(source: string, origin = 0, most = Infinity): string[] {
  return words(source, origin)
    .slice(0, most)
    .map((word, i) => {
      const found = decoder.decode(word);
      return found === null ? word.toString(16) : printInstruction(found, word, BigInt(origin + 4 * i));
    });
}

/** The value of a register after MOVZ, MOVN and MOVK. */
function moved(lines: readonly string[], width: number): bigint {
  return lines.reduce((value, line) => {
    const [, operation, half = '0', shift = '0'] =
      /^(mov[znk]) \w+, #(\d+)(?:, lsl #(\d+))?$/.exec(line) ?? [];
    const placed = BigInt(half) << BigInt(shift);
    if (operation === 'movz') return placed;
    if (operation === 'movn') return BigInt.asUintN(width, ~placed);
    return (value & ~(0xffffn << BigInt(shift))) | placed;
  }, 0n);
}

describe('the assembler', () => {
  it('resolves forward and backward labels, by name and by number', () => {
    const source = `
      start: b end
      1:     cbz x0, 1f
             b 1b
      1:     b start   // the nearest on either side
      end:   b 1b`;
    assert.deepEqual(texts(source, 0x1000), [
      'b 0x1010',
      'cbz x0, 0x100c',
      'b 0x1004',
      'b 0x1000',
      'b 0x100c',
    ]);
  });

  it('lays out data, gaps and .bss', () => {
    const { bytes, memoryBytes, symbols } = assemble(
      a64(),
      `.byte 1, 2
       .balign 4
       .hword 0x1234
       .asciz "a//b"
       .org 16
       here: .quad here - 16, .
       .word end - here
       .bss
       .balign 64
       room: .space 100
       end:`,
      0x4000,
    );
    const wanted = new Uint8Array(36);
    wanted.set([1, 2, 0, 0, 0x34, 0x12, ...Buffer.from('a//b\0')]);
    new DataView(wanted.buffer).setBigUint64(16, 0x4000n, true);
    new DataView(wanted.buffer).setBigUint64(24, 0x4018n, true);
    new DataView(wanted.buffer).setUint32(32, 164 - 16, true);
    assert.deepEqual(bytes, wanted);
    assert.equal(memoryBytes, 164);
    assert.deepEqual(
      [...symbols],
      [
        ['here', 0x4010],
        ['room', 0x4040],
        ['end', 0x40a4],
      ],
    );
  });

  it('forms addresses in two instructions, between any two pages', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 20 }),
        fc.integer({ min: 4, max: 2 ** 20 }),
        (page, distance) => {
          const origin = page * 4096;
          const [adrp = '', add = ''] = texts(`adrl x3, there\n.space ${distance}\nthere:`, origin, 2);
          const base = BigInt(/^adrp x3, (0x[0-9a-f]+)$/.exec(adrp)?.[1] ?? -1);
          const low = BigInt(/^add x3, x3, #(0x[0-9a-f]+)$/.exec(add)?.[1] ?? -1);
          assert.equal(base + low, BigInt(origin + 8 + distance));
        },
      ),
    );
  });

  it('loads any number into a register, in at most four instructions', () => {
    const check = (width: 32 | 64, number: bigint): void => {
      const lines = expandAlias(`mov ${width === 32 ? 'w' : 'x'}5, #${number}`);
      assert.equal(moved(lines, width), BigInt.asUintN(width, number));
      assert.ok(lines.length <= width / 16);
      assert.equal(words(lines.join('\n')).length, lines.length);
    };
    for (const number of [0n, 1n, -1n, 0xffffn, -0x10000n, 0xffff0000ffffn]) check(64, number);
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (number) => check(64, number)),
    );
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 31n), max: 2n ** 32n - 1n }), (number) => check(32, number)),
    );
  });

  it('knows the usual aliases', () => {
    const aliases: readonly (readonly [string, string])[] = [
      ['mov x1, x2', 'orr x1, xzr, x2'],
      ['mov sp, x2', 'add sp, x2, #0x0'],
      ['cmp w1, #7', 'subs wzr, w1, #0x7'],
      ['cmp x1, x2, lsl #3', 'subs xzr, x1, x2, lsl #3'],
      ['tst x1, #0xff', 'ands xzr, x1, #0xff'],
      ['neg x1, x2', 'sub x1, xzr, x2'],
      ['mvn w1, w2', 'orn w1, wzr, w2'],
      ['mul x1, x2, x3', 'madd x1, x2, x3, xzr'],
      ['lsl x1, x2, #3', 'ubfm x1, x2, #61, #60'],
      ['lsr w1, w2, #4', 'ubfm w1, w2, #4, #31'],
      ['asr x1, x2, #63', 'sbfm x1, x2, #63, #63'],
      ['lsl x1, x2, x3', 'lsl x1, x2, x3'],
      ['ubfx x1, x2, #8, #4', 'ubfm x1, x2, #8, #11'],
      ['bfi x1, x2, #8, #4', 'bfm x1, x2, #56, #3'],
      ['cset w1, hs', 'csinc w1, wzr, wzr, cc'],
      ['ldr  x1 ,[x2,#8]', 'ldr x1, [x2, #8]'],
    ];
    for (const [written, meant] of aliases) assert.deepEqual(texts(written), [meant], written);
  });

  it('writes ones for bits that should be one', () => {
    // The encodings that GNU as gives.
    assert.deepEqual(
      words('ldaxr x1, [x0]\nstlxr w17, x16, [x3]\ntlbi vmalle1'),
      [0xc85ffc01, 0xc811fc70, 0xd508871f],
    );
  });

  it('reports the faulty line and the reason', () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['nop\nfly x0', /line 2, fly x0: there is no instruction 'fly x0'/],
      ['b nowhere', /line 1, b nowhere: there is no instruction 'b nowhere'/],
      ['.word nowhere', /there is no label nowhere/],
      ['.word 1 +', /is no sum/],
      ['a:\na:', /line 2, a:: label a stands twice/],
      ['x3: nop', /a label cannot be called x3/],
      ['.space 8\n.org 4', /line 2.*goes back by 4/],
      ['.weak a', /there is no directive \.weak/],
      ['.bss\nnop', /nothing can be placed behind \.bss/],
      ['.space some', /'some' is no plain number/],
      ['.asciz unquoted', /stands in no quotes/],
      ['lsl x0, x1, #two', /#two is no number/],
      ['mov x0, #two', /only a plain number can be moved/],
    ];
    for (const [source, why] of wrong) {
      assert.throws(
        () => assemble(a64(), source),
        (error) => error instanceof InvariantError && why.test(error.message),
        source,
      );
    }
  });
});
