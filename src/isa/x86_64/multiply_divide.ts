/** Multiplication and division (Intel SDM, volume 1, 7.3.2): MUL, IMUL, DIV, IDIV. */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { allSizes } from './arithmetic.js';
import { instruction } from './encoding.js';
import { cut, resultSources, setCarryAndOverflow, signed } from './flags.js';
import { ah, fixed, imm, reg, rm } from './operands.js';
import type { Bits, Place, Value } from './operands.js';

/** The high 64 bits of a product of 64-bit numbers. */
function highProduct(m: Semantics, isSigned: boolean, a: Expr, b: Expr): Expr {
  const low = (value: Expr): Expr => m.let(m.zeroExtend(value, 32));
  const high = (value: Expr): Expr => m.let(m.shiftBy('shrUnsigned', value, 32));
  const [a0, a1, b0, b1] = [low(a), high(a), low(b), high(b)];
  const middle = m.let(m.add(m.mul(a1, b0), m.shiftBy('shrUnsigned', m.mul(a0, b0), 32)));
  const other = m.add(m.mul(a0, b1), m.zeroExtend(middle, 32));
  const carried = m.add(m.shiftBy('shrUnsigned', middle, 32), m.shiftBy('shrUnsigned', other, 32));
  const unsigned = m.add(m.mul(a1, b1), carried);
  if (!isSigned) return m.let(unsigned);
  // A negative factor counts as 2^64 too much.
  const excess = (negative: Expr, factor: Expr): Expr => m.and(m.shiftBy('shrSigned', negative, 63), factor);
  return m.let(m.sub(m.sub(unsigned, excess(a, b)), excess(b, a)));
}

interface Product {
  readonly low: Expr;
  readonly high: Expr;
  /** Whether the product does not fit into the low half. */
  readonly overflows: Expr;
}

function product(m: Semantics, bits: Bits, isSigned: boolean, a: Expr, b: Expr): Product {
  const wide = (value: Expr): Expr => (isSigned ? signed(m, bits, value) : m.resize(64, value));
  if (bits < 64) {
    const whole = m.let(m.mul(wide(a), wide(b)));
    const low = m.let(cut(m, bits, m.resize(32, whole)));
    const high = m.let(cut(m, bits, m.resize(32, m.shiftBy('shrUnsigned', whole, bits))));
    return { low, high, overflows: m.let(m.notEqual(whole, wide(low))) };
  }
  const [low, high] = [m.let(m.mul(a, b)), highProduct(m, isSigned, a, b)];
  const fill = isSigned ? m.shiftBy('shrSigned', low, 63) : m.constant(64, 0);
  return { low, high, overflows: m.let(m.notEqual(high, fill)) };
}

/** CF and OF. The others are undefined: SF, ZF and PF follow the low half, AF is 0. */
function setProductFlags(m: Semantics, bits: Bits, { low, overflows }: Product): void {
  m.setFlags({ ...resultSources(m, bits, low), a: m.constant(32, 0) });
  setCarryAndOverflow(m, overflows, overflows);
}

const undefinedFlags = 'pazs';

/** Group 3's MUL and IMUL: the product in AX, or in RDX:RAX. */
const widening = (['mul', 'imul'] as const).flatMap((mnemonic, index) => {
  const name = mnemonic.toUpperCase();
  const multiply = (m: Semantics, a: Place, high: Place, s: Value): void => {
    const result = product(m, s.bits, index === 1, a.get(), s.get());
    a.set(result.low);
    high.set(result.high);
    setProductFlags(m, s.bits, result);
  };
  return [
    ...instruction({ name: `${name}_rm8`, opcode: `F6 /${4 + index}`, undefinedFlags, operands: { s: rm(8), a: fixed('rax', 8), high: ah }, text: `${mnemonic}{w} {s}`, semantics: (m, { s, a, high }) => multiply(m, a, high, s) }),
    ...instruction({ name: `${name}_rm`, opcode: `F7 /${4 + index}`, sizes: allSizes, undefinedFlags, operands: { s: rm(), a: fixed('rax'), high: fixed('rdx') }, text: `${mnemonic}{w} {s}`, semantics: (m, { s, a, high }) => multiply(m, a, high, s) }),
  ];
}); // prettier-ignore

function multiply(m: Semantics, d: Place, a: Expr, b: Expr): void {
  const result = product(m, d.bits, true, a, b);
  d.set(result.low);
  setProductFlags(m, d.bits, result);
}

