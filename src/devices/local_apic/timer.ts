/**
 * The timer of a local APIC (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_update_timer and vlapic_tdt_msr_set). It counts bus
 * cycles of 10 ns, divided, once or again and again, or it fires at a value of the TSC. Times are system time in ns.
 */
import { requestVector } from './delivery.js';
import type { LocalApics } from './delivery.js';
import { divisorOf, isEnabled, isEnabledByBase, masked, register, registerOf, setRegister } from './state.js';
import type { LocalApicState } from './state.js';

const busCycleNs = 10n;
/** Mode field of the timer's local vector. */
const modeField = 0x6_0000;
const mode = { oneShot: 0, periodic: 0x2_0000, deadline: 0x4_0000 } as const;
/** A period of zero or of a few ns would never let time pass. */
const leastPeriodNs = 100n;

/** How the guest's TSC and system time relate. */
export interface GuestTsc {
  /** The TSC at system time `ns`. */
  at(ns: bigint): bigint;
  /** The first system time in ns at which the TSC has at least that value. */
  timeOf(tsc: bigint): bigint;
}

function modeOf(apic: LocalApicState): number {
  return registerOf(apic, register.timerVector) & modeField;
}

function counts(kind: number): boolean {
  return kind === mode.oneShot || kind === mode.periodic;
}

/** The time in ns in which the counter goes from its initial count to 0. */
function periodNs(apic: LocalApicState, divisor: number): bigint {
  return BigInt(registerOf(apic, register.initialCount)) * busCycleNs * BigInt(divisor);
}

/** The time in ns until the counter reaches 0; 0 if it stands. */
function leftNs(apic: LocalApicState, divisor: number, nowNs: bigint): bigint {
  const { startedNs } = apic.timer;
  const period = periodNs(apic, divisor);
  if (startedNs === null || period === 0n) return 0n;
  const passed = nowNs - startedNs;
  if (modeOf(apic) === mode.periodic) return period - (passed % period);
  return passed < period ? period - passed : 0n;
}

/** Lets the counter run for `left` ns to 0 in the mode `kind`, or stops it. */
function run(apic: LocalApicState, kind: number, left: bigint, nowNs: bigint): void {
  const { timer } = apic;
  const runs = left > 0n && counts(kind);
  timer.dueNs = runs ? nowNs + left : null;
  timer.startedNs = runs ? nowNs - (periodNs(apic, divisorOf(apic)) - left) : null;
}

/** The current count register. */
export function currentCount(apic: LocalApicState, nowNs: bigint): number {
  if (!counts(modeOf(apic))) return 0;
  const divisor = divisorOf(apic);
  return Number(
    (leftNs(apic, divisor, nowNs) + busCycleNs * BigInt(divisor) - 1n) / (busCycleNs * BigInt(divisor)),
  );
}

/** The initial count register, which reads as 0 in deadline mode. */
export function initialCount(apic: LocalApicState): number {
  return counts(modeOf(apic)) ? registerOf(apic, register.initialCount) : 0;
}

export function writeInitialCount(apic: LocalApicState, value: number, nowNs: bigint): void {
  const kind = modeOf(apic);
  if (!counts(kind)) return;
  setRegister(apic, register.initialCount, value);
  run(apic, kind, periodNs(apic, divisorOf(apic)), nowNs);
}

export function writeDivide(apic: LocalApicState, value: number, nowNs: bigint): void {
  const before = divisorOf(apic);
  const left = leftNs(apic, before, nowNs);
  setRegister(apic, register.divide, value & 0xb);
  run(apic, modeOf(apic), (left * BigInt(divisorOf(apic))) / BigInt(before), nowNs);
}

/** The guest changes the timer's local vector to `value`: what follows for the counter. */
export function timerVectorChanges(apic: LocalApicState, value: number, nowNs: bigint): void {
  const kind = value & modeField;
  if ((modeOf(apic) === mode.deadline) !== (kind === mode.deadline)) {
    setRegister(apic, register.initialCount, 0);
    apic.timer.deadline = 0n;
  }
  if (kind === mode.deadline && apic.timer.deadline !== 0n) return;
  run(apic, kind, leftNs(apic, divisorOf(apic), nowNs), nowNs);
}

/** IA32_TSC_DEADLINE. */
export function deadline(apic: LocalApicState): bigint {
  return modeOf(apic) === mode.deadline ? apic.timer.deadline : 0n;
}

export function writeDeadline(apic: LocalApicState, value: bigint, tsc: GuestTsc, nowNs: bigint): void {
  if (!isEnabledByBase(apic) || modeOf(apic) !== mode.deadline) return;
  const { timer } = apic;
  const isLater = value > tsc.at(nowNs);
  timer.deadline = isLater ? value : 0n;
  timer.dueNs = isLater ? tsc.timeOf(value) : value > 0n ? nowNs : null;
}

/** When the next timer of any CPU fires; null if none does. */
export function timersDueNs({ state }: LocalApics): bigint | null {
  let first: bigint | null = null;
  for (const { timer } of state.cpus) {
    if (timer.dueNs !== null && (first === null || timer.dueNs < first)) first = timer.dueNs;
  }
  return first;
}

/**
 * Fires the timers that are due by `nowNs`. A periodic timer that is several periods late fires once.
 * An interrupt whose vector is masked is lost: writing the vector sets the timer anew (vlapic_update_timer).
 */
export function passTimers(apics: LocalApics, nowNs: bigint): void {
  for (const [cpu, apic] of apics.state.cpus.entries()) {
    const { timer } = apic;
    if (timer.dueNs === null || timer.dueNs > nowNs) continue;
    const period = periodNs(apic, divisorOf(apic));
    if (modeOf(apic) === mode.periodic && period > 0n) {
      const step = period < leastPeriodNs ? leastPeriodNs : period;
      timer.startedNs = timer.dueNs;
      timer.dueNs += step * ((nowNs - timer.dueNs) / step + 1n);
    } else {
      timer.dueNs = null;
      timer.startedNs = null;
      timer.deadline = 0n;
    }
    const vector = registerOf(apic, register.timerVector);
    if ((vector & masked) === 0 && isEnabled(apic)) requestVector(apics, cpu, vector & 0xff);
  }
}
