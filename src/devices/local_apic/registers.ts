/**
 * The registers of a local APIC as a guest reaches them: the xAPIC page, the MSRs of x2APIC mode, IA32_APIC_BASE and
 * IA32_TSC_DEADLINE (Xen 4.17 arch/x86/hvm/vlapic.c: vlapic_mmio_read, vlapic_mmio_write, vlapic_reg_write,
 * guest_rdmsr_x2apic, guest_wrmsr_x2apic, guest_wrmsr_apic_base).
 */
import { apicOf, endOfInterrupt, processorPriority, sendInterrupt } from './delivery.js';
import type { LocalApics } from './delivery.js';
import {
  apicBase,
  apicPage,
  isEnabledByBase,
  isX2apic,
  localVectorCount,
  masked,
  register,
  registerOf,
  reset,
  setRegister,
  softwareEnable,
} from './state.js';
import type { LocalApicState } from './state.js';
import { currentCount, initialCount, timerVectorChanges, writeDivide, writeInitialCount } from './timer.js';

/** The first MSR of x2APIC mode. */
const firstMsr = 0x800;
const vectorField = 0xff;
/** Bits of a local vector: vector, delivery status, mask; and of some: delivery mode, timer mode, pin. */
const plainVector = vectorField | (1 << 12) | masked;
const withMode = plainVector | 0x700;
const withPin = withMode | (1 << 13) | (1 << 14) | (1 << 15);
const withTimer = plainVector | 0x6_0000;

/** The bits that each local vector stores, the timer's first. */
const localVectorBits = [withTimer, withMode, withMode, withPin, withPin, plainVector] as const;

const { command, commandHigh } = register;
const commandBits = vectorField | 0x700 | 0x800 | 0x4000 | 0x8000 | 0xc_0000;

/** The bits that WRMSR may set, by register. A register that is not here refuses WRMSR. */
const writableBits = new Map<number, bigint>([
  [register.taskPriority, 0xffn],
  [register.endOfInterrupt, 0n],
  [register.spuriousVector, BigInt(vectorField | softwareEnable | (1 << 9))],
  [register.errorStatus, 0n],
  [register.correctedErrorVector, BigInt(withMode)],
  [command, 0xffff_ffff_0000_0000n | BigInt(commandBits)],
  ...localVectorBits.map((bits, i) => [register.timerVector + 16 * i, BigInt(bits)] as const),
  [register.initialCount, 0xffff_ffff_ffff_ffffn],
  [register.divide, 0xbn],
  [register.selfInterrupt, BigInt(vectorField)],
]);

/** The registers that RDMSR may read besides the three bit sets of eight registers. */
const readable = new Set<number>([
  ...[register.id, register.version, register.taskPriority, register.processorPriority],
  ...[register.logicalDestination, register.spuriousVector, register.errorStatus, command],
  ...[register.correctedErrorVector, register.initialCount, register.currentCount, register.divide],
  ...localVectorBits.map((_, i) => register.timerVector + 16 * i),
]);

function isReadable(offset: number): boolean {
  return readable.has(offset) || (offset >= register.inService && offset < register.errorStatus);
}

function read(apic: LocalApicState, offset: number, nowNs: bigint): number {
  switch (offset) {
    case register.processorPriority:
      return processorPriority(apic);
    case register.currentCount:
      return currentCount(apic, nowNs);
    case register.initialCount:
      return initialCount(apic);
    default:
      return registerOf(apic, offset);
  }
}

/** Enabling by software lets interrupts in; disabling masks all local vectors. */
function writeSpuriousVector(apics: LocalApics, cpu: number, apic: LocalApicState, value: number): void {
  setRegister(apic, register.spuriousVector, value & 0x3ff);
  if ((value & softwareEnable) === 0) {
    for (let i = 0; i < localVectorCount; i += 1) {
      const at = register.timerVector + 16 * i;
      setRegister(apic, at, registerOf(apic, at) | masked);
    }
  } else {
    apics.port.enabled(cpu);
  }
  apics.stale.add(cpu);
}

function writeLocalVector(
  apics: LocalApics,
  cpu: number,
  offset: number,
  value: number,
  nowNs: bigint,
): void {
  const apic = apicOf(apics, cpu);
  if (offset === register.timerVector) timerVectorChanges(apic, value, nowNs);
  const isOff = (registerOf(apic, register.spuriousVector) & softwareEnable) === 0;
  const bits = localVectorBits[(offset - register.timerVector) >>> 4] ?? 0;
  setRegister(apic, offset, (isOff ? value | masked : value) & bits);
}

/** Where errors are latched, a write to the error status register shows what was noted since the last. 4.17 ignores it. */
function writeErrorStatus({ latchesErrors }: LocalApics, apic: LocalApicState): void {
  if (!latchesErrors) return;
  setRegister(apic, register.errorStatus, apic.pendingErrors);
  apic.pendingErrors = 0;
}

function write(apics: LocalApics, cpu: number, offset: number, value: number, nowNs: bigint): void {
  const apic = apicOf(apics, cpu);
  switch (offset) {
    case register.id:
      setRegister(apic, offset, value);
      return;
    case register.taskPriority:
      setRegister(apic, offset, value & 0xff);
      apics.stale.add(cpu);
      return;
    case register.endOfInterrupt:
      endOfInterrupt(apics, cpu);
      return;
    case register.logicalDestination:
    case commandHigh:
      setRegister(apic, offset, value & 0xff00_0000);
      return;
    case register.destinationFormat:
      setRegister(apic, offset, value | 0x0fff_ffff);
      return;
    case register.spuriousVector:
      writeSpuriousVector(apics, cpu, apic, value);
      return;
    case register.errorStatus:
      writeErrorStatus(apics, apic);
      return;
    case command: {
      // The delivery status is never "pending".
      const sent = value & ~(1 << 12);
      setRegister(apic, command, sent);
      sendInterrupt(apics, cpu, sent, registerOf(apic, commandHigh));
      return;
    }
    case register.initialCount:
      writeInitialCount(apic, value, nowNs);
      return;
    case register.divide:
      writeDivide(apic, value, nowNs);
      return;
    default:
      if (offset >= register.timerVector && offset <= register.errorVector) {
        writeLocalVector(apics, cpu, offset, value, nowNs);
      }
  }
}

