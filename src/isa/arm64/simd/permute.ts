/** Permutations of lanes and bytes (DDI 0487, C4.1.96, Advanced SIMD permute, extract, table lookup). */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import {
  binary,
  bitSelect,
  joinLow,
  laneConstant,
  lowBits,
  shuffleLanes,
  splat,
  swizzle,
  vectorConstant,
  vor,
} from '../../vector_expr.js';
import { immediate, unsigned } from '../operands.js';
import { byteVectors, encodingName, integerVectors, laneCount, writeActive } from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { hiddenVector, registerList, vector } from './operands.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

/**
 * For each lane of the result, by its index and the lane count: the source lane. Lanes of the second source are
 * numbered after those of the first.
 */
const permutations: readonly {
  readonly mnemonic: string;
  readonly opcode: string;
  readonly from: (lane: number, count: number) => number;
}[] = [
  { mnemonic: 'uzp1', opcode: '001', from: (lane) => 2 * lane },
  { mnemonic: 'trn1', opcode: '010', from: (lane, count) => (lane % 2 === 0 ? lane : count + lane - 1) },
  { mnemonic: 'zip1', opcode: '011', from: (lane, count) => (lane >> 1) + (lane % 2) * count },
  { mnemonic: 'uzp2', opcode: '101', from: (lane) => 2 * lane + 1 },
  { mnemonic: 'trn2', opcode: '110', from: (lane, count) => (lane % 2 === 0 ? lane + 1 : count + lane) },
  {
    mnemonic: 'zip2',
    opcode: '111',
    from: (lane, count) => ((lane + count) >> 1) + (lane % 2) * count,
  },
];

function permute(arrangement: Arrangement): A64Instruction[] {
  const { q, size, lane } = arrangement;
  const count = laneCount(arrangement);
  return permutations.map(({ mnemonic, opcode, from }) => {
    // The shuffle numbers the second source's lanes after all lanes of a full first register.
    const order = Array.from({ length: 128 / lane }, (_, to) => {
      const number = to < count ? from(to, count) : 0;
      return number < count ? number : number - count + 128 / lane;
    });
    return instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, 'permute'),
      pattern: `0 ${q} 0 01110 ${size} 0 Rm:5 0 ${opcode} 10 Rn:5 Rd:5`,
      operands: {
        d: vector('Rd', arrangement),
        n: vector('Rn', arrangement),
        m: vector('Rm', arrangement),
      },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const value = shuffleLanes(lane, order, m.readVector(o.n), m.readVector(o.m));
        writeActive(m, arrangement, o.d, value);
      },
    });
  });
}

/** 0 to 15, lowest byte first. */
const counting = vectorConstant(0x0f0e0d0c0b0a09080706050403020100n);

/** EXT: consecutive bytes from the second source above the first. */
function extract(arrangement: Arrangement): A64Instruction {
  const { q, bits } = arrangement;
  return instruction({
    ...shared,
    name: encodingName('ext', arrangement, 'extract'),
    pattern: `0 ${q} 1 01110 00 0 Rm:5 0 ${bits === 128 ? 'imm4:4' : '0 imm4:3'} 0 Rn:5 Rd:5`,
    operands: {
      d: vector('Rd', arrangement),
      n: vector('Rn', arrangement),
      m: vector('Rm', arrangement),
      from: immediate(unsigned('imm4', bits === 128 ? 4 : 3, 32)),
    },
    text: 'ext {d}, {n}, {m}, {from}',
    semantics: (m, o) => {
      const indexes = m.letVector(binary('add', 8, counting, splat(8, o.from)));
      const [a, b] = [m.readVector(o.n), m.readVector(o.m)];
      if (bits === 64) {
        m.writeVector(o.d, lowBits(64, swizzle(joinLow(a, b), indexes)));
        return;
      }
      // A byte index of 16 or more, which belongs to the other source, selects 0.
      const above = binary('sub', 8, indexes, laneConstant(8, 16));
      m.writeVector(o.d, vor(swizzle(a, indexes), swizzle(b, above)));
    },
  });
}

const memberNames = ['t', 't2', 't3', 't4'] as const;

/**
 * Selects bytes from one to four registers. An index out of range gives 0 (TBL) or keeps the destination byte (TBX).
 */
function table(arrangement: Arrangement, mnemonic: 'tbl' | 'tbx', count: number): A64Instruction {
  const members = memberNames
    .slice(0, count)
    .map((name, index) => [name, hiddenVector('Rn', index)] as const);
  return instruction({
    ...shared,
    name: `${encodingName(mnemonic, arrangement, 'table')}_${count}`,
    pattern: `0 ${arrangement.q} 001110 00 0 Rm:5 0 ${(count - 1).toString(2).padStart(2, '0')} ${mnemonic === 'tbl' ? 0 : 1} 00 Rn:5 Rd:5`,
    operands: {
      d: vector('Rd', arrangement),
      list: registerList('Rn', count, '16b'),
      m: vector('Rm', arrangement),
      ...Object.fromEntries(members),
    },
    text: `${mnemonic} {d}, {list}, {m}`,
    semantics: (m) => {
      const read = (operand: string): VectorExpr => m.readVector({ operand, vector: true });
      const indexes = m.letVector(read('m'));
      const found = members.map(([name], index) =>
        swizzle(read(name), binary('sub', 8, indexes, laneConstant(8, 16 * index))),
      );
      const value = found.reduce((all, one) => vor(all, one));
      const outside = binary('geUnsigned', 8, indexes, laneConstant(8, 16 * count));
      const result = mnemonic === 'tbl' ? value : bitSelect(outside, read('d'), value);
      writeActive(m, arrangement, { operand: 'd', vector: true }, result);
    },
  });
}

export const permutes = (): readonly A64Instruction[] => [
  ...integerVectors.flatMap(permute),
  ...byteVectors.map(extract),
  ...byteVectors.flatMap((arrangement) =>
    [1, 2, 3, 4].flatMap((count) => [table(arrangement, 'tbl', count), table(arrangement, 'tbx', count)]),
  ),
];
