/** Delivery of exceptions and interrupts, and IRET (Intel SDM, volume 3, chapter 6; volume 2, IRET). */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { isCanonicalAddress } from './accesses.js';
import { rflags } from './block.js';
import {
  codeSegment,
  dropInnerSegments,
  isNull,
  longStackOf,
  markAccessed,
  readTask,
  requestedPrivilege,
  stackOf,
  stackSegment,
} from './descriptors.js';
import { exception, generalProtection, raise, Raised, raiseForSelector, vectors } from './events.js';
import { attribute, has, nullSegment, privilegeOf, realModeSegment, systemType } from './segments.js';
import type { Segment } from './segments.js';
import { FlatStack, Stack } from './stack.js';
import type { Event, Vcpu } from './vcpu.js';

const { registerNumber, segments } = x86_64;
const rsp = registerNumber('rsp');

const contributory: ReadonlySet<number> = new Set([
  vectors.divideError,
  vectors.invalidTask,
  vectors.notPresent,
  vectors.stackFault,
  vectors.generalProtection,
]);

/** Types of gates. Those of 32 bits have the same numbers as those of 64. */
const gateType = { interrupt16: 6, trap16: 7, interrupt: 0xe, trap: 0xf } as const;

/** Whether `second`, raised while `first` was being delivered, is a double fault (SDM, table 6-5). */
function isDoubleFault(first: Event, second: Event): boolean {
  if (first.origin !== 'exception') return false;
  const isSerious = contributory.has(second.vector);
  if (first.vector === vectors.pageFault) return isSerious || second.vector === vectors.pageFault;
  return contributory.has(first.vector) && isSerious;
}

/**
 * Delivers an event; pc is where it returns to. `own` is the address of the instruction that raised it, to which a fault of the
 * delivery returns. Returns false for a triple fault.
 */
export function deliver(accesses: Accesses, cpu: Vcpu, event: Event, own = cpu.block.pc): boolean {
  if (event.address !== null) cpu.system.cr2 = event.address;
  try {
    if (!cpu.isProtected) enterReal(accesses, cpu, event);
    else if (cpu.isLong) enterLong(accesses, cpu, event);
    else enterProtected(accesses, cpu, event);
    cpu.system.resumes = false;
    cpu.shadow = null;
    return true;
  } catch (error) {
    if (!(error instanceof Raised)) throw error;
    const second = error.event;
    cpu.block.pc = own;
    if (event.vector === vectors.doubleFault && event.origin === 'exception') return false;
    if (!isDoubleFault(event, second)) return deliver(accesses, cpu, second);
    if (second.address !== null) cpu.system.cr2 = second.address;
    return deliver(accesses, cpu, exception(vectors.doubleFault, 0));
  }
}

interface Gate {
  readonly selector: number;
  readonly offset: bigint;
  readonly type: number;
  readonly stackIndex: number;
}

/** Whether a type is that of a gate of an IDT whose entries have `bytes` bytes. */
function isGate(cpu: Vcpu, type: number, bytes: 8 | 16): boolean {
  if (type === gateType.interrupt || type === gateType.trap) return true;
  if (bytes === 16) return false;
  if (type === systemType.taskGate) cpu.countUnimplemented('task gate');
  return type === gateType.interrupt16 || type === gateType.trap16;
}

/** The gate of an event, which is checked. `bytes` is the size of the table's entries. */
function gateOf(accesses: Accesses, cpu: Vcpu, event: Event, bytes: 8 | 16): Gate {
  const { base, limit } = cpu.system.interruptTable;
  const { vector, origin } = event;
  const isExternal = origin === 'software' ? 0 : 1;
  const errorCode = vector * 8 + 2 + isExternal;
  if (vector * bytes + bytes - 1 > limit) raise(generalProtection(errorCode));
  const address = base + BigInt(vector * bytes);
  const low = accesses.read(cpu, address, 8);
  const upper = bytes === 16 ? accesses.read(cpu, address + 8n, 4) : 0n;
  const field = (shift: bigint, bits: bigint): number => Number((low >> shift) & ((1n << bits) - 1n));
  const type = field(40n, 5n);
  const is16 = type === gateType.interrupt16 || type === gateType.trap16;
  if (!isGate(cpu, type, bytes)) raise(generalProtection(errorCode));
  if (origin === 'software' && field(45n, 2n) < cpu.privilege) raise(generalProtection(errorCode));
  if (field(47n, 1n) === 0) raise(exception(vectors.notPresent, errorCode));
  return {
    selector: field(16n, 16n),
    offset: (low & 0xffffn) | (is16 ? 0n : ((low >> 48n) & 0xffffn) << 16n) | (upper << 32n),
    type,
    stackIndex: bytes === 16 ? field(32n, 3n) : 0,
  };
}

