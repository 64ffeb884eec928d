/**
 * The state of the local APICs of a guest as plain data, as Xen emulates them (Xen 4.17 arch/x86/hvm/vlapic.c; Intel SDM
 * volume 3, "Advanced Programmable Interrupt Controller"). Registers are named by their byte offset in the xAPIC page.
 * A register of x2APIC mode is MSR 0x800 + offset / 16.
 */

/** Offsets of the registers. */
export const register = {
  id: 0x20,
  version: 0x30,
  taskPriority: 0x80,
  processorPriority: 0xa0,
  endOfInterrupt: 0xb0,
  logicalDestination: 0xd0,
  destinationFormat: 0xe0,
  spuriousVector: 0xf0,
  inService: 0x100,
  triggerMode: 0x180,
  requested: 0x200,
  errorStatus: 0x280,
  correctedErrorVector: 0x2f0,
  command: 0x300,
  commandHigh: 0x310,
  timerVector: 0x320,
  thermalVector: 0x330,
  performanceVector: 0x340,
  lint0: 0x350,
  lint1: 0x360,
  errorVector: 0x370,
  initialCount: 0x380,
  currentCount: 0x390,
  divide: 0x3e0,
  selfInterrupt: 0x3f0,
} as const;

/** The version register: version 0x14, six local vectors, no directed EOI (as observed on Xen 4.17). */
const apicVersion = 0x0005_0014;
/** Bit 8 of the spurious vector register: the APIC is enabled by software. */
export const softwareEnable = 1 << 8;
/** The mask bit of a local vector. */
export const masked = 1 << 16;
/** The local vectors lie next to each other, the timer's first. */
export const localVectorCount = 6;

/** Flags of IA32_APIC_BASE. */
export const apicBase = { bootProcessor: 1 << 8, x2apic: 1 << 10, enabled: 1 << 11 } as const;
/** The address of the xAPIC page. Xen does not let a guest move it. */
export const apicPage = 0xfee0_0000n;

const registerCount = 0x40;

export interface ApicTimerState {
  /** Nanoseconds of system time at which the counter was last started; null while it stands at 0. */
  startedNs: bigint | null;
  /** When the timer fires next; null if never. */
  dueNs: bigint | null;
  /** IA32_TSC_DEADLINE; 0 when it is disarmed. */
  deadline: bigint;
}

export interface LocalApicState {
  /** The flags of IA32_APIC_BASE, and the address in it. */
  base: number;
  page: bigint;
  /** The registers that store what they show, by offset / 16. */
  registers: number[];
  /** Errors that the next write to the error status register shows. 4.17 shows them at once: see `recordError`. */
  pendingErrors: number;
  timer: ApicTimerState;
}

export interface LocalApicsState {
  cpus: LocalApicState[];
  /** The CPU that took the last interrupt of lowest priority. Search starts behind it. */
  lastLowestPriority: number;
}

export function registerOf({ registers }: LocalApicState, offset: number): number {
  return registers[offset >>> 4] ?? 0;
}

export function setRegister({ registers }: LocalApicState, offset: number, value: number): void {
  registers[offset >>> 4] = value >>> 0;
}

/** The timer counts once in this many bus cycles (SDM, "Divide Configuration Register"). */
export function divisorOf(apic: LocalApicState): number {
  const divide = registerOf(apic, register.divide);
  return 1 << ((((divide & 3) | ((divide & 8) >>> 1)) + 1) & 7);
}

export function isX2apic({ base }: LocalApicState): boolean {
  return (base & apicBase.x2apic) !== 0;
}

/** Whether IA32_APIC_BASE enables the APIC. */
export function isEnabledByBase({ base }: LocalApicState): boolean {
  return (base & apicBase.enabled) !== 0;
}

/** Whether the APIC accepts interrupts. */
export function isEnabled(apic: LocalApicState): boolean {
  return isEnabledByBase(apic) && (registerOf(apic, register.spuriousVector) & softwareEnable) !== 0;
}

/**
 * What an INIT leaves of a local APIC: its mode, its id, in x2APIC mode its logical id, and its errors (vlapic_do_init).
 */
export function initialise(apic: LocalApicState): void {
  const { id, logicalDestination, errorStatus } = register;
  const kept = [id, errorStatus, ...(isX2apic(apic) ? [logicalDestination] : [])].map(
    (offset) => [offset, registerOf(apic, offset)] as const,
  );
  apic.registers.fill(0);
  for (const [offset, value] of kept) setRegister(apic, offset, value);
  setRegister(apic, register.version, apicVersion);
  setRegister(apic, register.destinationFormat, 0xffff_ffff);
  setRegister(apic, register.spuriousVector, 0xff);
  for (let i = 0; i < localVectorCount; i += 1) setRegister(apic, register.timerVector + 16 * i, masked);
  apic.timer = { startedNs: null, dueNs: null, deadline: 0n };
}

/** A reset, or enabling in IA32_APIC_BASE: xAPIC mode, id in bits 31:24 (vlapic_reset). CPU 0 is the boot processor. */
export function reset(apic: LocalApicState, cpu: number, apicId: number): void {
  apic.base = apicBase.enabled | (cpu === 0 ? apicBase.bootProcessor : 0);
  apic.page = apicPage;
  setRegister(apic, register.id, apicId << 24);
  initialise(apic);
}

/** The APICs after reset. `apicIds` has the id of each CPU. */
export function newLocalApics(apicIds: readonly number[]): LocalApicsState {
  const cpus = apicIds.map((apicId, cpu) => {
    const apic: LocalApicState = {
      base: 0,
      page: apicPage,
      registers: Array.from({ length: registerCount }, () => 0),
      pendingErrors: 0,
      timer: { startedNs: null, dueNs: null, deadline: 0n },
    };
    reset(apic, cpu, apicId);
    return apic;
  });
  return { cpus, lastLowestPriority: 0 };
}

/** Sets or clears a vector in a bit set of 256 vectors: eight registers from `offset` on. */
export function markVector(apic: LocalApicState, offset: number, vector: number, on: boolean): void {
  const at = offset + 16 * (vector >>> 5);
  const bit = 1 << (vector & 31);
  const word = registerOf(apic, at);
  setRegister(apic, at, on ? word | bit : word & ~bit);
}

/** Whether a vector is in a bit set. */
export function hasVector(apic: LocalApicState, offset: number, vector: number): boolean {
  return (registerOf(apic, offset + 16 * (vector >>> 5)) & (1 << (vector & 31))) !== 0;
}

/** The highest vector of a bit set; -1 if it is empty. */
export function highestVector(apic: LocalApicState, offset: number): number {
  for (let word = 7; word >= 0; word -= 1) {
    const bits = registerOf(apic, offset + 16 * word);
    if (bits !== 0) return 32 * word + 31 - Math.clz32(bits);
  }
  return -1;
}

/**
 * Whether a CPU takes interrupts of the 8259 pair, whose CPU it is: its LINT0 is open for them, or pin 0 of the I/O APIC sends them
 * there (Xen 4.17 arch/x86/hvm/vlapic.c, __vlapic_accept_pic_intr and vlapic_accept_pic_intr). `pin0`: that pin's entry, for an
 * unmasked pin of mode ExtINT the destination; null otherwise.
 */
export function acceptsExternal(apic: LocalApicState, pin0: number | null): boolean {
  const id = registerOf(apic, register.id);
  const isRouted = pin0 !== null && pin0 === (isX2apic(apic) ? id : id >>> 24) && isEnabled(apic);
  return (
    isRouted || (registerOf(apic, register.lint0) & (masked | 0x700)) === 0x700 || !isEnabledByBase(apic)
  );
}
