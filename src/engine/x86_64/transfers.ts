/** Far jumps, calls and returns, SYSCALL and SYSRET (Intel SDM, volume 3, 5.8; AMD APM, volume 3, SYSCALL). */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { isCanonicalAddress } from './accesses.js';
import { rflags } from './block.js';
import {
  codeSegment,
  descriptorAddress,
  dropInnerSegments,
  findSegment,
  isNull,
  longStackOf,
  markAccessed,
  requestedPrivilege,
  stackOf,
} from './descriptors.js';
import { exception, generalProtection, invalidOpcode, raise, raiseForSelector, vectors } from './events.js';
import { checkTarget, outerStack, returnSegment } from './exceptions.js';
import { efer } from './regime.js';
import { attribute, has, nullSegment, privilegeOf, realModeSegment, systemType } from './segments.js';
import type { Segment } from './segments.js';
import { FlatStack, Stack } from './stack.js';
import type { Vcpu } from './vcpu.js';

const { registerNumber, segments } = x86_64;
const [rcx, rsp, r11] = [registerNumber('rcx'), registerNumber('rsp'), registerNumber('r11')];

interface CallGate {
  readonly selector: number;
  readonly offset: bigint;
  /** The size of what a call pushes. */
  readonly bytes: 2 | 4 | 8;
  /** How many of those are copied from stack to stack. */
  readonly parameters: number;
}

/** Raises #GP for a system descriptor that is no call gate. */
function requireGate(cpu: Vcpu, selector: number, type: number): void {
  if (type === systemType.callGate || (type === systemType.callGate16 && !cpu.isLong)) return;
  const isTask = [1, 3, systemType.taskGate, systemType.availableTask, systemType.busyTask].includes(type);
  if (isTask && !cpu.isLong) cpu.countUnimplemented('task switch');
  raiseForSelector(vectors.generalProtection, selector);
}

/** The call gate that a selector selects; null if it selects something else (SDM, volume 3, 5.8.3). */
function callGate(accesses: Accesses, cpu: Vcpu, selector: number): CallGate | null {
  if (!cpu.isProtected || isNull(selector)) return null;
  const any = findSegment(accesses, cpu, selector);
  if (any === null || has(any, attribute.ordinary)) return null;
  const { generalProtection: gp, notPresent } = vectors;
  const type = any.attributes & 0xf;
  requireGate(cpu, selector, type);
  const address = descriptorAddress(cpu, selector, cpu.isLong ? 16 : 8);
  if (address === null) raiseForSelector(gp, selector);
  const level = Math.max(cpu.privilege, requestedPrivilege(selector));
  if (privilegeOf(any) < level) raiseForSelector(gp, selector);
  if (!has(any, attribute.present)) raiseForSelector(notPresent, selector);
  const low = accesses.read(cpu, address, 8);
  if (cpu.isLong) return longGate(low, accesses.read(cpu, address + 8n, 8), selector);
  const is16 = type === systemType.callGate16;
  return {
    selector: Number((low >> 16n) & 0xffffn),
    offset: (low & 0xffffn) | (is16 ? 0n : (low >> 48n) << 16n),
    bytes: is16 ? 2 : 4,
    parameters: Number((low >> 32n) & 0x1fn),
  };
}

/** A call gate of 16 bytes. The type in its upper half must be 0. */
function longGate(low: bigint, upper: bigint, selector: number): CallGate {
  if ((upper & 0x1f00_0000_0000n) !== 0n) raiseForSelector(vectors.generalProtection, selector);
  return {
    selector: Number((low >> 16n) & 0xffffn),
    offset: (low & 0xffffn) | ((low >> 48n) << 16n) | ((upper & 0xffffffffn) << 32n),
    bytes: 8,
    parameters: 0,
  };
}

