/** Control registers and the model-specific registers that the CPU itself uses (Intel SDM, volume 3, 2.5; AMD APM, volume 2, 3.1). */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Tlbs } from '../tlb.js';
import { isCanonicalAddress } from './accesses.js';
import { exception, generalProtection, invalidOpcode, raise, vectors } from './events.js';
import type { X86Host } from './host.js';
import { cr0, cr4, efer, physicalLimit } from './regime.js';
import { attribute, has } from './segments.js';
import { askForTimestamps } from './timestamp.js';
import type { SystemState, Vcpu } from './vcpu.js';

const { segments } = x86_64;

/** Bits of CR0, CR4 and EFER by which a translation that was found before may be another one. */
const translating = {
  cr0: cr0.paging | cr0.writeProtect | cr0.protected,
  cr4:
    cr4.physicalExtension |
    cr4.pageSize |
    cr4.globalPages |
    cr4.contexts |
    cr4.executionPrevention |
    cr4.accessPrevention,
} as const;

/** The instruction is done; the next one is fetched anew. */
function complete(cpu: Vcpu): void {
  cpu.pending = { kind: 'completed' };
}

export function readControl(cpu: Vcpu, host: X86Host, number: number): bigint {
  const { system } = cpu;
  switch (number) {
    case 0:
      return BigInt(system.cr0 >>> 0);
    case 2:
      return system.cr2;
    case 3:
      return system.cr3;
    case 4:
      return BigInt(system.cr4 >>> 0);
    default:
      return BigInt(host.readTaskPriority(cpu.index));
  }
}

export function writeControl(tlbs: Tlbs, cpu: Vcpu, host: X86Host, number: number, value: bigint): void {
  switch (number) {
    case 0:
      writeCr0(tlbs, cpu, value);
      return;
    case 2:
      cpu.system.cr2 = value;
      return;
    case 3:
      writeCr3(tlbs, cpu, value);
      return;
    case 4:
      writeCr4(tlbs, cpu, value);
      return;
    default:
      if (value > 15n) raise(generalProtection());
      host.writeTaskPriority(cpu.index, Number(value));
      // The interrupt that waits may be open now.
      complete(cpu);
  }
}

export function writeCr0(tlbs: Tlbs, cpu: Vcpu, value: bigint): void {
  const { system } = cpu;
  if (value >> 32n !== 0n) raise(generalProtection());
  const wanted = (Number(value) & cr0.writable) | cr0.extension;
  const turned = (bit: number): boolean => ((wanted ^ system.cr0) & bit) !== 0;
  const isOn = (bit: number): boolean => (wanted & bit) !== 0;
  const isBad =
    (isOn(cr0.paging) && !isOn(cr0.protected)) || (isOn(cr0.notWriteThrough) && !isOn(cr0.cacheDisable));
  if (isBad) raise(generalProtection());
  if (turned(cr0.paging)) turnPaging(cpu, isOn(cr0.paging));
  const before = system.cr0;
  system.cr0 = wanted;
  if (turned(cr0.protected) && cpu.block.privilege !== 0) cpu.block.privilege = 0;
  cpu.regimeChanged();
  cpu.segmentsChanged();
  if (((before ^ wanted) & translating.cr0) !== 0) tlbs.flushAll(cpu.index);
  complete(cpu);
}

/** Turns paging on or off, and long mode with it if EFER.LME is set. */
function turnPaging(cpu: Vcpu, on: boolean): void {
  const { system } = cpu;
  if (!on) {
    if (cpu.mode === 64 || (system.cr4 & cr4.contexts) !== 0) raise(generalProtection());
    system.efer &= ~efer.longActive;
    return;
  }
  if ((system.efer & efer.longEnable) === 0) return;
  const hasLongCode = has(cpu.segment(segments.cs), attribute.long);
  if ((system.cr4 & cr4.physicalExtension) === 0 || hasLongCode) raise(generalProtection());
  system.efer |= efer.longActive;
}

/** Bit 63 of a value for CR3, with CR4.PCIDE: the translations of its context may stay. It is not stored. */
const keepsContext = 1n << 63n;

