/** Descriptor tables in memory, and loads of segment registers (Intel SDM, volume 3, 3.4 to 3.5 and 5.6). */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { generalProtection, raise, raiseForSelector, vectors } from './events.js';
import {
  attribute,
  has,
  nullSegment,
  privilegeOf,
  realModeSegment,
  segmentOf,
  systemType,
} from './segments.js';
import type { Segment } from './segments.js';
import type { TableRegister, Vcpu } from './vcpu.js';

const { segments } = x86_64;

export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;
export const requestedPrivilege = (selector: number): number => selector & 3;

function tableOf(cpu: Vcpu, selector: number): TableRegister | null {
  if ((selector & 4) === 0) return cpu.system.globalTable;
  return has(cpu.system.localTable, attribute.present) ? cpu.system.localTable : null;
}

/** The linear address of a descriptor of `bytes` bytes; null where the selector is beyond its table. */
export function descriptorAddress(cpu: Vcpu, selector: number, bytes: 8 | 16 = 8): bigint | null {
  const table = tableOf(cpu, selector);
  const offset = selector & 0xfff8;
  return table === null || offset + bytes - 1 > table.limit ? null : table.base + BigInt(offset);
}

/** The segment that a selector selects; null where it is beyond its table. */
export function findSegment(accesses: Accesses, cpu: Vcpu, selector: number): Segment | null {
  const address = descriptorAddress(cpu, selector);
  return address === null ? null : segmentOf(selector, accesses.read(cpu, address, 8));
}

/** The code segment of a selector. Raises #GP for its error code if the selector is null or selects none. */
export function codeSegment(accesses: Accesses, cpu: Vcpu, selector: number, isExternal = false): Segment {
  if (isNull(selector)) raise(generalProtection(isExternal ? 1 : 0));
  const found = findSegment(accesses, cpu, selector);
  if (found === null || !has(found, attribute.ordinary | attribute.code)) {
    raiseForSelector(vectors.generalProtection, selector, isExternal);
  }
  // L and D together are reserved.
  if (cpu.isLong && has(found, attribute.long | attribute.big)) {
    raiseForSelector(vectors.generalProtection, selector, isExternal);
  }
  return found;
}

/** Sets the bit "accessed" of a descriptor that was loaded. */
export function markAccessed(accesses: Accesses, cpu: Vcpu, segment: Segment): Segment {
  if (has(segment, attribute.accessed)) return segment;
  const address = descriptorAddress(cpu, segment.selector);
  if (address !== null) {
    const at = address + 5n;
    accesses.write(cpu, at, 1, accesses.read(cpu, at, 1) | BigInt(attribute.accessed));
  }
  return { ...segment, attributes: segment.attributes | attribute.accessed };
}

function isWritableData(segment: Segment): boolean {
  return has(segment, attribute.ordinary | attribute.access) && !has(segment, attribute.code);
}

/** A segment for SS that fits a privilege level. */
export function stackSegment(accesses: Accesses, cpu: Vcpu, selector: number, level: number): Segment {
  const { generalProtection: gp } = vectors;
  const found = findSegment(accesses, cpu, selector);
  if (found === null || requestedPrivilege(selector) !== level) raiseForSelector(gp, selector);
  if (!isWritableData(found) || privilegeOf(found) !== level) raiseForSelector(gp, selector);
  if (!has(found, attribute.present)) raiseForSelector(vectors.stackFault, selector);
  return markAccessed(accesses, cpu, found);
}

function dataSegment(accesses: Accesses, cpu: Vcpu, selector: number): Segment {
  const { generalProtection: gp } = vectors;
  const found = findSegment(accesses, cpu, selector);
  if (found === null || !has(found, attribute.ordinary)) raiseForSelector(gp, selector);
  const isCode = has(found, attribute.code);
  if (isCode && !has(found, attribute.access)) raiseForSelector(gp, selector);
  const isConforming = isCode && has(found, attribute.direction);
  const level = Math.max(cpu.privilege, requestedPrivilege(selector));
  if (!isConforming && level > privilegeOf(found)) raiseForSelector(gp, selector);
  if (!has(found, attribute.present)) raiseForSelector(vectors.notPresent, selector);
  return markAccessed(accesses, cpu, found);
}

/** MOV and POP to a segment register other than CS. */
export function loadSegment(accesses: Accesses, cpu: Vcpu, number: number, selector: number): void {
  if (!cpu.isProtected) {
    cpu.setSegment(number, realModeSegment(selector, cpu.segment(number)));
    return;
  }
  const isStack = number === segments.ss;
  if (isNull(selector)) {
    const mayBeNull = cpu.mode === 64 && cpu.privilege < 3 && requestedPrivilege(selector) === cpu.privilege;
    if (isStack && !mayBeNull) raise(generalProtection());
    cpu.setSegment(number, nullSegment(selector));
    return;
  }
  const loaded = isStack
    ? stackSegment(accesses, cpu, selector, cpu.privilege)
    : dataSegment(accesses, cpu, selector);
  cpu.setSegment(number, loaded);
}

