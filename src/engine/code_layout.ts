/**
 * How the interpreter's function finds and follows records. A layout emits the code where records and addresses meet; the
 * function's loops, counting and calls are the same for all layouts (interpreter_function.ts).
 */
import { codeTlbEntries, tlbEntry, tlbOffsets } from './layout.js';
import type { RecordLayout } from './record.js';
import type { RunState } from './run_state.js';
import { i32, i64, loads64, opcodes, wrap } from './wasm/code.js';

/** What a layout may emit, besides what it writes itself. */
export interface Run extends RunState {
  /**
   * Between pages: calls the host's `fetch` for `target`, and leaves the interpreter if that faults. The answer is in the local
   * `entry`.
   */
  fetch(): void;
  /** Calls the host's `decode` for the current record, and runs that record. */
  decode(): void;
  /** Between pages: leaves if the budget is used up. Execution continues at `target` later. */
  leaveWhenSpent(): void;
  /** Within a page: pops a condition, and leaves at the current record if it is true. */
  leaveIf(): void;
  /** Continues at `target`, after `leavePage`. */
  toPageLoop(): void;
  /** Runs the current record. */
  toRecordLoop(): void;
  /** Pops a condition. What `write` emits runs if it is true. */
  when(write: () => void): void;
}

export interface CodeLayout {
  /** Pushes the address of the current record's instruction, i64. */
  pushPc(run: RunState): void;
  /**
   * Between pages: looks `target` up in the code TLB, or fetches. Sets the locals `record` and `base`, and adds the record to
   * `limit`.
   */
  findRecord(run: Run): void;
  /** The handler of records that hold no instruction, or no longer one. */
  notDecoded(run: Run): void;
  /** The handler of the record behind the last one of a page or of a run. */
  endOfRun(run: Run): void;
  /** A jump within the page, by the distance in the operand `near` of the record. */
  jumpNear(run: Run, layout: RecordLayout, near: string): void;
  /** Between pages, after a jump that is no branch: pushes whether it leads from the end of a page to the next one, i32. */
  pushEndsPage(run: RunState): void;
}

/**
 * Puts the code TLB's entry for `target` into the local `entry` and pushes whether it belongs to another page. `alignment` is
 * that of instructions: an unaligned target matches no entry.
 */
export function emitProbe({ code, local }: RunState, alignment: 1 | 2 | 4): void {
  // An entry has 2^4 bytes and a page 2^12.
  code.get(local.target).constant(i64, 8).byte(opcodes[i64].shrUnsigned).byte(wrap);
  code.constant(i32, (codeTlbEntries - 1) * tlbEntry.bytes).byte(opcodes[i32].and);
  code.get(local.tlb).byte(opcodes[i32].add).tee(local.entry);
  code.memory(loads64[8][0], 3, tlbOffsets.code);
  code.get(local.target).constant(i64, ~BigInt(4096 - alignment));
  code.byte(opcodes[i64].and).byte(opcodes[i64].ne);
}