/** Drops what is not global, also where it might stay. User translations that are global are found again by a walk. */
function writeCr3(tlbs: Tlbs, cpu: Vcpu, given: bigint): void {
  const value = (cpu.system.cr4 & cr4.contexts) === 0 ? given : given & ~keepsContext;
  if (value >= physicalLimit) raise(generalProtection());
  cpu.system.cr3 = value;
  cpu.regimeChanged();
  tlbs.flushNonGlobal(cpu.index);
  tlbs.flushGroup(cpu.index, 0);
  complete(cpu);
}

export function writeCr4(tlbs: Tlbs, cpu: Vcpu, value: bigint): void {
  const { system } = cpu;
  const wanted = Number(value & 0xffffffffn);
  if (value >> 32n !== 0n || (wanted & ~cpu.writableCr4) !== 0) raise(generalProtection());
  if (cpu.isLong && (wanted & cr4.physicalExtension) === 0) raise(generalProtection());
  const before = system.cr4;
  const numbersContexts = (wanted & ~before & cr4.contexts) !== 0;
  if (numbersContexts && (!cpu.isLong || (system.cr3 & 0xfffn) !== 0n)) raise(generalProtection());
  system.cr4 = wanted;
  if ((wanted & cr4.timestampDisable) !== 0) askForTimestamps(cpu);
  cpu.regimeChanged();
  if (((before ^ wanted) & translating.cr4) !== 0) tlbs.flushAll(cpu.index);
  complete(cpu);
}

/** RDFSBASE and the like: #UD without CR4.FSGSBASE. */
export function requireSegmentBases({ system }: Vcpu): void {
  if ((system.cr4 & cr4.segmentBases) === 0) raise(invalidOpcode());
}

export function writeSegmentBase(cpu: Vcpu, number: number, value: bigint): void {
  requireSegmentBases(cpu);
  if (!isCanonicalAddress(value)) raise(generalProtection());
  cpu.setDataBase(number, value);
}

/** The kinds of INVPCID: an address, a context, all contexts with global translations, and all without them. */
const invalidations = { address: 0n, context: 1n, last: 3n } as const;

/** INVPCID's checks of its kind and the first half of its operand, which has the number of the context. */
export function requireInvalidation({ system }: Vcpu, kind: bigint, context: bigint): void {
  const isReserved = kind > invalidations.last || context >> 12n !== 0n;
  const needsContexts = kind <= invalidations.context && context !== 0n;
  if (isReserved || (needsContexts && (system.cr4 & cr4.contexts) === 0)) raise(generalProtection());
}

/** The rest of INVPCID. Of a context, more is dropped than has to be. */
export function invalidateContext(tlbs: Tlbs, cpu: Vcpu, kind: bigint, address: bigint): void {
  if (kind === invalidations.address) {
    if (!isCanonicalAddress(address)) raise(generalProtection());
    tlbs.flushPages(cpu.index, Number(address & 0xffffffffn), Number(address >> 32n), 1);
  } else tlbs.flushAll(cpu.index);
  complete(cpu);
}

/** LMSW: the low four bits, of which PE cannot be cleared. */
export function loadMachineStatus(tlbs: Tlbs, cpu: Vcpu, value: bigint): void {
  const { cr0: before } = cpu.system;
  const kept = before & (~0xf | cr0.protected);
  writeCr0(tlbs, cpu, BigInt((kept | (Number(value) & 0xf)) >>> 0));
}

const model = {
  sysenterSelector: 0x174,
  sysenterStack: 0x175,
  sysenterEntry: 0x176,
  efer: 0xc0000080,
  star: 0xc0000081,
  lstar: 0xc0000082,
  cstar: 0xc0000083,
  fmask: 0xc0000084,
  fsBase: 0xc0000100,
  gsBase: 0xc0000101,
  kernelGsBase: 0xc0000102,
} as const;

type Stored =
  | 'star'
  | 'lstar'
  | 'cstar'
  | 'fmask'
  | 'kernelGsBase'
  | 'sysenterSelector'
  | 'sysenterStack'
  | 'sysenterEntry';

