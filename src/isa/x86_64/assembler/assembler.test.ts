import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeDecoder, printInstruction, x86 } from '../index.js';
import type { Encoding, Mode } from '../index.js';
import { assemble } from './assembler.js';

const decoder = makeDecoder(x86);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const hexOf = (source: string, origin = 0, mode: Mode = 64): string =>
  hex(assemble(x86, source, origin, mode).bytes);

function textOf(bytes: Uint8Array, mode: Mode, pc: number): string {
  const decoded = decoder.decode(bytes, mode);
  if (decoded.kind !== 'instruction') return decoded.kind;
  const { instruction, fields } = decoded;
  return `${printInstruction(instruction, fields, BigInt(pc))} (${fields.length})`;
}

/** Bytes of every encoding with several operands, as far as text says all of them. */
function samples(mode: Mode): Uint8Array[] {
  const encodings: readonly Encoding[] = [...new Set(x86.map(({ encoding }) => encoding))];
  const prefixes =
    mode === 64
      ? [[], [0x66], [0x48], [0x4d], [0x45], [0x65], [0xf3], [0xf0], [0xf0, 0x4c]]
      : [[], [0x66], [0x65]];
  return encodings.flatMap(({ opcode }) =>
    prefixes.flatMap((prefix) =>
      [0x44, 0x48, 0x84, 0xc3, 0xd9, 0x05].map((any) => {
        const digit = opcode.digit >= 0 ? (any & 0xc7) | (opcode.digit << 3) : any;
        const modrm = opcode.modrm >= 0 ? opcode.modrm : digit;
        const mandatory = /^[6F]/.test(opcode.prefix) ? [parseInt(opcode.prefix, 16)] : [];
        const escape = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][opcode.map] ?? [];
        return Uint8Array.from([
          ...mandatory,
          ...prefix,
          ...escape,
          opcode.byte,
          modrm,
          0x91,
          0x84,
          0x11,
          0x22,
          0x33,
          0x44,
          0x55,
          0x66,
        ]);
      }),
    ),
  );
}

/** What it does not assemble: addresses in the instruction, far pointers, and near branches of another size than the code. */
const left = /^(MOV_(al|rax)_moffs|MOV_moffs|LCALL_ptr|LJMP_ptr)|_rel8?\.16|^(LOOP\w*|JRCXZ)\.16/;

describe('the assembler', () => {
  for (const mode of [64, 32] as const) {
    it(`assembles what is printed, in no more bytes, in ${mode}-bit code`, () => {
      const seen = new Set<string>();
      const wrong = samples(mode).flatMap((bytes) => {
        const decoded = decoder.decode(bytes, mode);
        if (decoded.kind !== 'instruction' || left.test(decoded.instruction.name)) return [];
        const { instruction, fields } = decoded;
        const text = printInstruction(instruction, fields, 0x1000n);
        if (seen.has(text) || fields.addressBits !== mode) return [];
        seen.add(text);
        try {
          const again = assemble(x86, text, 0x1000, mode).bytes;
          const back = textOf(again, mode, 0x1000);
          const isSame = back.replace(/ \(\d+\)$/, '') === text && again.length <= fields.length;
          return isSame ? [] : [`${instruction.name}: ${text} (${fields.length}), again ${back}`];
        } catch (error) {
          return [`${instruction.name}: ${text}: ${(error as Error).message}`];
        }
      });
      assert.ok(seen.size > 1000, `${seen.size} texts`);
      assert.deepEqual(wrong, []);
    });
  }

  it('chooses the shortest encoding', () => {
    assert.equal(hexOf('add $1, %rax'), '4883c001');
    assert.equal(hexOf('add $0x1000, %rax'), '480500100000');
    assert.equal(hexOf('mov %rax, 8(%rbx, %rcx, 4)'), '4889448b08');
    assert.equal(hexOf('movabs $0x1122334455667788, %rax'), '48b88877665544332211');
    assert.equal(hexOf('lock cmpxchg %rcx, (%rdi)'), 'f0480fb10f');
    assert.equal(hexOf('rep stos %eax, %es:(%rdi)'), 'f3ab');
    assert.equal(hexOf('mov %gs:0x10, %rax'), '65488b042510000000');
  });

  it('resolves labels to branches, displacements and immediates', () => {
    const source = 'start: jmp 1f\nlea data(%rip), %rsi\n1: loop 1b\nmov $data, %edi\ndata: .quad start';
    const { bytes, symbols } = assemble(x86, source, 0x1000);
    assert.equal(symbols.get('data'), 0x1013);
    assert.equal(hex(bytes), 'e907000000' + '488d3507000000' + 'e2fe' + 'bf13100000' + '0010000000000000');
  });

  it('goes from 32-bit to 64-bit code', () => {
    assert.equal(
      hexOf('.code32\nmov %eax, %cr0\npush %ebx\n.code64\npush %rbx', 0, 32),
      '0f22c0' + '53' + '53',
    );
    assert.equal(hexOf('mov 8(%ebx), %eax', 0, 32), '8b4308');
  });

  it('names the line of an error', () => {
    assert.throws(
      () => assemble(x86, 'nop\nmov %rax, %ecx'),
      /line 2, mov %rax, %ecx: there is no instruction .* in 64-bit code/,
    );
    assert.throws(() => assemble(x86, 'mov $0x123, %al'), /there is no instruction/);
    assert.throws(() => assemble(x86, 'call nowhere'), /line 1/);
    assert.throws(() => assemble(x86, 'push %rax', 0, 32), /in 32-bit code/);
  });
});
