/** Which registers an instruction's semantics read and write, and what they do with flags. */
import type { Statement } from '../../isa/index.js';
import { mentionsOf } from '../mentions.js';

export interface Usage {
  /** Operands whose registers are read, and written. */
  readonly reads: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
  /** Registers that are written though no operand names them, by their indexes in the register file. */
  readonly fixedWrites: ReadonlySet<number>;
  readonly usesFlags: boolean;
  readonly setsFlags: boolean;
  /** Whether it calls the host for more than memory, so that any register may have changed afterwards. */
  readonly callsHost: boolean;
}

const known = new WeakMap<readonly Statement[], Usage>();

export function usageOf(statements: readonly Statement[]): Usage {
  const before = known.get(statements);
  if (before !== undefined) return before;
  const [reads, writes, fixedWrites] = [new Set<string>(), new Set<string>(), new Set<number>()];
  const visit = (node: object): void => {
    const { op, operand, register } = node as { op?: string; operand?: string; register?: number };
    if (op === 'register' && operand !== undefined) reads.add(operand);
    if (op === 'setRegister' && operand !== undefined) writes.add(operand);
    if (op === 'setFixedRegister' && register !== undefined) fixedWrites.add(register);
    for (const inner of Object.values(node) as unknown[]) {
      if (typeof inner === 'object' && inner !== null) visit(inner);
    }
  };
  visit(statements);
  const { ops } = mentionsOf(statements);
  const setsFlags = ops.has('setFlags');
  const usage = {
    reads,
    writes,
    fixedWrites,
    setsFlags,
    usesFlags: setsFlags || ops.has('flag') || ops.has('condition'),
    callsHost: ops.has('system'),
  };
  known.set(statements, usage);
  return usage;
}
