/** What instructions ask of the host (isa/x86_64/system_calls.ts). */
import { invariant } from '../../base/index.js';
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Tlbs } from '../tlb.js';
import type { Accesses } from './accesses.js';
import { isCanonicalAddress } from './accesses.js';
import { rflags } from './block.js';
import { behindInstruction, linkInRecord } from '../straight_runs.js';
import {
  invalidateContext,
  loadMachineStatus,
  readControl,
  readDebug,
  requireDebug,
  requireInvalidation,
  requireSegmentBases,
  readModelSpecific,
  writeControl,
  writeCr0,
  writeDebug,
  writeModelSpecific,
  writeSegmentBase,
} from './control_registers.js';
import {
  findSegment,
  isNull,
  loadLocalTable,
  loadSegment,
  loadTask,
  requestedPrivilege,
} from './descriptors.js';
import { exception, generalProtection, invalidOpcode, raise, Raised, vectors } from './events.js';
import { interruptReturn } from './exceptions.js';
import {
  readExtendedControl,
  requireExtendedState,
  restoreExtended,
  saveExtended,
  writeExtendedControl,
} from './extended_state.js';
import { clearInterrupt, setAccess, setInterrupt, writeFlags } from './flag_calls.js';
import {
  beginUnmaskedFloat,
  endUnmaskedFloat,
  readMxcsr,
  restoreFloat,
  saveFloat,
  writeMxcsr,
} from './float_state.js';
import type { PortBytes, X86Host } from './host.js';
import { cr0, cr4 } from './regime.js';
import { attribute, has, isWithin, privilegeOf } from './segments.js';
import type { Segment } from './segments.js';
import { approximateInverseRoot, approximateReciprocal } from './approximations.js';
import { enterMmx, leaveMmx, readMmx, writeMmx } from './mmx.js';
import { enterNested, popAll, pushAll } from './stack.js';
import { compareNoted, noteString } from './strings.js';
import { farCall, farJump, farReturn, systemCall, systemReturn } from './transfers.js';
import { decode, floatTrap } from './records.js';
import { variantOf } from './vcpu.js';
import { x87Handlers } from './x87_calls.js';
import type { Event, Vcpu } from './vcpu.js';

const { registerNumber, segments, x86SystemCalls } = x86_64;
type Call = x86_64.X86SystemCall;
const [rax, rcx, rdx, rbx] = [
  registerNumber('rax'),
  registerNumber('rcx'),
  registerNumber('rdx'),
  registerNumber('rbx'),
];

/** What the CPUs of a processor share. */
export interface CpuContext {
  readonly tlbs: Tlbs;
  readonly accesses: Accesses;
  readonly host: X86Host;
  /** See `CpuParts.interruptsEnabled`. */
  readonly interruptsEnabled: () => void;
}

/** Answers a call with a bigint, or leaves the instruction by setting `cpu.pending` or throwing `Raised`. */
type Handler = (context: CpuContext, cpu: Vcpu, a: bigint, b: bigint) => unknown;

/** The call by `number`. Returns true if the instruction must be left. */
export function answerCall(context: CpuContext, cpu: Vcpu, number: number, a: bigint, b: bigint): boolean {
  const name = x86SystemCalls[number];
  invariant(name !== undefined, `system call ${number}`);
  try {
    const answer = handlers[name](context, cpu, a, b);
    if (typeof answer === 'bigint') cpu.block.answer(answer);
  } catch (error) {
    if (!(error instanceof Raised)) throw error;
    cpu.raise(error.event);
  }
  return cpu.pending !== null;
}

/** IA32_TSC_AUX. */
const timestampAux = 0xc000_0103;

const low32 = (value: bigint): number => Number(value & 0xffffffffn);
const bitsIn = (a: bigint): 16 | 32 | 64 => Number((a >> 16n) & 0xffn) as 16 | 32 | 64;
const bytesOf = (bits: number): 2 | 4 | 8 => (bits / 8) as 2 | 4 | 8;

function requireKernel(cpu: Vcpu): void {
  if (cpu.privilege !== 0) raise(generalProtection());
}

function requireProtected(cpu: Vcpu): void {
  if (!cpu.isProtected) raise(invalidOpcode());
}

/** #UD for what is not there yet, which is counted. */
function unimplemented(cpu: Vcpu, what: string): never {
  cpu.countUnimplemented(what);
  raise(invalidOpcode());
}

