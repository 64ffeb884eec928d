/**
 * Arithmetic and logic on registers, memory and immediates (Intel SDM, volume 1, 7.3.2 and 7.3.4): ADD to CMP, TEST, INC, DEC,
 * NEG, NOT, and moves that only compute (LEA, MOVZX and the like are in moves.ts).
 */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { instruction } from './encoding.js';
import { add, cut, logical, one, resultSources, subtract } from './flags.js';
import { fixed, imm, opcodeReg, reg, rm, writtenRm, widthOf } from './operands.js';
import type { Bits, Place, Value } from './operands.js';

export const allSizes = [16, 32, 64] as const;

/** A result, and how its flags are set. */
interface Outcome {
  readonly result: Expr;
  readonly setFlags: () => void;
}

interface Operation {
  readonly mnemonic: string;
  /** /digit, and bits 5 to 3 of the one-byte opcodes. */
  readonly digit: number;
  readonly compute: (m: Semantics, bits: Bits, a: Expr, b: Expr) => Outcome;
  readonly undefinedFlags?: string;
}

const operations: readonly Operation[] = [
  { mnemonic: 'add', digit: 0, compute: (m, bits, a, b) => add(m, bits, a, b) },
  { mnemonic: 'or', digit: 1, compute: (m, bits, a, b) => logical(m, bits, m.or(a, b)), undefinedFlags: 'a' },
  { mnemonic: 'adc', digit: 2, compute: (m, bits, a, b) => add(m, bits, a, b, m.flag('c')) },
  { mnemonic: 'sbb', digit: 3, compute: (m, bits, a, b) => subtract(m, bits, a, b, m.flag('c')) },
  {
    mnemonic: 'and',
    digit: 4,
    compute: (m, bits, a, b) => logical(m, bits, m.and(a, b)),
    undefinedFlags: 'a',
  },
  { mnemonic: 'sub', digit: 5, compute: (m, bits, a, b) => subtract(m, bits, a, b) },
  {
    mnemonic: 'xor',
    digit: 6,
    compute: (m, bits, a, b) => logical(m, bits, m.xor(a, b)),
    undefinedFlags: 'a',
  },
  { mnemonic: 'cmp', digit: 7, compute: (m, bits, a, b) => subtract(m, bits, a, b) },
];

const hexByte = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');

/** All encodings of an operation with two operands. A comparison writes flags only. */
function twoOperands({ mnemonic, digit, compute, undefinedFlags = '' }: Operation) {
  const [name, writes] = [mnemonic.toUpperCase(), mnemonic !== 'cmp'];
  const opcode = (offset: number): string => hexByte(8 * digit + offset);
  const [target, lockable] = [writes ? writtenRm : rm, writes];
  const semantics = (m: Semantics, { d, s }: { d: Place; s: Value }): void => {
    const { result, setFlags } = compute(m, d.bits, d.get(), s.get());
    if (writes) d.set(result);
    setFlags();
  };
  const common = { undefinedFlags, semantics };
  const [text, immediateText] = [`${mnemonic} {s},{d}`, `${mnemonic}{w} {s},{d}`];
  const sizes = allSizes;
  return [
    instruction({ ...common, name: `${name}_rm8_r8`, opcode: `${opcode(0)} /r`, lockable, operands: { d: target(8), s: reg(8) }, text }),
    instruction({ ...common, name: `${name}_rm_r`, opcode: `${opcode(1)} /r`, sizes, lockable, operands: { d: target(), s: reg() }, text }),
    instruction({ ...common, name: `${name}_r8_rm8`, opcode: `${opcode(2)} /r`, operands: { d: reg(8), s: rm(8) }, text }),
    instruction({ ...common, name: `${name}_r_rm`, opcode: `${opcode(3)} /r`, sizes, operands: { d: reg(), s: rm() }, text }),
    instruction({ ...common, name: `${name}_al_imm8`, opcode: `${opcode(4)} ib`, operands: { d: fixed('rax', 8), s: imm(8) }, text }),
    instruction({ ...common, name: `${name}_rax_imm`, opcode: `${opcode(5)} iz`, sizes, operands: { d: fixed('rax'), s: imm() }, text }),
    instruction({ ...common, name: `${name}_rm8_imm8`, opcode: `80 /${digit} ib`, lockable, operands: { d: target(8), s: imm(8) }, text: immediateText }),
    instruction({ ...common, name: `${name}_rm_imm`, opcode: `81 /${digit} iz`, sizes, lockable, operands: { d: target(), s: imm() }, text: immediateText }),
    instruction({ ...common, name: `${name}_rm8_imm8_alias`, opcode: `82 /${digit} ib`, modes: [16, 32], lockable, operands: { d: target(8), s: imm(8) }, text: immediateText }),
    instruction({ ...common, name: `${name}_rm_imm8`, opcode: `83 /${digit} ib`, sizes, lockable, operands: { d: target(), s: imm() }, text: immediateText }),
  ].flat(); // prettier-ignore
}

