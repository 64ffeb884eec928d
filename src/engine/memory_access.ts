/**
 * Emits loads and stores: inline through the TLB if the page is in the TLB and the access stays within it (and is aligned, where the
 * architecture wants that). Otherwise a handler of the interpreter bails out, and the instruction's own function calls
 * access_functions.ts.
 */
import type { AccessBytes, AccessKind, Expr, Statement } from '../isa/index.js';
import type { AccessFunctions } from './access_functions.js';
import { emitExpr } from './emit.js';
import { emitVector } from './emit_vector.js';
import type { Environment } from './emit.js';
import { accessFlags, accessResults, cpuOffsets, dataTlbEntries, tlbEntry, tlbOffsets } from './layout.js';
import { i32, i64, load32, loads64, opcodes, stores64, v128, wrap } from './wasm/code.js';
import type { Code } from './wasm/code.js';

const vectorLoad = 0x00;
const vectorStore = 0x0b;

export interface AccessEnvironment {
  /**
   * WebAssembly locals: the vCPU's block; its TLB set; an i32 for the TLB entry; i64s for the address and the value.
   */
  readonly locals: {
    readonly cpu: number;
    readonly tlb: number;
    readonly entry: number;
    readonly address: number;
    readonly value: number;
    /** A v128, for instructions that read or write 16 bytes at once. */
    readonly vector: number;
  };
  readonly unaligned: UnalignedAccess;
  /** What to do on a TLB miss. */
  readonly missed: GivingUp | Calling;
  /** Called before each inline store of that many bytes to the byte offset in the entry local. */
  storing?(bytes: number): void;
}

/**
 * An unaligned access within a page: `missed` is treated as a TLB miss, after which access_functions.ts looks whether the page allows
 * it. `inline` is as fast as an aligned one, and no page may be `alignedOnly`.
 */
export type UnalignedAccess = 'missed' | 'inline';

/** In a handler: pops a condition and bails out if it is true. No state may have changed before. */
interface GivingUp {
  giveUpIf(): void;
}

interface Calling {
  /**
   * Calls the access function: pops (cpu, TLB set, address, flags) and pushes a byte offset or one of accessResults.
   */
  call(missed: keyof AccessFunctions): void;
  /** Leaves the instruction that the host has stopped. */
  leave(): void;
}

export type Table = 'read' | 'write';

/** Pushes the TLB set for the rights of the access. */
function pushSet(code: Code, { locals }: AccessEnvironment, kind: AccessKind): void {
  if (kind === 'unprivileged') code.get(locals.cpu).memory(load32.word, 2, cpuOffsets.unprivilegedTlb);
  else code.get(locals.tlb);
}

/** Pushes the address of the TLB entry for an address. Pops the TLB set. */
export function pushEntry(code: Code, address: number): void {
  // An entry has 2^4 bytes and a page 2^12.
  code.get(address).constant(i64, 8).byte(opcodes[i64].shrUnsigned).byte(wrap);
  code.constant(i32, (dataTlbEntries - 1) * tlbEntry.bytes).byte(opcodes[i32].and);
  code.byte(opcodes[i32].add);
}

/** An access: the number of elements, their size, and the rights. */
interface Access {
  readonly table: Table;
  readonly bytes: number;
  readonly pair?: boolean;
  readonly kind: AccessKind;
}

/**
 * Opens a block that runs on a TLB hit. `otherwise` closes the block. Where unaligned accesses miss, the low bits of an unaligned
 * address match no tag; for a pair, the second element's address is compared, so a pair that crosses the page misses too. Elsewhere
 * the address of the last byte is compared: if that is in the next page, it does not match, because the entry is that of the first.
 */
function ifKnown(code: Code, a: AccessEnvironment, { table, bytes, pair = false, kind }: Access): void {
  const { locals, missed, unaligned } = a;
  pushSet(code, a, kind);
  pushEntry(code, locals.address);
  code.tee(locals.entry).memory(loads64[8][0], 3, tlbOffsets[table]);
  code.get(locals.address);
  const inline = unaligned === 'inline';
  const distance = (pair ? bytes : 0) + (inline ? bytes - 1 : 0);
  if (distance > 0) code.constant(i64, distance).byte(opcodes[i64].add);
  code.constant(i64, ~0xfffn | BigInt(inline ? 0 : bytes - 1)).byte(opcodes[i64].and);
  if ('giveUpIf' in missed) {
    code.byte(opcodes[i64].ne);
    missed.giveUpIf();
  } else {
    code.byte(opcodes[i64].eq).if();
  }
}