/** Whether the CPU's APIC answers in the xAPIC page: it is enabled and in xAPIC mode. */
export function answersInPage(apics: LocalApics, cpu: number): boolean {
  const apic = apicOf(apics, cpu);
  return isEnabledByBase(apic) && !isX2apic(apic);
}

/** A load of `bytes` bytes from the xAPIC page. What does not fit in a register reads as 0. */
export function readPage(
  apics: LocalApics,
  cpu: number,
  offset: number,
  bytes: number,
  nowNs: bigint,
): bigint {
  const within = offset & 0xf;
  if (within + bytes > 4 || offset > register.divide + 3) return 0n;
  const value = read(apicOf(apics, cpu), offset & ~0xf, nowNs);
  return BigInt.asUintN(8 * bytes, BigInt(value >>> (8 * within)));
}

/** A store to the xAPIC page. A narrow one keeps the register's other bytes; one that does not fit is ignored. */
export function writePage(
  apics: LocalApics,
  cpu: number,
  offset: number,
  bytes: number,
  value: bigint,
  nowNs: bigint,
): void {
  const [within, at] = [offset & 0xf, offset & ~0xf];
  if (within + bytes > 4 || at > register.divide) return;
  const shift = BigInt(8 * within);
  const mask = ((1n << BigInt(8 * bytes)) - 1n) << shift;
  const kept = bytes === 4 ? 0n : BigInt(read(apicOf(apics, cpu), at, nowNs)) & ~mask;
  write(apics, cpu, at, Number(kept | ((value << shift) & mask)), nowNs);
}

/** RDMSR of MSR 0x800 to 0x8ff; null for #GP. */
export function readMsr(apics: LocalApics, cpu: number, msr: number, nowNs: bigint): bigint | null {
  const apic = apicOf(apics, cpu);
  const offset = (msr - firstMsr) << 4;
  if (!isX2apic(apic) || !isReadable(offset)) return null;
  const high = offset === command ? BigInt(registerOf(apic, commandHigh)) << 32n : 0n;
  return high | BigInt(read(apic, offset, nowNs));
}

/** WRMSR of MSR 0x800 to 0x8ff; false for #GP. */
export function writeMsr(apics: LocalApics, cpu: number, msr: number, value: bigint, nowNs: bigint): boolean {
  const apic = apicOf(apics, cpu);
  const offset = (msr - firstMsr) << 4;
  const bits = writableBits.get(offset);
  if (!isX2apic(apic) || bits === undefined || (value & ~bits) !== 0n) return false;
  const low = Number(value & 0xffff_ffffn);
  if (offset === command) setRegister(apic, commandHigh, Number(value >> 32n));
  if (offset === register.selfInterrupt) write(apics, cpu, command, 0x4_0000 | low, nowNs);
  else write(apics, cpu, offset, low, nowNs);
  return true;
}

const modeBits = apicBase.enabled | apicBase.x2apic;
/** The first bit of IA32_APIC_BASE that is above every physical address. Xen reserves these bits, whatever addresses the CPU has. */
const addressBits = 52n;

/** IA32_APIC_BASE. */
export function readApicBase(apics: LocalApics, cpu: number): bigint {
  const { base, page } = apicOf(apics, cpu);
  return page | BigInt(base);
}

/**
 * WRMSR of IA32_APIC_BASE; false for #GP: reserved bits, a moved xAPIC page, or a change of mode that the architecture
 * does not have (from disabled to x2APIC, from x2APIC to xAPIC).
 */
export function writeApicBase(apics: LocalApics, cpu: number, value: bigint): boolean {
  const apic = apicOf(apics, cpu);
  const [base, page] = [Number(value & 0xfffn), value & ~0xfffn];
  if ((base & ~(modeBits | apicBase.bootProcessor)) !== 0 || page >> addressBits !== 0n) return false;
  if ((base & modeBits) === apicBase.enabled && page !== apicPage) return false;
  const changed = apic.base ^ base;
  if ((changed & apicBase.enabled) !== 0) {
    if ((base & apicBase.x2apic) !== 0) return false;
    if ((base & apicBase.enabled) !== 0) reset(apic, cpu, apics.apicIds[cpu] ?? 0);
  } else if ((changed & apicBase.x2apic) !== 0 && (!isEnabledByBase(apic) || isX2apic(apic))) {
    return false;
  }
  apic.base = base;
  apic.page = page;
  if (isX2apic(apic)) setX2apicId(apics, cpu, apic);
  apics.stale.add(cpu);
  return true;
}

/** In x2APIC mode the id has 32 bits, and the logical id follows from it (SDM, "Deriving Logical x2APIC ID"). */
function setX2apicId({ apicIds }: LocalApics, cpu: number, apic: LocalApicState): void {
  const id = apicIds[cpu] ?? 0;
  setRegister(apic, register.id, id);
  setRegister(apic, register.logicalDestination, ((id & ~0xf) << 12) | (1 << (id & 0xf)));
}
