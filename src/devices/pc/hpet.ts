/**
 * The HPET of an HVM guest, as Xen emulates it: a counter of 62.5 MHz and three timers, which may interrupt at pins 20 to 23, or
 * replace the interrupts of 8254 and clock (Xen 4.17 arch/x86/hvm/hpet.c; IA-PC HPET Specification 1.0a). Its interrupts are
 * platform timers'.
 */
import type { TimerStart } from './platform_timer.js';

/** The device answers at 1024 bytes. */
export const hpetBytes = 0x400;
export const hpetTimers = 3;

const nsPerTick = 16n;
/** Period of 16,000,000 fs, Intel, legacy replacement, 64 bits, three timers, revision 1. */
const capabilities = 0x00f4_2400_8086_a201n;
const at = { capabilities: 0, configuration: 0x10, status: 0x20, counter: 0xf0, timers: 0x100 } as const;
const timerBytes = 0x20;
const enabled = 1n;
const legacy = 2n;
const writableConfiguration = enabled | legacy;
/** Fields of a timer's configuration. */
const timer = {
  level: 2n,
  enabled: 4n,
  periodic: 8n,
  set: 0x40n,
  narrow: 0x100n,
  route: 0x3e00n,
} as const;
const writableTimer = 0x3f4en;
/** Pins 20 to 23, 64 bits, periodic. */
const timerCapabilities = 0x00f0_0000_0000_0030n;
const firstPin = 20n;
const pins = 0xf0_0000n;
const allOnes = 0xffff_ffff_ffff_ffffn;
const lowHalf = 0xffff_ffffn;
const leastPeriod = 100_000n / nsPerTick;
/** About 1/1024 s: a narrow comparator that lies further back is taken to lie ahead. */
const shortTicks = 976_562n / nsPerTick;

export interface HpetTimerState {
  configuration: bigint;
  comparator: bigint;
  /** The comparator's 64 bits while the guest sees 32. */
  wide: bigint;
  period: bigint;
  /** The register of the timer's message, which it does not send. */
  message: bigint;
}

export interface HpetState {
  configuration: bigint;
  /** A bit for each timer whose level-triggered interrupt is asserted. */
  status: number;
  /** The counter while it stands; while it counts, its value at system time 0. */
  counter: bigint;
  timers: HpetTimerState[];
}

export interface HpetPort {
  /** The interrupt of a timer is an ISA interrupt that it replaces, or a pin's. */
  start(index: number, interrupt: TimerStart): void;
  stop(index: number): void;
  /** Timer 0 replaces the 8254's interrupt. */
  replacesPit(): void;
  /** The level-triggered interrupt at a pin ends. */
  lowerPin(pin: number): void;
}

export function newHpet(): HpetState {
  return {
    configuration: 0n,
    status: 0,
    counter: 0n,
    timers: Array.from({ length: hpetTimers }, () => ({
      configuration: timerCapabilities,
      comparator: allOnes,
      wide: allOnes,
      period: 0n,
      message: 0n,
    })),
  };
}

const isOn = ({ configuration }: HpetState): boolean => (configuration & enabled) !== 0n;
const has = ({ configuration }: HpetTimerState, bit: bigint): boolean => (configuration & bit) !== 0n;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const pinOf = ({ configuration }: HpetTimerState): bigint => (configuration & timer.route) >> 9n;

function counterOf(hpet: HpetState, nowNs: bigint): bigint {
  return isOn(hpet) ? u64(hpet.counter + nowNs / nsPerTick) : hpet.counter;
}

/** The comparator, which a periodic timer moves on by its period. */
function comparatorOf(hpet: HpetState, state: HpetTimerState, nowNs: bigint): bigint {
  if (isOn(hpet) && has(state, timer.periodic) && state.period !== 0n) {
    const passed = BigInt.asIntN(64, counterOf(hpet, nowNs) - state.wide);
    if (passed >= 0n) state.wide = u64(state.wide + ((passed + state.period) / state.period) * state.period);
  }
  state.comparator = has(state, timer.narrow) ? state.wide & lowHalf : state.wide;
  return state.comparator;
}

