/** Cyclic redundancy checks (DDI 0487, C4.1.95, data-processing, two sources; FEAT_CRC32), bits reflected. */
import { instruction } from '../instruction.js';
import type { Instruction } from '../instruction.js';
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { destination, source } from './operands.js';

const sizes = [
  { letter: 'b', bits: 8, sf: '0', sz: '00' },
  { letter: 'h', bits: 16, sf: '0', sz: '01' },
  { letter: 'w', bits: 32, sf: '0', sz: '10' },
  { letter: 'x', bits: 64, sf: '1', sz: '11' },
] as const;

/** CRC-32 and CRC-32C: 0x04c11db7 and 0x1edc6f41 with their bits in reverse. */
const polynomials = [
  { stem: 'crc32', C: '0', polynomial: 0xedb88320 },
  { stem: 'crc32c', C: '1', polynomial: 0x82f63b78 },
] as const;

/** The remainder after `bits` more bits, which were added to `value`. */
function divide(m: Semantics, value: Expr, bits: number, polynomial: number): Expr {
  let rest = m.let(value);
  const [zero, one] = [m.constant(32, 0), m.constant(32, 1)];
  for (let bit = 0; bit < bits; bit += 1) {
    const reduction = m.and(m.sub(zero, m.and(rest, one)), m.constant(32, polynomial));
    rest = m.let(m.xor(m.shiftBy('shrUnsigned', rest, 1), reduction));
  }
  return rest;
}

export const crc32: readonly Instruction[] = polynomials.flatMap(({ stem, C, polynomial }) =>
  sizes.map(({ letter, bits, sf, sz }) =>
    instruction({
      name: `${stem.toUpperCase()}${letter.toUpperCase()}_dp_2src`,
      pattern: `${sf} 0 0 11010110 Rm:5 010 ${C} ${sz} Rn:5 Rd:5`,
      feature: 'FEAT_CRC32',
      cold: true,
      operands: { d: destination('Rd', 32), n: source('Rn', 32), m: source('Rm', bits === 64 ? 64 : 32) },
      text: `${stem}${letter} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const data = m.read(o.m);
        const low = bits === 8 || bits === 16 ? m.zeroExtend(data, bits) : m.resize(32, data);
        const first = divide(m, m.xor(m.read(o.n), low), Math.min(bits, 32), polynomial);
        if (bits < 64) {
          m.write(o.d, first);
          return;
        }
        const high = m.resize(32, m.shiftBy('shrUnsigned', data, 32));
        m.write(o.d, divide(m, m.xor(first, high), 32, polynomial));
      },
    }),
  ),
);