/** An opcode that nothing defines. Those that are undefined by definition are not counted. */
function undefinedInstruction({ accesses, host }: CpuContext, cpu: Vcpu): never {
  const bytes = accesses.codeAt(cpu);
  const decoded = decode(bytes, cpu.mode, host);
  if (decoded.kind === 'tooLong') raise(generalProtection());
  if (decoded.kind !== 'instruction') cpu.countUnimplemented(opcodeText(bytes, cpu.mode));
  else if (!/^(ud[012]|rsm)/.test(decoded.instruction.text)) cpu.countUnimplemented(decoded.instruction.name);
  raise(invalidOpcode());
}

const mapNames = ['', '0f ', '0f 38 ', '0f 3a '] as const;
const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/** How an undefined opcode is named: its prefixes that matter, map, byte and /digit. */
function opcodeText(bytes: Uint8Array, mode: x86_64.Mode): string {
  const parsed = x86_64.parse(bytes, mode);
  if (parsed.kind !== 'parsed') return [...bytes.slice(0, 4)].map(hex).join(' ');
  const { map, opcode, repeat, narrow, modrm } = parsed.fields;
  const prefix = repeat !== 0 ? `${hex(repeat)} ` : narrow === 1 ? '66 ' : '';
  const digit = modrm < 0 ? '' : ` /${(modrm >> 3) & 7}`;
  return `${prefix}${mapNames[map] ?? ''}${hex(opcode)}${digit}`;
}

/** See isa: the access is the segment's number, 8 for a write, 16 times the number of bytes. */
function linearAddress(cpu: Vcpu, access: bigint, effective: bigint): bigint {
  const number = Number(access & 7n);
  const bytes = Number(access >> 4n);
  if (cpu.mode === 64) return linearInLongMode(cpu, number, bytes, effective);
  const segment = cpu.segment(number);
  const offset = low32(effective);
  const base = number === segments.fs || number === segments.gs ? cpu.dataBase(number) : segment.base;
  if (bytes > 0 && !isUsable(cpu, segment, (access & 8n) !== 0n, offset, bytes)) {
    raise(number === segments.ss ? exception(vectors.stackFault, 0) : generalProtection());
  }
  return BigInt.asUintN(32, base + BigInt(offset));
}

function linearInLongMode(cpu: Vcpu, number: number, bytes: number, effective: bigint): bigint {
  const hasBase = number === segments.fs || number === segments.gs;
  const linear = BigInt.asUintN(64, effective + (hasBase ? cpu.dataBase(number) : 0n));
  if (bytes > 0 && !isCanonicalAddress(linear)) {
    raise(number === segments.ss ? exception(vectors.stackFault, 0) : generalProtection());
  }
  return linear;
}

function isUsable(cpu: Vcpu, segment: Segment, isWrite: boolean, offset: number, bytes: number): boolean {
  if (!isWithin(segment, offset, bytes)) return false;
  if (!cpu.isProtected) return true;
  if (!has(segment, attribute.present | attribute.ordinary)) return false;
  const isCode = has(segment, attribute.code);
  const hasAccess = has(segment, attribute.access);
  return isWrite ? !isCode && hasAccess : !isCode || hasAccess;
}

function divideWide(cpu: Vcpu, isSigned: boolean, divisor: bigint): void {
  const { block } = cpu;
  const dividend = (block.register(rdx) << 64n) | block.register(rax);
  const [n, d] = isSigned
    ? [BigInt.asIntN(128, dividend), BigInt.asIntN(64, divisor)]
    : [dividend, BigInt.asUintN(64, divisor)];
  if (d === 0n) raise(exception(vectors.divideError));
  const [quotient, remainder] = [n / d, n % d];
  const fits = isSigned ? BigInt.asIntN(64, quotient) === quotient : quotient < 2n ** 64n;
  if (!fits) raise(exception(vectors.divideError));
  block.setRegister(rax, BigInt.asUintN(64, quotient));
  block.setRegister(rdx, BigInt.asUintN(64, remainder));
}

/** An interrupt that an instruction makes on purpose: it returns behind the instruction. */
function software(cpu: Vcpu, vector: number): void {
  cpu.raise({ vector, errorCode: null, address: null, origin: 'software' }, 'next');
}

