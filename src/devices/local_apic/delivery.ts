/**
 * How local APICs deliver interrupts: destinations, acceptance, priorities and end of interrupt (Xen 4.17
 * arch/x86/hvm/vlapic.c, vlapic_match_dest, vlapic_ipi, vlapic_accept_irq, vlapic_set_irq).
 */
import {
  hasVector,
  highestVector,
  isEnabled,
  isX2apic,
  markVector,
  masked,
  register,
  registerOf,
  setRegister,
} from './state.js';
import type { LocalApicState, LocalApicsState } from './state.js';

/** What Xen does that a local APIC alone does not. */
export interface ApicPort {
  /** An INIT for a CPU. */
  init(from: number, to: number): void;
  /** A startup IPI for a CPU, which starts at `vector` * 4096 if it waits for one. */
  startup(from: number, to: number, vector: number): void;
  nmi(from: number, to: number): void;
  /** The software enabled a CPU's APIC: Xen injects the upcall vector again if events are pending. */
  enabled(cpu: number): void;
  /** A CPU ended a level-triggered interrupt: an I/O APIC may send it again. */
  levelEnded?(vector: number): void;
  /** The guest used a delivery mode that Xen does not have. Xen crashes the domain. */
  unsupported(from: number): void;
}

/** The local APICs of a guest. A CPU is an index. */
export interface LocalApics {
  readonly state: LocalApicsState;
  readonly port: ApicPort;
  /** The APIC id of each CPU. */
  readonly apicIds: readonly number[];
  /** Whether the error status register shows errors after a write to it, as from Xen 4.18.5 on, or at once, as 4.17's. */
  readonly latchesErrors: boolean;
  /** The CPUs whose interrupt request may have changed. The code that drives the CPUs removes them. */
  readonly stale: Set<number>;
}

/** Fields of the interrupt command register. */
const deliveryMode = 0x700;
const mode = {
  fixed: 0x000,
  lowestPriority: 0x100,
  smi: 0x200,
  remoteRead: 0x300,
  nmi: 0x400,
  init: 0x500,
  startup: 0x600,
} as const;
const logicalMode = 0x800;
const levelAssert = 0x4000;
const levelTriggered = 0x8000;
const shorthand = 0xc_0000;
const to = { self: 0x4_0000, all: 0x8_0000, others: 0xc_0000 } as const;

/** Errors of the error status register. */
const sendIllegalVector = 1 << 5;
const receiveIllegalVector = 1 << 6;
/** The processor reserves the vectors below. */
const firstVector = 16;

/** The local APIC of a CPU. */
export function apicOf({ state }: LocalApics, cpu: number): LocalApicState {
  const apic = state.cpus[cpu];
  if (apic === undefined) throw new RangeError(`there is no CPU ${cpu}`);
  return apic;
}

/** An error: noted, and if that is new, told by the error vector, unless that vector is illegal too. */
function recordError(apics: LocalApics, cpu: number, error: number): void {
  const apic = apicOf(apics, cpu);
  const noted = apics.latchesErrors ? apic.pendingErrors : registerOf(apic, register.errorStatus);
  if ((noted & error) === error) return;
  const vector = registerOf(apic, register.errorVector);
  const tells = (vector & masked) === 0;
  const legal = (vector & 0xff) >= firstVector;
  const all = noted | error | (tells && !legal ? receiveIllegalVector : 0);
  if (apics.latchesErrors) apic.pendingErrors = all;
  else setRegister(apic, register.errorStatus, all);
  if (tells && legal) requestVector(apics, cpu, vector & 0xff);
}

/** Requests an interrupt, which is edge-triggered unless said otherwise, whether or not the APIC is enabled (vlapic_set_irq). */
export function requestVector(apics: LocalApics, cpu: number, vector: number, isLevel = false): void {
  if (vector < firstVector) {
    recordError(apics, cpu, receiveIllegalVector);
    return;
  }
  const apic = apicOf(apics, cpu);
  markVector(apic, register.triggerMode, vector, isLevel);
  markVector(apic, register.requested, vector, true);
  apics.stale.add(cpu);
}

