/** What the compiler must know of an instruction's semantics. */
import { flowOf } from '../../isa/index.js';
import type { Instruction, Statement } from '../../isa/index.js';
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
  /** The number of micro-operations, with those within expressions. */
  readonly size: number;
}

/** The most micro-operations of an instruction that becomes part of a region's code, if the interpreter's large function has it not. */
const mostOperations = 100;
/** What regions have no code for. */
const calledOps: readonly string[] = ['system', 'float', 'jump'];

/** Whether an instruction becomes part of a region's code. Others are called. */
export function isInlined({ cold, semantics: { statements } }: Instruction): boolean {
  if (!cold) return true;
  const { ops } = mentionsOf(statements);
  if (calledOps.some((op) => ops.has(op)) || usageOf(statements).size > mostOperations) return false;
  // It is given up where an access misses, and must not have changed anything before.
  return !flowOf(statements).mayBeLeftChanged;
}

const known = new WeakMap<readonly Statement[], Usage>();

export function usageOf(statements: readonly Statement[]): Usage {
  const before = known.get(statements);
  if (before !== undefined) return before;
  const [reads, writes, fixedWrites] = [new Set<string>(), new Set<string>(), new Set<number>()];
  let size = 0;
  const visit = (node: object): void => {
    const { op, operand, register } = node as { op?: string; operand?: string; register?: number };
    if (op !== undefined) size += 1;
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
    size,
  };
  known.set(statements, usage);
  return usage;
}
