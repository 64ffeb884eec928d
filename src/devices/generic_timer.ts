/**
 * The generic timers of a vCPU (Arm DDI 0487, D11) as a guest of Xen has them (Xen 4.17 arch/arm/vtimer.c, and
 * vtimer_interrupt in time.c). Physical and virtual counter are one here, made of system time by its frequency. The virtual
 * timer is the hardware's: when it fires, Xen masks it and injects its interrupt. The physical one is Xen's emulation by
 * a timer of its own, which goes off once each time it was set.
 */

export interface TimerState {
  /** CNTx_CTL_EL0.ENABLE and IMASK. */
  enabled: boolean;
  masked: boolean;
  /** CNTx_CVAL_EL0, ticks. */
  compare: bigint;
}

export interface PhysicalTimerState extends TimerState {
  /** CNTP_CTL_EL0.ISTATUS, as Xen keeps it: set when its timer goes off, however often the counter is set back. */
  pending: boolean;
  /** Xen's own timer is set to `compare`. */
  armed: boolean;
}

export interface GenericTimerState {
  physical: PhysicalTimerState;
  virtual: TimerState;
  /** CNTKCTL_EL1, which says what EL0 may read; kept and given back. */
  kernelControl: bigint;
}

/** INTIDs of the two timers' PPIs (the reference's device tree: PPI 14 and 11). */
export const physicalTimerIntid = 30;
export const virtualTimerIntid = 27;

export function newGenericTimer(): GenericTimerState {
  const timer = { enabled: false, masked: false, compare: 0n };
  return { physical: { ...timer, pending: false, armed: false }, virtual: timer, kernelControl: 0n };
}

/** The counter at system time `nowNs`, in ticks of `frequency` a second. */
export function counterAt(nowNs: bigint, frequency: number): bigint {
  return (nowNs * BigInt(frequency)) / 1_000_000_000n;
}

/** The first system time at which the counter is not below `ticks`. */
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

/** CNTV_CTL_EL0 as it reads. */
export function readVirtualControl(timer: TimerState, counter: bigint): bigint {
  return controlBits(timer, timer.enabled && counter >= timer.compare);
}

export function writeVirtualControl(timer: TimerState, value: bigint): void {
  setControl(timer, value);
}

/** CNTP_CTL_EL0 as it reads. */
export function readPhysicalControl(timer: PhysicalTimerState): bigint {
  return controlBits(timer, timer.pending);
}

/** A timer that is enabled, or enabled again, is set anew; what was pending stays so unless it is disabled. */
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

/** CNTx_TVAL_EL0 as it reads: how far `compare` is from the counter, signed, 32 bits of it. */
export function timerValue(compare: bigint, counter: bigint): bigint {
  return BigInt.asUintN(32, compare - counter);
}

/** What CNTx_CVAL_EL0 becomes when `value` is written to CNTx_TVAL_EL0. */
export function compareOfValue(value: bigint, counter: bigint): bigint {
  return counter + BigInt.asIntN(32, value);
}

/** Lets the timers fire that are due at `counter`; the private interrupts, by INTID as bits, that are to be injected. */
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

/** The system time from which on {@link fireTimers} has something to do; null when that needs the guest. */
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