/** The processor priority: the higher of the task's and of the interrupt in service. */
export function processorPriority(apic: LocalApicState): number {
  const task = registerOf(apic, register.taskPriority);
  const inService = Math.max(highestVector(apic, register.inService), 0);
  return (task & 0xf0) >= (inService & 0xf0) ? task & 0xff : inService & 0xf0;
}

/**
 * The vector that the CPU would take if interrupts are open; null if there is none. The task priority counts here: Xen
 * compares it when it injects (arch/x86/hvm/irq.c and the CPU's own check of the virtual TPR).
 */
export function pendingVector(apics: LocalApics, cpu: number): number | null {
  const apic = apicOf(apics, cpu);
  if (!isEnabled(apic)) return null;
  const vector = highestVector(apic, register.requested);
  return vector >= 0 && (vector & 0xf0) > (processorPriority(apic) & 0xf0) ? vector : null;
}

/** The CPU takes the vector that {@link pendingVector} gave. */
export function acknowledgeVector(apics: LocalApics, cpu: number, vector: number): void {
  const apic = apicOf(apics, cpu);
  markVector(apic, register.requested, vector, false);
  markVector(apic, register.inService, vector, true);
  apics.stale.add(cpu);
}

/** Ends the interrupt in service with the highest vector, if there is one. */
export function endOfInterrupt(apics: LocalApics, cpu: number): void {
  const apic = apicOf(apics, cpu);
  const vector = highestVector(apic, register.inService);
  if (vector < 0) return;
  markVector(apic, register.inService, vector, false);
  apics.stale.add(cpu);
  if (hasVector(apic, register.triggerMode, vector)) apics.port.levelEnded?.(vector);
}

/** An id or destination as an APIC compares it: 32 bits in x2APIC mode, else bits 31:24. */
function asCompared(apic: LocalApicState, value: number): number {
  return isX2apic(apic) ? value >>> 0 : value >>> 24;
}

function matchesLogical(apic: LocalApicState, destination: number): boolean {
  const own = registerOf(apic, register.logicalDestination);
  if (isX2apic(apic)) return own >>> 16 === destination >>> 16 && (own & destination & 0xffff) !== 0;
  const [id, wanted] = [own >>> 24, destination & 0xff];
  const format = registerOf(apic, register.destinationFormat);
  if (format === 0xffff_ffff) return (id & wanted) !== 0;
  // Cluster mode. Xen matches no other format.
  return format === 0x0fff_ffff && id >>> 4 === wanted >>> 4 && (id & wanted & 0xf) !== 0;
}

function matches(
  apics: LocalApics,
  from: number,
  cpu: number,
  command: number,
  destination: number,
): boolean {
  switch (command & shorthand) {
    case to.self:
      return cpu === from;
    case to.all:
      return true;
    case to.others:
      return cpu !== from;
    default: {
      const apic = apicOf(apics, cpu);
      if ((command & logicalMode) !== 0) return matchesLogical(apic, destination);
      const id = asCompared(apic, registerOf(apic, register.id));
      return destination === id || destination === asCompared(apic, 0xffff_ffff);
    }
  }
}

/** The matching enabled CPU of lowest priority; among equals, the next one after the last that was chosen. */
function lowestPriority(apics: LocalApics, targets: readonly number[]): number | null {
  const { cpus, lastLowestPriority } = apics.state;
  const distance = (cpu: number): number => (cpu - lastLowestPriority - 1 + cpus.length) % cpus.length;
  const candidates = targets
    .filter((cpu) => isEnabled(apicOf(apics, cpu)))
    .map((cpu) => ({ cpu, priority: processorPriority(apicOf(apics, cpu)) }))
    .sort((a, b) => a.priority - b.priority || distance(a.cpu) - distance(b.cpu));
  const [chosen] = candidates;
  if (chosen === undefined) return null;
  apics.state.lastLowestPriority = chosen.cpu;
  return chosen.cpu;
}