/** TEST has /0 and /1 in group 3. */
function tests() {
  const semantics = (m: Semantics, { d, s }: { d: Value; s: Value }): void =>
    logical(m, d.bits, m.and(d.get(), s.get())).setFlags();
  const common = { undefinedFlags: 'a', semantics, sizes: allSizes };
  const bytes = { undefinedFlags: 'a', semantics };
  const [text, immediateText] = ['test {s},{d}', 'test{w} {s},{d}'];
  return [
    instruction({ ...bytes, name: 'TEST_rm8_r8', opcode: '84 /r', operands: { d: rm(8), s: reg(8) }, text }),
    instruction({ ...common, name: 'TEST_rm_r', opcode: '85 /r', operands: { d: rm(), s: reg() }, text }),
    instruction({ ...bytes, name: 'TEST_al_imm8', opcode: 'A8 ib', operands: { d: fixed('rax', 8), s: imm(8) }, text }),
    instruction({ ...common, name: 'TEST_rax_imm', opcode: 'A9 iz', operands: { d: fixed('rax'), s: imm() }, text }),
    ...['', '_alias'].flatMap((alias, digit) => [
      instruction({ ...bytes, name: `TEST_rm8_imm8${alias}`, opcode: `F6 /${digit} ib`, operands: { d: rm(8), s: imm(8) }, text: immediateText }),
      instruction({ ...common, name: `TEST_rm_imm${alias}`, opcode: `F7 /${digit} iz`, operands: { d: rm(), s: imm() }, text: immediateText }),
    ]),
  ].flat(); // prettier-ignore
}

interface OneOperand {
  readonly mnemonic: string;
  /** The opcode of the byte form; the other is the next one. */
  readonly opcode: number;
  readonly digit: number;
  readonly compute: (m: Semantics, bits: Bits, a: Expr) => Outcome;
}

/** INC and DEC leave CF alone. */
function withoutCarry(m: Semantics, bits: Bits, a: Expr, { result }: Outcome, overflow: Expr): Outcome {
  const setFlags = (): void =>
    m.setFlags({
      ...resultSources(m, bits, result),
      a: m.resize(32, m.xor(m.xor(a, result), one(m, bits))),
      // OF is set where the result is the least number, or the greatest.
      o: m.shiftBy('shl', m.resize(64, m.equal(result, overflow)), 63),
    });
  return { result, setFlags };
}

const least = (m: Semantics, bits: Bits): Expr => m.constant(widthOf(bits), 2n ** BigInt(bits - 1));
const greatest = (m: Semantics, bits: Bits): Expr => m.constant(widthOf(bits), 2n ** BigInt(bits - 1) - 1n);

const oneOperand: readonly OneOperand[] = [
  { mnemonic: 'inc', opcode: 0xfe, digit: 0, compute: (m, bits, a) => withoutCarry(m, bits, a, plain(m, bits, m.add(a, one(m, bits))), least(m, bits)) },
  { mnemonic: 'dec', opcode: 0xfe, digit: 1, compute: (m, bits, a) => withoutCarry(m, bits, a, plain(m, bits, m.sub(a, one(m, bits))), greatest(m, bits)) },
  { mnemonic: 'not', opcode: 0xf6, digit: 2, compute: (m, bits, a) => plain(m, bits, m.not(a)) },
  { mnemonic: 'neg', opcode: 0xf6, digit: 3, compute: (m, bits, a) => subtract(m, bits, m.constant(widthOf(bits), 0), a) },
]; // prettier-ignore

/** A result without flags. */
function plain(m: Semantics, bits: Bits, result: Expr): Outcome {
  return { result: m.let(cut(m, bits, result)), setFlags: () => undefined };
}

function ones({ mnemonic, opcode, digit, compute }: OneOperand) {
  const name = mnemonic.toUpperCase();
  const semantics = (m: Semantics, { d }: { d: Place }): void => {
    const { result, setFlags } = compute(m, d.bits, d.get());
    d.set(result);
    setFlags();
  };
  const common = { lockable: true, text: `${mnemonic}{w} {d}`, semantics };
  return [
    instruction({ ...common, name: `${name}_rm8`, opcode: `${hexByte(opcode)} /${digit}`, operands: { d: writtenRm(8) } }),
    instruction({ ...common, name: `${name}_rm`, opcode: `${hexByte(opcode + 1)} /${digit}`, sizes: allSizes, operands: { d: writtenRm() } }),
    // Where 40 to 4F are no REX prefixes, they are INC and DEC.
    ...(opcode === 0xfe ? [instruction({ ...common, name: `${name}_r`, opcode: `${hexByte(0x40 + 8 * digit)}+r`, modes: [16, 32], sizes: [16, 32], lockable: false, text: `${mnemonic} {d}`, operands: { d: opcodeReg() } })] : []),
  ].flat(); // prettier-ignore
}

export const arithmeticInstructions = [
  ...operations.flatMap(twoOperands),
  ...tests(),
  ...oneOperand.flatMap(ones),
];
