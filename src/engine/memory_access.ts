/**
 * Writes a load or a store: inline through the TLB where it is aligned and the TLB knows the page, else by a call. The
 * same for the interpreter's handlers and for the functions of cold instructions.
 */
import type { AccessKind, Statement } from '../isa/index.js';
import { emitExpr } from './emit.js';
import { emitVector } from './emit_vector.js';
import type { Environment } from './emit.js';
import { accessFlags, accessResults, cpuOffsets, dataTlbEntries, tlbEntry, tlbOffsets } from './layout.js';
import { i32, i64, load32, loads64, opcodes, stores64, v128, wrap } from './wasm/code.js';
import type { Code } from './wasm/code.js';

const vectorLoad = 0x00;
const vectorStore = 0x0b;

export interface AccessEnvironment {
  /** WebAssembly locals: the vCPU's block; its TLB set; an i32 for the TLB's entry; i64s for the address and the value. */
  readonly locals: {
    readonly cpu: number;
    readonly tlb: number;
    readonly entry: number;
    readonly address: number;
    readonly value: number;
    /** A v128, where the instruction reads or writes 16 bytes at once. */
    readonly vector: number;
  };
  /** Functions for what is not done inline (see access_functions.ts). */
  readonly missedLoad: number;
  readonly missedStore: number;
  /** Makes the vCPU's block say where the run is, for a call of the host; and takes over what the host changed there. */
  beforeHost(): void;
  afterHost(): void;
  /** Leaves the instruction, which the host has stopped. */
  leave(): void;
  nest(by: 1 | -1): void;
}

type Table = 'read' | 'write';

/** Pushes the TLB set that knows with what rights the access is done. */
function pushSet(code: Code, { locals }: AccessEnvironment, kind: AccessKind): void {
  if (kind === 'unprivileged') code.get(locals.cpu).memory(load32.word, 2, cpuOffsets.unprivilegedTlb);
  else code.get(locals.tlb);
}

/** Pushes the address of the TLB entry for an address, in the set below it on the stack. */
export function pushEntry(code: Code, address: number): void {
  // An entry is 2^4 bytes and a page 2^12.
  code.get(address).constant(i64, 8).byte(opcodes[i64].shrUnsigned).byte(wrap);
  code.constant(i32, (dataTlbEntries - 1) * tlbEntry.bytes).byte(opcodes[i32].and);
  code.byte(opcodes[i32].add);
}

/** Pushes whether the TLB answers for an aligned access: the low bits of other addresses fit no tag. */
function probe(code: Code, a: AccessEnvironment, table: Table, bytes: number, kind: AccessKind): void {
  const { locals } = a;
  pushSet(code, a, kind);
  pushEntry(code, locals.address);
  code.tee(locals.entry).memory(loads64[8][0], 3, tlbOffsets[table]);
  code
    .get(locals.address)
    .constant(i64, ~0xfffn | BigInt(bytes - 1))
    .byte(opcodes[i64].and);
  code.byte(opcodes[i64].eq);
}

/** Pushes the place in memory behind the address, by the entry that was probed. */
function pushPlace(code: Code, { locals }: AccessEnvironment, table: Table): void {
  code.get(locals.address).byte(wrap);
  code.get(locals.entry).memory(load32.word, 2, tlbOffsets[table] + tlbEntry.place);
  code.byte(opcodes[i32].add);
}

/** Calls for an access that the TLB does not answer; the entry local takes the place or what was answered instead. */
function callMissed(code: Code, a: AccessEnvironment, missed: number, bytes: number, kind: AccessKind): void {
  const { cpu, address, entry } = a.locals;
  code.get(cpu);
  pushSet(code, a, kind);
  code.get(address).constant(i32, bytes | (kind === 'unprivileged' ? accessFlags.unprivileged : 0));
  code.call(missed).set(entry);
  a.afterHost();
}

function leaveWhenFaulted(code: Code, a: AccessEnvironment): void {
  code.get(a.locals.entry).constant(i32, accessResults.faulted).byte(opcodes[i32].eq).if();
  a.nest(1);
  a.leave();
  a.nest(-1);
  code.end();
}

