/** How far an instruction's effect goes, as its meaning says: what a prover of endless loops must know of it. */
import type { Statement } from '../micro_ops.js';
import type { X86Instruction } from './encoding.js';
import type { X86SystemCall } from './system_calls.js';

/**
 * `registers`: a vCPU's own registers decide what it does, and it changes nothing but them, or takes or ends an exception; where
 * it faults, that is decided by them too. `memory`: it also reads memory, or writes it once; where it faults, it has changed
 * nothing. `beyond`: anything else.
 */
export type Reach = 'registers' | 'memory' | 'beyond';

/** Statements and expressions over registers, flags and the rest of a vCPU's state. */
const withinRegisters: ReadonlySet<string> = new Set([
  'let', 'setRegister', 'setFixedRegister', 'setFlags', 'jump', 'if', 'setState', 'setStateAt',
  'const', 'immediate', 'register', 'pc', 'flag', 'condition', 'local', 'state', 'stateAt', 'unary', 'binary', 'compare',
  'select', 'resize',
]); // prettier-ignore

/** Calls that raise an exception, return from one, or look at segments and privileges. */
const withinCalls: ReadonlySet<string> = new Set<X86SystemCall>([
  'undefined',
  'vectorTrap',
  'linearAddress',
  'noncanonicalTarget',
  'divideError',
  'divideWide',
  'interrupt',
  'breakpoint',
  'debugTrap',
  'overflowTrap',
  'boundRange',
  'interruptReturn',
  'requireKernel',
]);

const known = new WeakMap<readonly Statement[], Reach>();

/** See {@link Reach}. */
export function reachOf({ semantics: { statements } }: X86Instruction): Reach {
  const before = known.get(statements);
  if (before !== undefined) return before;
  const found = workOut(statements);
  known.set(statements, found);
  return found;
}

/** A statement or an expression, as far as its reach depends on it. */
interface Node {
  readonly op?: string;
  readonly name?: string;
}

function* nodesOf(tree: object): Generator<Node> {
  yield tree;
  for (const inner of Object.values(tree) as unknown[]) {
    if (typeof inner === 'object' && inner !== null) yield* nodesOf(inner);
  }
}

function workOut(statements: readonly Statement[]): Reach {
  let [loads, stores] = [0, 0];
  for (const { op, name } of nodesOf(statements)) {
    if (op === undefined || withinRegisters.has(op)) continue;
    if (op === 'load') loads += 1;
    else if (op === 'store') stores += 1;
    else if (op !== 'system' || name === undefined || !withinCalls.has(name)) return 'beyond';
  }
  if (stores > 1) return 'beyond';
  return loads + stores > 0 ? 'memory' : 'registers';
}
