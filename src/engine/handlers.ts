/** Which handlers the interpreter has, and how the records of each are laid out. */
import { invariant } from '../base/index.js';
import type { Instruction, Statement } from '../isa/index.js';
import { recordLayout } from './record.js';

/** Handlers that no instruction has. */
export const specialHandlers = {
  /** The record was not decoded yet. */
  decode: 0,
  /** The record behind a page's last: goes on at the next page. */
  nextPage: 1,
  /** The word is unallocated, or nobody defined it. */
  undefined: 2,
  /** The word is floating point or SIMD, which is switched off. */
  vectorTrap: 3,
} as const;
export const specialCount = 4;

/** How instructions of one meaning, whose records are laid out alike, are run: one of them, and what is known of its words. */
export interface Handler {
  readonly instruction: Instruction;
  /** The immediate that a jump within the page goes by; null for other handlers. */
  readonly near: string | null;
  /** The operand that is the stack pointer; null for handlers that do not know. */
  readonly stack: string | null;
}

/** Which of an instruction's handlers a decoded word has. */
export interface HandlerChoice {
  /** By number. */
  readonly plain: number;
  /** For a jump that stays within its page, by the immediate `nearOperand`. */
  readonly near: number | null;
  readonly nearOperand: string | null;
  /** Where the operand `stackOperand` is the stack pointer. */
  readonly stack: number | null;
  readonly stackOperand: string | null;
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
 * The base register of an access that is worth a handler of its own where it is the stack pointer: words and double words,
 * but with an index or EL0's rights, are what compilers keep there.
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
  const near = nearOperand(instruction.semantics.statements);
  const stack = stackOperand(instruction);
  const variants: Handler[] = [plain];
  if (near !== null) variants.push({ ...plain, near });
  if (stack !== null) variants.push({ ...plain, stack });
  return variants;
}

/** Handlers of one key do the same with the same records. Cold ones are not compared: nobody has asked yet what they mean. */
function handlerKey({ instruction, near, stack }: Handler): string {
  if (instruction.cold) return instruction.name;
  const parts = [instruction.semantics.statements, recordLayout(instruction), near, stack];
  return JSON.stringify(parts, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value.toString()}n` : value,
  );
}

/** Micro-operations that leave an instruction where they fault, or where whoever is asked wants it. */
const leaving: ReadonlySet<Statement['op']> = new Set<Statement['op']>([
  'load',
  'store',
  'loadPair',
  'storePair',
  'loadVector',
  'storeVector',
  'clearBlock',
  'checkStack',
  'system',
]);
/** Those after which nothing has changed; where others are asked, a handler always gives up. */
const harmless: ReadonlySet<Statement['op']> = new Set<Statement['op']>([
  'let',
  'letVector',
  'load',
  'loadPair',
  'loadVector',
  'checkStack',
  'system',
  'if',
]);

/**
 * Whether a handler of this meaning may give up and have the instruction's own function do it, from its beginning. Throws
 * InvariantError where it might do so after it changed something: such an instruction must be cold.
 */
export function mayGiveUp({ name, semantics }: Pick<Instruction, 'name' | 'semantics'>): boolean {
  let found = false;
  /** Whether something was changed, once these are done. */
  const walk = (statements: readonly Statement[], before: boolean): boolean => {
    let changed = before;
    for (const statement of statements) {
      if (leaving.has(statement.op)) {
        invariant(!changed, `${name} may be left after it changed something, and must be cold`);
        found = true;
      }
      if (statement.op === 'if') {
        const [then, otherwise] = [walk(statement.then, changed), walk(statement.otherwise, changed)];
        changed = then || otherwise;
      } else if (!harmless.has(statement.op)) {
        changed = true;
      }
    }
    return changed;
  };
  walk(semantics.statements, false);
  return found;
}

export interface HandlerPlan {
  /** By number, from specialCount on: those within the large function, first the ones that never give up; then cold ones. */
  readonly handlers: readonly Handler[];
  /** How many never give up, and how many are within the large function. */
  readonly unfailing: number;
  readonly hot: number;
  /** By the instruction's name. */
  readonly choices: ReadonlyMap<string, HandlerChoice>;
}

/** The handlers of all instructions; instructions that mean the same share them. */
export function planHandlers(instructions: readonly Instruction[]): HandlerPlan {
  const unique = new Map<string, Handler>();
  const wanted = instructions.flatMap(handlersOf).map((handler) => ({ handler, key: handlerKey(handler) }));
  for (const { handler, key } of wanted) if (!unique.has(key)) unique.set(key, handler);
  const rank = ({ instruction }: Handler): number => {
    if (instruction.cold) return 2;
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
    hot: ranks.filter((each) => each < 2).length,
    choices,
  };
}

function noChoice(plain: number): HandlerChoice {
  return { plain, near: null, nearOperand: null, stack: null, stackOperand: null };
}
