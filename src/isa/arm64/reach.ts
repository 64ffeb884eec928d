/** How far an instruction's effect goes, as its meaning says: what a prover of endless loops must know of it. */
import type { Statement } from '../micro_ops.js';
import type { A64Instruction } from './encoding.js';
import { extractFields } from './pattern.js';
import type { A64SystemCall } from './system_calls.js';

/**
 * `registers`: a vCPU's own registers decide what it does, and it changes nothing but them; where it faults, that is decided by
 * them too. `memory`: it reads or writes memory once, of one page or two neighbours. `beyond`: anything else.
 */
export type Reach = 'registers' | 'memory' | 'beyond';

/** Statements and expressions over registers, flags and the rest of a vCPU's state. */
const withinRegisters: readonly string[] = [
  'let', 'setRegister', 'setFixedRegister', 'setFlags', 'jump', 'if', 'setState', 'setStateAt', 'checkStack',
  'const', 'immediate', 'register', 'pc', 'flag', 'condition', 'local', 'state', 'stateAt', 'unary', 'binary', 'compare',
  'select', 'resize',
] as const satisfies readonly string[]; // prettier-ignore

/** Calls that take an exception or return from one, and one that looks at the interrupt lines. */
const exceptionCalls: readonly string[] = [
  'supervisorCall',
  'breakpoint',
  'undefined',
  'vectorTrap',
  'exceptionReturn',
  'interruptible',
] satisfies readonly A64SystemCall[];

const oneAccess: readonly string[] = ['load', 'store'];

const known = new WeakMap<readonly Statement[], Reach>();

/** See {@link Reach}. */
export function reachOf({ semantics }: A64Instruction): Reach {
  return reachOfStatements(semantics.statements);
}

function reachOfStatements(statements: readonly Statement[]): Reach {
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
  readonly kind?: string;
}

function* nodesOf(tree: object): Generator<Node> {
  yield tree;
  for (const inner of Object.values(tree) as unknown[]) {
    if (typeof inner === 'object' && inner !== null) yield* nodesOf(inner);
  }
}

function reachOfNode({ op, name, kind }: Node): Reach {
  if (op === undefined || withinRegisters.includes(op)) return 'registers';
  if (oneAccess.includes(op) && kind === 'plain') return 'memory';
  return op === 'system' && name !== undefined && exceptionCalls.includes(name) ? 'registers' : 'beyond';
}

function workOut(statements: readonly Statement[]): Reach {
  const further = [...nodesOf(statements)].map(reachOfNode).filter((reach) => reach !== 'registers');
  if (further.length > 1) return 'beyond';
  return further[0] ?? 'registers';
}

/** Whether whatever follows an instruction in memory is never executed behind it: an unconditional branch or an exception. */
export function alwaysLeaves({ semantics: { statements } }: A64Instruction): boolean {
  return (
    statements.some((each) => (each.op === 'jump' && each.isSchedulingPoint) || each.op === 'system') &&
    reachOfStatements(statements) === 'registers'
  );
}

/** Calls that wait, or tell others to go on. */
const waitingCalls: readonly string[] = [
  'yield',
  'waitForEvent',
  'waitForInterrupt',
  'sendEvent',
] satisfies readonly A64SystemCall[];

/**
 * Where execution goes on behind an instruction that changes no register and no memory, whatever the registers hold: a hint
 * or an unconditional branch, at address `pc`. Null for every other one.
 */
export function idleSuccessor(instruction: A64Instruction, word: number, pc: bigint): bigint | null {
  const { operands, pattern, semantics } = instruction;
  const { statements } = semantics;
  const [only] = statements;
  if (statements.every((each) => each.op === 'system' && waitingCalls.includes(each.name))) {
    return BigInt.asUintN(64, pc + 4n);
  }
  if (statements.length !== 1 || only?.op !== 'jump' || only.near === null) return null;
  const distance = operands[only.near];
  if (distance?.kind !== 'immediate') return null;
  return BigInt.asUintN(64, pc + distance.value(extractFields(pattern, word)));
}
