/** Plans the interpreter's handlers and the layout of their records. */
import { invariant } from '../base/index.js';
import { flowOf } from '../isa/index.js';
import type { Instruction } from '../isa/index.js';
import { recordLayout } from './record.js';

/** Handlers that belong to no instruction. */
export const specialHandlers = {
  /** The record holds no instruction: it has not been decoded yet, or was dropped. */
  notDecoded: 0,
  /** The record behind the last one of a page or of a run. */
  endOfRun: 1,
  /** The word is unallocated or not implemented. */
  undefined: 2,
  /** The word is a floating-point or SIMD instruction, and these trap. */
  vectorTrap: 3,
} as const;
export const specialCount = 4;

/**
 * A handler: runs all instructions with the same semantics and record layout. Holds one such instruction and what is
 * known about its words.
 */
export interface Handler {
  readonly instruction: Instruction;
  /** The immediate operand of a jump within the page; null for other handlers. */
  readonly near: string | null;
  /** The operand that is known to be the stack pointer; null if unknown. */
  readonly stack: string | null;
}

/** The handlers of an instruction, one of which a decoded word gets. */
export interface HandlerChoice {
  /** The number of the general handler. */
  readonly plain: number;
  /** The number of the handler for a jump within its page, by the immediate `nearOperand`. */
  readonly near: number | null;
  readonly nearOperand: string | null;
  /** The number of the handler for words whose operand `stackOperand` is the stack pointer. */
  readonly stack: number | null;
  readonly stackOperand: string | null;
}

/**
 * The base register of an access that has a separate handler for the stack pointer. These are accesses of words and
 * double words without an index and with the rights of the present level: compilers use them for the stack.
 */
function stackOperand({ semantics: { statements }, operands }: Instruction): string | null {
  const check = statements.find(({ op }) => op === 'checkStack');
  const usual = statements.some(
    (statement) =>
      statement.op === 'loadPair' ||
      statement.op === 'storePair' ||
      ((statement.op === 'load' || statement.op === 'store') &&
        statement.bytes >= 4 &&
        statement.kind === 'plain'),
  );
  return check?.op === 'checkStack' && usual && !('m' in operands) ? check.operand : null;
}

function handlersOf(instruction: Instruction): Handler[] {
  const plain = { instruction, near: null, stack: null };
  if (instruction.cold) return [plain];
  const { near } = flowOf(instruction.semantics.statements);
  const stack = stackOperand(instruction);
  const variants: Handler[] = [plain];
  if (near !== null) variants.push({ ...plain, near });
  if (stack !== null) variants.push({ ...plain, stack });
  return variants;
}

/**
 * Handlers with equal keys run the same code on the same record layout. Cold instructions are not compared, so that
 * their semantics need not be built yet.
 */
function handlerKey({ instruction, near, stack }: Handler): string {
  if (instruction.cold) return instruction.name;
  const parts = [instruction.semantics.statements, recordLayout(instruction), near, stack];
  return JSON.stringify(parts, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value.toString()}n` : value,
  );
}

/**
 * Whether a handler with these semantics may bail out and let the instruction's own function run it from the start.
 * Throws InvariantError if it could do so after it changed state: such an instruction must be marked cold.
 */
export function mayGiveUp({ name, semantics }: Pick<Instruction, 'name' | 'semantics'>): boolean {
  const { mayBeLeft, mayBeLeftChanged } = flowOf(semantics.statements);
  invariant(!mayBeLeftChanged, `${name} may be left after it changed something, and must be cold`);
  return mayBeLeft;
}

export interface HandlerPlan {
  /**
   * Handlers by number, starting at specialCount. The hot ones that never bail out come first, then the other hot ones, the
   * one that does nothing, and the cold ones. V8 puts the last hot handler before the dispatch and aligns it to 64 bytes, so
   * that a short one keeps the dispatch within one cache line.
   */
  readonly handlers: readonly Handler[];
  /** The number of handlers that never bail out and come first, and of hot handlers (those in the large function). */
  readonly unfailing: number;
  readonly hot: number;
  /** By name of the instruction. */
  readonly choices: ReadonlyMap<string, HandlerChoice>;
}

/** Plans the handlers of all instructions. Instructions with equal semantics share them. */
export function planHandlers(instructions: readonly Instruction[]): HandlerPlan {
  const unique = new Map<string, Handler>();
  const wanted = instructions.flatMap(handlersOf).map((handler) => ({ handler, key: handlerKey(handler) }));
  for (const { handler, key } of wanted) if (!unique.has(key)) unique.set(key, handler);
  const rank = ({ instruction }: Handler): number => {
    if (instruction.cold) return 3;
    if (instruction.semantics.statements.length === 0) return 2;
    return mayGiveUp(instruction) ? 1 : 0;
  };
  const ranked = [...unique].map(([key, handler]) => ({ key, handler, rank: rank(handler) }));
  ranked.sort((a, b) => a.rank - b.rank);
  const numbers = new Map(ranked.map(({ key }, index) => [key, index + specialCount]));
  const choices = new Map<string, HandlerChoice>();
  for (const { handler, key } of wanted) {
    const { instruction, near, stack } = handler;
    const number = numbers.get(key) ?? specialHandlers.undefined;
    const before = choices.get(instruction.name) ?? noChoice(number);
    if (near !== null) choices.set(instruction.name, { ...before, near: number, nearOperand: near });
    else if (stack !== null) choices.set(instruction.name, { ...before, stack: number, stackOperand: stack });
    else choices.set(instruction.name, before);
  }
  const ranks = ranked.map((each) => each.rank);
  return {
    handlers: ranked.map(({ handler }) => handler),
    unfailing: ranks.filter((each) => each < 1).length,
    hot: ranks.filter((each) => each < 3).length,
    choices,
  };
}

function noChoice(plain: number): HandlerChoice {
  return { plain, near: null, nearOperand: null, stack: null, stackOperand: null };
}