/** Whether the task's bitmap or IOPL permits a port; else #GP. */
function requirePort({ accesses }: CpuContext, cpu: Vcpu, port: number, bytes: number): void {
  const level = (cpu.block.systemFlags >> rflags.privilegeAt) & 3;
  if (!cpu.isProtected || cpu.privilege <= level) return;
  const { base, limit } = cpu.system.task;
  if (limit < 0x67) raise(generalProtection());
  const map = Number(accesses.read(cpu, base + 0x66n, 2)) + (port >> 3);
  if (map + 1 > limit) raise(generalProtection());
  const bits = Number(accesses.read(cpu, base + BigInt(map), 2)) >> (port & 7);
  if ((bits & ((1 << bytes) - 1)) !== 0) raise(generalProtection());
}

function hypercall(cpu: Vcpu, instruction: 'vmcall' | 'vmmcall'): void {
  cpu.pending = { kind: 'hypercall', instruction };
}

/** The segment that LAR, LSL, VERR and VERW look at; null if it may not be seen. */
function visible({ accesses }: CpuContext, cpu: Vcpu, selector: number): Segment | null {
  requireProtected(cpu);
  if (isNull(selector)) return null;
  const found = findSegment(accesses, cpu, selector);
  if (found === null) return null;
  const isConforming = has(found, attribute.ordinary | attribute.code | attribute.direction);
  const level = Math.max(cpu.privilege, requestedPrivilege(selector));
  return isConforming || level <= privilegeOf(found) ? found : null;
}

/** System types of which LAR and LSL tell: LDT and TSS, and for LAR call gates. */
const toldOf = { rights: [2, 9, 0xb, 0xc], limit: [2, 9, 0xb] } as const;

function accessRights(context: CpuContext, cpu: Vcpu, selector: number): bigint {
  const found = visible(context, cpu, selector);
  if (found === null) return -1n;
  const isTold =
    has(found, attribute.ordinary) || toldOf.rights.some((type) => type === (found.attributes & 0xf));
  if (!isTold) return -1n;
  return BigInt((((found.attributes & 0xf00) << 12) | ((found.attributes & 0xff) << 8)) >>> 0);
}

function segmentLimit(context: CpuContext, cpu: Vcpu, selector: number): bigint {
  const found = visible(context, cpu, selector);
  if (found === null) return -1n;
  const isTold =
    has(found, attribute.ordinary) || toldOf.limit.some((type) => type === (found.attributes & 0xf));
  return isTold ? BigInt(found.limit) : -1n;
}

function canAccess(context: CpuContext, cpu: Vcpu, selector: number, isWrite: boolean): bigint {
  const found = visible(context, cpu, selector);
  if (found === null || !has(found, attribute.ordinary)) return 0n;
  const [isCode, hasAccess] = [has(found, attribute.code), has(found, attribute.access)];
  return (isWrite ? !isCode && hasAccess : !isCode || hasAccess) ? 1n : 0n;
}

/** Bit 27 of ECX of CPUID's leaf 1, which follows CR4.OSXSAVE. */
const osxsave = 1 << 27;

function cpuid({ host }: CpuContext, cpu: Vcpu): void {
  const { block } = cpu;
  const leaf = block.registerLow(rax);
  const { eax, ebx, ecx: found, edx } = host.cpuid(cpu.index, leaf, block.registerLow(rcx));
  const hasExtendedState = leaf === 1 && (cpu.system.cr4 & cr4.extendedState) !== 0;
  const ecx = hasExtendedState ? found | osxsave : found;
  for (const [register, value] of [
    [rax, eax],
    [rbx, ebx],
    [rcx, ecx],
    [rdx, edx],
  ] as const) {
    block.setRegister(register, BigInt(value >>> 0));
  }
}

