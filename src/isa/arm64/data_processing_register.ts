/**
 * Data processing on registers (DDI 0487, C4.1.95): logical, add and subtract, conditional, multiply, divide, bit
 * operations.
 */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { Expr, Width } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import {
  addSettingFlags,
  addWithCarry,
  setFlagsFromBits,
  setLogicalFlags,
  subtractSettingFlags,
} from './flags.js';
import {
  bothWidths,
  choice,
  conditionNames,
  destination,
  extendedIndex,
  hex,
  immediate,
  orStackPointer,
  shiftAmount,
  source,
  unsigned,
} from './operands.js';

const shifts = [
  { shift: 'lsl', bits: '00', kind: 'shl' },
  { shift: 'lsr', bits: '01', kind: 'shrUnsigned' },
  { shift: 'asr', bits: '10', kind: 'shrSigned' },
  { shift: 'ror', bits: '11', kind: 'rotr' },
] as const;

/** A two-operand operation, and whether it sets the flags. */
interface Operation {
  readonly mnemonic: string;
  /** The two bits of `opc`, and the bit that inverts the second operand. */
  readonly opc: string;
  readonly invert: '0' | '1';
  readonly result: (m: Semantics, a: Expr, b: Expr) => Expr;
}

const logicalOperations: readonly Operation[] = [
  { mnemonic: 'and', opc: '00', invert: '0', result: (m, a, b) => m.and(a, b) },
  { mnemonic: 'bic', opc: '00', invert: '1', result: (m, a, b) => m.and(a, m.not(b)) },
  { mnemonic: 'orr', opc: '01', invert: '0', result: (m, a, b) => m.or(a, b) },
  { mnemonic: 'orn', opc: '01', invert: '1', result: (m, a, b) => m.or(a, m.not(b)) },
  { mnemonic: 'eor', opc: '10', invert: '0', result: (m, a, b) => m.xor(a, b) },
  { mnemonic: 'eon', opc: '10', invert: '1', result: (m, a, b) => m.xor(a, m.not(b)) },
  { mnemonic: 'ands', opc: '11', invert: '0', result: (m, a, b) => m.and(a, b) },
  { mnemonic: 'bics', opc: '11', invert: '1', result: (m, a, b) => m.and(a, m.not(b)) },
];

function logicalShifted(width: Width, sf: string): A64Instruction[] {
  return logicalOperations.flatMap(({ mnemonic, opc, invert, result }) =>
    shifts.map(({ shift, bits, kind }) =>
      instruction({
        name: `${mnemonic.toUpperCase()}_${width}_log_shift_${shift}`,
        pattern: `${sf} ${opc} 01010 ${bits} ${invert} Rm:5 imm6:6 Rn:5 Rd:5`,
        allocated: ({ imm6 = 0 }) => imm6 < width,
        operands: {
          d: destination('Rd', width),
          n: source('Rn', width),
          m: source('Rm', width),
          amount: shiftAmount(shift, width),
        },
        text: `${mnemonic} {d}, {n}, {m}{amount}`,
        semantics: (m, o) => {
          const value = m.let(result(m, m.read(o.n), m.shift(kind, m.read(o.m), o.amount)));
          if (opc === '11') setLogicalFlags(m, value);
          m.write(o.d, value);
        },
      }),
    ),
  );
}

const arithmeticOperations = [
  { mnemonic: 'add', bits: '00', flags: false, result: (m: Semantics, a: Expr, b: Expr) => m.add(a, b) },
  { mnemonic: 'adds', bits: '01', flags: true, result: addSettingFlags },
  { mnemonic: 'sub', bits: '10', flags: false, result: (m: Semantics, a: Expr, b: Expr) => m.sub(a, b) },
  { mnemonic: 'subs', bits: '11', flags: true, result: subtractSettingFlags },
] as const;

function addSubtractShifted(width: Width, sf: string): A64Instruction[] {
  return arithmeticOperations.flatMap(({ mnemonic, bits, result }) =>
    shifts.slice(0, 3).map(({ shift, bits: shiftBits, kind }) =>
      instruction({
        name: `${mnemonic.toUpperCase()}_${width}_addsub_shift_${shift}`,
        pattern: `${sf} ${bits} 01011 ${shiftBits} 0 Rm:5 imm6:6 Rn:5 Rd:5`,
        allocated: ({ imm6 = 0 }) => imm6 < width,
        operands: {
          d: destination('Rd', width),
          n: source('Rn', width),
          m: source('Rm', width),
          amount: shiftAmount(shift, width),
        },
        text: `${mnemonic} {d}, {n}, {m}{amount}`,
        semantics: (m, o) => {
          const b = m.let(m.shift(kind, m.read(o.m), o.amount));
          m.write(o.d, result(m, m.let(m.read(o.n)), b));
        },
      }),
    ),
  );
}

