/** Cyclic redundancy checks (DDI 0487, C4.1.95, data-processing, two sources; FEAT_CRC32), with bits reflected. */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { destination, source } from './operands.js';

const sizes = [
  { letter: 'b', bits: 8, sf: '0', sz: '00' },
  { letter: 'h', bits: 16, sf: '0', sz: '01' },
  { letter: 'w', bits: 32, sf: '0', sz: '10' },
  { letter: 'x', bits: 64, sf: '1', sz: '11' },
] as const;

/** The polynomials of CRC-32 and CRC-32C, 0x04c11db7 and 0x1edc6f41, bit-reversed. */
const polynomials = [
  { stem: 'crc32', C: '0', polynomial: 0xedb88320 },
  { stem: 'crc32c', C: '1', polynomial: 0x82f63b78 },
] as const;

/** The remainder after `bits` further zero bits. */
function shiftOut(value: number, bits: number, polynomial: number): number {
  let rest = value;
  for (let bit = 0; bit < bits; bit += 1) rest = (rest >>> 1) ^ ((rest & 1) === 0 ? 0 : polynomial);
  return rest;
}

/** The contribution of bit `index` to the remainder of `bits` bits of data. Later bits take fewer division steps. */
function share(index: number, bits: number, polynomial: number): number {
  return shiftOut(polynomial, bits - 1 - index, polynomial);
}

/**
 * The remainder of the low `bits` bits of `value`, into which the old remainder was mixed: the xor of its bits'
 * contributions.
 */
function remainder(m: Semantics, value: Expr, bits: number, polynomial: number): Expr {
  const { width } = value;
  const once = m.let(value);
  let sum = m.constant(width, 0);
  for (let index = 0; index < bits; index += 1) {
    const isSet = m.shiftBy('shrSigned', m.shiftBy('shl', once, width - 1 - index), width - 1);
    sum = m.let(m.xor(sum, m.and(isSet, m.constant(width, share(index, bits, polynomial) >>> 0))));
  }
  return sum;
}

export const crc32: readonly A64Instruction[] = polynomials.flatMap(({ stem, C, polynomial }) =>
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
        const mixed = m.let(m.xor(m.resize(data.width, m.read(o.n)), data));
        const made = m.resize(32, remainder(m, mixed, bits, polynomial));
        // If the data has fewer bits than the old remainder, the remaining bits of the old remainder shift down.
        const rest = bits < 32 ? m.shiftBy('shrUnsigned', m.read(o.n), bits) : m.constant(32, 0);
        m.write(o.d, m.xor(made, rest));
      },
    }),
  ),
);