const tableHandlers = {
  loadGlobalTable: (_context, cpu, limit, base) => {
    requireKernel(cpu);
    if (!isCanonicalAddress(base)) raise(generalProtection());
    cpu.system.globalTable = { base, limit: Number(limit) };
  },
  loadInterruptTable: (_context, cpu, limit, base) => {
    requireKernel(cpu);
    if (!isCanonicalAddress(base)) raise(generalProtection());
    cpu.system.interruptTable = { base, limit: Number(limit) };
  },
  globalTableLimit: (_context, cpu) => BigInt(cpu.system.globalTable.limit),
  globalTableBase: (_context, cpu) => cpu.system.globalTable.base,
  interruptTableLimit: (_context, cpu) => BigInt(cpu.system.interruptTable.limit),
  interruptTableBase: (_context, cpu) => cpu.system.interruptTable.base,
  loadLocalTable: ({ accesses }, cpu, selector) => {
    requireProtected(cpu);
    requireKernel(cpu);
    loadLocalTable(accesses, cpu, Number(selector & 0xffffn));
  },
  loadTask: ({ accesses }, cpu, selector) => {
    requireProtected(cpu);
    requireKernel(cpu);
    loadTask(accesses, cpu, Number(selector & 0xffffn));
  },
  localTableSelector: (_context, cpu) => {
    requireProtected(cpu);
    return BigInt(cpu.system.localTable.selector);
  },
  taskSelector: (_context, cpu) => {
    requireProtected(cpu);
    return BigInt(cpu.system.task.selector);
  },
  accessRights: (context, cpu, selector) => accessRights(context, cpu, Number(selector)),
  segmentLimit: (context, cpu, selector) => segmentLimit(context, cpu, Number(selector)),
  canRead: (context, cpu, selector) => canAccess(context, cpu, Number(selector), false),
  canWrite: (context, cpu, selector) => canAccess(context, cpu, Number(selector), true),
  loadSegment: ({ accesses }, cpu, number, selector) => {
    loadSegment(accesses, cpu, Number(number & 7n), Number(selector & 0xffffn));
    if (Number(number) !== segments.ss) return;
    // Nothing is taken between a load of SS and the next instruction, which loads the pointer; of several instructions in a row that
    // cast a shadow, also STI, only the first is sure to (SDM, volume 3, 6.8.3, and older editions' volume 2, MOV).
    const shadow = cpu.shadowAt(cpu.block.executedBefore);
    if (shadow === null) cpu.castShadow('stack');
    cpu.loadsStack = shadow !== 'stack';
  },
} satisfies Partial<Record<Call, Handler>>;

const transferHandlers = {
  interrupt: (_context, cpu, vector) => software(cpu, Number(vector)),
  breakpoint: (_context, cpu) => software(cpu, vectors.breakpoint),
  // As from outside: the gate's privilege level does not matter.
  debugTrap: (_context, cpu) => cpu.raise({ ...exception(vectors.debug), origin: 'external' }, 'next'),
  overflowTrap: (_context, cpu) => {
    if ((cpu.block.rflags & rflags.o) !== 0) software(cpu, vectors.overflow);
  },
  interruptReturn: ({ accesses }, cpu, bits) => interruptReturn(accesses, cpu, Number(bits) as 16 | 32 | 64),
  farReturn: ({ accesses }, cpu, bits, released) => farReturn(accesses, cpu, bytesOf(Number(bits)), released),
  farCall: ({ accesses }, cpu, a, target) =>
    farCall(accesses, cpu, Number(a & 0xffffn), target, bytesOf(bitsIn(a))),
  farJump: ({ accesses }, cpu, a, target) => farJump(accesses, cpu, Number(a & 0xffffn), target),
  syscall: (_context, cpu) => systemCall(cpu),
  sysret: (_context, cpu, bits) => systemReturn(cpu, Number(bits)),
  // AMD's processors have neither in long mode.
  sysenter: (_context, cpu) => (cpu.isLong ? raise(invalidOpcode()) : unimplemented(cpu, 'sysenter')),
  sysexit: (_context, cpu) => (cpu.isLong ? raise(invalidOpcode()) : unimplemented(cpu, 'sysexit')),
  swapGs: (_context, cpu) => {
    requireKernel(cpu);
    const before = cpu.dataBase(segments.gs);
    cpu.setDataBase(segments.gs, cpu.system.kernelGsBase);
    cpu.system.kernelGsBase = before;
  },
  hypervisorCall: (_context, cpu) => hypercall(cpu, 'vmcall'),
  hypervisorCallAmd: (_context, cpu) => hypercall(cpu, 'vmmcall'),
} satisfies Partial<Record<Call, Handler>>;

