/** Finds the micro-operations and operands that an instruction's semantics use. */
import type { Statement } from '../isa/index.js';

export interface Mentions {
  readonly ops: ReadonlySet<string>;
  readonly operands: ReadonlySet<string>;
}

/** Cache by semantics. The trees have thousands of nodes. */
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
