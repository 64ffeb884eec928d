/** What groups of SSE definitions have in common. */
import type { Semantics } from '../../semantics.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import type { X86Instruction } from '../encoding.js';
import { xmm, xmmOrMemory } from './operands.js';

/** No engine needs them in its innermost code. */
export const sse = { feature: 'sse', cold: true } as const;
export const sse2 = { feature: 'sse2', cold: true } as const;
export const sse3 = { feature: 'sse3', cold: true } as const;
export const sse41 = { feature: 'sse4_1', cold: true } as const;
export const sse42 = { feature: 'sse4_2', cold: true } as const;
export const ssse3 = { feature: 'ssse3', cold: true } as const;

/** What an instruction computes of its first operand, which it writes, and its second. */
export type Computation = (m: Semantics, a: VectorExpr, b: VectorExpr) => VectorExpr;

/** What a definition belongs to. */
export interface Group {
  readonly feature: string;
  readonly cold: true;
}

/**
 * An instruction on two whole XMM registers, or one and memory. By default it is one of SSE if its opcode has no prefix, else one of
 * SSE2.
 */
export function onVectors(
  mnemonic: string,
  opcode: string,
  compute: Computation,
  group: Group = opcode.startsWith('NP') ? sse : sse2,
): readonly X86Instruction[] {
  return instruction({
    ...group,
    name: `${mnemonic.toUpperCase()}_x_xm`,
    opcode: `${opcode} /r`,
    operands: { d: xmm, s: xmmOrMemory() },
    text: `${mnemonic} {s},{d}`,
    semantics: (m, { d, s }) => {
      const second = s.get();
      d.set(compute(m, d.get(), second));
    },
  });
}
