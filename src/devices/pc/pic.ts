/**
 * The pair of 8259A interrupt controllers with their edge/level registers, as Xen emulates them for an HVM guest (Xen 4.17
 * arch/x86/hvm/vpic.c; Intel 8259A data sheet). The slave's output is the master's input 2.
 */

/** One of the two chips. Bit sets have a bit for each of the chip's eight inputs. */
export interface PicState {
  /** IRR. */
  requested: number;
  /** IMR. */
  masked: number;
  /** ISR. */
  inService: number;
  /** The vector of input 0, a multiple of 8. */
  base: number;
  /** The initialisation word that is awaited, 2 to 4; 0 when the chip is initialised. */
  awaits: number;
  /** ICW1: a word 4 follows; there is no other chip, so that no word 3 follows. */
  takesWord4: boolean;
  isSingle: boolean;
  /** The input of highest priority. */
  highest: number;
  /** What a read of the command port gives: ISR, not IRR. */
  readsInService: boolean;
  /** The next read is a poll, which takes an interrupt. */
  polled: boolean;
  endsByItself: boolean;
  rotatesByItself: boolean;
  isFullyNested: boolean;
  isSpecialMask: boolean;
  /** ELCR: inputs that are level-triggered. */
  level: number;
  /** The line to the CPU, or to the master. */
  output: boolean;
}

/** The master and the slave. */
export type PicsState = [PicState, PicState];

/** The number of a chip: 0 is the master, with ports 0x20 and 0x21; 1 the slave, with 0xa0 and 0xa1. */
export type PicNumber = 0 | 1;

const cascade = 1 << 2;
/** Inputs whose trigger mode a guest may set. */
const levelBits = [0xf8, 0xde] as const;

function newPic(level: number): PicState {
  return {
    requested: 0,
    masked: 0,
    inService: 0,
    base: 0,
    awaits: 0,
    takesWord4: false,
    isSingle: false,
    highest: 0,
    readsInService: false,
    polled: false,
    endsByItself: false,
    rotatesByItself: false,
    isFullyNested: false,
    isSpecialMask: false,
    level,
    output: false,
  };
}

/** The chips after reset: nothing is masked, and vectors begin at 0. */
export function newPics(): PicsState {
  return [newPic(cascade), newPic(0)];
}

/** How far the first input of a set is from the input of highest priority; 8 for an empty set. */
function distance({ highest }: PicState, inputs: number): number {
  for (let far = 0; far < 8; far += 1) if ((inputs & (1 << ((highest + far) & 7))) !== 0) return far;
  return 8;
}

/** The input whose interrupt the chip passes on; null if there is none. */
function nextInput(pics: PicsState, number: PicNumber): number | null {
  const pic = pics[number];
  const wanted = distance(pic, pic.requested & ~pic.masked);
  if (wanted === 8) return null;
  const input = (pic.highest + wanted) & 7;
  // The master's fully nested mode lets more important inputs of the slave in.
  const ignored = pic.isFullyNested && number === 0 && input === 2 ? cascade : 0;
  const blocking = pic.inService & ~ignored & ~(pic.isSpecialMask ? pic.masked : 0);
  return wanted < distance(pic, blocking) ? input : null;
}

/** Drives a chip's output anew, and the slave's on to the master. */
function update(pics: PicsState, number: PicNumber): void {
  const pic = pics[number];
  const output = pic.awaits === 0 && nextInput(pics, number) !== null;
  if (output === pic.output) return;
  pic.output = output;
  if (number === 0) return;
  const [master] = pics;
  master.requested = output ? master.requested | cascade : master.requested & ~cascade;
  update(pics, 0);
}

/** Sets or clears the request of ISA interrupt 0 to 15. Nothing is connected to input 2. */
export function drivePic(pics: PicsState, irq: number, isHigh: boolean): void {
  if (irq === 2) return;
  const number = irq < 8 ? 0 : 1;
  const pic = pics[number];
  const bit = 1 << (irq & 7);
  pic.requested = isHigh ? pic.requested | bit : pic.requested & ~bit;
  if ((pic.masked & bit) === 0) update(pics, number);
}

/** Whether the master asks the CPU for an interrupt. */
export function picAsserted([master]: PicsState): boolean {
  return master.output;
}

/** Whether ISA interrupt 0 to 15 is masked at its chip. */
export function isPicMasked(pics: PicsState, irq: number): boolean {
  return (pics[irq < 8 ? 0 : 1].masked & (1 << (irq & 7))) !== 0;
}

/** The vector of ISA interrupt 0 to 15. */
export function picVector(pics: PicsState, irq: number): number {
  return pics[irq < 8 ? 0 : 1].base + (irq & 7);
}

function take(pics: PicsState, number: PicNumber, input: number): void {
  const pic = pics[number];
  const bit = 1 << input;
  if ((pic.level & bit) === 0) pic.requested &= ~bit;
  if (!pic.endsByItself) pic.inService |= bit;
  else if (pic.rotatesByItself) pic.highest = (input + 1) & 7;
  update(pics, number);
}