/** The code segment of a call gate, and the level that its code runs at. */
function gateTarget(
  accesses: Accesses,
  cpu: Vcpu,
  { selector, offset }: CallGate,
): { code: Segment; level: number } {
  const { generalProtection: gp, notPresent } = vectors;
  const found = codeSegment(accesses, cpu, selector);
  if (privilegeOf(found) > cpu.privilege) raiseForSelector(gp, selector);
  if (cpu.isLong && !has(found, attribute.long)) raiseForSelector(gp, selector);
  if (!has(found, attribute.present)) raiseForSelector(notPresent, selector);
  const level = has(found, attribute.direction) ? cpu.privilege : privilegeOf(found);
  checkTarget(cpu, found, offset);
  const code = markAccessed(accesses, cpu, found);
  return { code: { ...code, selector: (selector & 0xfffc) | level }, level };
}

function jumpByGate(accesses: Accesses, cpu: Vcpu, gate: CallGate): void {
  const { code, level } = gateTarget(accesses, cpu, gate);
  if (level !== cpu.privilege) raiseForSelector(vectors.generalProtection, gate.selector);
  enter(cpu, code, gate.offset);
}

function callByGate(accesses: Accesses, cpu: Vcpu, gate: CallGate): void {
  const { code, level } = gateTarget(accesses, cpu, gate);
  const back = [BigInt(cpu.segment(segments.cs).selector), cpu.block.pc + BigInt(cpu.length)];
  if (level === cpu.privilege) {
    const stack = new Stack(accesses, cpu);
    for (const value of back) stack.push(gate.bytes, value);
    stack.commit();
  } else if (cpu.isLong) {
    const top = longStackOf(accesses, cpu, level);
    if (!isCanonicalAddress(top)) raise(exception(vectors.stackFault, 0));
    const stack = new FlatStack(accesses, cpu, null, top);
    const own = [BigInt(cpu.segment(segments.ss).selector), cpu.block.register(rsp)];
    for (const value of [...own, ...back]) stack.push(value);
    cpu.setSegment(segments.ss, nullSegment(level));
    stack.commit();
  } else {
    changeStack(accesses, cpu, gate, level, back);
  }
  cpu.block.privilege = level;
  enter(cpu, code, gate.offset);
}

/** Changes to the stack that a TSS of 32 bits has for an inner level, with the parameters of a call. */
function changeStack(
  accesses: Accesses,
  cpu: Vcpu,
  { bytes, parameters }: CallGate,
  level: number,
  back: readonly bigint[],
): void {
  const outer = new Stack(accesses, cpu);
  const copied = Array.from({ length: parameters }, () => outer.pop(bytes)).reverse();
  const { pointer, segment } = stackOf(accesses, cpu, level);
  const stack = new Stack(accesses, cpu, null, pointer, segment);
  stack.errorCode = segment.selector & 0xfffc;
  const own = [BigInt(cpu.segment(segments.ss).selector), cpu.block.register(rsp)];
  for (const value of [...own, ...copied, ...back]) stack.push(bytes, value);
  cpu.block.setRegister(rsp, pointer);
  cpu.setSegment(segments.ss, segment);
  stack.commit();
}

/** The code segment that a far jump or call goes to. */
function targetSegment(accesses: Accesses, cpu: Vcpu, selector: number): Segment {
  if (!cpu.isProtected) return realModeSegment(selector, cpu.segment(segments.cs));
  const { generalProtection: gp, notPresent } = vectors;
  const code = codeSegment(accesses, cpu, selector);
  const level = privilegeOf(code);
  const isConforming = has(code, attribute.direction);
  const isAllowed = isConforming
    ? level <= cpu.privilege
    : level === cpu.privilege && requestedPrivilege(selector) <= cpu.privilege;
  if (!isAllowed) raiseForSelector(gp, selector);
  if (!has(code, attribute.present)) raiseForSelector(notPresent, selector);
  return { ...markAccessed(accesses, cpu, code), selector: (selector & 0xfffc) | cpu.privilege };
}

function enter(cpu: Vcpu, code: Segment, target: bigint): void {
  cpu.setSegment(segments.cs, code);
  cpu.pending = { kind: 'transferred', target };
}

export function farJump(accesses: Accesses, cpu: Vcpu, selector: number, target: bigint): void {
  const gate = callGate(accesses, cpu, selector);
  if (gate !== null) {
    jumpByGate(accesses, cpu, gate);
    return;
  }
  const code = targetSegment(accesses, cpu, selector);
  checkTarget(cpu, code, target);
  enter(cpu, code, target);
}

