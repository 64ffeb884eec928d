/** PRFM and PRFUM (DDI 0487, C6.2): prefetch hints. They do nothing, because no cache is emulated. */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import { indexExtensions, indexShift, offset9 } from './addressing.js';
import { branchLabel, hint, optionalNumber, orStackPointer, source, unsigned } from './operands.js';

const words = ['pld', 'pli', 'pst'].flatMap((type) =>
  ['l1keep', 'l1strm', 'l2keep', 'l2strm', 'l3keep', 'l3strm', null, null].map((target) =>
    target === null ? null : type + target,
  ),
);
const operation = hint(words, 'Rt');
const nothing = (): void => undefined;

export const prefetches: readonly A64Instruction[] = [
  instruction({
    name: 'PRFM_P_ldst_pos',
    pattern: '11 111 0 01 10 imm12:12 Rn:5 Rt:5',
    operands: {
      operation,
      n: orStackPointer('Rn', 64),
      offset: optionalNumber(', ', unsigned('imm12', 12, 64, 8), 0n),
    },
    text: 'prfm {operation}, [{n}{offset}]',
    semantics: nothing,
  }),
  instruction({
    name: 'PRFUM_P_ldst_unscaled',
    pattern: '11 111 0 00 10 0 imm9:9 00 Rn:5 Rt:5',
    operands: { operation, n: orStackPointer('Rn', 64), offset: offset9() },
    text: 'prfum {operation}, [{n}{offset}]',
    semantics: nothing,
  }),
  instruction({
    name: 'PRFM_P_loadlit',
    pattern: '11 011 0 00 imm19:19 Rt:5',
    operands: { operation, to: branchLabel('imm19', 19) },
    text: 'prfm {operation}, {to}',
    semantics: nothing,
  }),
  ...indexExtensions.map(({ extension, option, width }) =>
    instruction({
      name: `PRFM_P_ldst_regoff_${extension}`,
      pattern: `11 111 0 00 10 1 Rm:5 ${option} S:1 10 Rn:5 Rt:5`,
      operands: {
        operation,
        n: orStackPointer('Rn', 64),
        m: source('Rm', width),
        shift: indexShift(extension, 3),
      },
      text: 'prfm {operation}, [{n}, {m}{shift}]',
      semantics: nothing,
    }),
  ),
];
