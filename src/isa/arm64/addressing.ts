/** Address forms of loads and stores, shared by general and vector registers. */
import type { ImmediateOperand } from '../instruction.js';
import type { Expr } from '../micro_ops.js';
import type { RegisterRef, Semantics } from '../semantics.js';
import { optionalNumber, signed } from './operands.js';

/** An unscaled signed offset. The text omits it if it is 0. */
export function offset9(): ImmediateOperand {
  return optionalNumber(', ', signed('imm9', 9), 0n);
}

export const indexExtensions = [
  { extension: 'uxtw', option: '010', width: 32 },
  { extension: 'lsl', option: '011', width: 64 },
  { extension: 'sxtw', option: '110', width: 32 },
  { extension: 'sxtx', option: '111', width: 64 },
] as const;

/** `, lsl #3` after an index register: the extension of the index, and whether it is scaled by the access size. */
export function indexShift(extension: string, scale: number): ImmediateOperand {
  const bare = extension === 'lsl' ? '' : `, ${extension}`;
  const shifted = `, ${extension} #${scale}`;
  return {
    kind: 'immediate',
    width: 64,
    bits: 8,
    value: ({ S = 0 }) => BigInt(S * scale),
    print: ({ S = 0 }) => (S === 1 ? shifted : bare),
    parse: (text) => {
      if (text.startsWith(shifted)) return { fields: { S: 1 }, rest: text.slice(shifted.length) };
      return text.startsWith(bare) ? { fields: { S: 0 }, rest: text.slice(bare.length) } : null;
    },
  };
}

/** The address forms of register pairs. `noalloc` is for LDNP and STNP. */
export const pairForms = [
  { form: 'off', bits: '010', text: '[{n}{offset}]' },
  { form: 'pre', bits: '011', text: '[{n}, {offset}]!' },
  { form: 'post', bits: '001', text: '[{n}], {offset}' },
  { form: 'noalloc', bits: '000', text: '[{n}{offset}]' },
] as const;

/**
 * Reads the base register of an access. If it is the stack pointer, its alignment is checked (DDI 0487,
 * CheckSPAlignment).
 */
export function readBase(m: Semantics, n: RegisterRef): Expr {
  m.checkStack(n);
  return m.read(n);
}