const truncating = [
  instruction({ name: 'IMUL_r_rm', opcode: '0F AF /r', sizes: allSizes, undefinedFlags, operands: { d: reg(), s: rm() }, text: 'imul {s},{d}', semantics: (m, { d, s }) => multiply(m, d, d.get(), s.get()) }),
  instruction({ name: 'IMUL_r_rm_imm', opcode: '69 /r iz', sizes: allSizes, undefinedFlags, operands: { d: reg(), s: rm(), n: imm() }, text: 'imul {n},{s},{d}', semantics: (m, { d, s, n }) => multiply(m, d, s.get(), n.get()) }),
  instruction({ name: 'IMUL_r_rm_imm8', opcode: '6B /r ib', sizes: allSizes, undefinedFlags, operands: { d: reg(), s: rm(), n: imm() }, text: 'imul {n},{s},{d}', semantics: (m, { d, s, n }) => multiply(m, d, s.get(), n.get()) }),
].flat(); // prettier-ignore

/** What a division finds, or that the quotient does not fit. */
interface Quotient {
  readonly quotient: Expr;
  readonly remainder: Expr;
  readonly fits: Expr;
}

/** Divides a number of twice `bits` bits, which fit into 64, as 64-bit numbers. `divisor` is not 0. */
function divided(m: Semantics, bits: Bits, isSigned: boolean, dividend: Expr, divisor: Expr): Quotient {
  const b = m.let(isSigned ? signed(m, bits, divisor) : m.resize(64, divisor));
  const quotient = m.let(m.divide(isSigned, dividend, b));
  const remainder = m.let(m.sub(dividend, m.mul(quotient, b)));
  const back = isSigned
    ? m.signExtend(quotient, bits as 8 | 16 | 32)
    : m.zeroExtend(quotient, bits as 8 | 16 | 32);
  return { quotient, remainder, fits: m.equal(back, quotient) };
}

function divideNarrow(m: Semantics, isSigned: boolean, s: Value, a: Place, high: Place): void {
  const { bits } = s;
  const divisor = s.get();
  const upper = m.shiftBy('shl', m.resize(64, high.get()), bits);
  const dividend = m.let(m.or(upper, m.resize(64, a.get())));
  // Twice 8 or 16 bits are a signed number of 16 or 32.
  const whole = isSigned && bits < 32 ? m.let(m.signExtend(dividend, (2 * bits) as 16 | 32)) : dividend;
  m.when(m.isZero(divisor), () => m.system('divideError'));
  const { quotient, remainder, fits } = divided(m, bits, isSigned, whole, divisor);
  m.when(m.negate(fits), () => m.system('divideError'));
  a.set(cut(m, bits, m.resize(32, quotient)));
  high.set(cut(m, bits, m.resize(32, remainder)));
}

/** 128 bits by 64. Mostly RDX only extends RAX; the host divides the others. */
function divideWide(m: Semantics, isSigned: boolean, s: Value, a: Place, high: Place): void {
  const divisor = s.get();
  m.when(m.isZero(divisor), () => m.system('divideError'));
  const [low, upper] = [a.get(), high.get()];
  const fill = isSigned ? m.shiftBy('shrSigned', low, 63) : m.constant(64, 0);
  const isLeast = m.and(m.equal(low, m.constant(64, -(2n ** 63n))), m.equal(divisor, m.constant(64, -1)));
  const isNarrow = m.equal(upper, fill);
  m.when(
    isSigned ? m.and(isNarrow, m.negate(isLeast)) : isNarrow,
    () => {
      const quotient = m.let(m.divide(isSigned, low, divisor));
      high.set(m.let(m.sub(low, m.mul(quotient, divisor))));
      a.set(quotient);
    },
    () => m.system('divideWide', [m.constant(64, isSigned ? 1 : 0), divisor]),
  );
}

const divisions = (['div', 'idiv'] as const).flatMap((mnemonic, index) => {
  const name = mnemonic.toUpperCase();
  const common = { undefinedFlags: 'cpazso', text: `${mnemonic}{w} {s}`, cold: true };
  const isSigned = index === 1;
  return [
    ...instruction({ ...common, name: `${name}_rm8`, opcode: `F6 /${6 + index}`, operands: { s: rm(8), a: fixed('rax', 8), high: ah }, semantics: (m, { s, a, high }) => divideNarrow(m, isSigned, s, a, high) }),
    ...instruction({
      ...common, name: `${name}_rm`, opcode: `F7 /${6 + index}`, sizes: allSizes, operands: { s: rm(), a: fixed('rax'), high: fixed('rdx') },
      semantics: (m, { s, a, high }) => (s.bits === 64 ? divideWide : divideNarrow)(m, isSigned, s, a, high),
    }),
  ];
}); // prettier-ignore

export const multiplyDivideInstructions = [...widening, ...truncating, ...divisions];
