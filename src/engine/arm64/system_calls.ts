/** What instructions ask for beyond registers and memory (see isa, a64SystemCalls): answered here, or put off as pending. */
import { a64SystemCalls, cortexA57Caches, statePlace, systemRegisterAt } from '../../isa/index.js';
import type { A64SystemCall, SystemRegister } from '../../isa/index.js';
import type { Arm64Host } from './host.js';
import type { Tlbs } from '../tlb.js';
import { stateSlots } from './block.js';
import type { Accesses } from './accesses.js';
import {
  abortBits,
  changeMode,
  exceptionClass,
  syndrome,
  systemAccessIss,
  unconditionalIss,
} from './exceptions.js';
import { faultStatus, isDevice } from './mmu.js';
import type { Translation } from './mmu.js';
import { sctlr } from './regime.js';
import type { Vcpu } from './vcpu.js';

/** The machine's parts that calls act on. */
export interface CpuContext {
  readonly vcpus: readonly Vcpu[];
  readonly tlbs: Tlbs;
  readonly accesses: Accesses;
  readonly host: Arm64Host;
}

/** Answers a call: true where the instruction is left, and what is pending is to be done. */
type Answer = (context: CpuContext, cpu: Vcpu, a: bigint, b: bigint) => boolean;

const slots = {
  sctlr: statePlace('SCTLR_EL1'),
  cpacr: statePlace('CPACR_EL1'),
  ttbr1: statePlace('TTBR1_EL1'),
  csselr: statePlace('CSSELR_EL1'),
  ctr: statePlace('CTR_EL0'),
  dczid: statePlace('DCZID_EL0'),
  par: statePlace('PAR_EL1'),
} as const;

function undefinedInstruction(cpu: Vcpu): true {
  cpu.raise(syndrome(exceptionClass.unknown, 0));
  return true;
}

/** What EL1 does not let EL0 do. */
function trapped(cpu: Vcpu, selector: number, read: boolean): true {
  cpu.raise(syndrome(exceptionClass.systemRegister, systemAccessIss(selector, read)));
  return true;
}

/** The instruction is done; interrupts, the machine's wish to stop, or the way of decoding must be looked at. */
function completed(cpu: Vcpu): true {
  cpu.pending = { kind: 'completed' };
  return true;
}

function halves(value: bigint): { low: number; high: number } {
  return { low: Number(BigInt.asUintN(32, value)), high: Number(BigInt.asUintN(32, value >> 32n)) };
}