const extensions = ['uxtb', 'uxth', 'uxtw', 'uxtx', 'sxtb', 'sxth', 'sxtw', 'sxtx'] as const;

/** The low part of a 64-bit register, with the named extension. */
function extended(m: Semantics, name: (typeof extensions)[number], value: Expr): Expr {
  const bits = { b: 8, h: 16, w: 32, x: 64 }[name.charAt(3)] as 8 | 16 | 32 | 64;
  if (bits === 64) return value;
  return name.startsWith('s') ? m.signExtend(value, bits) : m.zeroExtend(value, bits);
}

function addSubtractExtended(width: Width, sf: string): A64Instruction[] {
  return arithmeticOperations.flatMap(({ mnemonic, bits, flags, result }) =>
    extensions.map((extension, option) =>
      instruction({
        name: `${mnemonic.toUpperCase()}_${width}_addsub_ext_${extension}`,
        pattern: `${sf} ${bits} 01011 001 Rm:5 ${option.toString(2).padStart(3, '0')} imm3:3 Rn:5 Rd:5`,
        allocated: ({ imm3 = 0 }) => imm3 <= 4,
        operands: {
          d: flags ? destination('Rd', width) : orStackPointer('Rd', width),
          n: orStackPointer('Rn', width),
          m: source('Rm', width === 64 && extension.endsWith('x') ? 64 : 32),
          amount: extendedIndex(extension, width, flags ? ['Rn'] : ['Rd', 'Rn']),
        },
        text: `${mnemonic} {d}, {n}, {m}{amount}`,
        semantics: (m, o) => {
          const value = m.resize(width, m.read(o.m));
          const narrow = width === 32 && extension.endsWith('x');
          const whole = narrow ? value : extended(m, extension, value);
          const b = m.let(m.shift('shl', whole, o.amount));
          m.write(o.d, result(m, m.let(m.read(o.n)), b));
        },
      }),
    ),
  );
}

function withCarry(width: Width, sf: string): A64Instruction[] {
  return (['adc', 'adcs', 'sbc', 'sbcs'] as const).map((mnemonic, index) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_addsub_carry`,
      pattern: `${sf} ${index.toString(2).padStart(2, '0')} 11010000 Rm:5 000000 Rn:5 Rd:5`,
      operands: { d: destination('Rd', width), n: source('Rn', width), m: source('Rm', width) },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const second = m.read(o.m);
        const [a, b] = [m.let(m.read(o.n)), m.let(mnemonic.startsWith('s') ? m.not(second) : second)];
        const sets = mnemonic.endsWith('s');
        const carry = m.flag('c');
        m.write(o.d, sets ? addWithCarry(m, a, b, carry) : m.add(m.add(a, b), m.resize(width, carry)));
      },
    }),
  );
}

const conditionalCompares = [
  { mnemonic: 'ccmn', op: '0', compare: addSettingFlags },
  { mnemonic: 'ccmp', op: '1', compare: subtractSettingFlags },
] as const;

function conditionalCompare(width: Width, sf: string): A64Instruction[] {
  const condition = choice('cond', conditionNames);
  const nzcv = immediate({ ...unsigned('nzcv', 4, 32), format: hex });
  const n = source('Rn', width);
  return conditionalCompares.flatMap(({ mnemonic, op, compare }) => [
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_condcmp_imm`,
      pattern: `${sf} ${op} 1 11010010 imm5:5 cond:4 10 Rn:5 0 nzcv:4`,
      operands: { n, imm5: immediate({ ...unsigned('imm5', 5, width), format: hex }), nzcv, condition },
      text: `${mnemonic} {n}, {imm5}, {nzcv}, {condition}`,
      semantics: (m, o) =>
        m.when(
          m.condition(o.condition),
          () => compare(m, m.let(m.read(o.n)), o.imm5),
          () => setFlagsFromBits(m, o.nzcv),
        ),
    }),
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_condcmp_reg`,
      pattern: `${sf} ${op} 1 11010010 Rm:5 cond:4 00 Rn:5 0 nzcv:4`,
      operands: { n, m: source('Rm', width), nzcv, condition },
      text: `${mnemonic} {n}, {m}, {nzcv}, {condition}`,
      semantics: (m, o) =>
        m.when(
          m.condition(o.condition),
          () => compare(m, m.let(m.read(o.n)), m.let(m.read(o.m))),
          () => setFlagsFromBits(m, o.nzcv),
        ),
    }),
  ]);
}

const conditionalSelects = [
  { mnemonic: 'csel', op: '0', op2: '00', other: (_: Semantics, b: Expr) => b },
  {
    mnemonic: 'csinc',
    op: '0',
    op2: '01',
    other: (m: Semantics, b: Expr) => m.add(b, m.constant(b.width, 1)),
  },
  { mnemonic: 'csinv', op: '1', op2: '00', other: (m: Semantics, b: Expr) => m.not(b) },
  {
    mnemonic: 'csneg',
    op: '1',
    op2: '01',
    other: (m: Semantics, b: Expr) => m.sub(m.constant(b.width, 0), b),
  },
] as const;

function conditionalSelect(width: Width, sf: string): A64Instruction[] {
  return conditionalSelects.map(({ mnemonic, op, op2, other }) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_condsel`,
      pattern: `${sf} ${op} 0 11010100 Rm:5 cond:4 ${op2} Rn:5 Rd:5`,
      operands: {
        d: destination('Rd', width),
        n: source('Rn', width),
        m: source('Rm', width),
        condition: choice('cond', conditionNames),
      },
      text: `${mnemonic} {d}, {n}, {m}, {condition}`,
      semantics: (m, o) =>
        m.write(o.d, m.select(m.condition(o.condition), m.read(o.n), other(m, m.read(o.m)))),
    }),
  );
}

