/**
 * The wires between devices and interrupt controllers of an HVM guest (Xen 4.17 arch/x86/hvm/irq.c). ISA interrupt n is global
 * system interrupt n, except 0, which is 2. A PCI device's pin is global system interrupt 16 or more, and by one of four links an
 * ISA interrupt too. Several wires may hold one interrupt high.
 */
import { ioApicPins } from './io_apic.js';

const links = 4;

export interface InterruptLinesState {
  /** The ISA wires that are high, as bits. */
  isa: number;
  /** The PCI wires that are high, by 4 * device + pin. */
  pci: boolean[];
  /** The ISA interrupt of each link; 0 for none. */
  routes: number[];
  /** How many PCI wires of each link are high. */
  linksHigh: number[];
  /** How many wires hold each global system interrupt high. */
  high: number[];
}

/** Where the wires lead. */
export interface LinesPort {
  /** A global system interrupt goes up: to an I/O APIC's pin, or to an event channel that Xen has in its place. */
  raise(gsi: number): void;
  /** The same, but never to an event channel. */
  raisePin(gsi: number): void;
  /** No wire holds a global system interrupt high any more. */
  lower(gsi: number): void;
  /** Drives an input of the 8259 pair. */
  drivePic(irq: number, isHigh: boolean): void;
  /** Whether an event channel stands for a global system interrupt. */
  isEventChannel(gsi: number): boolean;
}

export function newInterruptLines(): InterruptLinesState {
  return {
    isa: 0,
    pci: Array.from({ length: 32 * 4 }, () => false),
    routes: Array.from({ length: links }, () => 0),
    linksHigh: Array.from({ length: links }, () => 0),
    high: Array.from({ length: ioApicPins }, () => 0),
  };
}

/** The global system interrupt of an ISA interrupt. */
export const gsiOfIsa = (irq: number): number => (irq === 0 ? 2 : irq);
/** The global system interrupt of a PCI device's pin: device 0 to 31, pin 0 (INTA) to 3. */
export const gsiOfPci = (device: number, pin: number): number =>
  ((4 * device + (device >> 3) + pin) & 31) + 16;
const linkOf = (device: number, pin: number): number => (device + pin) & 3;

/** Adds a wire to those that hold something high, or removes one. Returns whether it was the first, or the last. */
function count(counts: number[], index: number, isHigh: boolean): boolean {
  const before = counts[index] ?? 0;
  counts[index] = isHigh ? before + 1 : Math.max(before - 1, 0);
  return before === (isHigh ? 0 : 1);
}

/** The same for a global system interrupt. */
function hold(lines: InterruptLinesState, port: LinesPort, gsi: number, isHigh: boolean): boolean {
  const isEdge = count(lines.high, gsi, isHigh);
  if (isEdge && !isHigh) port.lower(gsi);
  return isEdge;
}

/** Whether a global system interrupt is high. */
export function isGsiHigh({ high }: InterruptLinesState, gsi: number): boolean {
  return (high[gsi] ?? 0) !== 0;
}

/** An ISA interrupt has gone up, or down, of which only the 8259 pair is told. */
function driveBoth(port: LinesPort, gsi: number, irq: number, isHigh: boolean): void {
  if (isHigh) {
    port.raise(gsi);
    port.drivePic(irq, true);
  } else if (!port.isEventChannel(irq)) {
    port.drivePic(irq, false);
  }
}

/** Drives the wire of ISA interrupt 0 to 15. */
export function driveIsa(lines: InterruptLinesState, port: LinesPort, irq: number, isHigh: boolean): void {
  const bit = 1 << irq;
  if (((lines.isa & bit) !== 0) === isHigh) return;
  lines.isa ^= bit;
  const gsi = gsiOfIsa(irq);
  if (hold(lines, port, gsi, isHigh)) driveBoth(port, gsi, irq, isHigh);
}

/** Drives a PCI device's pin, 0 (INTA) to 3. */
export function drivePci(
  lines: InterruptLinesState,
  port: LinesPort,
  device: number,
  pin: number,
  isHigh: boolean,
): void {
  const wire = 4 * device + pin;
  if (lines.pci[wire] === isHigh) return;
  lines.pci[wire] = isHigh;
  const gsi = gsiOfPci(device, pin);
  if (hold(lines, port, gsi, isHigh) && isHigh) port.raise(gsi);
  const link = linkOf(device, pin);
  const irq = lines.routes[link] ?? 0;
  if (!count(lines.linksHigh, link, isHigh) || irq === 0) return;
  if (hold(lines, port, irq, isHigh)) driveBoth(port, irq, irq, isHigh);
}

/** Routes link 0 to 3 to an ISA interrupt, 0 for none. */
export function routeLink(lines: InterruptLinesState, port: LinesPort, link: number, irq: number): void {
  const before = lines.routes[link] ?? 0;
  lines.routes[link] = irq;
  if (before === irq || (lines.linksHigh[link] ?? 0) === 0) return;
  if (before !== 0 && hold(lines, port, before, false)) port.drivePic(before, false);
  if (irq !== 0) holdPin(lines, port, irq, true);
}

/** Drives a pin of the I/O APIC, and the 8259's input if it has one, for Xen's own callback: no event channel takes it. */
export function holdPin(lines: InterruptLinesState, port: LinesPort, gsi: number, isHigh: boolean): void {
  if (!hold(lines, port, gsi, isHigh)) return;
  if (isHigh) port.raisePin(gsi);
  if (gsi <= 15) port.drivePic(gsi, isHigh);
}

/** Raises a pin that only the I/O APIC has. A level-triggered one stays high until {@link lowerGsi}. */
export function raiseGsi(lines: InterruptLinesState, port: LinesPort, gsi: number, isLevel: boolean): void {
  if (!isLevel || hold(lines, port, gsi, true)) port.raise(gsi);
}

export function lowerGsi(lines: InterruptLinesState, port: LinesPort, gsi: number): void {
  hold(lines, port, gsi, false);
}