/** A 64-bit value that came as a signed one. */
function unsigned(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

// System registers

function readDeviceRegister(
  { host }: CpuContext,
  cpu: Vcpu,
  register: SystemRegister,
  selector: number,
): boolean {
  const value = host.registers.read(cpu.index, register.encoding, cpu.isEl0 ? 0 : 1);
  if (value === 'undefined') return undefinedInstruction(cpu);
  if (value === 'trapped') return trapped(cpu, selector, true);
  cpu.block.answer(value);
  return false;
}

/** Registers that are worked out when they are read; null where there is none, or EL1 does not let EL0 have it. */
const readers: Readonly<Record<string, (cpu: Vcpu) => bigint | null>> = {
  SPSel: ({ process }) => (process.mode === 'EL1h' ? 1n : 0n),
  CCSIDR_EL1: ({ block }) => cortexA57Caches[block.low(slots.csselr)] ?? 0n,
  // Bit 4, at EL0: DC ZVA is forbidden.
  DCZID_EL0: (cpu) => cpu.block.state(slots.dczid) | (cpu.controls(sctlr.dze) ? 0n : 16n),
  DAIF: (cpu) => (cpu.controls(sctlr.uma) ? BigInt(cpu.block.low(stateSlots.daif)) : null),
  CTR_EL0: (cpu) => (cpu.controls(sctlr.uct) ? cpu.block.state(slots.ctr) : null),
};

const readRegister: Answer = (context, cpu, a) => {
  const selector = Number(a);
  const register = systemRegisterAt(selector >>> 5);
  if (register === undefined) return undefinedInstruction(cpu);
  if (register.outside) return readDeviceRegister(context, cpu, register, selector);
  const value = readers[register.name]?.(cpu) ?? null;
  if (value === null) return trapped(cpu, selector, true);
  cpu.block.answer(value);
  return false;
};

/** Keeps the value; and, where it is another one, does what that means. */
function keep(cpu: Vcpu, { place, mask }: SystemRegister, value: bigint): boolean {
  if (place === null || cpu.block.state(place) === (value & mask)) return false;
  cpu.block.setState(place, value & mask);
  cpu.regimeChanged();
  return true;
}

/** A change to anything but the translation bases, after which nothing holds that was remembered. */
const changeRegime: RegisterWriter = ({ tlbs }, cpu, register, value) => {
  if (keep(cpu, register, value)) tlbs.flushAll(cpu.index);
  return false;
};

/** As {@link changeRegime}, and tells the machine where translation is switched on or off. */
const changeControls: RegisterWriter = (context, cpu, register, value) => {
  const wasOn = cpu.controls(sctlr.m);
  changeRegime(context, cpu, register, value);
  if (cpu.controls(sctlr.m) === wasOn) return false;
  cpu.pending = { kind: 'translationSwitched' };
  return true;
};

/** Another address space: what belonged to the last is not forgotten, but put aside. */
const changeBase: RegisterWriter = ({ tlbs }, cpu, register, value) => {
  const { block } = cpu;
  const tables = [block.low(slots.ttbr1), block.high(slots.ttbr1) & 0xffff] as const;
  if (!keep(cpu, register, value)) return false;
  if (tables[0] === block.low(slots.ttbr1) && tables[1] === (block.high(slots.ttbr1) & 0xffff)) {
    tlbs.flushNonGlobal(cpu.index);
  } else {
    tlbs.flushPrivileged(cpu.index);
  }
  block.unprivilegedTlb = tlbs.find(cpu.index, cpu.addressSpace);
  return false;
};

type RegisterWriter = (context: CpuContext, cpu: Vcpu, register: SystemRegister, value: bigint) => boolean;

const writers: Readonly<Record<string, RegisterWriter>> = {
  SCTLR_EL1: changeControls,
  TCR_EL1: changeRegime,
  MAIR_EL1: changeRegime,
  TTBR0_EL1: changeBase,
  TTBR1_EL1: changeBase,
  CPACR_EL1: (_context, cpu, register, value) => keep(cpu, register, value) && completed(cpu),
  SPSel: (_context, cpu, _register, value) => selectStack(cpu, value),
};

const writeRegister: Answer = (context, cpu, a, b) => {
  const selector = Number(a);
  const register = systemRegisterAt(selector >>> 5);
  if (register === undefined) return undefinedInstruction(cpu);
  if (register.outside) return writeDeviceRegister(context, cpu, register, selector, unsigned(b));
  if (cpu.isEl0) return writeFromEl0(cpu, register, selector, b);
  const writer = writers[register.name];
  return writer === undefined ? undefinedInstruction(cpu) : writer(context, cpu, register, unsigned(b));
};

function writeDeviceRegister(
  { host }: CpuContext,
  cpu: Vcpu,
  register: SystemRegister,
  selector: number,
  value: bigint,
): boolean {
  const result = host.registers.write(cpu.index, register.encoding, value, cpu.isEl0 ? 0 : 1);
  if (result === 'undefined') return undefinedInstruction(cpu);
  if (result === 'trapped') return trapped(cpu, selector, false);
  return cpu.openInterrupts !== 0 && completed(cpu);
}

/** The masks are the only register of EL1's that EL0 may be let write. */
function writeFromEl0(cpu: Vcpu, { name }: SystemRegister, selector: number, value: bigint): boolean {
  if (name !== 'DAIF' || !cpu.controls(sctlr.uma)) return trapped(cpu, selector, false);
  return setMasks(cpu, Number(value & 0x3c0n));
}

function setMasks(cpu: Vcpu, masks: number): boolean {
  cpu.block.setLow(stateSlots.daif, masks);
  return cpu.openInterrupts !== 0 && completed(cpu);
}

/** DAIFSet and DAIFClr at EL0; op2 tells them apart. */
const changeMasks: Answer = (_context, cpu, a, b) => {
  const selector = Number(a);
  if (!cpu.controls(sctlr.uma)) return trapped(cpu, selector | (Number(b) << 8), false);
  const masks = Number(b) << 6;
  const before = cpu.block.low(stateSlots.daif);
  return setMasks(cpu, ((selector >>> 5) & 7) === 6 ? before | masks : before & ~masks);
};

function selectStack(cpu: Vcpu, value: bigint): boolean {
  changeMode(cpu.block, cpu.process, (value & 1n) === 0n ? 'EL1t' : 'EL1h');
  return completed(cpu);
}

// Waiting

/** WFI and WFE at EL0 trap where EL1 wants it, if they would wait. */
function waits(
  cpu: Vcpu,
  allowed: number,
  trappedInstruction: 0 | 1,
  reason: 'waitForInterrupt' | 'waitForEvent',
): true {
  if (cpu.isEl0 && !cpu.controls(allowed)) {
    cpu.raise(syndrome(exceptionClass.waiting, unconditionalIss | trappedInstruction));
  } else {
    cpu.pending = { kind: 'stop', reason };
  }
  return true;
}

const waitForInterrupt: Answer = (_context, cpu) =>
  cpu.block.low(stateSlots.lines) === 0 && waits(cpu, sctlr.ntwi, 0, 'waitForInterrupt');

const waitForEvent: Answer = (_context, cpu) => {
  const sent = cpu.block.low(stateSlots.event) !== 0;
  cpu.block.setLow(stateSlots.event, 0);
  return !sent && waits(cpu, sctlr.ntwe, 1, 'waitForEvent');
};

const sendEvent: Answer = ({ vcpus }) => {
  for (const { block } of vcpus) block.setLow(stateSlots.event, 1);
  return false;
};

// Translation

/** Field CRm of a system instruction: 3 in those that reach all CPUs (DDI 0487, C5.5). */
const broadcastCrm = 3;

const invalidateTlb: Answer = ({ vcpus, tlbs }, cpu, a, b) => {
  const selector = Number(a);
  const everywhere = ((selector >>> 8) & 15) === broadcastCrm;
  const operation = (selector >>> 5) & 7;
  for (const { index } of everywhere ? vcpus : [cpu]) {
    if (operation === 0) tlbs.flushAll(index);
    else if (operation === 2) flushAsid(tlbs, index, Number((b >> 48n) & 0xffffn));
    else forgetAddress(tlbs, index, cpu, b);
  }
  return false;
};

function flushAsid(tlbs: Tlbs, vcpu: number, asid: number): void {
  tlbs.flushNonGlobal(vcpu);
  tlbs.flushGroup(vcpu, asid);
}

/** The page whose number is in bits 43:0, by the granule of its range. What one ASID's is forgotten for all of them. */
function forgetAddress(tlbs: Tlbs, vcpu: number, { regime }: Vcpu, value: bigint): void {
  const address = halves((value & 0xfffffffffffn) << 12n);
  const { granuleLog2 } = regime.ranges[((address.high >>> 23) & 1) === 1 ? 1 : 0];
  const pages = 2 ** (granuleLog2 - 12);
  const low = (address.low & -(pages * 4096)) >>> 0;
  tlbs.flushPages(vcpu, low, address.high, pages);
}

/** AT S1E1R, S1E1W, S1E0R, S1E0W, by op2. */
const translateAddress: Answer = ({ accesses }, cpu, a, b) => {
  const operation = (Number(a) >>> 5) & 7;
  const { low, high } = halves(unsigned(b));
  const access = (operation & 1) === 0 ? 'read' : 'write';
  const translation = accesses.mmu.translate(cpu.regime, low, high, access, (operation & 2) !== 0);
  cpu.block.setState(slots.par, physicalAddressRegister(translation));
  return false;
};

/** PAR_EL1 (DDI 0487, D17.2.109). Non-cacheable and Device memory are outer shareable whatever the descriptor says. */
function physicalAddressRegister({ fault, page, attributes, shareability }: Translation): bigint {
  if (fault !== null) return (1n << 11n) | (BigInt(fault) << 1n) | 1n;
  const uncached = isDevice(attributes) || attributes === 0x44 || attributes === 0x40;
  const low = (BigInt(uncached ? 2 : shareability) << 7n) | (1n << 9n) | (1n << 11n);
  return (BigInt(attributes) << 56n) | BigInt(page) | low;
}

/** DC and IC by address: nothing to be done, but the address must be one that may be read (DDI 0487, D7.5.9). */
const maintainCache: Answer = ({ accesses, tlbs }, cpu, a, b) => {
  if (cpu.isEl0 && !cpu.controls(sctlr.uci)) return trapped(cpu, Number(a), false);
  const address = halves(b);
  // Kernels go over whole buffers, line by line.
  if (tlbs.dataAt(cpu.block.tlb, 'read', address.low, address.high) >= 0) return false;
  const fault = accesses.tryRead(cpu, address.low, address.high);
  if (fault === null) return false;
  const ec = exceptionClass.dataAbort + (cpu.isEl0 ? 0 : 1);
  cpu.raise(syndrome(ec, fault | abortBits.cacheMaintenance | abortBits.write, address));
  return true;
};

const checkClearBlock: Answer = (_context, cpu, a) =>
  !cpu.controls(sctlr.dze) && trapped(cpu, Number(a), false);

// Exceptions

const misaligned: Answer = (_context, cpu, a, b) => {
  const ec = exceptionClass.dataAbort + (cpu.isEl0 ? 0 : 1);
  const iss = faultStatus.alignment | (b === 0n ? 0 : abortBits.write);
  cpu.raise(syndrome(ec, iss, halves(unsigned(a))));
  return true;
};

const misalignedStack: Answer = (_context, cpu) => {
  if (!cpu.controls(cpu.isEl0 ? sctlr.sa0 : sctlr.sa)) return false;
  cpu.raise(syndrome(exceptionClass.stackAlignment, 0));
  return true;
};

const answers: Readonly<Record<A64SystemCall, Answer>> = {
  readRegister,
  writeRegister,
  selectStack: (_context, cpu, a) => selectStack(cpu, a),
  changeMasks,
  interruptible: (_context, cpu) => completed(cpu),
  supervisorCall: (_context, cpu, a) => {
    cpu.raise(syndrome(exceptionClass.supervisorCall, Number(a)), 'next');
    return true;
  },
  hypervisorCall: (_context, cpu, a) => {
    cpu.pending = { kind: 'call', instruction: 'hvc', immediate: Number(a) };
    return true;
  },
  secureMonitorCall: (_context, cpu, a) => {
    cpu.pending = { kind: 'call', instruction: 'smc', immediate: Number(a) };
    return true;
  },
  breakpoint: (_context, cpu, a) => {
    cpu.raise(syndrome(exceptionClass.breakpoint, Number(a)));
    return true;
  },
  undefined: (_context, cpu) => undefinedInstruction(cpu),
  vectorTrap: (_context, cpu) => {
    cpu.raise(syndrome(exceptionClass.vector, unconditionalIss));
    return true;
  },
  exceptionReturn: (_context, cpu) => {
    cpu.pending = { kind: 'return' };
    return true;
  },
  waitForInterrupt,
  waitForEvent,
  sendEvent,
  yield: (_context, cpu) => {
    cpu.pending = { kind: 'stop', reason: 'yield' };
    return true;
  },
  invalidateTlb,
  translateAddress,
  maintainCache,
  checkClearBlock,
  misaligned,
  misalignedStack,
};

const byNumber: readonly Answer[] = a64SystemCalls.map((name) => answers[name]);

/** Answers the call of that number; true where the interpreter is to come back, and `cpu.pending` says what for. */
export function answerCall(context: CpuContext, cpu: Vcpu, number: number, a: bigint, b: bigint): boolean {
  return byNumber[number]?.(context, cpu, a, b) ?? undefinedInstruction(cpu);
}