/** Byte offset of the stack of level 0 in a TSS of 32 and of 64 bits; those of the other levels follow, with 8 bytes each. */
const firstStack = 4;

/** The linear address of `bytes` bytes of the current TSS. Raises #TS where they are beyond its limit. */
function taskAddress({ system }: Vcpu, offset: number, bytes: number, isExternal: boolean): bigint {
  const { base, limit, selector } = system.task;
  if (offset + bytes - 1 > limit) raiseForSelector(vectors.invalidTask, selector, isExternal);
  return base + BigInt(offset);
}

/** 8 bytes of the current TSS. Raises #TS where they are beyond its limit. */
export function readTask(accesses: Accesses, cpu: Vcpu, offset: number, isExternal = false): bigint {
  return accesses.read(cpu, taskAddress(cpu, offset, 8, isExternal), 8);
}

/** The stack pointer that a TSS of 64 bits has for a level. */
export function longStackOf(accesses: Accesses, cpu: Vcpu, level: number, isExternal = false): bigint {
  return readTask(accesses, cpu, firstStack + 8 * level, isExternal);
}

/** The stack that a TSS of 32 bits has for a level (SDM, volume 3, 5.8.5). */
export function stackOf(
  accesses: Accesses,
  cpu: Vcpu,
  level: number,
  isExternal = false,
): { readonly pointer: bigint; readonly segment: Segment } {
  const { invalidTask, stackFault } = vectors;
  if (!has(cpu.system.task, 8)) cpu.countUnimplemented('stack of a 16-bit TSS');
  // The pointer, and two bytes of selector.
  const address = taskAddress(cpu, firstStack + 8 * level, 6, isExternal);
  const pointer = accesses.read(cpu, address, 4);
  const selector = Number(accesses.read(cpu, address + 4n, 2));
  const found = isNull(selector) ? null : findSegment(accesses, cpu, selector);
  if (found === null || requestedPrivilege(selector) !== level) {
    raiseForSelector(invalidTask, selector, isExternal);
  }
  if (!isWritableData(found) || privilegeOf(found) !== level) {
    raiseForSelector(invalidTask, selector, isExternal);
  }
  if (!has(found, attribute.present)) raiseForSelector(stackFault, selector, isExternal);
  return { pointer, segment: markAccessed(accesses, cpu, found) };
}

/** After a return to an outer level: registers that hold segments of an inner one become null. */
export function dropInnerSegments(cpu: Vcpu): void {
  for (const number of [segments.es, segments.ds, segments.fs, segments.gs]) {
    const segment = cpu.segment(number);
    const isConforming = has(segment, attribute.code | attribute.direction);
    // A null selector keeps the base of FS and GS.
    if (isNull(segment.selector) || isConforming || privilegeOf(segment) >= cpu.privilege) continue;
    cpu.setSegment(number, nullSegment(0));
  }
}

/** A system segment, whose descriptor has 16 bytes in long mode. */
function systemSegment(accesses: Accesses, cpu: Vcpu, selector: number, type: number): Segment {
  const { generalProtection: gp } = vectors;
  const address = (selector & 4) !== 0 ? null : descriptorAddress(cpu, selector, cpu.isLong ? 16 : 8);
  if (address === null) raiseForSelector(gp, selector);
  const found = segmentOf(selector, accesses.read(cpu, address, 8));
  if (has(found, attribute.ordinary) || (found.attributes & 0xf) !== type) raiseForSelector(gp, selector);
  if (!has(found, attribute.present)) raiseForSelector(vectors.notPresent, selector);
  if (!cpu.isLong) return found;
  const upper = accesses.read(cpu, address + 8n, 4);
  return { ...found, base: found.base | (upper << 32n) };
}

/** LLDT. */
export function loadLocalTable(accesses: Accesses, cpu: Vcpu, selector: number): void {
  cpu.system.localTable = isNull(selector)
    ? nullSegment(selector)
    : systemSegment(accesses, cpu, selector, systemType.localTable);
}

/** LTR: the task becomes busy. */
export function loadTask(accesses: Accesses, cpu: Vcpu, selector: number): void {
  if (isNull(selector)) raise(generalProtection());
  const found = systemSegment(accesses, cpu, selector, systemType.availableTask);
  const address = descriptorAddress(cpu, selector);
  const attributes = found.attributes | 2;
  if (address !== null) accesses.write(cpu, address + 5n, 1, BigInt(attributes & 0xff));
  cpu.system.task = { ...found, attributes };
}
