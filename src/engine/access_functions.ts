/**
 * WebAssembly functions for accesses that are not done inline. An unaligned access within a page that the TLB knows is
 * still answered here; the rest is the host's. There are two of each: one for cold functions, whose caller has said where
 * the run is; one for the interpreter itself, which leaves that to the function, since it is seldom needed.
 */
import { accessFlags, cpuOffsets, tlbEntry, tlbOffsets } from './layout.js';
import type { Host } from './host_functions.js';
import { pushEntry } from './memory_access.js';
import {
  Code,
  extendUnsigned,
  i32,
  i64,
  load32,
  loads64,
  opcodes,
  store32,
  stores64,
  wrap,
} from './wasm/code.js';
import type { ValueType } from './wasm/code.js';
import type { WasmModule } from './wasm/module.js';

/** Parameters; those from `record` on have the interpreter's functions only. */
const local = { cpu: 0, tlb: 1, address: 2, flags: 3, record: 4, limit: 5, pcBase: 6 } as const;
const parameters: readonly ValueType[] = [i32, i32, i64, i32];
const positionParameters: readonly ValueType[] = [i32, i32, i64];

/** The indexes of the functions: (cpu, TLB set, address, flags) -> place, or one of accessResults. */
export interface AccessFunctions {
  readonly missedLoad: number;
  readonly missedStore: number;
  /** These take the interpreter's record, limit and pcBase too, and always say the limit to the vCPU's block. */
  readonly interpreterMissedLoad: number;
  readonly interpreterMissedStore: number;
}

export function addAccessFunctions(module: WasmModule, host: Host): AccessFunctions {
  return {
    missedLoad: addMissed(module, tlbOffsets.read, host.slowLoad, false),
    missedStore: addMissed(module, tlbOffsets.write, host.slowStore, false),
    interpreterMissedLoad: addMissed(module, tlbOffsets.read, host.slowLoad, true),
    interpreterMissedStore: addMissed(module, tlbOffsets.write, host.slowStore, true),
  };
}

function addMissed(module: WasmModule, table: number, slow: number, saysPosition: boolean): number {
  const code = new Code();
  const all = saysPosition ? [...parameters, ...positionParameters] : parameters;
  const entry = all.length;
  if (saysPosition) code.get(local.cpu).get(local.limit).memory(store32, 2, cpuOffsets.limit);
  code.get(local.tlb);
  pushEntry(code, local.address);
  code.tee(entry).memory(loads64[8][0], 3, table);
  // The page of the access's last byte.
  code.get(local.address).get(local.flags).constant(i32, accessFlags.bytes).byte(opcodes[i32].and);
  code.constant(i32, 1).byte(opcodes[i32].sub).byte(extendUnsigned).byte(opcodes[i64].add);
  code.constant(i64, ~0xfffn).byte(opcodes[i64].and).byte(opcodes[i64].eq);
  code
    .get(entry)
    .memory(load32.word, 2, table + tlbEntry.alignedOnly)
    .byte(opcodes[i32].eqz);
  code.byte(opcodes[i32].and).if();
  code
    .get(local.address)
    .byte(wrap)
    .get(entry)
    .memory(load32.word, 2, table + tlbEntry.place);
  code.byte(opcodes[i32].add).return();
  code.end();
  if (saysPosition) sayPosition(code);
  code.get(local.cpu);
  pushHalves(code, local.address);
  code.get(local.flags).call(slow);
  return module.addFunction({ parameters: all, results: [i32] }, [i32], code, null);
}

/** Writes the record and its instruction's address to the vCPU's block. */
function sayPosition(code: Code): void {
  code.get(local.cpu).get(local.record).memory(store32, 2, cpuOffsets.record);
  code.get(local.cpu).get(local.pcBase);
  code.get(local.record).constant(i32, 2).byte(opcodes[i32].shrUnsigned).byte(extendUnsigned);
  code.byte(opcodes[i64].add).memory(stores64[8][0], 3, cpuOffsets.pc);
}

/** Pushes the low and the high half of an i64 local: 64-bit numbers would cross to the host as BigInts. */
export function pushHalves(code: Code, index: number): void {
  code.get(index).byte(wrap).get(index).constant(i64, 32).byte(opcodes[i64].shrUnsigned).byte(wrap);
}
