/** What an instruction's semantics say of where execution goes on: read by engines and by whoever follows code without running it. */
import type { Statement } from './micro_ops.js';

export interface Flow {
  /** The immediate operand of a jump relative to pc; null if there is none. */
  readonly near: string | null;
  /** Whether execution may go on with the next instruction, if nothing faults. */
  readonly fallsThrough: boolean;
  /** Whether the instruction may be left because an access faults or the host decides so. */
  readonly mayBeLeft: boolean;
  /** Whether that may happen after it changed some state. */
  readonly mayBeLeftChanged: boolean;
}

/** Micro-operations that may leave the instruction, because they fault or because the host decides so. */
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
/**
 * Micro-operations that leave the state unchanged. Calls to the host count here: an engine that may give an instruction up does so
 * before them.
 */
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

class Walk {
  near: string | null = null;
  mayBeLeft = false;
  mayBeLeftChanged = false;

  /** Returns whether some state may have changed after the statements, and whether their end may be reached. */
  through(statements: readonly Statement[], before: boolean): { changed: boolean; goesOn: boolean } {
    let changed = before;
    let goesOn = true;
    for (const statement of statements) {
      if (leaving.has(statement.op)) {
        this.mayBeLeft = true;
        this.mayBeLeftChanged ||= changed;
      }
      if (statement.op === 'jump') {
        this.near ??= statement.near;
        goesOn = false;
      }
      if (statement.op === 'if') {
        const [then, otherwise] = [
          this.through(statement.then, changed),
          this.through(statement.otherwise, changed),
        ];
        changed = then.changed || otherwise.changed;
        goesOn &&= then.goesOn || otherwise.goesOn;
      } else if (!harmless.has(statement.op)) {
        changed = true;
      }
    }
    return { changed, goesOn };
  }
}

const known = new WeakMap<readonly Statement[], Flow>();

export function flowOf(statements: readonly Statement[]): Flow {
  const before = known.get(statements);
  if (before !== undefined) return before;
  const walk = new Walk();
  const { goesOn } = walk.through(statements, false);
  const { near, mayBeLeft, mayBeLeftChanged } = walk;
  const flow = { near, fallsThrough: goesOn, mayBeLeft, mayBeLeftChanged };
  known.set(statements, flow);
  return flow;
}
