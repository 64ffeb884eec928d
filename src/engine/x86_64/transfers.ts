/** Far jumps, calls and returns, SYSCALL and SYSRET (Intel SDM, volume 3, 5.8; AMD APM, volume 3, SYSCALL). */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { rflags } from './block.js';
import {
  codeSegment,
  dropInnerSegments,
  findSegment,
  isNull,
  markAccessed,
  requestedPrivilege,
} from './descriptors.js';
import { generalProtection, invalidOpcode, raise, raiseForSelector, vectors } from './events.js';
import { checkTarget, outerStack, returnSegment } from './exceptions.js';
import { efer } from './regime.js';
import { attribute, has, privilegeOf, realModeSegment } from './segments.js';
import type { Segment } from './segments.js';
import { Stack } from './stack.js';
import type { Vcpu } from './vcpu.js';

const { registerNumber, segments } = x86_64;
const [rcx, rsp, r11] = [registerNumber('rcx'), registerNumber('rsp'), registerNumber('r11')];

/** The code segment that a far jump or call goes to. */
function targetSegment(accesses: Accesses, cpu: Vcpu, selector: number): Segment {
  if (!cpu.isProtected) return realModeSegment(selector, cpu.segment(segments.cs));
  const { generalProtection: gp, notPresent } = vectors;
  const any = isNull(selector) ? null : findSegment(accesses, cpu, selector);
  if (any !== null && !has(any, attribute.ordinary)) cpu.countUnimplemented('call gate or task switch');
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