const twoSources: readonly {
  mnemonic: string;
  opcode: string;
  result: (m: Semantics, a: Expr, b: Expr) => Expr;
}[] = [
  { mnemonic: 'udiv', opcode: '000010', result: (m, a, b) => m.divide(false, a, b) },
  { mnemonic: 'sdiv', opcode: '000011', result: (m, a, b) => m.divide(true, a, b) },
  { mnemonic: 'lsl', opcode: '001000', result: (m, a, b) => m.shift('shl', a, b) },
  { mnemonic: 'lsr', opcode: '001001', result: (m, a, b) => m.shift('shrUnsigned', a, b) },
  { mnemonic: 'asr', opcode: '001010', result: (m, a, b) => m.shift('shrSigned', a, b) },
  { mnemonic: 'ror', opcode: '001011', result: (m, a, b) => m.shift('rotr', a, b) },
];

function twoSource(width: Width, sf: string): A64Instruction[] {
  return twoSources.map(({ mnemonic, opcode, result }) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_dp_2src`,
      pattern: `${sf} 0 0 11010110 Rm:5 ${opcode} Rn:5 Rd:5`,
      operands: { d: destination('Rd', width), n: source('Rn', width), m: source('Rm', width) },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => m.write(o.d, result(m, m.read(o.n), m.read(o.m))),
    }),
  );
}

/** Swaps adjacent groups of `bits` bits in the whole value. */
function swapNeighbours(m: Semantics, value: Expr, bits: number): Expr {
  const { width } = value;
  let low = 0n;
  for (let at = 0; at < width; at += 2 * bits) low |= ((1n << BigInt(bits)) - 1n) << BigInt(at);
  const mask = m.constant(width, low);
  const once = m.let(value);
  const down = m.and(m.shiftBy('shrUnsigned', once, bits), mask);
  return m.let(m.or(m.shiftBy('shl', m.and(once, mask), bits), down));
}

/** Within each container of `to` bits, reverses the order of the groups of `from` bits. */
function reversePieces(m: Semantics, value: Expr, from: number, to: number): Expr {
  let result = value;
  for (let bits = from; bits < to; bits *= 2) result = swapNeighbours(m, result, bits);
  return result;
}

/** The number of bits below the sign bit that are equal to it. */
function countLeadingSigns(m: Semantics, value: Expr): Expr {
  const { width } = value;
  const a = m.let(value);
  const changes = m.xor(a, m.shiftBy('shrSigned', a, 1));
  return m.sub(m.countLeadingZeros(changes), m.constant(width, 1));
}

function oneSource(width: Width, sf: string): A64Instruction[] {
  const whole = width === 64 ? '000011' : '000010';
  const rows: { mnemonic: string; opcode: string; result: (m: Semantics, a: Expr) => Expr }[] = [
    { mnemonic: 'rbit', opcode: '000000', result: (m, a) => reversePieces(m, a, 1, width) },
    { mnemonic: 'rev16', opcode: '000001', result: (m, a) => reversePieces(m, a, 8, 16) },
    { mnemonic: 'rev', opcode: whole, result: (m, a) => reversePieces(m, a, 8, width) },
    { mnemonic: 'clz', opcode: '000100', result: (m, a) => m.countLeadingZeros(a) },
    { mnemonic: 'cls', opcode: '000101', result: countLeadingSigns },
  ];
  if (width === 64)
    rows.push({ mnemonic: 'rev32', opcode: '000010', result: (m, a) => reversePieces(m, a, 8, 32) });
  return rows.map(({ mnemonic, opcode, result }) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_dp_1src`,
      pattern: `${sf} 1 0 11010110 00000 ${opcode} Rn:5 Rd:5`,
      operands: { d: destination('Rd', width), n: source('Rn', width) },
      text: `${mnemonic} {d}, {n}`,
      semantics: (m, o) => m.write(o.d, result(m, m.read(o.n))),
    }),
  );
}

