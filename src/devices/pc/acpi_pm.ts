/**
 * The ACPI power management registers of an HVM guest: PM1 events and the PM timer, which are Xen's (Xen 4.17
 * arch/x86/hvm/pmtimer.c), and PM1 control and general-purpose events, which are the device model's (QEMU hw/acpi/core.c,
 * hw/acpi/piix4.c; ACPI 6.4, 4.8).
 */

/** Ticks of the PM timer in a second. */
const timerHz = 3_579_545n;
const nsPerSecond = 1_000_000_000n;
/** The PM timer's highest bit: an event each time it changes. */
const halfTurn = 1n << 31n;
/** PM1 status and enable: timer, global, power button, sleep button. */
const timerEvent = 1;
const wakingEvents = 0x321;
/** PM1 control: SCI instead of SMI; the sleep type; sleep now. */
const sciEnable = 1;
const sleepEnable = 0x2000;

export interface AcpiPmState {
  status: number;
  enable: number;
  control: number;
  /** System time in ns up to which the timer's event is noted. */
  seenNs: bigint;
  /** General-purpose events, 16 of each. */
  gpeStatus: number;
  gpeEnable: number;
}

export function newAcpiPm(nowNs: bigint): AcpiPmState {
  return { status: 0, enable: 0, control: sciEnable, seenNs: nowNs, gpeStatus: 0, gpeEnable: 0 };
}

const ticksAt = (nowNs: bigint): bigint => (nowNs * timerHz) / nsPerSecond;

/** The PM timer: 32 bits. */
export function pmTimer(nowNs: bigint): number {
  return Number(ticksAt(nowNs) & 0xffff_ffffn);
}

/** Notes the timer's event if its highest bit has changed. */
export function passAcpiPm(pm: AcpiPmState, nowNs: bigint): void {
  if (ticksAt(nowNs) / halfTurn !== ticksAt(pm.seenNs) / halfTurn) pm.status |= timerEvent;
  pm.seenNs = nowNs;
}

/** When the timer's highest bit changes next, if its event is enabled, ns of system time; null otherwise. */
export function acpiPmDueNs({ enable, status, seenNs }: AcpiPmState): bigint | null {
  if ((enable & timerEvent) === 0 || (status & timerEvent) !== 0) return null;
  const next = (ticksAt(seenNs) / halfTurn + 1n) * halfTurn;
  return (next * nsPerSecond + timerHz - 1n) / timerHz;
}

/** Whether Xen's part asks for the system control interrupt, and the device model's. */
export function acpiPmAsserted({ status, enable }: AcpiPmState): boolean {
  return (status & enable & wakingEvents) !== 0;
}

export function gpeAsserted({ gpeStatus, gpeEnable }: AcpiPmState): boolean {
  return (gpeStatus & gpeEnable) !== 0;
}

/** A block of events: 16 bits of status, and 16 that enable them. */
type Events = Pick<AcpiPmState, 'status' | 'enable'>;

/** A byte of a block: status at 0 and 1, enable at 2 and 3. */
function readEvents({ status, enable }: Events, offset: number): number {
  return ((status | (enable << 16)) >>> (8 * offset)) & 0xff;
}

/** The block after a write of a byte. Ones clear the status. */
function writtenEvents({ status, enable }: Events, offset: number, value: number): Events {
  const shift = 8 * (offset & 1);
  return offset < 2
    ? { status: status & ~(value << shift), enable }
    : { status, enable: (enable & ~(0xff << shift)) | (value << shift) };
}

/** A byte of the PM1 event block. */
export function readPm1Event(pm: AcpiPmState, offset: number): number {
  return readEvents(pm, offset);
}

export function writePm1Event(pm: AcpiPmState, offset: number, value: number): void {
  Object.assign(pm, writtenEvents(pm, offset, value));
}

/** What a write to the PM1 control register asks for. */
export type Sleep = 'off' | 'suspend';

/** A byte of the PM1 control block, 0 or 1. */
export function readPm1Control({ control }: AcpiPmState, offset: number): number {
  return (control >>> (8 * offset)) & 0xff;
}

/**
 * Writes a byte of it. Returns what the guest asks for; null for nothing. Type 0, which the tables call S5, and type 2, which the
 * device model keeps for S4, turn the machine off; type 1 suspends it.
 */
export function writePm1Control(pm: AcpiPmState, offset: number, value: number): Sleep | null {
  const shift = 8 * offset;
  const written = (pm.control & ~(0xff << shift)) | (value << shift);
  pm.control = written & ~sleepEnable;
  if ((written & sleepEnable) === 0) return null;
  const type = (written >> 10) & 7;
  if (type === 1) return 'suspend';
  return type === 0 || type === 2 ? 'off' : null;
}

/** A byte of the general-purpose event block. */
export function readGpe({ gpeStatus: status, gpeEnable: enable }: AcpiPmState, offset: number): number {
  return readEvents({ status, enable }, offset);
}

export function writeGpe(pm: AcpiPmState, offset: number, value: number): void {
  const { status, enable } = writtenEvents({ status: pm.gpeStatus, enable: pm.gpeEnable }, offset, value);
  pm.gpeStatus = status;
  pm.gpeEnable = enable;
}
