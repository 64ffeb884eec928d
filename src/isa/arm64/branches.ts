/** Branches (DDI 0487, C4.1.93): conditional, compare and branch, test and branch, unconditional, register. */
import { instruction } from './encoding.js';
import type { ImmediateOperand, RegisterOperand } from '../instruction.js';
import type { A64Instruction } from './encoding.js';
import { conditionHolds } from './flags.js';
import { bothWidths, branchLabel, conditionNames, source } from './operands.js';

const linkRegister = 30;

const conditional = conditionNames.map((condition, code) =>
  instruction({
    name: `B_only_condbranch_${condition}`,
    pattern: `01010100 imm19:19 0 ${code.toString(2).padStart(4, '0')}`,
    operands: { to: branchLabel('imm19', 19) },
    text: `b.${condition} {to}`,
    semantics: (m, o) => m.when(conditionHolds(m, code), () => m.jumpNear(o.to)),
  }),
);

const compareWithZero = bothWidths.flatMap(({ width, sf }) =>
  (['cbz', 'cbnz'] as const).map((mnemonic, op) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_compbranch`,
      pattern: `${sf} 011010 ${op} imm19:19 Rt:5`,
      operands: { t: source('Rt', width), to: branchLabel('imm19', 19) },
      text: `${mnemonic} {t}, {to}`,
      semantics: (m, o) => {
        const zero = m.isZero(m.read(o.t));
        m.when(op === 0 ? zero : m.negate(zero), () => m.jumpNear(o.to));
      },
    }),
  ),
);

/** The bit number that TBZ and TBNZ test, split over two fields. */
const testedBit: ImmediateOperand = {
  kind: 'immediate',
  width: 64,
  bits: 8,
  value: ({ b5 = 0, b40 = 0 }) => BigInt(b5 * 32 + b40),
  print: ({ b5 = 0, b40 = 0 }) => `#${b5 * 32 + b40}`,
  parse: (text) => {
    const found = /^#(\d+)/.exec(text);
    const bit = Number(found?.[1] ?? 64);
    if (found === null || bit > 63) return null;
    return { fields: { b5: bit >> 5, b40: bit & 31 }, rest: text.slice(found[0].length) };
  },
};

const testBit = bothWidths.flatMap(({ width, sf }) =>
  (['tbz', 'tbnz'] as const).map((mnemonic, op) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_testbranch`,
      pattern: `b5:1 011011 ${op} b40:5 imm14:14 Rt:5`,
      // Bits 32 to 63 are tested in an X register and bits 0 to 31 in a W register, so the bit number implies the
      // width.
      allocated: ({ b5 = 0 }) => String(b5) === sf,
      operands: { t: source('Rt', width), bit: testedBit, to: branchLabel('imm14', 14) },
      text: `${mnemonic} {t}, {bit}, {to}`,
      semantics: (m, o) => {
        const shifted = m.shift('shrUnsigned', m.resize(64, m.read(o.t)), o.bit);
        const set = m.and(m.resize(32, shifted), m.constant(32, 1));
        m.when(op === 0 ? m.negate(set) : set, () => m.jumpNear(o.to));
      },
    }),
  ),
);

const unconditional = [
  instruction({
    name: 'B_only_branch_imm',
    pattern: '000101 imm26:26',
    operands: { to: branchLabel('imm26', 26) },
    text: 'b {to}',
    semantics: (m, o) => m.jumpNear(o.to),
  }),
  instruction({
    name: 'BL_only_branch_imm',
    pattern: '100101 imm26:26',
    operands: { to: branchLabel('imm26', 26) },
    text: 'bl {to}',
    semantics: (m, o) => {
      m.writeFixed(linkRegister, m.add(m.pc(), m.constant(64, 4)));
      m.jumpNear(o.to);
    },
  }),
];

/** The register of RET. The text omits it if it is the link register. */
const anyRegister = source('Rn', 64);
const returnAddress: RegisterOperand = {
  ...anyRegister,
  print: (fields, pc) => (fields['Rn'] === linkRegister ? '' : ` ${anyRegister.print(fields, pc)}`),
  parse: (text, pc) =>
    text.startsWith(' ')
      ? anyRegister.parse(text.slice(1), pc)
      : { fields: { Rn: linkRegister }, rest: text },
};

const toRegister = [
  instruction({
    name: 'BR_64_branch_reg',
    pattern: '1101011 0000 11111 000000 Rn:5 00000',
    operands: { n: source('Rn', 64) },
    text: 'br {n}',
    semantics: (m, o) => m.jump(m.read(o.n)),
  }),
  instruction({
    name: 'BLR_64_branch_reg',
    pattern: '1101011 0001 11111 000000 Rn:5 00000',
    operands: { n: source('Rn', 64) },
    text: 'blr {n}',
    semantics: (m, o) => {
      const target = m.let(m.read(o.n));
      m.writeFixed(linkRegister, m.add(m.pc(), m.constant(64, 4)));
      m.jump(target);
    },
  }),
  instruction({
    name: 'RET_64R_branch_reg',
    pattern: '1101011 0010 11111 000000 Rn:5 00000',
    operands: { n: returnAddress },
    text: 'ret{n}',
    semantics: (m, o) => m.jump(m.read(o.n)),
  }),
];

/** All branch instructions. */
export const branches: readonly A64Instruction[] = [
  ...conditional,
  ...compareWithZero,
  ...testBit,
  ...unconditional,
  ...toRegister,
];