export function farCall(
  accesses: Accesses,
  cpu: Vcpu,
  selector: number,
  target: bigint,
  bytes: 2 | 4 | 8,
): void {
  const gate = callGate(accesses, cpu, selector);
  if (gate !== null) {
    callByGate(accesses, cpu, gate);
    return;
  }
  const code = targetSegment(accesses, cpu, selector);
  const stack = new Stack(accesses, cpu);
  stack.push(bytes, BigInt(cpu.segment(segments.cs).selector));
  stack.push(bytes, cpu.block.pc + BigInt(cpu.length));
  checkTarget(cpu, code, target);
  stack.commit();
  enter(cpu, code, target);
}

export function farReturn(accesses: Accesses, cpu: Vcpu, bytes: 2 | 4 | 8, released: bigint): void {
  const stack = new Stack(accesses, cpu);
  const target = stack.pop(bytes);
  const selector = Number(stack.pop(bytes) & 0xffffn);
  stack.pointer += released;
  if (!cpu.isProtected) {
    stack.commit();
    enter(cpu, realModeSegment(selector, cpu.segment(segments.cs)), target);
    return;
  }
  const level = requestedPrivilege(selector);
  if (!isNull(selector) && level < cpu.privilege) raiseForSelector(vectors.generalProtection, selector);
  const code = returnSegment(accesses, cpu, selector, level);
  checkTarget(cpu, code, target);
  if (level === cpu.privilege) {
    stack.commit();
    enter(cpu, code, target);
    return;
  }
  const pointer = stack.pop(bytes);
  const outer = outerStack(accesses, cpu, Number(stack.pop(bytes) & 0xffffn), level, code);
  cpu.block.privilege = level;
  enter(cpu, code, target);
  cpu.setSegment(segments.ss, outer);
  cpu.block.setRegister(rsp, BigInt.asUintN(64, pointer + released));
  dropInnerSegments(cpu);
}

/** A flat segment, as SYSCALL and SYSRET make them without reading descriptors. */
function flat(selector: number, level: number, kind: number): Segment {
  const common = attribute.present | attribute.ordinary | attribute.accessed | attribute.access;
  return {
    selector,
    base: 0n,
    limit: 0xffffffff,
    attributes: common | kind | attribute.granular | (level << attribute.privilegeAt),
  };
}

export function systemCall(cpu: Vcpu): void {
  const { block, system } = cpu;
  if ((system.efer & efer.syscall) === 0 || !cpu.isLong) raise(invalidOpcode());
  const target = cpu.mode === 64 ? system.lstar : system.cstar;
  block.setRegister(rcx, BigInt.asUintN(64, block.pc + BigInt(cpu.length)));
  block.setRegister(r11, BigInt(block.rflags));
  block.rflags &= ~Number(system.fmask & 0xffffffffn);
  cpu.traced &&= (block.systemFlags & rflags.trap) !== 0;
  const selector = Number((system.star >> 32n) & 0xfffcn);
  block.privilege = 0;
  enter(cpu, flat(selector, 0, attribute.code | attribute.long), target);
  cpu.setSegment(segments.ss, flat(selector + 8, 0, attribute.big));
}

export function systemReturn(cpu: Vcpu, bits: number): void {
  const { block, system } = cpu;
  if ((system.efer & efer.syscall) === 0 || !cpu.isLong) raise(invalidOpcode());
  if (cpu.privilege !== 0) raise(generalProtection());
  const selector = Number((system.star >> 48n) & 0xffffn);
  const [target, flags] = [block.register(rcx), Number(block.register(r11) & 0xffffffffn)];
  block.rflags = (flags & (0x3c7fd7 & ~rflags.resume)) | rflags.always;
  cpu.traced = (flags & rflags.trap) !== 0;
  cpu.loadsStack = false;
  block.privilege = 3;
  const is64 = bits === 64;
  const code = flat(
    (is64 ? selector + 16 : selector) | 3,
    3,
    attribute.code | (is64 ? attribute.long : attribute.big),
  );
  enter(cpu, code, is64 ? target : target & 0xffffffffn);
  cpu.setSegment(segments.ss, flat((selector + 8) | 3, 3, attribute.big));
}
