/** Which handlers the interpreter has, and how the records of each are laid out. */
import type { Instruction, Statement } from '../isa/index.js';
import { usesFlags } from './cold.js';
import { layOutRecord } from './record.js';
import type { RecordLayout } from './record.js';

/** Handlers that no instruction has. */
export const specialHandlers = {
  /** The record was not decoded yet. */
  decode: 0,
  /** The record behind a page's last: goes on at the next page. */
  nextPage: 1,
  /** The word is unallocated, or nobody defined it. */
  undefined: 2,
} as const;
export const specialCount = 3;

/** How one instruction is run: its handler's number, and the layout of its records. */
export interface Handler {
  readonly instruction: Instruction;
  readonly layout: RecordLayout;
  /** The immediate that a jump within the page goes by; null for other handlers. */
  readonly near: string | null;
}

/** The name of the immediate by which the instruction jumps near, if it does. */
function nearOperand(statements: readonly Statement[]): string | null {
  for (const statement of statements) {
    if (statement.op === 'jump' && statement.near !== null) return statement.near;
    if (statement.op !== 'if') continue;
    const inner = nearOperand(statement.then) ?? nearOperand(statement.otherwise);
    if (inner !== null) return inner;
  }
  return null;
}

/**
 * The handlers of all instructions, those that jump near twice: once for jumps within the page. First those within the
 * large function, then cold ones that use flags, then other cold ones.
 */
export function planHandlers(instructions: readonly Instruction[]): Handler[] {
  const handlers = instructions.flatMap((instruction) => {
    const layout = layOutRecord(instruction);
    const near = instruction.cold ? null : nearOperand(instruction.semantics.statements);
    const plain = { instruction, layout, near: null };
    return near === null ? [plain] : [plain, { ...plain, near }];
  });
  const hot = handlers.filter(({ instruction }) => !instruction.cold);
  const cold = handlers.filter(({ instruction }) => instruction.cold);
  const withFlags = new Set(cold.filter(({ instruction }) => usesFlags(instruction)));
  return [...hot, ...withFlags, ...cold.filter((handler) => !withFlags.has(handler))];
}
