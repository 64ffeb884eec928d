/** What the interpreter emits for records in straight runs (straight_runs.ts). The base is the address of the page. */
import { present } from '../base/index.js';
import type { CodeLayout, Run } from './code_layout.js';
import { emitProbe } from './code_layout.js';
import { cpuOffsets, recordBytes, recordNumbers, tlbEntry, tlbOffsets } from './layout.js';
import type { RecordLayout } from './record.js';
import type { RunState } from './run_state.js';
import { chunkBytes, headerShift, linkInRecord, tableInHeader } from './straight_runs.js';
import {
  extendSigned,
  extendUnsigned,
  i32,
  i64,
  load32,
  opcodes,
  store32,
  stores64,
  wrap,
} from './wasm/code.js';

function pushChunk({ code, local }: RunState): void {
  code.get(local.record).constant(i32, -chunkBytes).byte(opcodes[i32].and);
}

/** Pushes the offset in its page of the current record's instruction, i32. */
function pushOffset(run: RunState): void {
  const { code, local } = run;
  pushChunk(run);
  code
    .get(local.record)
    .constant(i32, chunkBytes - 1)
    .byte(opcodes[i32].and);
  code.constant(i32, headerShift).byte(opcodes[i32].shrUnsigned).byte(opcodes[i32].add);
  code.memory(load32.half, 1, 0);
}

/** Pops the byte offset of a table and an offset in its page above it, and pushes the record there or 0. */
function lookUp({ code }: RunState): void {
  code.constant(i32, 2).byte(opcodes[i32].shl).byte(opcodes[i32].add).memory(load32.word, 2, 0);
}

/** Goes to the record in the local `entry`. The limit moves along, less `counted` records that were run. */
function goToEntry({ code, local }: RunState, counted: 0 | 1): void {
  code.get(local.limit).get(local.entry).byte(opcodes[i32].add).get(local.record).byte(opcodes[i32].sub);
  if (counted !== 0) code.constant(i32, recordBytes).byte(opcodes[i32].sub);
  code.set(local.limit).get(local.entry).set(local.record);
}

/** Where the record of a near jump keeps its target's record: in four bytes that hold no operand. */
function linkOf(layout: RecordLayout): number {
  const isFree = (link: number): boolean =>
    Object.values(layout).every(({ at, bytes }) => at + bytes <= link || at >= link + 4);
  return present(
    [linkInRecord, recordNumbers - 4].find(isFree),
    'room for the link in the record of a near jump',
  );
}

function pushPc(run: RunState): void {
  run.code.get(run.local.base);
  pushOffset(run);
  run.code.byte(extendUnsigned).byte(opcodes[i64].add);
}

function findRecord(run: Run, pageRegister: number | null): void {
  const { code, local } = run;
  code.block(); // the record is in `entry`
  code.block(); // the host must find it
  emitProbe(run, 1);
  code.branchIf(0);
  code.get(local.entry).memory(load32.word, 2, tlbOffsets.code + tlbEntry.value);
  code.get(local.target).byte(wrap).constant(i32, 0xfff).byte(opcodes[i32].and);
  lookUp(run);
  code.tee(local.entry).branchIf(1);
  code.end();
  run.fetch();
  code.end();
  code.get(local.entry).tee(local.record).get(local.limit).byte(opcodes[i32].add).set(local.limit);
  code.get(local.target).constant(i64, ~0xfffn).byte(opcodes[i64].and).set(local.base);
  if (pageRegister === null) return;
  code.get(local.cpu).get(local.base);
  code.memory(stores64[8][0], 3, cpuOffsets.registers + 8 * pageRegister);
}

/** All but `findRecord`. */
const following: Omit<CodeLayout, 'findRecord'> = {
  pushPc,

  /** Finds the record by its address: it was dropped, or the next instruction crosses the end of the page. */
  notDecoded(run) {
    pushPc(run);
    run.code.set(run.local.target);
    run.leavePage(0);
    run.toPageLoop();
  },

  /** Behind a run: another record of the page, or the end of the page. */
  endOfRun(run) {
    const { code, local } = run;
    code.get(local.record).memory(load32.word, 2, linkInRecord).tee(local.entry);
    run.when(() => {
      goToEntry(run, 0);
      run.toRecordLoop();
    });
    pushPc(run);
    code.set(local.target);
    run.leavePage(0);
    run.leaveWhenSpent();
    run.toPageLoop();
  },

  /** Where the target is in the page, the low 32 bits of the distance suffice, whatever the operand's size is. */
  jumpNear(run, layout, near) {
    const { code, local } = run;
    const { at = 0 } = layout[near] ?? {};
    const link = linkOf(layout);
    code.get(local.record).memory(load32.word, 2, link).tee(local.entry).byte(opcodes[i32].eqz);
    run.when(() => {
      pushChunk(run);
      code.memory(load32.word, 2, tableInHeader);
      pushOffset(run);
      code.get(local.record).memory(load32.word, 2, at).byte(opcodes[i32].add);
      lookUp(run);
      code.tee(local.entry).byte(opcodes[i32].eqz);
      run.when(() => {
        pushPc(run);
        code.get(local.record).memory(load32.word, 2, at).byte(extendSigned).byte(opcodes[i64].add);
        code.set(local.target);
        run.leavePage(1);
        run.leaveWhenSpent();
        run.toPageLoop();
      });
      code.get(local.record).get(local.entry).memory(store32, 2, link);
    });
    goToEntry(run, 1);
    code.get(local.limit).get(local.record).byte(opcodes[i32].leSigned);
    run.leaveIf();
    run.toRecordLoop();
  },

  pushEndsPage({ code, local }) {
    code.get(local.target).constant(i64, ~0xfffn).byte(opcodes[i64].and);
    code.get(local.base).byte(opcodes[i64].ne);
  },
};

/**
 * The layout for a CPU. Register `pageRegister` of the register file, if that is not null, holds the address of the current page
 * while instructions run: the base of operands that are relative to pc.
 */
export const straightLayout = (pageRegister: number | null): CodeLayout => ({
  ...following,
  findRecord: (run) => findRecord(run, pageRegister),
});
