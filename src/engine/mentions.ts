/** What an instruction's meaning mentions: which micro-operations, and which operands. */
import type { Statement } from '../isa/index.js';

export interface Mentions {
  readonly ops: ReadonlySet<string>;
  readonly operands: ReadonlySet<string>;
}

/** Worked out once for each meaning: trees of thousands of instructions are walked. */
const known = new WeakMap<readonly Statement[], Mentions>();

export function mentionsOf(statements: readonly Statement[]): Mentions {
  const before = known.get(statements);
  if (before !== undefined) return before;
  const [ops, operands] = [new Set<string>(), new Set<string>()];
  const visit = (node: object): void => {
    const { op, operand } = node as { op?: string; operand?: string };
    if (op !== undefined) {
      ops.add(op);
      if (operand !== undefined) operands.add(operand);
    }
    for (const inner of Object.values(node) as unknown[]) {
      if (typeof inner === 'object' && inner !== null) visit(inner);
    }
  };
  visit(statements);
  const found = { ops, operands };
  known.set(statements, found);
  return found;
}
