/** Floating-point moves (DDI 0487, C4.1.96): between registers, from an immediate, to and from general registers. */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import { fromLow } from '../vector_expr.js';
import { expandFloat, floatImmediate } from './float_immediate.js';
import { derived, destination, source } from './operands.js';
import { laneRegister, scalarRegister } from './simd/operands.js';

const shared = { feature: 'FEAT_FP', cold: true } as const;

/** Single and double precision: the register's letter, the width, and the field `ftype`. */
export const floatTypes = [
  { letter: 's', width: 32, ftype: '00' },
  { letter: 'd', width: 64, ftype: '01' },
] as const;
type FloatType = (typeof floatTypes)[number];

function fromImmediate({ letter, width, ftype }: FloatType): A64Instruction {
  return instruction({
    ...shared,
    name: `FMOV_${letter.toUpperCase()}_floatimm`,
    pattern: `0 0 0 11110 ${ftype} 1 imm8:8 100 00000 Rd:5`,
    operands: {
      d: scalarRegister('Rd', letter),
      number: floatImmediate(
        ({ imm8 = 0 }) => imm8,
        (imm8) => ({ imm8 }),
      ),
      value: derived(64, 64, ({ imm8 = 0 }) => BigInt.asIntN(64, expandFloat(imm8, width))),
    },
    text: 'fmov {d}, {number}',
    semantics: (m, o) => m.writeVector(o.d, fromLow(o.value)),
  });
}

function betweenRegisters({ letter, width, ftype }: FloatType): A64Instruction {
  return instruction({
    ...shared,
    name: `FMOV_${letter.toUpperCase()}_floatdp1`,
    pattern: `0 0 0 11110 ${ftype} 1 0000 00 10000 Rn:5 Rd:5`,
    operands: { d: scalarRegister('Rd', letter), n: scalarRegister('Rn', letter) },
    text: 'fmov {d}, {n}',
    semantics: (m, o) => m.writeVector(o.d, fromLow(m.readElement(o.n, width, 0))),
  });
}

const generalForms = [
  { width: 32, sf: '0', ftype: '00', rmode: '00', letter: 's', index: 0 },
  { width: 64, sf: '1', ftype: '01', rmode: '00', letter: 'd', index: 0 },
  { width: 64, sf: '1', ftype: '10', rmode: '01', letter: 'd', index: 1 },
] as const;

function general({
  width,
  sf,
  ftype,
  rmode,
  letter,
  index,
}: (typeof generalForms)[number]): A64Instruction[] {
  const high = index === 1;
  const name = `${width}_${letter.toUpperCase()}${high ? '_high' : ''}_float2int`;
  const pattern = (opcode: string): string =>
    `${sf} 0 0 11110 ${ftype} 1 ${rmode} ${opcode} 000000 Rn:5 Rd:5`;
  const register = (field: string): ReturnType<typeof scalarRegister> =>
    high ? laneRegister(field, 'd') : scalarRegister(field, letter);
  const lane = high ? '[1]' : '';
  return [
    instruction({
      ...shared,
      name: `FMOV_from_${name}`,
      pattern: pattern('110'),
      operands: { d: destination('Rd', width), n: register('Rn') },
      text: `fmov {d}, {n}${lane}`,
      semantics: (m, o) => m.write(o.d, m.readElement(o.n, width, index)),
    }),
    instruction({
      ...shared,
      name: `FMOV_to_${name}`,
      pattern: pattern('111'),
      operands: { d: register('Rd'), n: source('Rn', width) },
      text: `fmov {d}${lane}, {n}`,
      semantics: (m, o) => {
        if (high) m.writeElement(o.d, 64, 1, m.read(o.n));
        else m.writeVector(o.d, fromLow(m.read(o.n)));
      },
    }),
  ];
}

export const floatMoves = (): readonly A64Instruction[] => [
  ...floatTypes.flatMap((type) => [fromImmediate(type), betweenRegisters(type)]),
  ...generalForms.flatMap(general),
];
