/** Copies between lanes and general registers (DDI 0487, C4.1.96, Advanced SIMD copy and scalar copy). */
import { instruction } from '../encoding.js';
import type { ImmediateOperand } from '../../instruction.js';
import type { A64Instruction } from '../encoding.js';
import { fromLow, splat, lowBits } from '../../vector_expr.js';
import { destination, source } from '../operands.js';
import { integerVectors } from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { laneIndex, laneRegister, scalarRegister, vector } from './operands.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

/** Lanes by letter: how imm5 encodes the lane (index, then a one, then zeros), and imm4 of INS. */
const lanes = [
  { letter: 'b', lane: 8, low: '1', bits: 4, ignored: '' },
  { letter: 'h', lane: 16, low: '10', bits: 3, ignored: 'x' },
  { letter: 's', lane: 32, low: '100', bits: 2, ignored: 'xx' },
  { letter: 'd', lane: 64, low: '1000', bits: 1, ignored: 'xxx' },
] as const;
type Lane = (typeof lanes)[number];

function imm5({ bits, low }: Lane): string {
  return `index:${bits} ${low}`;
}

function index({ bits }: Lane): ImmediateOperand {
  return laneIndex({ field: 'index', bits });
}

function laneOfArrangement({ lane }: Arrangement): Lane {
  return lanes.find((row) => row.lane === lane) ?? lanes[0];
}

function duplicate(arrangement: Arrangement): A64Instruction[] {
  const { name, q, lane, bits } = arrangement;
  const form = laneOfArrangement(arrangement);
  const d = vector('Rd', arrangement);
  return [
    instruction({
      ...shared,
      name: `DUP_${name.toUpperCase()}_asimdins_element`,
      pattern: `0 ${q} 0 01110000 ${imm5(form)} 0 0000 1 Rn:5 Rd:5`,
      operands: { d, n: laneRegister('Rn', form.letter), index: index(form) },
      text: 'dup {d}, {n}{index}',
      semantics: (m, o) => m.writeVector(o.d, lowBits(bits, splat(lane, m.readElement(o.n, lane, o.index)))),
    }),
    instruction({
      ...shared,
      name: `DUP_${name.toUpperCase()}_asimdins_general`,
      pattern: `0 ${q} 0 01110000 ${'x'.repeat(form.bits)}${form.low} 0 0001 1 Rn:5 Rd:5`,
      operands: { d, n: source('Rn', lane === 64 ? 64 : 32) },
      text: 'dup {d}, {n}',
      semantics: (m, o) => m.writeVector(o.d, lowBits(bits, splat(lane, m.read(o.n)))),
    }),
  ];
}

function scalarDuplicate(form: Lane): A64Instruction {
  const { letter, lane } = form;
  return instruction({
    ...shared,
    name: `DUP_${letter.toUpperCase()}_asisdone`,
    pattern: `01 0 11110000 ${imm5(form)} 0 0000 1 Rn:5 Rd:5`,
    operands: { d: scalarRegister('Rd', letter), n: laneRegister('Rn', letter), index: index(form) },
    text: `dup {d}, {n}{index}`,
    semantics: (m, o) => m.writeVector(o.d, fromLow(m.readElement(o.n, lane, o.index))),
  });
}

const toGeneral = [
  { mnemonic: 'smov', q: '0', width: 32, bits: '0101', letters: 'bh' },
  { mnemonic: 'smov', q: '1', width: 64, bits: '0101', letters: 'bhs' },
  { mnemonic: 'umov', q: '0', width: 32, bits: '0111', letters: 'bhs' },
  { mnemonic: 'umov', q: '1', width: 64, bits: '0111', letters: 'd' },
] as const;

function moveToGeneral(form: Lane): A64Instruction[] {
  const { letter, lane } = form;
  return toGeneral
    .filter(({ letters }) => letters.includes(letter))
    .map(({ mnemonic, q, width, bits }) =>
      instruction({
        ...shared,
        name: `${mnemonic.toUpperCase()}_${width}_${letter.toUpperCase()}_asimdins`,
        pattern: `0 ${q} 0 01110000 ${imm5(form)} 0 ${bits} 1 Rn:5 Rd:5`,
        operands: { d: destination('Rd', width), n: laneRegister('Rn', letter), index: index(form) },
        text: `${mnemonic} {d}, {n}{index}`,
        semantics: (m, o) => {
          const value = m.resize(width, m.readElement(o.n, lane, o.index));
          m.write(o.d, mnemonic === 'umov' || lane === 64 ? value : m.signExtend(value, lane));
        },
      }),
    );
}

function insert(form: Lane): A64Instruction[] {
  const { letter, lane, bits, ignored } = form;
  const d = laneRegister('Rd', letter);
  return [
    instruction({
      ...shared,
      name: `INS_${letter.toUpperCase()}_asimdins_general`,
      pattern: `0 1 0 01110000 ${imm5(form)} 0 0011 1 Rn:5 Rd:5`,
      operands: { d, index: index(form), n: source('Rn', lane === 64 ? 64 : 32) },
      text: `ins {d}{index}, {n}`,
      semantics: (m, o) => m.writeElement(o.d, lane, o.index, m.read(o.n)),
    }),
    instruction({
      ...shared,
      name: `INS_${letter.toUpperCase()}_asimdins_element`,
      pattern: `0 1 1 01110000 ${imm5(form)} 0 from:${bits} ${ignored} 1 Rn:5 Rd:5`,
      operands: {
        d,
        index: index(form),
        n: laneRegister('Rn', letter),
        from: laneIndex({ field: 'from', bits }),
      },
      text: `ins {d}{index}, {n}{from}`,
      semantics: (m, o) => m.writeElement(o.d, lane, o.index, m.readElement(o.n, lane, o.from)),
    }),
  ];
}

export const copies = (): readonly A64Instruction[] => [
  ...integerVectors.flatMap(duplicate),
  ...lanes.flatMap((form) => [scalarDuplicate(form), ...moveToGeneral(form), ...insert(form)]),
];
