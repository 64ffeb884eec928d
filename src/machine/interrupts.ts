/**
 * The interrupt controller and all who pull at its lines: timers, UART, Xen's event channels. What each of them does is
 * looked at when it does it; a CPU's own line is worked out again only where that may have changed it.
 */
import { GUEST_EVTCHN_PPI, GUEST_VPL011_SPI } from '../abi/index.js';
import { present } from '../base/index.js';
import type { GenericTimerState, Gic, UartState } from '../devices/index.js';
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
} from '../devices/index.js';
import { vcpuOfTarget, vcpusOfSgi } from '../identity/index.js';
import { counterFrequency } from './clock_registers.js';

export class Interrupts {
  readonly gic: Gic;
  readonly uart: UartState = newUart();
  readonly timers: readonly GenericTimerState[];
  /** By vCPU, and of all: when the next timer fires. */
  readonly #timerNs: (bigint | null)[];
  #firstTimerNs: bigint | null = null;
  readonly #drive: (vcpu: number, asserted: boolean) => void;

  /** `affinities` of the vCPUs; `drive` is told of each IRQ line that may have changed. */
  constructor(affinities: readonly number[], drive: (vcpu: number, asserted: boolean) => void) {
    this.gic = {
      state: newGic(affinities.length),
      affinities,
      cpuOfAffinity: vcpuOfTarget,
      cpusOfSgi: vcpusOfSgi,
      stale: new Set(),
    };
    this.timers = affinities.map(newGenericTimer);
    this.#timerNs = affinities.map(() => null);
    this.#drive = drive;
  }

  /** When the next timer fires, system time in ns; null when none will. */
  get dueNs(): bigint | null {
    return this.#firstTimerNs;
  }

  /** Lets the timers fire that are due. */
  passTo(nowNs: bigint): void {
    if (this.#firstTimerNs === null || this.#firstTimerNs > nowNs) return;
    for (const [vcpu, dueNs] of this.#timerNs.entries()) {
      if (dueNs !== null && dueNs <= nowNs) this.#fire(vcpu, nowNs);
    }
    this.#findFirstTimer();
  }

  /** The vCPU's timers were written to. */
  timersWritten(vcpu: number, nowNs: bigint): void {
    this.#fire(vcpu, nowNs);
    this.#findFirstTimer();
  }

  /** Xen injects its interrupt once for each time that events become pending; from then on it is the GIC's. */
  upcall(vcpu: number): void {
    latchPrivate(this.gic, vcpu, 1 << GUEST_EVTCHN_PPI);
  }

  /** The UART was used, or given a byte. */
  uartChanged(): void {
    setLine(this.gic, 0, GUEST_VPL011_SPI, uartAsserted(this.uart));
  }

  /** Drives the lines of all vCPUs that something has happened to. */
  settle(): void {
    const { stale } = this.gic;
    if (stale.size === 0) return;
    for (const vcpu of stale) this.#drive(vcpu, irqAsserted(this.gic, vcpu));
    stale.clear();
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