/** Closes the block of `ifKnown`. `write` emits the code for a miss; handlers need none, since they have bailed out. */
function otherwise(code: Code, { missed }: AccessEnvironment, write: (calling: Calling) => void): void {
  if ('giveUpIf' in missed) return;
  code.else();
  write(missed);
  code.end();
}

/** Puts the byte offset of the address into the entry local, using the matching TLB entry. */
function findPlace(code: Code, { locals }: AccessEnvironment, table: Table): void {
  code.get(locals.address).byte(wrap);
  code.get(locals.entry).memory(load32.word, 2, tlbOffsets[table] + tlbEntry.value);
  code.byte(opcodes[i32].add).set(locals.entry);
}

/** What a kind of access adds to the description of a miss. */
function flagsOf(kind: AccessKind): number {
  if (kind === 'unprivileged') return accessFlags.unprivileged;
  return kind === 'modify' ? accessFlags.modify : 0;
}

/** The table for a load. An entry for writing is one for reading too. */
const tableFor = (kind: AccessKind): Table => (kind === 'modify' ? 'write' : 'read');

/**
 * Calls the access function on a miss. Leaves the instruction if the access faulted, else the entry local has the
 * result.
 */
function callMissed(
  code: Code,
  a: AccessEnvironment,
  calling: Calling,
  { table, bytes, kind }: Access,
): void {
  const { cpu, address, entry } = a.locals;
  code.get(cpu);
  pushSet(code, a, kind);
  code.get(address).constant(i32, bytes | flagsOf(kind));
  calling.call(kind === 'modify' ? 'missedModify' : table === 'read' ? 'missedLoad' : 'missedStore');
  code.tee(entry).constant(i32, accessResults.faulted).byte(opcodes[i32].eq).if();
  calling.leave();
  code.end();
}

/** Advances the address local to the second element of a pair. */
function toSecond(code: Code, { locals }: AccessEnvironment, bytes: number): void {
  code.get(locals.address).constant(i64, bytes).byte(opcodes[i64].add).set(locals.address);
}

/** Loads from the address local. `finish` pops the byte offset. */
function emitRead(code: Code, a: AccessEnvironment, access: Access, finish: () => void): void {
  ifKnown(code, a, access);
  findPlace(code, a, access.table);
  otherwise(code, a, (calling) => callMissed(code, a, calling, access));
  code.get(a.locals.entry);
  finish();
}

/** A value to store: `push` pushes it; `finish` pops the byte offset and the value, and stores at a constant offset. */
interface Value {
  push(): void;
  finish(offset: number): void;
}

/** Stores to the address local on a TLB miss. The host reads the value from the scratch area. */
function emitMissedWrite(
  code: Code,
  a: AccessEnvironment,
  calling: Calling,
  access: Access,
  value: Value,
): void {
  code.get(a.locals.cpu);
  value.push();
  value.finish(cpuOffsets.scratch);
  callMissed(code, a, calling, access);
  ifNotDone(code, a);
  code.get(a.locals.entry);
  value.push();
  value.finish(0);
  code.end();
}

/**
 * Opens a block that runs unless the host has done the store; the caller must emit its `end`. The result cannot be
 * tested by its sign, because a byte offset may be 2^31 or more.
 */
function ifNotDone(code: Code, { locals }: AccessEnvironment): void {
  code.get(locals.entry).constant(i32, accessResults.done).byte(opcodes[i32].ne).if();
}

function emitWrite(code: Code, a: AccessEnvironment, access: Access, value: Value): void {
  ifKnown(code, a, access);
  findPlace(code, a, access.table);
  a.storing?.(access.bytes);
  code.get(a.locals.entry);
  value.push();
  value.finish(0);
  otherwise(code, a, (calling) => emitMissedWrite(code, a, calling, access, value));
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
  emitRead(code, a, { table: tableFor(kind), bytes, kind }, () =>
    code.memory(loads64[bytes][0], 0, 0).set(into),
  );
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
  emitWrite(code, a, { table: 'write', bytes, kind }, scalar(code, bytes, a.locals.value));
}

/** A value in an i64 local. */
function scalar(code: Code, bytes: AccessBytes, value: number): Value {
  return {
    push: () => code.get(value),
    finish: (offset) => code.memory(stores64[bytes][0], 0, offset),
  };
}