/** Ticks until a timer is due. */
function ticksAhead(hpet: HpetState, state: HpetTimerState, nowNs: bigint): bigint {
  const comparator = comparatorOf(hpet, state, nowNs);
  const counter = counterOf(hpet, nowNs);
  if (!has(state, timer.narrow)) {
    const ahead = BigInt.asIntN(64, comparator - counter);
    return ahead < 0n ? 0n : ahead;
  }
  const ahead = comparator - (counter & lowHalf);
  if (ahead >= 0n) return ahead;
  return -ahead > shortTicks ? ahead & lowHalf : 0n;
}

function start(hpet: HpetState, port: HpetPort, index: number, nowNs: bigint): void {
  const state = hpet.timers[index];
  const isLegacy = (hpet.configuration & legacy) !== 0n && index <= 1;
  if (isLegacy && index === 0) port.replacesPit();
  if (state === undefined || !has(state, timer.enabled)) return;
  const isLevel = has(state, timer.level);
  if (isLevel && (hpet.status & (1 << index)) !== 0) return;
  const afterNs = ticksAhead(hpet, state, nowNs) * nsPerTick;
  const isPeriodic = has(state, timer.periodic) && !isLevel && state.period !== 0n;
  const periodNs = isPeriodic ? state.period * nsPerTick : null;
  port.start(
    index,
    isLegacy
      ? { source: 'isa', irq: index === 0 ? 0 : 8, isLevel: false, afterNs, periodNs }
      : { source: 'ioApic', irq: Number(pinOf(state)), isLevel, afterNs, periodNs },
  );
}

function stop(hpet: HpetState, port: HpetPort, index: number, nowNs: bigint): void {
  const state = hpet.timers[index];
  if (state === undefined) return;
  port.stop(index);
  comparatorOf(hpet, state, nowNs);
}

function writeConfiguration(hpet: HpetState, port: HpetPort, value: bigint, nowNs: bigint): void {
  const wasOn = isOn(hpet);
  const counter = counterOf(hpet, nowNs);
  hpet.configuration = value & writableConfiguration;
  if (isOn(hpet) === wasOn) return;
  hpet.counter = wasOn ? counter : u64(counter - nowNs / nsPerTick);
  for (const [index, state] of hpet.timers.entries()) {
    if (!wasOn) state.wide = has(state, timer.narrow) ? state.comparator & lowHalf : state.comparator;
    if (!has(state, timer.enabled)) continue;
    if (wasOn) port.stop(index);
    else start(hpet, port, index, nowNs);
  }
}

/** Ones clear. */
function writeStatus(hpet: HpetState, port: HpetPort, value: bigint, nowNs: bigint): void {
  for (const [index, state] of hpet.timers.entries()) {
    const bit = 1 << index;
    if ((value & BigInt(bit)) === 0n || (hpet.status & bit) === 0) continue;
    hpet.status &= ~bit;
    port.lowerPin(Number(pinOf(state)));
    const isPeriodicLevel =
      has(state, timer.enabled) && has(state, timer.level) && has(state, timer.periodic);
    if (isOn(hpet) && isPeriodicLevel) start(hpet, port, index, nowNs);
  }
}

function writeCounter(hpet: HpetState, port: HpetPort, value: bigint, nowNs: bigint): void {
  if (!isOn(hpet)) {
    hpet.counter = value;
    return;
  }
  // Xen does not move a counter that counts; its timers are started anew.
  for (const [index, state] of hpet.timers.entries()) {
    if (!has(state, timer.enabled)) continue;
    stop(hpet, port, index, nowNs);
    start(hpet, port, index, nowNs);
  }
}

/** A pin that the timer cannot have becomes the first that it can, when the timer is on. */
function checkPin(state: HpetTimerState): void {
  if (((1n << pinOf(state)) & pins) !== 0n) return;
  state.configuration &= ~timer.route;
  if (has(state, timer.enabled)) state.configuration |= firstPin << 9n;
}

