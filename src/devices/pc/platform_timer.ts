/**
 * A timer behind an interrupt of a platform device, as Xen keeps it: it ticks for one vCPU, and its interrupt is asserted when that
 * vCPU is about to run (Xen 4.17 arch/x86/hvm/vpt.c). Ticks that the guest did not take are delivered later, one after the other,
 * and time goes on meanwhile (xl's default, `timer_mode = "no_delay_for_missed_ticks"`). While the interrupt is masked, the timer
 * is suspended with one tick pending.
 */

/** A plain value. */
export interface PlatformTimerState {
  /** Whether `irq` is an ISA interrupt, or the number of an I/O APIC's pin. */
  source: 'isa' | 'ioApic';
  irq: number;
  /** Whether the interrupt is level-triggered. */
  isLevel: boolean;
  /** Time between ticks, ns; null for a single tick. */
  periodNs: bigint | null;
  /** System time of the next tick, or of the first after the pending ones, ns. */
  nextNs: bigint;
  /** Ticks whose interrupt the guest has not taken. */
  pending: number;
  /** When the guest was last in time with the ticks, ns. */
  inTimeNs: bigint;
  /** Whether the interrupt was asserted for a pending tick. */
  issued: boolean;
  /** Whether it waits to be unmasked. */
  suspended: boolean;
}

/** A timer with a shorter period would take all time. */
const leastPeriodNs = 100_000n;

/** What {@link newPlatformTimer} needs. `afterNs` is the time until the first tick. */
export interface TimerStart {
  readonly source: 'isa' | 'ioApic';
  readonly irq: number;
  readonly isLevel?: boolean;
  readonly afterNs: bigint;
  readonly periodNs: bigint | null;
}

export function newPlatformTimer(start: TimerStart, nowNs: bigint): PlatformTimerState {
  const { source, irq, isLevel = false, afterNs, periodNs } = start;
  return {
    source,
    irq,
    isLevel,
    periodNs: periodNs !== null && periodNs < leastPeriodNs ? leastPeriodNs : periodNs,
    nextNs: nowNs + afterNs,
    pending: 0,
    inTimeNs: nowNs,
    issued: false,
    suspended: false,
  };
}

/** When the timer ticks next; null while a tick is pending. */
export function platformTimerDueNs({ pending, nextNs }: PlatformTimerState): bigint | null {
  return pending === 0 ? nextNs : null;
}

/** Lets a timer tick that is due. Returns whether it ticked. */
export function tickPlatformTimer(timer: PlatformTimerState, nowNs: bigint): boolean {
  if (timer.pending !== 0 || timer.nextNs > nowNs) return false;
  timer.pending = 1;
  timer.nextNs += timer.periodNs ?? 0n;
  return true;
}

/** When the guest ought to have had the pending tick: the timer with the earliest is served first. */
export function platformTimerLag({ inTimeNs, periodNs }: PlatformTimerState): bigint {
  return inTimeNs + (periodNs ?? 0n);
}

/** The guest has taken the interrupt of a pending tick. Returns whether the timer goes on. */
export function platformTimerTaken(timer: PlatformTimerState, nowNs: bigint): boolean {
  const { periodNs } = timer;
  timer.issued = false;
  timer.pending -= 1;
  if (periodNs === null) return false;
  timer.inTimeNs += periodNs;
  if (timer.pending === 0 && nowNs > timer.nextNs) {
    const missed = (nowNs - timer.nextNs) / periodNs + 1n;
    timer.pending = Number(missed);
    timer.nextNs += missed * periodNs;
  }
  return true;
}
