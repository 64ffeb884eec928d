/**
 * The I/O APIC of an HVM guest, as Xen emulates it: 48 pins, version 0x11 (Xen 4.17 arch/x86/hvm/vioapic.c; Intel 82093AA data
 * sheet). A pin is the global system interrupt of the same number.
 */
import type { DeviceMessage } from '../local_apic/index.js';

export const ioApicPins = 48;
/** The device answers at 256 bytes. */
export const ioApicBytes = 0x100;

const version = 0x11;
const register = { id: 0, version: 1, arbitration: 2, firstEntry: 0x10 } as const;
const at = { select: 0, window: 0x10 } as const;
/** Bits of the low half of an entry. */
const remote = 1 << 14;
const pending = 1 << 12;
const levelTriggered = 1 << 15;
const masked = 1 << 16;

/** An entry of the redirection table, in halves. */
export interface IoApicEntry {
  low: number;
  high: number;
}

export interface IoApicState {
  select: number;
  /** 0 to 15. */
  id: number;
  /** By pin. */
  entries: IoApicEntry[];
}

/** What the pins are connected to. */
export interface IoApicPort {
  /** Whether a pin's line is high. */
  isHigh(pin: number): boolean;
  deliver(pin: number, message: DeviceMessage): void;
  /** Pin 0's entry was written, or a pin was unmasked. */
  changed(pin: number): void;
}

export function newIoApic(): IoApicState {
  return { select: 0, id: 0, entries: Array.from({ length: ioApicPins }, () => ({ low: masked, high: 0 })) };
}

/** The entry of a pin as a message. */
export function ioApicMessage({ low, high }: IoApicEntry): DeviceMessage {
  return {
    vector: low & 0xff,
    mode: (low >> 8) & 7,
    isLogical: (low & 0x800) !== 0,
    isLevel: (low & levelTriggered) !== 0,
    destination: high >>> 24,
  };
}

/** Whether a pin is masked; true for one that does not exist. */
export function isIoApicMasked({ entries }: IoApicState, pin: number): boolean {
  return ((entries[pin]?.low ?? masked) & masked) !== 0;
}

/** The vector of a pin; 0 for one that does not exist. */
export function ioApicVector({ entries }: IoApicState, pin: number): number {
  return (entries[pin]?.low ?? 0) & 0xff;
}

function deliver(entry: IoApicEntry, port: IoApicPort, pin: number): void {
  port.deliver(pin, ioApicMessage(entry));
}

/** A pin's line goes up. A level-triggered one waits for the end of the interrupt that it sent last. */
export function raiseIoApicPin({ entries }: IoApicState, port: IoApicPort, pin: number): void {
  const entry = entries[pin];
  if (entry === undefined || (entry.low & masked) !== 0) return;
  if ((entry.low & levelTriggered) === 0) deliver(entry, port, pin);
  else if ((entry.low & remote) === 0) deliverLevel(entry, port, pin);
}

function deliverLevel(entry: IoApicEntry, port: IoApicPort, pin: number): void {
  entry.low |= remote;
  deliver(entry, port, pin);
}

function deliverIfHigh(entry: IoApicEntry, port: IoApicPort, pin: number): void {
  const waits = (entry.low & (levelTriggered | masked | remote)) === levelTriggered;
  if (waits && port.isHigh(pin)) deliverLevel(entry, port, pin);
}

/** A local APIC ends a level-triggered interrupt: pins with its vector may send it again. */
export function endIoApicInterrupt({ entries }: IoApicState, port: IoApicPort, vector: number): void {
  for (const [pin, entry] of entries.entries()) {
    if ((entry.low & 0xff) !== vector) continue;
    entry.low &= ~remote;
    deliverIfHigh(entry, port, pin);
  }
}

function writeEntry(entry: IoApicEntry, port: IoApicPort, pin: number, isHigh: boolean, value: number): void {
  const wasMasked = (entry.low & masked) !== 0;
  // What is in flight is read-only.
  if (isHigh) entry.high = value >>> 0;
  else entry.low = ((value & ~(pending | remote)) | (entry.low & remote)) >>> 0;
  if (pin !== 0) {
    if ((entry.low & levelTriggered) === 0) entry.low &= ~remote;
    else deliverIfHigh(entry, port, pin);
  }
  if (pin === 0 || (wasMasked && (entry.low & masked) === 0)) port.changed(pin);
}

function readRegister({ select, id, entries }: IoApicState): number {
  switch (select) {
    case register.version:
      return version | ((ioApicPins - 1) << 16);
    case register.id:
    case register.arbitration:
      return id << 24;
    default: {
      const entry = entries[(select - register.firstEntry) >> 1];
      if (entry === undefined) return 0;
      return ((select & 1) === 0 ? entry.low : entry.high) >>> 0;
    }
  }
}

/** A load at an offset of the device; what is no register reads as 0. */
export function readIoApic(state: IoApicState, offset: number): number {
  if (offset === at.select) return state.select;
  return offset === at.window ? readRegister(state) : 0;
}

/** A store of a value of 32 bits; ignored where there is no register. */
export function writeIoApic(state: IoApicState, port: IoApicPort, offset: number, value: number): void {
  if (offset === at.select) state.select = value >>> 0;
  if (offset !== at.window) return;
  const { select, entries } = state;
  if (select === register.id) state.id = (value >>> 24) & 0xf;
  if (select < register.firstEntry) return;
  const pin = (select - register.firstEntry) >> 1;
  const entry = entries[pin];
  if (entry !== undefined) writeEntry(entry, port, pin, (select & 1) === 1, value);
}
