/** Taking exceptions to EL1 and returning from them (DDI 0487, D1.3), and what ESR_EL1 says of them (D17.2.37). */
import { statePlace } from '../../isa/index.js';
import type { Mode } from '../../isa/index.js';
import { stateSlots } from './block.js';
import type { A64Block } from './block.js';

/** Exception classes: ESR_EL1.EC. Aborts have one for those from EL0, and the next for those from EL1. */
export const exceptionClass = {
  unknown: 0x00,
  waiting: 0x01,
  vector: 0x07,
  illegalState: 0x0e,
  supervisorCall: 0x15,
  systemRegister: 0x18,
  instructionAbort: 0x20,
  pcAlignment: 0x22,
  dataAbort: 0x24,
  stackAlignment: 0x26,
  breakpoint: 0x3c,
} as const;

/** ISS bits of aborts. */
export const abortBits = { write: 1 << 6, cacheMaintenance: 1 << 8 } as const;

/** A synchronous exception that an instruction made. */
export interface Syndrome {
  readonly exceptionClass: number;
  readonly iss: number;
  /** What FAR_EL1 becomes, in halves; null leaves it. */
  readonly address: { readonly low: number; readonly high: number } | null;
}

export function syndrome(ec: number, iss: number, address: Syndrome['address'] = null): Syndrome {
  return { exceptionClass: ec, iss, address };
}

/** ISS of a trapped MSR, MRS or system instruction, by the bits 20:0 of it (op0, op1, CRn, CRm, op2, Rt). */
export function systemAccessIss(selector: number, read: boolean): number {
  const field = (shift: number, bits: number): number => (selector >>> shift) & (2 ** bits - 1);
  const [op0, op1, crn, crm, op2, rt] = [
    field(19, 2),
    field(16, 3),
    field(12, 4),
    field(8, 4),
    field(5, 3),
    field(0, 5),
  ];
  return (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (rt << 5) | (crm << 1) | (read ? 1 : 0);
}

/** ISS of traps that AArch32 instructions share: a condition that is valid, and is "always". */
export const unconditionalIss = (1 << 24) | (0xe << 20);

const slots = {
  elr: statePlace('ELR_EL1'),
  spsr: statePlace('SPSR_EL1'),
  esr: statePlace('ESR_EL1'),
  far: statePlace('FAR_EL1'),
  vbar: statePlace('VBAR_EL1'),
  spEl0: statePlace('SP_EL0'),
  spEl1: statePlace('SP_EL1'),
} as const;

/** PSTATE.M by mode. */
const modeBits: Readonly<Record<Mode, number>> = { EL0t: 0b0000, EL1t: 0b0100, EL1h: 0b0101 };

/** Bits of SPSR_EL1. */
const spsrBits = { illegal: 1 << 20, masks: 0x3c0, aarch32: 1 << 4 } as const;
/** PSTATE.D, A, I and F. */
const allMasks = 0x3c0;

/** Offsets from VBAR_EL1: of the kind, then of where it comes from. */
const vectorKinds = { synchronous: 0x000, irq: 0x080, fiq: 0x100 } as const;
const vectorSources: Readonly<Record<Mode, number>> = { EL1t: 0x000, EL1h: 0x200, EL0t: 0x400 };

/** What of PSTATE the block does not hold. */
export interface ProcessState {
  mode: Mode;
  /** PSTATE.IL: an illegal exception return was tried, and every instruction faults. */
  illegal: boolean;
}

/** Puts the stack pointer of a mode in use. */
export function changeMode(block: A64Block, state: ProcessState, mode: Mode): void {
  if (state.mode === mode) return;
  const usesEl1 = (of: Mode): boolean => of === 'EL1h';
  if (usesEl1(state.mode) !== usesEl1(mode)) {
    const [out, into] = usesEl1(mode) ? [slots.spEl0, slots.spEl1] : [slots.spEl1, slots.spEl0];
    const inUse = block.stackPointer;
    block.stackPointer = block.state(into);
    block.setState(out, inUse);
  }
  state.mode = mode;
}

/** PSTATE as SPSR_EL1 saves it. */
function savedState(block: A64Block, { mode, illegal }: ProcessState): number {
  const masks = block.low(stateSlots.daif) & spsrBits.masks;
  return ((block.nzcv << 28) | (illegal ? spsrBits.illegal : 0) | masks | modeBits[mode]) >>> 0;
}

/** Goes to EL1's vector; pc is where the exception returns to. */
function enter(block: A64Block, state: ProcessState, kind: keyof typeof vectorKinds): void {
  block.setHalves(slots.spsr, savedState(block, state), 0);
  block.setHalves(slots.elr, block.pcLow, block.pcHigh);
  const offset = vectorSources[state.mode] + vectorKinds[kind];
  changeMode(block, state, 'EL1h');
  state.illegal = false;
  block.setLow(stateSlots.daif, allMasks);
  // VBAR_EL1 is a multiple of 2 KiB, so that nothing carries into the upper half.
  block.setPcHalves((block.low(slots.vbar) + offset) >>> 0, block.high(slots.vbar));
}

export function takeSynchronous(block: A64Block, state: ProcessState, exception: Syndrome): void {
  const { exceptionClass: ec, iss, address } = exception;
  // All that is here has IL set: no instruction has 16 bits.
  block.setHalves(slots.esr, ((ec << 26) | (1 << 25) | iss) >>> 0, 0);
  if (address !== null) block.setHalves(slots.far, address.low, address.high);
  enter(block, state, 'synchronous');
}

export function takeInterrupt(block: A64Block, state: ProcessState, kind: 'irq' | 'fiq'): void {
  enter(block, state, kind);
}

/** SPSR_EL1: the state that the last exception saved, or that an exception return is to restore. */
export function savedStateOf(block: A64Block): number {
  return block.low(slots.spsr);
}

/** ERET (DDI 0487, AArch64.ExceptionReturn): a state that there is not leaves level and stack as they are, and PSTATE.IL set. */
export function returnFromException(block: A64Block, state: ProcessState): void {
  const spsr = block.low(slots.spsr);
  const mode = returnMode(spsr);
  block.setPcHalves(block.low(slots.elr), block.high(slots.elr));
  block.nzcv = spsr >>> 28;
  block.setLow(stateSlots.daif, spsr & spsrBits.masks);
  state.illegal = mode === null || (spsr & spsrBits.illegal) !== 0;
  if (mode !== null) changeMode(block, state, mode);
  block.setLow(stateSlots.monitorBytes, 0);
  block.setLow(stateSlots.event, 1);
}

function returnMode(spsr: number): Mode | null {
  if ((spsr & spsrBits.aarch32) !== 0) return null;
  const found = Object.entries(modeBits).find(([, bits]) => bits === (spsr & 0xf));
  return found === undefined ? null : (found[0] as Mode);
}
