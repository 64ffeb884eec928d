/** SSE4.2 (Intel SDM, volume 1, 12.12; volume 2, 4.1, for strings): PCMPGTQ, CRC32, PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { binary, fromLow, laneOf, swizzle, vand } from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { fixed, reg, rm, widthOf } from '../operands.js';
import type { Bits, Place, Value } from '../operands.js';
import { onVectors, sse42 } from './definitions.js';
import { firstXmm, lanesByBits, lanesOf } from './masks.js';
import { immediateAs, xmm, xmmOrMemory } from './operands.js';
import type { Vector, Xmm } from './operands.js';

const compare = onVectors('pcmpgtq', '66 0F 38 37', (_, a, b) => binary('gtSigned', 64, a, b), sse42);

/** The polynomial of CRC-32C, with its bits in reverse order. */
const polynomial = 0x82f6_3b78;

/** The checksum of a value behind a checksum, bit by bit. */
function checksum(m: Semantics, d: Place, s: Value): void {
  const value = m.resize(64, s.get());
  let rest = m.let(m.xor(m.and(m.resize(64, d.get()), m.constant(64, 0xffff_ffff)), value));
  for (let bit = 0; bit < s.bits; bit += 1) {
    const isOdd = m.sub(m.constant(64, 0), m.and(rest, m.constant(64, 1)));
    rest = m.let(m.xor(m.shiftBy('shrUnsigned', rest, 1), m.and(isOdd, m.constant(64, polynomial))));
  }
  d.set(m.resize(widthOf(d.bits), rest));
}

const checksums = [
  ...instruction({
    ...sse42, name: 'CRC32_r_rm8', opcode: 'F2 0F 38 F0 /r', sizes: [32, 64], otherSizes: 32, operands: { d: reg(), s: rm(8) }, text: 'crc32{w} {s},{d}',
    semantics: (m, { d, s }) => checksum(m, d, s),
  }),
  ...([16, 32, 64] as const satisfies readonly Bits[]).flatMap((bits) =>
    instruction({
      ...sse42, name: `CRC32_r_rm${bits}`, opcode: 'F2 0F 38 F1 /r', sizes: [bits], operands: { d: reg(bits === 64 ? 64 : 32), s: rm(bits) },
      text: 'crc32{w} {s},{d}', semantics: (m, { d, s }) => checksum(m, d, s),
    }),
  ),
]; // prettier-ignore

/** The bits of what `compareStrings` answers. */
const answer = { carry: 16, zero: 17, sign: 18, overflow: 19, index: 24 } as const;

/** An explicit length: the absolute value of a register, at most 16. */
function lengthOf(m: Semantics, register: Place): Expr {
  const value = register.get();
  const { width } = value;
  const zero = m.constant(width, 0);
  const magnitude = m.let(m.select(m.less(true, value, zero), m.sub(zero, value), value));
  const most = m.constant(width, 16);
  return m.resize(64, m.select(m.less(false, magnitude, most), magnitude, most));
}

/** Compares two strings by an immediate, sets the flags, and gives the answer. Lengths of null end at the first 0. */
function compareStrings(m: Semantics, a: Vector, b: Vector, how: Expr, lengths: Expr | null): Expr {
  const halves = (value: VectorExpr): Expr[] => [laneOf(64, value, 0), laneOf(64, value, 1)];
  const second = m.letVector(b.get());
  m.system('firstString', halves(m.letVector(a.get())));
  m.system('secondString', halves(second));
  const found = m.ask('compareStrings', [m.resize(64, how), lengths ?? m.constant(64, -1)]);
  const bit = (place: number): Expr => m.and(m.shiftBy('shrUnsigned', found, place), m.constant(64, 1));
  const asSign = (place: number): Expr => m.shiftBy('shl', bit(place), 63);
  m.setFlags({
    c: m.resize(32, bit(answer.carry)),
    z: m.xor(bit(answer.zero), m.constant(64, 1)),
    s: asSign(answer.sign),
    o: asSign(answer.overflow),
    // A byte of 1 has an odd number of ones.
    p: m.constant(32, 1),
    a: m.constant(32, 0),
  });
  return found;
}

/** The bits that were found, or with bit 6 of the immediate all bits of each lane that was. */
function setMask(m: Semantics, d: Xmm, found: Expr, how: Expr): void {
  const bits = m.let(m.resize(32, m.and(found, m.constant(64, 0xffff))));
  const ifSet = (bit: number, then: () => void, otherwise: () => void): void =>
    m.when(m.and(how, m.constant(32, bit)), then, otherwise);
  const bytes = lanesOf(8, (at) => 1n << BigInt(at % 8));
  const halves = swizzle(
    fromLow(bits),
    lanesOf(8, (at) => BigInt(at >> 3)),
  );
  ifSet(
    0x40,
    () =>
      ifSet(
        1,
        () => d.set(lanesByBits(m, 16, bits)),
        () => d.set(binary('eq', 8, vand(halves, bytes), bytes)),
      ),
    () => d.set(fromLow(bits)),
  );
}

const how = immediateAs(8, (immediate) => immediate);

/** With lengths in registers (E) or strings that end at a 0 (I); with an index (I) or a mask (M) as the result. */
const strings = ([['pcmpestrm', '60'], ['pcmpestri', '61'], ['pcmpistrm', '62'], ['pcmpistri', '63']] as const).flatMap(([mnemonic, byte]) => {
  const [isExplicit, isMask] = [mnemonic.includes('estr'), mnemonic.endsWith('m')];
  const common = { ...sse42, name: `${mnemonic.toUpperCase()}_x_xm_imm8`, opcode: `66 0F 3A ${byte} /r ib` };
  const give = (m: Semantics, c: Place, mask: Xmm, found: Expr, kind: Expr): void => {
    if (isMask) setMask(m, mask, found, kind);
    else c.set(m.resize(32, m.shiftBy('shrUnsigned', found, answer.index)));
  };
  const operands = { d: xmm, s: xmmOrMemory(false), how, c: fixed('rcx', 32), mask: firstXmm(false) };
  return isExplicit
    ? ([['', 32, ({ wide }: { wide: number }) => wide === 0, {}], ['q', 64, ({ wide }: { wide: number }) => wide === 1, { sizes: [64], modes: [64] }]] as const).flatMap(
        ([suffix, size, allocated, more]) =>
          instruction({
            ...common, ...more, name: `${mnemonic.toUpperCase()}${suffix.toUpperCase()}_x_xm_imm8`, allocated,
            operands: { ...operands, first: fixed('rax', size), second: fixed('rdx', size) }, text: `${mnemonic}${suffix} {how},{s},{d}`,
            semantics: (m, { d, s, how: kind, c, mask, first, second }) => {
              const lengths = m.or(lengthOf(m, first), m.shiftBy('shl', lengthOf(m, second), 8));
              give(m, c, mask, compareStrings(m, d, s, kind, m.let(lengths)), kind);
            },
          }),
      )
    : instruction({
        ...common, operands, text: `${mnemonic} {how},{s},{d}`,
        semantics: (m, { d, s, how: kind, c, mask }) => give(m, c, mask, compareStrings(m, d, s, kind, null), kind),
      });
}); // prettier-ignore

export const sse42Instructions = [...compare, ...checksums, ...strings];
