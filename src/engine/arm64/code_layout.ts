/**
 * The layout of arm64's records: one for each word of a page, in order. The base is the address of the page minus a quarter of its
 * records' byte offset, so that an instruction's address is the base plus a quarter of its record's.
 */
import type { CodeLayout } from '../code_layout.js';
import { emitProbe } from '../code_layout.js';
import { recordBytes, tlbEntry, tlbOffsets } from '../layout.js';
import { extendUnsigned, i32, i64, load32, opcodes, wrap } from '../wasm/code.js';

/** Bytes of an instruction. */
export const wordBytes = 4;
/** Binary logarithm of the number of bytes of a record for each byte of an instruction. */
const scale = Math.log2(recordBytes / wordBytes);

/** The record to which a jump within the page leads, by its distance in bytes. */
export function nearTarget(record: number, distance: number): number {
  return record + (distance << scale);
}

/** The record for the low half of an address, from the records of its page. */
export function recordAt(records: number, low: number): number {
  return records + ((low & (4096 - wordBytes)) << scale);
}

export const pageLayout: CodeLayout = {
  pushPc({ code, local }) {
    code.get(local.record).constant(i32, scale).byte(opcodes[i32].shrUnsigned).byte(extendUnsigned);
    code.get(local.base).byte(opcodes[i64].add);
  },

  findRecord(run) {
    const { code, local } = run;
    emitProbe(run, wordBytes);
    code.if();
    run.fetch();
    code.else();
    code
      .get(local.entry)
      .memory(load32.word, 2, tlbOffsets.code + tlbEntry.value)
      .set(local.entry);
    code.end();
    code
      .get(local.target)
      .byte(wrap)
      .constant(i32, 4096 - wordBytes)
      .byte(opcodes[i32].and);
    code
      .constant(i32, scale)
      .byte(opcodes[i32].shl)
      .get(local.entry)
      .byte(opcodes[i32].add)
      .tee(local.record);
    code.get(local.limit).byte(opcodes[i32].add).set(local.limit);
    code.get(local.target).constant(i64, ~0xfffn).byte(opcodes[i64].and);
    code.get(local.entry).constant(i32, scale).byte(opcodes[i32].shrUnsigned).byte(extendUnsigned);
    code.byte(opcodes[i64].sub).set(local.base);
  },

  notDecoded: (run) => run.decode(),

  endOfRun(run) {
    pageLayout.pushPc(run);
    run.code.set(run.local.target);
    run.leavePage(0);
    run.leaveWhenSpent();
    run.toPageLoop();
  },

  jumpNear(run, layout, near) {
    const { code, local } = run;
    code
      .get(local.record)
      .memory(load32.word, 2, layout[near]?.at ?? 0)
      .constant(i32, scale)
      .byte(opcodes[i32].shl);
    code.tee(local.entry).get(local.record).byte(opcodes[i32].add).set(local.record);
    // The limit moves by the same distance, minus the one record that was run.
    code.get(local.limit).get(local.entry).byte(opcodes[i32].add).constant(i32, recordBytes);
    code.byte(opcodes[i32].sub).tee(local.limit).get(local.record).byte(opcodes[i32].leSigned);
    run.leaveIf();
    run.toRecordLoop();
  },

  /** No instruction crosses the end of a page. */
  pushEndsPage({ code, local }) {
    code.get(local.target).byte(wrap).constant(i32, 0xfff).byte(opcodes[i32].and);
    code.constant(i32, 0).byte(opcodes[i32].eq);
  },
};
