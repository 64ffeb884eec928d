/**
 * Writes a load or a store: inline through the TLB, else by a call of the host. The same for the interpreter's
 * handlers and for the functions of cold instructions.
 */
import type { AccessBytes, Statement } from '../isa/index.js';
import { emitExpr } from './emit.js';
import { emitVector } from './emit_vector.js';
import type { Environment } from './emit.js';
import { cpuOffsets, dataTlbEntries } from './layout.js';
import { i32, i64, load32, loads64, opcodes, stores64, v128, wrap } from './wasm/code.js';
import type { Code } from './wasm/code.js';

const vectorLoad = 0x00;
const vectorStore = 0x0b;
/** i64x2.extract_lane. */
const extractHalf = 0x1d;

export interface AccessEnvironment {
  /** WebAssembly locals: the vCPU's block; an i32 for the TLB's entry; i64s for the address and the value. */
  readonly locals: {
    readonly cpu: number;
    readonly entry: number;
    readonly address: number;
    readonly value: number;
    /** A v128, where the instruction reads or writes 16 bytes at once. */
    readonly vector: number;
  };
  /** The host's functions (see interpreter.ts). */
  readonly slowLoad: number;
  readonly slowStore: number;
  /** Writes the instruction's address to pc in the vCPU's block. */
  savePosition(): void;
  /** Leaves the instruction, which the host has stopped. */
  leave(): void;
  nest(by: 1 | -1): void;
}

/**
 * Pushes the TLB entry's address for the address, and whether its tag fits an access of `bytes` bytes. The access's
 * last byte is compared: one that runs over the page's end fits no tag, and takes the slow way.
 */
function probe(code: Code, { locals }: AccessEnvironment, tlb: number, bytes: number): void {
  code.get(locals.address).constant(i64, 12).byte(opcodes[i64].shrUnsigned).byte(wrap);
  code
    .constant(i32, dataTlbEntries - 1)
    .byte(opcodes[i32].and)
    .constant(i32, 4)
    .byte(opcodes[i32].shl);
  code.get(locals.cpu).byte(opcodes[i32].add).tee(locals.entry);
  code.memory(loads64[8][0], 3, tlb);
  code.get(locals.address);
  if (bytes > 1) code.constant(i64, bytes - 1).byte(opcodes[i64].add);
  code.constant(i64, ~0xfffn).byte(opcodes[i64].and).byte(opcodes[i64].eq);
}

/** Pushes the place in memory behind the address, by the entry that was probed. */
function pushPlace(code: Code, { locals }: AccessEnvironment, tlb: number): void {
  code.get(locals.address).byte(wrap);
  code
    .get(locals.entry)
    .memory(load32.word, 2, tlb + 8)
    .byte(opcodes[i32].add);
}

/** Leaves the instruction when the number on the stack is negative. */
function leaveWhenNegative(code: Code, a: AccessEnvironment): void {
  code.constant(i32, 0).byte(opcodes[i32].ltSigned).if();
  a.nest(1);
  a.leave();
  a.nest(-1);
  code.end();
}

/** Loads `bytes` bytes at the address local; `finish` takes the place from the stack. */
function emitRead(code: Code, a: AccessEnvironment, bytes: number, finish: () => void): void {
  const { cpu, entry, address } = a.locals;
  probe(code, a, cpuOffsets.readTlb, bytes);
  code.if();
  pushPlace(code, a, cpuOffsets.readTlb);
  finish();
  code.else();
  a.nest(1);
  a.savePosition();
  code.get(cpu).get(address).constant(i32, bytes).call(a.slowLoad).tee(entry);
  leaveWhenNegative(code, a);
  code.get(entry);
  finish();
  a.nest(-1);
  code.end();
}

export function emitLoad(
  e: Environment,
  a: AccessEnvironment,
  { index, bytes, address }: Extract<Statement, { op: 'load' }>,
): void {
  const { code } = e;
  const into = e.local(index, i64);
  emitExpr(e, address);
  code.set(a.locals.address);
  emitRead(code, a, bytes, () => code.memory(loads64[bytes][0], 0, 0).set(into));
}

/** Calls the host for a store of `bytes` bytes of `value`, at the address local. */
function emitSlowStore(code: Code, a: AccessEnvironment, bytes: AccessBytes): void {
  const { cpu, address, value } = a.locals;
  a.savePosition();
  code.get(cpu).get(address).constant(i32, bytes).get(value).call(a.slowStore);
  leaveWhenNegative(code, a);
}

export function emitStore(
  e: Environment,
  a: AccessEnvironment,
  { bytes, address, value }: Extract<Statement, { op: 'store' }>,
): void {
  const { code } = e;
  emitExpr(e, address);
  code.set(a.locals.address);
  emitExpr(e, value);
  code.set(a.locals.value);
  probe(code, a, cpuOffsets.writeTlb, bytes);
  code.if();
  pushPlace(code, a, cpuOffsets.writeTlb);
  code.get(a.locals.value).memory(stores64[bytes][0], 0, 0);
  code.else();
  a.nest(1);
  emitSlowStore(code, a, bytes);
  a.nest(-1);
  code.end();
}

export function emitLoadVector(
  e: Environment,
  a: AccessEnvironment,
  { index, address }: Extract<Statement, { op: 'loadVector' }>,
): void {
  const { code } = e;
  const into = e.local(index, v128);
  emitExpr(e, address);
  code.set(a.locals.address);
  emitRead(code, a, 16, () => code.simd(vectorLoad).unsigned(0).unsigned(0).set(into));
}

/** Where the TLB does not answer, a store of 16 bytes is two of 8: the lower first, then the higher. */
export function emitStoreVector(
  e: Environment,
  a: AccessEnvironment,
  { address, value }: Extract<Statement, { op: 'storeVector' }>,
): void {
  const { code } = e;
  const { vector } = a.locals;
  emitExpr(e, address);
  code.set(a.locals.address);
  emitVector(e, value);
  code.set(vector);
  probe(code, a, cpuOffsets.writeTlb, 16);
  code.if();
  pushPlace(code, a, cpuOffsets.writeTlb);
  code.get(vector).simd(vectorStore).unsigned(0).unsigned(0);
  code.else();
  a.nest(1);
  code.get(vector).simd(extractHalf).byte(0).set(a.locals.value);
  emitSlowStore(code, a, 8);
  code.get(a.locals.address).constant(i64, 8).byte(opcodes[i64].add).set(a.locals.address);
  code.get(vector).simd(extractHalf).byte(1).set(a.locals.value);
  emitSlowStore(code, a, 8);
  a.nest(-1);
  code.end();
}