const controlHandlers = {
  requireKernel: (_context, cpu) => requireKernel(cpu),
  readControl: ({ host }, cpu, number) => {
    requireKernel(cpu);
    return readControl(cpu, host, Number(number));
  },
  writeControl: ({ host, tlbs }, cpu, number, value) => {
    requireKernel(cpu);
    writeControl(tlbs, cpu, host, Number(number), BigInt.asUintN(64, value));
  },
  readDebug: (_context, cpu, number) => {
    requireKernel(cpu);
    requireDebug(cpu, Number(number));
    return readDebug(cpu, Number(number));
  },
  writeDebug: ({ tlbs }, cpu, number, value) => {
    requireKernel(cpu);
    requireDebug(cpu, Number(number));
    writeDebug(tlbs, cpu, Number(number), BigInt.asUintN(64, value));
  },
  machineStatus: (_context, cpu) => BigInt(cpu.system.cr0 >>> 0),
  loadMachineStatus: ({ tlbs }, cpu, value) => {
    requireKernel(cpu);
    loadMachineStatus(tlbs, cpu, value);
  },
  clearTaskSwitched: ({ tlbs }, cpu) => {
    requireKernel(cpu);
    const { cr0: before } = cpu.system;
    if ((before & cr0.taskSwitched) !== 0) writeCr0(tlbs, cpu, BigInt((before & ~cr0.taskSwitched) >>> 0));
  },
  readModelSpecific: ({ host }, cpu) => {
    requireKernel(cpu);
    const value = readModelSpecific(cpu, host, cpu.block.registerLow(rcx));
    cpu.block.setRegister(rax, value & 0xffffffffn);
    cpu.block.setRegister(rdx, BigInt.asUintN(64, value) >> 32n);
  },
  writeModelSpecific: ({ host, tlbs }, cpu) => {
    requireKernel(cpu);
    const { block } = cpu;
    const value = (BigInt(block.registerLow(rdx)) << 32n) | BigInt(block.registerLow(rax));
    writeModelSpecific(tlbs, cpu, host, block.registerLow(rcx), value);
  },
  readTimestamp: ({ host }, cpu) => {
    if ((cpu.system.cr4 & cr4.timestampDisable) !== 0) requireKernel(cpu);
    return BigInt.asUintN(64, host.timestamp(cpu.index));
  },
  readTimestampAux: ({ host }, cpu) => readModelSpecific(cpu, host, timestampAux),
  // No counter is offered, so that each number is a wrong one.
  readPerformanceCounter: () => raise(generalProtection()),
  invalidatePage: ({ tlbs }, cpu, address) => {
    requireKernel(cpu);
    tlbs.flushPages(cpu.index, low32(address), Number(address >> 32n), 1);
    cpu.pending = { kind: 'completed' };
  },
  requireInvalidation: (_context, cpu, kind, context) => {
    requireKernel(cpu);
    requireInvalidation(cpu, BigInt.asUintN(64, kind), BigInt.asUintN(64, context));
  },
  invalidateContext: ({ tlbs }, cpu, kind, address) => invalidateContext(tlbs, cpu, kind, address),
  readSegmentBase: (_context, cpu, number) => {
    requireSegmentBases(cpu);
    return cpu.dataBase(Number(number));
  },
  writeSegmentBase: (_context, cpu, number, value) => writeSegmentBase(cpu, Number(number), value),
  openUserPages: (context, cpu) => setAccess(context, cpu, true),
  closeUserPages: (context, cpu) => setAccess(context, cpu, false),
  invalidateCaches: (_context, cpu) => requireKernel(cpu),
  clearInterrupt,
  setInterrupt,
  writeFlags,
} satisfies Partial<Record<Call, Handler>>;