/** Loads `bytes` bytes at the address local; `finish` takes the place from the stack. */
function emitRead(
  code: Code,
  a: AccessEnvironment,
  bytes: number,
  kind: AccessKind,
  finish: () => void,
): void {
  probe(code, a, 'read', bytes, kind);
  code.if();
  pushPlace(code, a, 'read');
  finish();
  code.else();
  a.nest(1);
  a.beforeHost();
  callMissed(code, a, a.missedLoad, bytes, kind);
  leaveWhenFaulted(code, a);
  code.get(a.locals.entry);
  finish();
  a.nest(-1);
  code.end();
}

/**
 * Stores `bytes` bytes at the address local; `push` pushes the value, `finish` takes place and value from the stack. The
 * host finds the value in the scratch place, where it must store it itself.
 */
function emitWrite(
  code: Code,
  a: AccessEnvironment,
  { bytes, kind }: { readonly bytes: number; readonly kind: AccessKind },
  push: () => void,
  finish: (offset: number) => void,
): void {
  probe(code, a, 'write', bytes, kind);
  code.if();
  pushPlace(code, a, 'write');
  push();
  finish(0);
  code.else();
  a.nest(1);
  a.beforeHost();
  code.get(a.locals.cpu);
  push();
  finish(cpuOffsets.scratch);
  callMissed(code, a, a.missedStore, bytes, kind);
  leaveWhenFaulted(code, a);
  code.get(a.locals.entry).constant(i32, 0).byte(opcodes[i32].geSigned).if();
  code.get(a.locals.entry);
  push();
  finish(0);
  code.end();
  a.nest(-1);
  code.end();
}

export function emitLoad(
  e: Environment,
  a: AccessEnvironment,
  { index, bytes, address, kind }: Extract<Statement, { op: 'load' }>,
): void {
  const { code } = e;
  const into = e.local(index, i64);
  emitExpr(e, address);
  code.set(a.locals.address);
  emitRead(code, a, bytes, kind, () => code.memory(loads64[bytes][0], 0, 0).set(into));
}

export function emitStore(
  e: Environment,
  a: AccessEnvironment,
  { bytes, address, value, kind }: Extract<Statement, { op: 'store' }>,
): void {
  const { code } = e;
  emitExpr(e, address);
  code.set(a.locals.address);
  emitExpr(e, value);
  code.set(a.locals.value);
  const push = (): unknown => code.get(a.locals.value);
  emitWrite(code, a, { bytes, kind }, push, (offset) => code.memory(stores64[bytes][0], 0, offset));
}

export function emitLoadVector(
  e: Environment,
  a: AccessEnvironment,
  { index, address, kind }: Extract<Statement, { op: 'loadVector' }>,
): void {
  const { code } = e;
  const into = e.local(index, v128);
  emitExpr(e, address);
  code.set(a.locals.address);
  emitRead(code, a, 16, kind, () => code.simd(vectorLoad).unsigned(0).unsigned(0).set(into));
}

export function emitStoreVector(
  e: Environment,
  a: AccessEnvironment,
  { address, value, kind }: Extract<Statement, { op: 'storeVector' }>,
): void {
  const { code } = e;
  const { vector } = a.locals;
  emitExpr(e, address);
  code.set(a.locals.address);
  emitVector(e, value);
  code.set(vector);
  const push = (): unknown => code.get(vector);
  emitWrite(code, a, { bytes: 16, kind }, push, (offset) =>
    code.simd(vectorStore).unsigned(0).unsigned(offset),
  );
}

/** Clears an aligned block. The host is told the address as it was given: a fault reports that one. */
export function emitClearBlock(
  e: Environment,
  a: AccessEnvironment,
  { bytes, address }: Extract<Statement, { op: 'clearBlock' }>,
): void {
  const { code } = e;
  const { locals } = a;
  emitExpr(e, address);
  code.tee(locals.value).constant(i64, -bytes).byte(opcodes[i64].and).set(locals.address);
  probe(code, a, 'write', bytes, 'plain');
  code.if();
  pushPlace(code, a, 'write');
  code.set(locals.entry);
  code.else();
  a.nest(1);
  a.beforeHost();
  code.get(locals.value).set(locals.address);
  callMissed(code, a, a.missedStore, accessFlags.clearBlock | 1, 'plain');
  leaveWhenFaulted(code, a);
  a.nest(-1);
  code.end();
  code.get(locals.entry).constant(i32, 0).byte(opcodes[i32].geSigned).if();
  for (let at = 0; at < bytes; at += 8) {
    code.get(locals.entry).constant(i64, 0).memory(stores64[8][0], 0, at);
  }
  code.end();
}
