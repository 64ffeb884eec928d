/**
 * The generic timers of a CPU as EL1 sees them (Arm DDI 0487, D11): the physical and the virtual counter, which are one
 * here, and a timer on each. The counter is made of system time by its frequency.
 */

export interface TimerState {
  /** CNTx_CTL_EL0.ENABLE and IMASK. */
  enabled: boolean;
  masked: boolean;
  /** CNTx_CVAL_EL0, ticks. */
  compare: bigint;
}

export interface GenericTimerState {
  physical: TimerState;
  virtual: TimerState;
  /** CNTKCTL_EL1, which says what EL0 may read; kept and given back. */
  kernelControl: bigint;
}

/** INTIDs of the two timers' PPIs (the reference's device tree: PPI 14 and 11). */
export const physicalTimerIntid = 30;
export const virtualTimerIntid = 27;

export function newGenericTimer(): GenericTimerState {
  const timer = (): TimerState => ({ enabled: false, masked: false, compare: 0n });
  return { physical: timer(), virtual: timer(), kernelControl: 0n };
}

/** The counter at system time `nowNs`, in ticks of `frequency` a second. */
export function counterAt(nowNs: bigint, frequency: number): bigint {
  return (nowNs * BigInt(frequency)) / 1_000_000_000n;
}

/** The first system time at which the counter is not below `ticks`. */
export function timeOfCount(ticks: bigint, frequency: number): bigint {
  return (ticks * 1_000_000_000n + BigInt(frequency) - 1n) / BigInt(frequency);
}

/** Whether the timer's condition is met: CNTx_CTL_EL0.ISTATUS. */
export function timerFired({ enabled, compare }: TimerState, counter: bigint): boolean {
  return enabled && counter >= compare;
}

/** Whether the timer's line is high. */
export function timerAsserted(timer: TimerState, counter: bigint): boolean {
  return timerFired(timer, counter) && !timer.masked;
}

/** CNTx_CTL_EL0 as it reads. */
export function readTimerControl(timer: TimerState, counter: bigint): bigint {
  return (timer.enabled ? 1n : 0n) | (timer.masked ? 2n : 0n) | (timerFired(timer, counter) ? 4n : 0n);
}

export function writeTimerControl(timer: TimerState, value: bigint): void {
  timer.enabled = (value & 1n) !== 0n;
  timer.masked = (value & 2n) !== 0n;
}

/** CNTx_TVAL_EL0: a signed 32-bit distance from the counter. */
export function readTimerValue({ compare }: TimerState, counter: bigint): bigint {
  return BigInt.asUintN(32, compare - counter);
}

export function writeTimerValue(timer: TimerState, value: bigint, counter: bigint): void {
  timer.compare = BigInt.asUintN(64, counter + BigInt.asIntN(32, value));
}

/** When, by system time, the next of the CPU's timers asserts its line; null when none will. */
export function nextTimerNs(
  { physical, virtual }: GenericTimerState,
  nowNs: bigint,
  frequency: number,
): bigint | null {
  const counter = counterAt(nowNs, frequency);
  let next: bigint | null = null;
  for (const timer of [physical, virtual]) {
    if (!timer.enabled || timer.masked || timer.compare <= counter) continue;
    const at = timeOfCount(timer.compare, frequency);
    if (next === null || at < next) next = at;
  }
  return next;
}