function accept(apics: LocalApics, from: number, cpu: number, command: number): void {
  const vector = command & 0xff;
  switch (command & deliveryMode) {
    case mode.fixed:
    case mode.lowestPriority:
      if (isEnabled(apicOf(apics, cpu))) requestVector(apics, cpu, vector);
      return;
    case mode.nmi:
      apics.port.nmi(from, cpu);
      return;
    case mode.init:
      // A de-assert has no effect on processors since the Pentium 4.
      if ((command & (levelTriggered | levelAssert)) !== levelTriggered) apics.port.init(from, cpu);
      return;
    case mode.startup:
      apics.port.startup(from, cpu, vector);
      return;
    case mode.smi:
    case mode.remoteRead:
      return;
    default:
      apics.port.unsupported(from);
  }
}

/** The CPU writes its interrupt command register. `high` is the register's upper half. */
export function sendInterrupt(apics: LocalApics, from: number, command: number, high: number): void {
  const destination = asCompared(apicOf(apics, from), high);
  const cpus = [...apics.state.cpus.keys()];
  const targets = cpus.filter((cpu) => matches(apics, from, cpu, command, destination));
  const kind = command & deliveryMode;
  const carriesVector = kind === mode.fixed || kind === mode.lowestPriority;
  const chosen = kind === mode.lowestPriority ? lowestPriority(apics, targets) : null;
  if (carriesVector && (command & 0xff) < firstVector) {
    recordError(apics, from, sendIllegalVector);
    return;
  }
  const reached = kind !== mode.lowestPriority ? targets : chosen === null ? [] : [chosen];
  for (const cpu of reached) accept(apics, from, cpu, command);
}

/** An interrupt message from a device: to the CPUs with that physical or logical destination of 8 bits. */
export interface DeviceMessage {
  readonly vector: number;
  /** The delivery mode, as in the interrupt command register or an I/O APIC's entry, shifted down to bit 0. */
  readonly mode: number;
  readonly isLogical: boolean;
  readonly isLevel: boolean;
  readonly destination: number;
}

/**
 * A device sends an interrupt. One of lowest priority goes to `preferred` if it is among the destinations. Modes other than fixed,
 * lowest priority and NMI are ignored (Xen 4.17 arch/x86/hvm/vioapic.c, vioapic_deliver).
 */
export function deliverMessage(
  apics: LocalApics,
  message: DeviceMessage,
  preferred: number | null = null,
): void {
  const { vector, isLevel, isLogical, destination } = message;
  const targets = [...apics.state.cpus.keys()].filter((cpu) => {
    const apic = apicOf(apics, cpu);
    if (isLogical) return matchesLogical(apic, destination);
    return [registerOf(apic, register.id), 0xffff_ffff].some((id) => asCompared(apic, id) === destination);
  });
  switch (message.mode << 8) {
    case mode.fixed:
      for (const cpu of targets)
        if (isEnabled(apicOf(apics, cpu))) requestVector(apics, cpu, vector, isLevel);
      return;
    case mode.lowestPriority: {
      const isPreferred =
        preferred !== null && targets.includes(preferred) && isEnabled(apicOf(apics, preferred));
      const chosen = isPreferred ? preferred : lowestPriority(apics, targets);
      if (chosen !== null) requestVector(apics, chosen, vector, isLevel);
      return;
    }
    case mode.nmi:
      for (const cpu of targets) apics.port.nmi(cpu, cpu);
  }
}

/** Whether a CPU's APIC has a request for a vector that it has not taken. */
export function isRequested(apics: LocalApics, cpu: number, vector: number): boolean {
  return vector >= firstVector && hasVector(apicOf(apics, cpu), register.requested, vector);
}