/** The code segment of a gate, with the privilege level that it runs at. */
function handlerSegment(
  accesses: Accesses,
  cpu: Vcpu,
  { selector }: Gate,
  isExternal: boolean,
): { segment: Segment; level: number } {
  const found = codeSegment(accesses, cpu, selector, isExternal);
  const { generalProtection: gp, notPresent } = vectors;
  if (privilegeOf(found) > cpu.privilege) raiseForSelector(gp, selector, isExternal);
  if (cpu.isLong && !has(found, attribute.long)) raiseForSelector(gp, selector, isExternal);
  if (!has(found, attribute.present)) raiseForSelector(notPresent, selector, isExternal);
  const level = has(found, attribute.direction) ? cpu.privilege : privilegeOf(found);
  return { segment: markAccessed(accesses, cpu, found), level };
}

/**
 * RFLAGS as an event saves them. A fault sets RF, so that the instruction's own breakpoint does not hit again; other events save it as
 * it is (SDM, volume 3, 17.3.1.1).
 */
function savedFlags(cpu: Vcpu, { origin }: Event): bigint {
  const resumes = origin === 'exception' || cpu.system.resumes;
  return BigInt(cpu.block.rflags | (resumes ? rflags.resume : 0));
}

/** Clears the flags that an event clears. */
function clearFlags(cpu: Vcpu, type: number): void {
  const isInterrupt = type === gateType.interrupt || type === gateType.interrupt16;
  const cleared = rflags.trap | rflags.nested | rflags.virtual8086 | (isInterrupt ? rflags.interrupt : 0);
  cpu.block.systemFlags &= ~cleared;
}

function goTo(cpu: Vcpu, code: Segment, level: number, offset: bigint): void {
  cpu.block.privilege = level;
  cpu.setSegment(segments.cs, { ...code, selector: (code.selector & 0xfffc) | level });
  cpu.block.pc = offset;
}

/** Byte offset in a 64-bit TSS: IST1. */
const interruptStack = 0x24;

/** For whom a handler's frame is pushed (`Accesses.read`): RFLAGS.AC of user code opens no page to the supervisor. */
function pushedFor(cpu: Vcpu, level: number): boolean | null {
  return level === 3 ? true : cpu.isUser ? null : false;
}

function enterLong(accesses: Accesses, cpu: Vcpu, event: Event): void {
  const { block } = cpu;
  const gate = gateOf(accesses, cpu, event, 16);
  const isExternal = event.origin !== 'software';
  const { segment, level } = handlerSegment(accesses, cpu, gate, isExternal);
  const changes = level < cpu.privilege;
  const before = block.register(rsp);
  const top =
    gate.stackIndex !== 0
      ? readTask(accesses, cpu, interruptStack + 8 * (gate.stackIndex - 1), isExternal)
      : changes
        ? longStackOf(accesses, cpu, level, isExternal)
        : before;
  const errorCode = isExternal ? 1 : 0;
  if (!isCanonicalAddress(top)) raise(exception(vectors.stackFault, errorCode));
  const stack = new FlatStack(accesses, cpu, pushedFor(cpu, level), top & ~15n);
  stack.errorCode = errorCode;
  stack.push(BigInt(cpu.segment(segments.ss).selector));
  stack.push(before);
  stack.push(savedFlags(cpu, event));
  stack.push(BigInt(cpu.segment(segments.cs).selector));
  stack.push(block.pc);
  if (event.errorCode !== null) stack.push(BigInt(event.errorCode));
  if (!isCanonicalAddress(gate.offset)) raise(generalProtection(errorCode));
  if (changes) cpu.setSegment(segments.ss, nullSegment(level));
  clearFlags(cpu, gate.type);
  goTo(cpu, segment, level, gate.offset);
  stack.commit();
}

