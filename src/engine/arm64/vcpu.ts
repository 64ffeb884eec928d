/** One vCPU as the host keeps it: its block, what of its state is not there, and what a call of the host left to be done. */
import type { Mode } from '../../isa/index.js';
import { modes, statePlace } from '../../isa/index.js';
import type { StopReason } from '../ports.js';
import type { AddressSpaceKey } from '../tlb.js';
import { at } from '../vcpu_block.js';
import type { VcpuBlock } from '../vcpu_block.js';
import type { ProcessState, Syndrome } from './exceptions.js';
import { addressSpaceWords, readRegime, sctlr } from './regime.js';
import type { Regime } from './regime.js';

/** What is to be done once the interpreter has come back. */
export type Pending =
  | { readonly kind: 'exception'; readonly syndrome: Syndrome; readonly returnsTo: 'this' | 'next' }
  | { readonly kind: 'return' }
  /** The instruction is done; something else must be looked at before the next. */
  | { readonly kind: 'completed' }
  /** pc has changed. */
  | { readonly kind: 'again' }
  | { readonly kind: 'call'; readonly instruction: 'hvc' | 'smc'; readonly immediate: number }
  | { readonly kind: 'stop'; readonly reason: StopReason };

const places = { sctlr: statePlace('SCTLR_EL1'), cpacr: statePlace('CPACR_EL1') } as const;

export class Vcpu {
  readonly index: number;
  readonly block: VcpuBlock;
  readonly process: ProcessState = { mode: 'EL1h', illegal: false };
  pending: Pending | null = null;
  /** How the code was decoded that the TLBs know, at EL0 and at EL1. */
  readonly decodedAs: [number, number] = [-1, -1];
  #regime: Regime | null = null;
  #key: AddressSpaceKey | null = null;

  constructor(index: number, block: VcpuBlock) {
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

  /** What the EL0 TLB sets are told apart by. */
  get addressSpace(): AddressSpaceKey {
    this.#key ??= { words: addressSpaceWords(this.block), asid: this.regime.asid };
    return this.#key;
  }

  /** Told that a register of the regime has changed. */
  regimeChanged(): void {
    this.#regime = null;
    this.#key = null;
  }

  /** Whether a bit of SCTLR_EL1 is set. */
  controls(bit: number): boolean {
    return (this.block.low(places.sctlr) & bit) !== 0;
  }

  /** Whether all unaligned accesses fault. */
  get checksAlignment(): boolean {
    return this.controls(sctlr.a);
  }

  /** Whether FP and SIMD trap at the present level: CPACR_EL1.FPEN. */
  get vectorsTrap(): boolean {
    const enable = (this.block.low(places.cpacr) >>> 20) & 3;
    return enable !== 3 && (enable !== 1 || this.isEl0);
  }

  /** How code is decoded now: the mode, and whether FP and SIMD trap. See `variantOf`. */
  get variant(): number {
    return 2 * modes.indexOf(this.process.mode) + (this.vectorsTrap ? 1 : 0);
  }

  /** Interrupts that are pending and not masked, as bits of ISR_EL1. */
  get openInterrupts(): number {
    return this.block.low(at.lines) & ~this.block.low(at.daif);
  }

  raise(syndrome: Syndrome, returnsTo: 'this' | 'next' = 'this'): void {
    this.pending = { kind: 'exception', syndrome, returnsTo };
  }
}

/** What a variant's number says. */
export function variantOf(variant: number): { readonly mode: Mode; readonly vectorsTrap: boolean } {
  return { mode: modes[variant >> 1] ?? 'EL1h', vectorsTrap: (variant & 1) !== 0 };
}