const floatHandlers = {
  requireExtendedState: (_context, cpu) => requireExtendedState(cpu),
  readExtendedControl: (_context, cpu) => readExtendedControl(cpu),
  writeExtendedControl: (_context, cpu) => writeExtendedControl(cpu),
  saveExtended: ({ accesses }, cpu, how, address) => saveExtended(accesses, cpu, Number(how), address),
  restoreExtended: ({ accesses }, cpu, bits, address) =>
    restoreExtended(accesses, cpu, Number(bits), address),
  saveFloat: ({ accesses }, cpu, bits, address) => saveFloat(accesses, cpu, Number(bits), address),
  restoreFloat: ({ accesses }, cpu, bits, address) => restoreFloat(accesses, cpu, Number(bits), address),
  readMxcsr: (_context, cpu) => BigInt(readMxcsr(cpu)),
  writeMxcsr: (_context, cpu, value) => writeMxcsr(cpu, low32(value)),
  readMmx: (_context, cpu, number) => readMmx(cpu, Number(number)),
  writeMmx: (_context, cpu, number, value) => writeMmx(cpu, Number(number), value),
  enterMmx: (_context, cpu) => enterMmx(cpu),
  leaveMmx: (_context, cpu) => leaveMmx(cpu),
  firstString: (_context, cpu, low, high) => noteString(cpu, 0, low, high),
  secondString: (_context, cpu, low, high) => noteString(cpu, 1, low, high),
  compareStrings: (_context, cpu, how, lengths) => compareNoted(cpu, how, lengths),
  approximateReciprocal: (_context, _cpu, bits) => approximateReciprocal(bits),
  approximateInverseRoot: (_context, _cpu, bits) => approximateInverseRoot(bits),
} satisfies Partial<Record<Call, Handler>>;

const portHandlers = {
  requirePort: (context, cpu, port, bytes) => requirePort(context, cpu, Number(port), Number(bytes)),
  in: (context, cpu, port, bytes) => {
    requirePort(context, cpu, Number(port), Number(bytes));
    const size = Number(bytes) as PortBytes;
    return BigInt(context.host.readPort(cpu.index, Number(port), size) >>> 0);
  },
  out: (context, cpu, a, value) => {
    const [port, bytes] = [Number(a & 0xffffn), Number(a >> 16n) as PortBytes];
    requirePort(context, cpu, port, bytes);
    context.host.writePort(cpu.index, port, bytes, Number(BigInt.asUintN(8 * bytes, value)));
  },
} satisfies Partial<Record<Call, Handler>>;

/** The exception of an instruction that traps. Its translation may be gone, since stores to page tables flush nothing. */
function trapOf({ accesses, host }: CpuContext, cpu: Vcpu): Event {
  const inPage = decode(accesses.bytesOf(cpu.block.record), cpu.mode, host);
  const decoded = inPage.kind === 'instruction' ? inPage : decode(accesses.codeAt(cpu), cpu.mode, host);
  if (decoded.kind === 'instruction') return floatTrap(decoded.instruction, variantOf(cpu.variant));
  return exception(vectors.deviceNotAvailable);
}

const handlers: Readonly<Record<Call, Handler>> = {
  ...tableHandlers,
  ...transferHandlers,
  ...controlHandlers,
  ...floatHandlers,
  ...x87Handlers,
  ...portHandlers,
  undefined: undefinedInstruction,
  vectorTrap: (context, cpu) => {
    const { block } = cpu;
    if (block.memory.word(block.record + linkInRecord) === behindInstruction) {
      // What stands behind an instruction is none.
      block.left += 1;
      cpu.pending = { kind: 'stepped' };
      return;
    }
    raise(trapOf(context, cpu));
  },
  misaligned: () => raise(generalProtection()),
  misalignedStack: () => undefined,
  linearAddress: (_context, cpu, access, effective) => linearAddress(cpu, access, effective),
  misalignedOperand: () => raise(generalProtection()),
  noncanonicalTarget: () => raise(generalProtection()),
  beginUnmaskedFloat: (_context, cpu) => beginUnmaskedFloat(cpu),
  endUnmaskedFloat: (_context, cpu) => endUnmaskedFloat(cpu),
  divideError: () => raise(exception(vectors.divideError)),
  divideWide: (_context, cpu, isSigned, divisor) => divideWide(cpu, isSigned === 1n, divisor),
  boundRange: () => raise(exception(vectors.boundRange)),
  halt: (_context, cpu) => {
    requireKernel(cpu);
    cpu.pending = { kind: 'stop', reason: 'waitForInterrupt' };
  },
  pause: (_context, cpu) => {
    cpu.pending = { kind: 'stop', reason: 'yield' };
  },
  cpuid,
  enterNested: ({ accesses }, cpu, level, size) => enterNested(accesses, cpu, Number(level) & 31, size),
  pushAll: ({ accesses }, cpu, bits) => pushAll(accesses, cpu, bytesOf(Number(bits))),
  popAll: ({ accesses }, cpu, bits) => popAll(accesses, cpu, bytesOf(Number(bits))),
};