/** Protected mode without long mode. */
function enterProtected(accesses: Accesses, cpu: Vcpu, event: Event): void {
  const { block } = cpu;
  const gate = gateOf(accesses, cpu, event, 8);
  const isExternal = event.origin !== 'software';
  const { segment, level } = handlerSegment(accesses, cpu, gate, isExternal);
  const bytes = gate.type === gateType.interrupt || gate.type === gateType.trap ? 4 : 2;
  const inner = level < cpu.privilege ? stackOf(accesses, cpu, level, isExternal) : null;
  const stack =
    inner === null
      ? new Stack(accesses, cpu)
      : new Stack(accesses, cpu, pushedFor(cpu, level), inner.pointer, inner.segment);
  stack.errorCode = ((inner?.segment.selector ?? 0) & 0xfffc) | (isExternal ? 1 : 0);
  if (inner !== null) {
    stack.push(bytes, BigInt(cpu.segment(segments.ss).selector));
    stack.push(bytes, block.register(rsp));
  }
  stack.push(bytes, savedFlags(cpu, event));
  stack.push(bytes, BigInt(cpu.segment(segments.cs).selector));
  stack.push(bytes, block.pc);
  if (event.errorCode !== null) stack.push(bytes, BigInt(event.errorCode));
  checkTarget(cpu, segment, gate.offset, isExternal);
  clearFlags(cpu, gate.type);
  if (inner !== null) {
    block.setRegister(rsp, inner.pointer);
    cpu.setSegment(segments.ss, inner.segment);
  }
  stack.commit();
  goTo(cpu, segment, level, gate.offset);
}

function enterReal(accesses: Accesses, cpu: Vcpu, event: Event): void {
  const { block } = cpu;
  const { base, limit } = cpu.system.interruptTable;
  if (event.vector * 4 + 3 > limit) raise(exception(vectors.doubleFault, 0));
  const entry = accesses.read(cpu, base + BigInt(event.vector * 4), 4);
  const stack = new Stack(accesses, cpu);
  stack.push(2, BigInt(block.rflags));
  stack.push(2, BigInt(cpu.segment(segments.cs).selector));
  stack.push(2, block.pc);
  stack.commit();
  clearFlags(cpu, gateType.interrupt);
  const code = realModeSegment(Number(entry >> 16n), cpu.segment(segments.cs));
  cpu.setSegment(segments.cs, code);
  block.pc = entry & 0xffffn;
}

/** The bits of RFLAGS that POPF and IRET of an operand size may change at the current privilege level. */
export function writableFlags(cpu: Vcpu, bits: number): number {
  const level = cpu.privilege;
  const ownLevel = (cpu.block.systemFlags >> rflags.privilegeAt) & 3;
  const ioLevel = 3 << rflags.privilegeAt;
  const all =
    0xdd5 | rflags.nested | (bits === 16 ? 0 : rflags.alignmentCheck | rflags.identification | rflags.resume);
  return all | (level <= ownLevel ? rflags.interrupt : 0) | (level === 0 ? ioLevel : 0);
}

/** Sets RFLAGS from a value that was popped. */
export function loadFlags(cpu: Vcpu, value: bigint, bits: number): void {
  const writable = writableFlags(cpu, bits);
  const wanted = Number(value & 0xffffffffn);
  cpu.block.rflags = (cpu.block.rflags & ~writable) | (wanted & writable);
}

export function interruptReturn(accesses: Accesses, cpu: Vcpu, bits: 16 | 32 | 64): void {
  cpu.system.nmiMasked = false;
  const bytes = (bits / 8) as 2 | 4 | 8;
  const stack = new Stack(accesses, cpu);
  if (!cpu.isProtected) {
    returnInRealMode(cpu, stack, bytes, bits);
    cpu.openException = null;
    return;
  }
  if ((cpu.block.systemFlags & rflags.nested) !== 0) {
    if (!cpu.isLong) cpu.countUnimplemented('return from a nested task');
    raise(generalProtection());
  }
  returnInProtectedMode(accesses, cpu, stack, bits);
  cpu.openException = null;
}

