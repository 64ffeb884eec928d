/**
 * The host's side of one vCPU: its block, the state that is kept outside the block, and work that a host call left
 * pending.
 */
import type { Mode } from '../../isa/index.js';
import { modes, statePlace } from '../../isa/index.js';
import type { StopReason } from '../ports.js';
import type { AddressSpaceKey } from '../tlb.js';
import { stateSlots } from './block.js';
import type { A64Block } from './block.js';
import type { ProcessState, Syndrome } from './exceptions.js';
import { addressSpaceWords, readRegime, sctlr } from './regime.js';
import type { Regime } from './regime.js';

/** Work to do after the interpreter has returned. */
export type Pending =
  | { readonly kind: 'exception'; readonly syndrome: Syndrome; readonly returnsTo: 'this' | 'next' }
  | { readonly kind: 'return' }
  /** The instruction is done, but interrupts or the decode variant must be checked before the next one. */
  | { readonly kind: 'completed' }
  /** The instruction is done, and has switched address translation on or off. */
  | { readonly kind: 'translationSwitched' }
  /** pc was changed. */
  | { readonly kind: 'again' }
  | { readonly kind: 'call'; readonly instruction: 'hvc' | 'smc'; readonly immediate: number }
  | { readonly kind: 'stop'; readonly reason: StopReason };

/** An exception that was taken to EL1 from EL1, or an exception return that led nowhere. */
export interface OpenException {
  /** Where the instruction stands that made it. */
  readonly pcLow: number;
  readonly pcHigh: number;
  /** Null for an exception return. */
  readonly syndrome: Syndrome | null;
  /** SPSR_EL1 of an exception return to a state that there is not (PSTATE.IL is set); null for an exception. */
  readonly illegalSpsr: number | null;
  /** The instruction; null for an abort, and where it could not be read. */
  readonly word: number | null;
}

const slots = { sctlr: statePlace('SCTLR_EL1'), cpacr: statePlace('CPACR_EL1') } as const;

export class Vcpu {
  readonly index: number;
  readonly block: A64Block;
  readonly process: ProcessState = { mode: 'EL1h', illegal: false };
  pending: Pending | null = null;
  /**
   * The first exception that it took at EL1 since it last returned from one: where a program came to grief that never returns.
   * It is no part of the architecture's state.
   */
  openException: OpenException | null = null;
  /** Synchronous exceptions that it has taken, from any level. */
  exceptionsTaken = 0;
  /** The decode variants of the code pages in the TLBs, for EL0 and for EL1. */
  readonly decodedAs: [number, number] = [-1, -1];
  #regime: Regime | null = null;
  #key: AddressSpaceKey | null = null;

  constructor(index: number, block: A64Block) {
    this.index = index;
    this.block = block;
  }

  get isEl0(): boolean {
    return this.process.mode === 'EL0t';
  }

  get regime(): Regime {
    this.#regime ??= readRegime(this.block);
    return this.#regime;
  }

  /** The key that identifies an EL0 TLB set. */
  get addressSpace(): AddressSpaceKey {
    this.#key ??= { words: addressSpaceWords(this.block), group: this.regime.asid };
    return this.#key;
  }

  /** Called when a register of the translation regime was written. */
  regimeChanged(): void {
    this.#regime = null;
    this.#key = null;
  }

  /** Whether a bit of SCTLR_EL1 is set. */
  controls(bit: number): boolean {
    return (this.block.low(slots.sctlr) & bit) !== 0;
  }

  /** Whether every unaligned access faults (SCTLR_EL1.A). */
  get checksAlignment(): boolean {
    return this.controls(sctlr.a);
  }

  /** Whether FP and SIMD instructions trap at the current exception level (CPACR_EL1.FPEN). */
  get vectorsTrap(): boolean {
    const enable = (this.block.low(slots.cpacr) >>> 20) & 3;
    return enable !== 3 && (enable !== 1 || this.isEl0);
  }

  /** The current decode variant: the mode, and whether FP and SIMD trap. See `variantOf`. */
  get variant(): number {
    return 2 * modes.indexOf(this.process.mode) + (this.vectorsTrap ? 1 : 0);
  }

  /** Pending interrupts that are not masked, as bits of ISR_EL1. */
  get openInterrupts(): number {
    return this.block.low(stateSlots.lines) & ~this.block.low(stateSlots.daif);
  }

  raise(syndrome: Syndrome, returnsTo: 'this' | 'next' = 'this'): void {
    this.pending = { kind: 'exception', syndrome, returnsTo };
  }
}

/** Decodes a variant number. */
export function variantOf(variant: number): { readonly mode: Mode; readonly vectorsTrap: boolean } {
  return { mode: modes[variant >> 1] ?? 'EL1h', vectorsTrap: (variant & 1) !== 0 };
}
