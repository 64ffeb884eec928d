/**
 * The generic timers of a vCPU (Arm DDI 0487, D11) as a guest of Xen sees them (Xen 4.17 arch/arm/vtimer.c, and
 * vtimer_interrupt in time.c). The physical and the virtual counter are the same here; they are derived from system
 * time and a frequency. The virtual timer is the hardware's: when it fires, Xen masks it and injects its interrupt. Xen
 * emulates the physical timer with a timer of its own, which fires once each time it was set.
 */

export interface TimerState {
  /** CNTx_CTL_EL0.ENABLE and IMASK. */
  enabled: boolean;
  masked: boolean;
  /** CNTx_CVAL_EL0, ticks. */
  compare: bigint;
}

export interface PhysicalTimerState extends TimerState {
  /** CNTP_CTL_EL0.ISTATUS as Xen keeps it: set when its timer fires, and kept even if the counter is set back. */
  pending: boolean;
  /** Whether Xen's own timer is set to `compare`. */
  armed: boolean;
}

export interface GenericTimerState {
  physical: PhysicalTimerState;
  virtual: TimerState;
  /** CNTKCTL_EL1, the access control for EL0. Only stored here. */
  kernelControl: bigint;
}

/** INTIDs of the two timers' PPIs (the reference's device tree: PPI 14 and 11). */
export const physicalTimerIntid = 30;
export const virtualTimerIntid = 27;

export function newGenericTimer(): GenericTimerState {
  const timer = { enabled: false, masked: false, compare: 0n };
  return { physical: { ...timer, pending: false, armed: false }, virtual: timer, kernelControl: 0n };
}

/** The counter at system time `nowNs`, in ticks of `frequency` per second. */
export function counterAt(nowNs: bigint, frequency: number): bigint {
  return (nowNs * BigInt(frequency)) / 1_000_000_000n;
}

/** The first system time in ns at which the counter is at least `ticks`. */
export function timeOfCount(ticks: bigint, frequency: number): bigint {
  return (ticks * 1_000_000_000n + BigInt(frequency) - 1n) / BigInt(frequency);
}

const enableBit = 1n;
const maskBit = 2n;
const statusBit = 4n;

function controlBits({ enabled, masked }: TimerState, status: boolean): bigint {
  return (enabled ? enableBit : 0n) | (masked ? maskBit : 0n) | (status ? statusBit : 0n);
}

function setControl(timer: TimerState, value: bigint): void {
  timer.enabled = (value & enableBit) !== 0n;
  timer.masked = (value & maskBit) !== 0n;
}

/** The value read from CNTV_CTL_EL0. */
export function readVirtualControl(timer: TimerState, counter: bigint): bigint {
  return controlBits(timer, timer.enabled && counter >= timer.compare);
}

export function writeVirtualControl(timer: TimerState, value: bigint): void {
  setControl(timer, value);
}

/** The value read from CNTP_CTL_EL0. */
export function readPhysicalControl(timer: PhysicalTimerState): bigint {
  return controlBits(timer, timer.pending);
}

/**
 * Writes CNTP_CTL_EL0. Sets the timer anew if the value enables it. A pending status is kept unless the value disables
 * it.
 */
export function writePhysicalControl(timer: PhysicalTimerState, value: bigint): void {
  setControl(timer, value);
  timer.armed = timer.enabled;
  timer.pending &&= timer.enabled;
}

export function setVirtualCompare(timer: TimerState, ticks: bigint): void {
  timer.compare = BigInt.asUintN(64, ticks);
}

export function setPhysicalCompare(timer: PhysicalTimerState, ticks: bigint): void {
  timer.compare = BigInt.asUintN(64, ticks);
  if (!timer.enabled) return;
  timer.pending = false;
  timer.armed = true;
}

/** The value read from CNTx_TVAL_EL0: the low 32 bits of `compare` minus the counter, signed. */
export function timerValue(compare: bigint, counter: bigint): bigint {
  return BigInt.asUintN(32, compare - counter);
}

/** The value of CNTx_CVAL_EL0 after `value` is written to CNTx_TVAL_EL0. */
export function compareOfValue(value: bigint, counter: bigint): bigint {
  return counter + BigInt.asIntN(32, value);
}

/** Fires the timers that are due at `counter`. Returns the private interrupts to inject, as a bit mask by INTID. */
export function fireTimers({ physical, virtual }: GenericTimerState, counter: bigint): number {
  let injected = 0;
  if (virtual.enabled && !virtual.masked && counter >= virtual.compare) {
    virtual.masked = true;
    injected |= 1 << virtualTimerIntid;
  }
  if (physical.armed && counter >= physical.compare) {
    physical.armed = false;
    physical.pending = true;
    if (!physical.masked) injected |= 1 << physicalTimerIntid;
  }
  return injected;
}

/**
 * The first system time in ns at which {@link fireTimers} has something to do; null if it has nothing until the guest
 * acts.
 */
export function nextTimerNs({ physical, virtual }: GenericTimerState, frequency: number): bigint | null {
  const due: bigint[] = [];
  if (virtual.enabled && !virtual.masked) due.push(virtual.compare);
  if (physical.armed) due.push(physical.compare);
  const [first] = due;
  if (first === undefined) return null;
  return timeOfCount(
    due.reduce((least, ticks) => (ticks < least ? ticks : least), first),
    frequency,
  );
}