function returnInProtectedMode(accesses: Accesses, cpu: Vcpu, stack: Stack, bits: 16 | 32 | 64): void {
  const bytes = (bits / 8) as 2 | 4 | 8;
  const [target, selector, flags] = [stack.pop(bytes), Number(stack.pop(bytes) & 0xffffn), stack.pop(bytes)];
  const level = requestedPrivilege(selector);
  if (!isNull(selector) && level < cpu.privilege) raiseForSelector(vectors.generalProtection, selector);
  const code = returnSegment(accesses, cpu, selector, level);
  const isOuter = level > cpu.privilege;
  const outer = cpu.mode === 64 || isOuter ? popStack(accesses, cpu, stack, bytes, level, code) : null;
  checkTarget(cpu, code, target);
  if (!cpu.isLong && (Number(flags & 0xffffffffn) & rflags.virtual8086) !== 0) {
    cpu.countUnimplemented('virtual-8086 mode');
    raise(generalProtection());
  }
  loadFlags(cpu, flags, bits);
  cpu.system.resumes = bits !== 16 && (flags & BigInt(rflags.resume)) !== 0n;
  if (outer === null) stack.commit();
  else cpu.block.setRegister(rsp, outer.pointer);
  cpu.block.privilege = level;
  cpu.setSegment(segments.cs, { ...code, selector });
  if (outer !== null) cpu.setSegment(segments.ss, outer.segment);
  cpu.pending = { kind: 'transferred', target };
  if (isOuter) dropInnerSegments(cpu);
}

/** Pops the stack of a return that changes it. */
function popStack(
  accesses: Accesses,
  cpu: Vcpu,
  stack: Stack,
  bytes: 2 | 4 | 8,
  level: number,
  code: Segment,
): { readonly pointer: bigint; readonly segment: Segment } {
  const pointer = stack.pop(bytes);
  const selector = Number(stack.pop(bytes) & 0xffffn);
  return { pointer, segment: outerStack(accesses, cpu, selector, level, code) };
}

function returnInRealMode(cpu: Vcpu, stack: Stack, bytes: 2 | 4 | 8, bits: 16 | 32 | 64): void {
  const [target, selector, flags] = [stack.pop(bytes), Number(stack.pop(bytes) & 0xffffn), stack.pop(bytes)];
  stack.commit();
  loadFlags(cpu, flags, bits);
  cpu.system.resumes = bits === 32 && (flags & BigInt(rflags.resume)) !== 0n;
  cpu.setSegment(segments.cs, realModeSegment(selector, cpu.segment(segments.cs)));
  cpu.pending = { kind: 'transferred', target };
}

/** The code segment of a return to `level`. */
export function returnSegment(accesses: Accesses, cpu: Vcpu, selector: number, level: number): Segment {
  const { generalProtection: gp, notPresent } = vectors;
  const code = codeSegment(accesses, cpu, selector);
  const own = privilegeOf(code);
  if (has(code, attribute.direction) ? own > level : own !== level) raiseForSelector(gp, selector);
  if (!has(code, attribute.present)) raiseForSelector(notPresent, selector);
  return markAccessed(accesses, cpu, code);
}

export function outerStack(
  accesses: Accesses,
  cpu: Vcpu,
  selector: number,
  level: number,
  code: Segment,
): Segment {
  if (!isNull(selector)) return stackSegment(accesses, cpu, selector, level);
  const mayBeNull = cpu.isLong && has(code, attribute.long) && level < 3 && selector === level;
  if (!mayBeNull) raise(generalProtection());
  return nullSegment(selector);
}

/** Raises #GP(0) where a code segment has no such offset. */
export function checkTarget(cpu: Vcpu, code: Segment, target: bigint, isExternal = false): void {
  const is64 = cpu.isLong && has(code, attribute.long);
  const isBad = is64 ? !isCanonicalAddress(target) : target > BigInt(code.limit);
  if (isBad) raise(generalProtection(isExternal ? 1 : 0));
}