/** Registers that are values and no more, and whether the value must be a canonical address. */
const stored = new Map<number, { readonly field: Stored & keyof SystemState; readonly isAddress: boolean }>([
  [model.star, { field: 'star', isAddress: false }],
  [model.lstar, { field: 'lstar', isAddress: true }],
  [model.cstar, { field: 'cstar', isAddress: true }],
  [model.fmask, { field: 'fmask', isAddress: false }],
  [model.kernelGsBase, { field: 'kernelGsBase', isAddress: true }],
  [model.sysenterSelector, { field: 'sysenterSelector', isAddress: false }],
  [model.sysenterStack, { field: 'sysenterStack', isAddress: true }],
  [model.sysenterEntry, { field: 'sysenterEntry', isAddress: true }],
]);

export function readModelSpecific(cpu: Vcpu, host: X86Host, register: number): bigint {
  const { system } = cpu;
  const known = stored.get(register);
  if (known !== undefined) return system[known.field];
  if (register === model.efer) return BigInt(system.efer);
  if (register === model.fsBase) return cpu.dataBase(segments.fs);
  if (register === model.gsBase) return cpu.dataBase(segments.gs);
  return host.readModelSpecific(cpu.index, register) ?? raise(generalProtection());
}

export function writeModelSpecific(
  tlbs: Tlbs,
  cpu: Vcpu,
  host: X86Host,
  register: number,
  value: bigint,
): void {
  const known = stored.get(register);
  const isBase = register === model.fsBase || register === model.gsBase;
  if ((known?.isAddress === true || isBase) && !isCanonicalAddress(value)) raise(generalProtection());
  if (known !== undefined) cpu.system[known.field] = value;
  else if (register === model.efer) writeEfer(tlbs, cpu, value);
  else if (isBase) cpu.setDataBase(register === model.fsBase ? segments.fs : segments.gs, value);
  else if (!host.writeModelSpecific(cpu.index, register, value)) raise(generalProtection());
}

function writeEfer(tlbs: Tlbs, cpu: Vcpu, value: bigint): void {
  const { system } = cpu;
  if ((value & ~BigInt(efer.writable)) !== 0n) raise(generalProtection());
  const wanted = (Number(value) & ~efer.longActive) | (system.efer & efer.longActive);
  const isPaging = (system.cr0 & cr0.paging) !== 0;
  if (isPaging && ((wanted ^ system.efer) & efer.longEnable) !== 0) raise(generalProtection());
  const before = system.efer;
  system.efer = wanted;
  cpu.regimeChanged();
  if (((before ^ wanted) & efer.noExecute) !== 0) tlbs.flushAll(cpu.index);
  complete(cpu);
}

const debugStatus = { reserved: 0xffff0ff0n, control: 0x400n, guards: 0x2000n, guarded: 0x2000n } as const;

/** DR4 and DR5 are other names of DR6 and DR7, as CR4.DE is not offered as a feature. */
function debugNumber(number: number): number {
  return number === 4 || number === 5 ? number + 2 : number;
}

/** #UD for DR4 and DR5 with CR4.DE, and #DB where DR7.GD guards the registers. */
export function requireDebug({ system }: Vcpu, number: number): void {
  if ((number === 4 || number === 5) && (system.cr4 & cr4.debuggingExtensions) !== 0) raise(invalidOpcode());
  const [status = 0n, control = 0n] = [system.debug[6], system.debug[7]];
  if ((control & debugStatus.guards) === 0n) return;
  system.debug[6] = status | debugStatus.guarded;
  raise({ ...exception(vectors.debug), origin: 'external' });
}

export function readDebug(cpu: Vcpu, number: number): bigint {
  return cpu.system.debug[debugNumber(number)] ?? 0n;
}

export function writeDebug(tlbs: Tlbs, cpu: Vcpu, number: number, value: bigint): void {
  const which = debugNumber(number);
  if (which >= 6 && value >> 32n !== 0n) raise(generalProtection());
  if (which > 7) raise(invalidOpcode());
  cpu.system.debug[which] =
    which === 6
      ? (value & 0xe00fn) | debugStatus.reserved
      : which === 7
        ? (value & 0xffff23ffn) | debugStatus.control
        : value;
  if (which === 6) return;
  cpu.debugChanged();
  cpu.system.resumes = false;
  // Pages with breakpoints are in no TLB.
  if (cpu.breakpoints !== 0) tlbs.flushAll(cpu.index);
  complete(cpu);
}
