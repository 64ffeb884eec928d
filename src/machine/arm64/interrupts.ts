/**
 * The interrupt controller and all its interrupt sources: timers, UART and Xen's event channels. Each source is
 * evaluated when it acts. A CPU's IRQ line is recomputed only where it may have changed.
 */
import { GUEST_EVTCHN_PPI, GUEST_VPL011_SPI } from '../../abi/index.js';
import { invariant, present } from '../../base/index.js';
import type { GenericTimerState, Gic, GicState, UartState } from '../../devices/index.js';
import {
  counterAt,
  fireTimers,
  irqAsserted,
  latchPrivate,
  newGenericTimer,
  newGic,
  newUart,
  nextTimerNs,
  setLine,
  uartAsserted,
} from '../../devices/index.js';
import { vcpuOfTarget, vcpusOfSgi } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { counterFrequency } from './clock.js';

/** A plain value. When a timer fires follows from the timers. */
export interface InterruptsState {
  readonly gic: GicState;
  readonly uart: UartState;
  /** By vCPU. */
  readonly timers: readonly GenericTimerState[];
}

/** All times of it are counted from the moment at which the counters began. */
export class Interrupts {
  readonly gic: Gic;
  readonly uart: UartState = newUart();
  readonly timers: readonly GenericTimerState[];
  /** When the next timer fires: by vCPU, and the minimum. */
  readonly #timerNs: (bigint | null)[];
  #firstTimerNs: bigint | null = null;
  readonly #vcpus: readonly XenVcpuId[];
  readonly #drive: (vcpu: XenVcpuId, asserted: boolean) => void;

  /** `affinities` are those of the vCPUs, by index. `drive` is called for each IRQ line that may have changed. */
  constructor(
    vcpus: readonly XenVcpuId[],
    affinities: readonly number[],
    drive: (vcpu: XenVcpuId, asserted: boolean) => void,
  ) {
    this.gic = {
      state: newGic(affinities.length),
      affinities,
      cpuOfAffinity: vcpuOfTarget,
      cpusOfSgi: vcpusOfSgi,
      stale: new Set(),
    };
    this.timers = affinities.map(newGenericTimer);
    this.#timerNs = affinities.map(() => null);
    this.#vcpus = vcpus;
    this.#drive = drive;
  }

  /** Time in ns at which the next timer fires; null if none will. */
  get dueNs(): bigint | null {
    return this.#firstTimerNs;
  }

  /** Fires the timers that are due. */
  passTo(nowNs: bigint): void {
    if (this.#firstTimerNs === null || this.#firstTimerNs > nowNs) return;
    for (const [vcpu, dueNs] of this.#timerNs.entries()) {
      if (dueNs !== null && dueNs <= nowNs) this.#fire(vcpu, nowNs);
    }
    this.#findFirstTimer();
  }

  /** Called when the vCPU's timers were written. */
  timersWritten(vcpu: XenVcpuId, nowNs: bigint): void {
    this.#fire(vcpu, nowNs);
    this.#findFirstTimer();
  }

  /**
   * Raises the event channel interrupt. Xen injects it once each time that events become pending; after that it is up
   * to the GIC.
   */
  upcall(vcpu: XenVcpuId): void {
    latchPrivate(this.gic, vcpu, 1 << GUEST_EVTCHN_PPI);
  }

  /** Called when the UART was accessed or received a byte. */
  uartChanged(): void {
    setLine(this.gic, 0, GUEST_VPL011_SPI, uartAsserted(this.uart));
  }

  /** Drives the lines of all vCPUs that may have changed. */
  driveLines(): void {
    const { stale } = this.gic;
    if (stale.size === 0) return;
    for (const index of stale)
      this.#drive(present(this.#vcpus[index], 'a vCPU'), irqAsserted(this.gic, index));
    stale.clear();
  }

  /** The state, which the caller copies, while no line is to be driven. */
  save(): InterruptsState {
    invariant(this.gic.stale.size === 0, 'all lines are driven between turns');
    return { gic: this.gic.state, uart: this.uart, timers: this.timers };
  }

  /** Takes over a state that nobody else will change. The lines themselves are part of the CPUs' state. */
  load({ gic, uart, timers }: InterruptsState): void {
    Object.assign(this.gic.state, gic);
    this.gic.stale.clear();
    Object.assign(this.uart, uart);
    for (const [vcpu, own] of this.timers.entries()) {
      Object.assign(own, present(timers[vcpu], 'the timers of a vCPU'));
      this.#timerNs[vcpu] = nextTimerNs(own, counterFrequency);
    }
    this.#findFirstTimer();
  }

  #fire(vcpu: number, nowNs: bigint): void {
    const timers = present(this.timers[vcpu], 'a vCPU');
    const injected = fireTimers(timers, counterAt(nowNs, counterFrequency));
    if (injected !== 0) latchPrivate(this.gic, vcpu, injected);
    this.#timerNs[vcpu] = nextTimerNs(timers, counterFrequency);
  }

  #findFirstTimer(): void {
    let first: bigint | null = null;
    for (const dueNs of this.#timerNs) {
      if (dueNs !== null && (first === null || dueNs < first)) first = dueNs;
    }
    this.#firstTimerNs = first;
  }
}