/** A chip's output is acknowledged: the interrupt, 0 to 7 of the slave alone, 0 to 15 of the master; null if there is none. */
function acknowledge(pics: PicsState, number: PicNumber): number | null {
  const input = pics[number].output ? nextInput(pics, number) : null;
  if (input === null) return null;
  take(pics, number, input);
  if (number === 1 || input !== 2) return input;
  // An interrupt that the slave does not have any more is a spurious one of its input 7.
  const behind = nextInput(pics, 1) ?? 7;
  take(pics, 1, behind);
  return 8 + behind;
}

/** The CPU takes the interrupt that the pair asks for, which is put in service: its ISA number; null if there is none. */
export function acknowledgePic(pics: PicsState): number | null {
  return acknowledge(pics, 0);
}

/** A byte read of a chip's command port (`data` false) or data port. */
export function readPic(pics: PicsState, number: PicNumber, data: boolean): number {
  const pic = pics[number];
  if (pic.polled) {
    pic.polled = false;
    return acknowledge(pics, number) ?? 0xff;
  }
  if (data) return pic.masked;
  return pic.readsInService ? pic.inService : pic.requested;
}

/** ICW1: the chip is initialised anew; level-triggered requests stay. */
function initialise(pics: PicsState, number: PicNumber, value: number): void {
  const pic = pics[number];
  pic.requested &= pic.level;
  pic.masked = 0;
  pic.inService = 0;
  pic.highest = 0;
  pic.rotatesByItself = false;
  pic.isSpecialMask = false;
  pic.readsInService = false;
  pic.polled = false;
  pic.takesWord4 = (value & 1) !== 0;
  pic.isSingle = (value & 2) !== 0;
  if (!pic.takesWord4) {
    pic.endsByItself = false;
    pic.isFullyNested = false;
  }
  pic.awaits = 2;
  update(pics, number);
}

/** OCW2: ends of interrupts and rotations. */
function endOrRotate(pic: PicState, value: number): void {
  const command = value >> 5;
  switch (command) {
    case 0:
    case 4:
      pic.rotatesByItself = command === 4;
      return;
    case 2:
      return;
    case 6:
      pic.highest = (value + 1) & 7;
      return;
    default: {
      const ending = pic.inService & ~(pic.isSpecialMask ? pic.masked : 0);
      const far = distance(pic, ending);
      const isSpecific = (command & 2) !== 0;
      if (!isSpecific && far === 8) return;
      const input = isSpecific ? value & 7 : (pic.highest + far) & 7;
      pic.inService &= ~(1 << input);
      if (command >= 5) pic.highest = (input + 1) & 7;
    }
  }
}

function writeCommand(pics: PicsState, number: PicNumber, value: number): void {
  const pic = pics[number];
  if ((value & 0x10) !== 0) {
    initialise(pics, number, value);
  } else if ((value & 8) !== 0) {
    if ((value & 4) !== 0) pic.polled = true;
    if ((value & 2) !== 0) pic.readsInService = (value & 1) !== 0;
    if ((value & 0x40) !== 0) pic.isSpecialMask = (value & 0x20) !== 0;
  } else {
    endOrRotate(pic, value);
  }
}

/** The words that follow ICW1, or the mask. Returns whether it lets in what was masked. */
function writeData(pic: PicState, value: number): boolean {
  const initialised = (): boolean => {
    pic.awaits = 0;
    return true;
  };
  switch (pic.awaits) {
    case 2:
      pic.base = value & 0xf8;
      pic.awaits = pic.isSingle ? 4 : 3;
      return pic.isSingle && !pic.takesWord4 ? initialised() : false;
    case 3:
      pic.awaits = 4;
      return pic.takesWord4 ? false : initialised();
    case 4:
      pic.isFullyNested = (value & 0x10) !== 0;
      pic.endsByItself = (value & 2) !== 0;
      return initialised();
    default: {
      const unmasked = (pic.masked & ~value) !== 0;
      pic.masked = value;
      return unmasked;
    }
  }
}

/** A byte written to a chip's command port (`data` false) or data port. Returns whether it lets in what was masked. */
export function writePic(pics: PicsState, number: PicNumber, data: boolean, value: number): boolean {
  let unmasked = false;
  if (data) unmasked = writeData(pics[number], value);
  else writeCommand(pics, number, value);
  update(pics, number);
  return unmasked;
}

/** Reads a chip's edge/level register, port 0x4d0 or 0x4d1. */
export function readPicLevel(pics: PicsState, number: PicNumber): number {
  return pics[number].level & levelBits[number];
}

/** Writes it. The master's input 2 is always level-triggered, though the register does not show it. */
export function writePicLevel(pics: PicsState, number: PicNumber, value: number): void {
  pics[number].level = (value & levelBits[number]) | (number === 0 ? cascade : 0);
}