function writeTimer(hpet: HpetState, port: HpetPort, index: number, value: bigint, nowNs: bigint): void {
  const state = hpet.timers[index];
  if (state === undefined) return;
  const before = state.configuration;
  state.configuration = (value & writableTimer) | timerCapabilities;
  checkPin(state);
  if (has(state, timer.narrow)) {
    state.comparator &= lowHalf;
    state.period &= lowHalf;
  }
  if (!isOn(hpet)) return;
  const was = (bit: bigint): boolean => (before & bit) !== 0n;
  if (!has(state, timer.enabled)) {
    if (was(timer.enabled)) stop(hpet, port, index, nowNs);
    return;
  }
  const isOtherKind = was(timer.periodic) !== has(state, timer.periodic);
  const becameNarrow = has(state, timer.narrow) && !was(timer.narrow);
  if (isOtherKind || becameNarrow) stop(hpet, port, index, nowNs);
  if (isOtherKind || becameNarrow || !was(timer.enabled)) start(hpet, port, index, nowNs);
}

function writeComparator(hpet: HpetState, port: HpetPort, index: number, value: bigint, nowNs: bigint): void {
  const state = hpet.timers[index];
  if (state === undefined) return;
  const isNarrow = has(state, timer.narrow);
  if (has(state, timer.periodic) && !has(state, timer.set)) {
    const most = (isNarrow ? lowHalf : allOnes) >> 1n;
    const period = value < leastPeriod ? leastPeriod : value;
    state.period = period > most ? most : period;
  } else {
    state.configuration &= ~timer.set;
    state.wide = value;
    state.comparator = isNarrow ? value & lowHalf : value;
  }
  if (!isOn(hpet) || !has(state, timer.enabled)) return;
  stop(hpet, port, index, nowNs);
  start(hpet, port, index, nowNs);
}

function readRegister(hpet: HpetState, offset: number, nowNs: bigint): bigint {
  switch (offset) {
    case at.capabilities:
      return capabilities;
    case at.configuration:
      return hpet.configuration;
    case at.status:
      return BigInt(hpet.status);
    case at.counter:
      return counterOf(hpet, nowNs);
    default: {
      const within = offset - at.timers;
      const state = within < 0 ? undefined : hpet.timers[Math.floor(within / timerBytes)];
      if (state === undefined) return 0n;
      switch (within % timerBytes) {
        case 0:
          return state.configuration;
        case 8:
          return comparatorOf(hpet, state, nowNs);
        case 0x10:
          return state.message;
        default:
          return 0n;
      }
    }
  }
}

function writeTimerRegister(
  hpet: HpetState,
  port: HpetPort,
  within: number,
  value: bigint,
  nowNs: bigint,
): void {
  const index = Math.floor(within / timerBytes);
  const state = hpet.timers[index];
  if (within < 0 || state === undefined) return;
  const part = within % timerBytes;
  if (part === 0) writeTimer(hpet, port, index, value, nowNs);
  if (part === 8) writeComparator(hpet, port, index, value, nowNs);
  if (part === 0x10) state.message = value;
}

/** Whether an access of 1, 2, 4 or 8 bytes lies within a register. */
const isAligned = (offset: number, bytes: number): boolean => offset % bytes === 0;

/** A load; all ones unless it is aligned. */
export function readHpet(hpet: HpetState, offset: number, bytes: number, nowNs: bigint): bigint {
  if (!isAligned(offset, bytes)) return BigInt.asUintN(8 * bytes, allOnes);
  const value = readRegister(hpet, offset & ~7, nowNs);
  return BigInt.asUintN(8 * bytes, value >> BigInt(8 * (offset & 7)));
}

/** A store, which keeps a register's other bytes; ignored unless it is aligned. */
export function writeHpet(
  hpet: HpetState,
  port: HpetPort,
  offset: number,
  bytes: number,
  value: bigint,
  nowNs: bigint,
): void {
  if (!isAligned(offset, bytes)) return;
  const shift = BigInt(8 * (offset & 7));
  const mask = (allOnes >> BigInt(64 - 8 * bytes)) << shift;
  const whole = (readRegister(hpet, offset & ~7, nowNs) & ~mask) | ((value << shift) & mask);
  switch (offset & ~7) {
    case at.configuration:
      writeConfiguration(hpet, port, whole, nowNs);
      return;
    case at.status:
      writeStatus(hpet, port, whole, nowNs);
      return;
    case at.counter:
      writeCounter(hpet, port, whole, nowNs);
      return;
    default:
      writeTimerRegister(hpet, port, (offset & ~7) - at.timers, whole, nowNs);
  }
}

/** A timer's level-triggered interrupt is asserted. */
export function hpetFired(hpet: HpetState, index: number): void {
  hpet.status |= 1 << index;
}