function multiplyAdd(width: Width, sf: string): A64Instruction[] {
  return (['madd', 'msub'] as const).map((mnemonic, o0) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}A_dp_3src`,
      pattern: `${sf} 00 11011 000 Rm:5 ${o0} Ra:5 Rn:5 Rd:5`,
      operands: {
        d: destination('Rd', width),
        n: source('Rn', width),
        m: source('Rm', width),
        a: source('Ra', width),
      },
      text: `${mnemonic} {d}, {n}, {m}, {a}`,
      semantics: (m, o) => {
        const product = m.mul(m.read(o.n), m.read(o.m));
        m.write(o.d, mnemonic === 'madd' ? m.add(m.read(o.a), product) : m.sub(m.read(o.a), product));
      },
    }),
  );
}

/** Multiplications of 32-bit by 32-bit to 64-bit, with an addend. */
function multiplyLong(): A64Instruction[] {
  const rows = [
    { mnemonic: 'smaddl', bits: '001', o0: '0', signed: true, subtract: false },
    { mnemonic: 'smsubl', bits: '001', o0: '1', signed: true, subtract: true },
    { mnemonic: 'umaddl', bits: '101', o0: '0', signed: false, subtract: false },
    { mnemonic: 'umsubl', bits: '101', o0: '1', signed: false, subtract: true },
  ];
  return rows.map(({ mnemonic, bits, o0, signed, subtract }) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_64WA_dp_3src`,
      pattern: `1 00 11011 ${bits} Rm:5 ${o0} Ra:5 Rn:5 Rd:5`,
      operands: {
        d: destination('Rd', 64),
        n: source('Rn', 32),
        m: source('Rm', 32),
        a: source('Ra', 64),
      },
      text: `${mnemonic} {d}, {n}, {m}, {a}`,
      semantics: (m, o) => {
        const wide = (value: Expr): Expr => (signed ? m.signed64(value) : m.resize(64, value));
        const product = m.mul(wide(m.read(o.n)), wide(m.read(o.m)));
        m.write(o.d, subtract ? m.sub(m.read(o.a), product) : m.add(m.read(o.a), product));
      },
    }),
  );
}

/** The upper 64 bits of a 128-bit product, from four products of halves. */
function highProduct(m: Semantics, signed: boolean, first: Expr, second: Expr): Expr {
  const [a, b] = [m.let(first), m.let(second)];
  const low = (value: Expr): Expr => m.zeroExtend(value, 32);
  const high = (value: Expr): Expr => m.shiftBy('shrUnsigned', value, 32);
  const [aLow, aHigh, bLow, bHigh] = [m.let(low(a)), m.let(high(a)), m.let(low(b)), m.let(high(b))];
  const middle = m.let(m.add(m.mul(aHigh, bLow), high(m.mul(aLow, bLow))));
  const other = m.let(m.add(m.mul(aLow, bHigh), low(middle)));
  const unsigned = m.add(m.add(m.mul(aHigh, bHigh), high(middle)), high(other));
  if (!signed) return unsigned;
  // A negative factor was read as 2^64 too large, so subtract the other factor from the upper half.
  const correction = (x: Expr, y: Expr): Expr => m.and(m.shiftBy('shrSigned', x, 63), y);
  return m.sub(m.sub(unsigned, correction(a, b)), correction(b, a));
}

function multiplyHigh(): A64Instruction[] {
  return (['smulh', 'umulh'] as const).map((mnemonic, u) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_64_dp_3src`,
      pattern: `1 00 11011 ${u} 10 Rm:5 0 xxxxx Rn:5 Rd:5`,
      operands: { d: destination('Rd', 64), n: source('Rn', 64), m: source('Rm', 64) },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => m.write(o.d, highProduct(m, mnemonic === 'smulh', m.read(o.n), m.read(o.m))),
    }),
  );
}

/** All instructions of the group, except CRC32. */
export const dataProcessingRegister: readonly A64Instruction[] = [
  ...bothWidths.flatMap(({ width, sf }) => [
    ...logicalShifted(width, sf),
    ...addSubtractShifted(width, sf),
    ...addSubtractExtended(width, sf),
    ...withCarry(width, sf),
    ...conditionalCompare(width, sf),
    ...conditionalSelect(width, sf),
    ...twoSource(width, sf),
    ...oneSource(width, sf),
    ...multiplyAdd(width, sf),
  ]),
  ...multiplyLong(),
  ...multiplyHigh(),
];