/** Two loads with a single TLB lookup if both elements are in one page. */
export function emitLoadPair(
  e: Environment,
  a: AccessEnvironment,
  { indexes, bytes, address }: Extract<Statement, { op: 'loadPair' }>,
): void {
  const { code } = e;
  const [opcode] = loads64[bytes];
  const [first, second] = [e.local(indexes[0], i64), e.local(indexes[1], i64)];
  const { entry } = a.locals;
  const access: Access = { table: 'read', bytes, pair: true, kind: 'plain' };
  emitExpr(e, address);
  code.set(a.locals.address);
  ifKnown(code, a, access);
  findPlace(code, a, 'read');
  code.get(entry).memory(opcode, 0, 0).set(first);
  code.get(entry).memory(opcode, 0, bytes).set(second);
  otherwise(code, a, (calling) => {
    callMissed(code, a, calling, access);
    code.get(entry).memory(opcode, 0, 0).set(first);
    toSecond(code, a, bytes);
    callMissed(code, a, calling, access);
    code.get(entry).memory(opcode, 0, 0).set(second);
  });
}

/** Two stores with a single TLB lookup. The first is done even if the second faults. */
export function emitStorePair(
  e: Environment,
  a: AccessEnvironment,
  { bytes, address, values }: Extract<Statement, { op: 'storePair' }>,
): void {
  const { code } = e;
  const { entry, value } = a.locals;
  const access: Access = { table: 'write', bytes, pair: true, kind: 'plain' };
  const element = (expr: Expr): Value => ({
    ...scalar(code, bytes, value),
    push: () => emitExpr(e, expr),
  });
  const [first, second] = [element(values[0]), element(values[1])];
  emitExpr(e, address);
  code.set(a.locals.address);
  ifKnown(code, a, access);
  findPlace(code, a, 'write');
  a.storing?.(2 * bytes);
  code.get(entry);
  first.push();
  first.finish(0);
  code.get(entry);
  second.push();
  second.finish(bytes);
  otherwise(code, a, (calling) => {
    emitMissedWrite(code, a, calling, access, first);
    toSecond(code, a, bytes);
    emitMissedWrite(code, a, calling, access, second);
  });
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
  const finish = (): unknown => code.simd(vectorLoad).unsigned(0).unsigned(0).set(into);
  emitRead(code, a, { table: tableFor(kind), bytes: 16, kind }, finish);
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
  emitVector(e, value, emitExpr);
  code.set(vector);
  emitWrite(
    code,
    a,
    { table: 'write', bytes: 16, kind },
    {
      push: () => code.get(vector),
      finish: (offset) => code.simd(vectorStore).unsigned(0).unsigned(offset),
    },
  );
}

/** Clears an aligned block. The host gets the original address, because a fault reports that one. */
export function emitClearBlock(
  e: Environment,
  a: AccessEnvironment,
  { bytes, address }: Extract<Statement, { op: 'clearBlock' }>,
): void {
  const { code } = e;
  const { locals } = a;
  emitExpr(e, address);
  code.tee(locals.value).constant(i64, -bytes).byte(opcodes[i64].and).set(locals.address);
  ifKnown(code, a, { table: 'write', bytes, kind: 'plain' });
  findPlace(code, a, 'write');
  a.storing?.(bytes);
  otherwise(code, a, (calling) => {
    code.get(locals.value).set(locals.address);
    callMissed(code, a, calling, { table: 'write', bytes: accessFlags.clearBlock | 1, kind: 'plain' });
  });
  ifNotDone(code, a);
  for (let at = 0; at < bytes; at += 8) {
    code.get(locals.entry).constant(i64, 0).memory(stores64[8][0], 0, at);
  }
  code.end();
}

/** How an environment's micro-operations access memory; `environment` is asked for when they do. */
export function accessEmitters(
  environment: () => Environment,
  access: AccessEnvironment,
): Pick<
  Environment,
  'load' | 'store' | 'loadPair' | 'storePair' | 'loadVector' | 'storeVector' | 'clearBlock'
> {
  return {
    load: (statement) => emitLoad(environment(), access, statement),
    store: (statement) => emitStore(environment(), access, statement),
    loadPair: (statement) => emitLoadPair(environment(), access, statement),
    storePair: (statement) => emitStorePair(environment(), access, statement),
    loadVector: (statement) => emitLoadVector(environment(), access, statement),
    storeVector: (statement) => emitStoreVector(environment(), access, statement),
    clearBlock: (statement) => emitClearBlock(environment(), access, statement),
  };
}
