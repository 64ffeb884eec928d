/**
 * The MC146818 clock with its CMOS memory. Under Xen the clock's 14 registers are Xen's, and the memory behind them is the device
 * model's, which has an index of its own (Xen 4.17 arch/x86/hvm/rtc.c, "no_ack" mode; QEMU hw/rtc/mc146818rtc.c; Motorola MC146818
 * data sheet). The time is the guest's wall clock: seconds since 1970 at system time 0, and what the guest set it forward.
 */
import { earlier, present } from '../../base/index.js';
import { calendarTime, secondsOf } from './calendar.js';

/** Registers of the clock. */
const register = {
  second: 0,
  secondAlarm: 1,
  minute: 2,
  minuteAlarm: 3,
  hour: 4,
  hourAlarm: 5,
  weekday: 6,
  day: 7,
  month: 8,
  year: 9,
  a: 10,
  b: 11,
  c: 12,
  d: 13,
} as const;
const clockRegisters = 14;
const memoryBytes = 128;

/** Register A: an update is in progress. B: time stands; interrupts; binary; 24 hours. C: interrupt, and its causes. */
const updating = 0x80;
const flag = { set: 0x80, periodic: 0x40, alarm: 0x20, updated: 0x10, binary: 4, fullDay: 2 } as const;
const interrupting = 0x80;

const nsPerSecond = 1_000_000_000n;
/** How long before the end of a second the clock says that it is being updated. */
const updateNs = 244_000n;

export interface RtcState {
  /** The index that Xen keeps, and the device model's, which follows only beyond the clock's registers. */
  index: number;
  memoryIndex: number;
  /** 128 bytes: the clock's 14 registers, and the memory behind them. */
  bytes: number[];
  /** The wall clock at system time 0, in seconds since 1970. */
  baseSec: number;
  /** The time in the registers, in seconds since 1970. What the guest writes there counts from it. */
  shownSec: number;
  /** System time of the next end of an update that sets a flag, and of the next alarm, ns; null for none. */
  updateNs: bigint | null;
  alarmNs: bigint | null;
  /** The period of the periodic interrupt in ns; null if it is off. */
  periodNs: bigint | null;
  /** When it was last seen whether a period had passed, ns. */
  seenNs: bigint;
}

/** What the clock's interrupt does. */
export interface RtcPort {
  /** Raises the interrupt anew. */
  raise(): void;
  lower(): void;
  /** The guest set the clock. */
  timeSet(): void;
  /** The periodic interrupt starts, its first tick after `afterNs`; it stops for null. */
  setPeriodic(timer: { readonly afterNs: bigint; readonly periodNs: bigint } | null): void;
}

const byteAt = ({ bytes }: RtcState, index: number): number =>
  present(bytes[index], 'a byte of the CMOS memory');
const regA = (rtc: RtcState): number => byteAt(rtc, register.a);
const regB = (rtc: RtcState): number => byteAt(rtc, register.b);
const regC = (rtc: RtcState): number => byteAt(rtc, register.c);

/** `wallclockSec`: seconds since 1970 at system time 0. `memory`: bytes of the memory behind the clock's registers, by index. */
export function newRtc(
  wallclockSec: number,
  memory: Readonly<Record<number, number>>,
  nowNs: bigint,
): RtcState {
  const bytes = Array.from({ length: memoryBytes }, (_, index) => memory[index] ?? 0);
  bytes[register.a] = 0x26;
  bytes[register.b] = flag.fullDay;
  bytes[register.d] = 0x80;
  const rtc: RtcState = {
    index: 0,
    memoryIndex: 0,
    bytes,
    baseSec: wallclockSec,
    shownSec: wallclockSec,
    updateNs: null,
    alarmNs: null,
    periodNs: null,
    seenNs: nowNs,
  };
  rtc.periodNs = periodOf(rtc);
  planUpdate(rtc, nowNs);
  planAlarm(rtc, nowNs);
  return rtc;
}

/** The clock's time in seconds since 1970. */
function secondsAt({ baseSec }: RtcState, nowNs: bigint): number {
  return baseSec + Number(nowNs / nsPerSecond);
}

const toDigits = (rtc: RtcState, value: number): number =>
  (regB(rtc) & flag.binary) !== 0 ? value : (Math.floor(value / 10) << 4) | (value % 10);
const fromDigits = (rtc: RtcState, value: number): number =>
  (regB(rtc) & flag.binary) !== 0 ? value : (value >> 4) * 10 + (value & 0xf);

function toHour(rtc: RtcState, hour: number): number {
  if ((regB(rtc) & flag.fullDay) !== 0) return toDigits(rtc, hour);
  return toDigits(rtc, hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
}

function fromHour(rtc: RtcState, value: number): number {
  const hour = fromDigits(rtc, value & 0x7f);
  if ((regB(rtc) & flag.fullDay) !== 0) return hour;
  return (hour % 12) + ((value & 0x80) === 0 ? 0 : 12);
}

/** Copies the time into the registers. */
function showTime(rtc: RtcState, nowNs: bigint): void {
  rtc.shownSec = secondsAt(rtc, nowNs);
  const time = calendarTime(rtc.shownSec);
  const shown: readonly (readonly [number, number])[] = [
    [register.second, toDigits(rtc, time.second)],
    [register.minute, toDigits(rtc, time.minute)],
    [register.hour, toHour(rtc, time.hour)],
    [register.weekday, toDigits(rtc, time.weekday)],
    [register.day, toDigits(rtc, time.day)],
    [register.month, toDigits(rtc, time.month)],
    [register.year, toDigits(rtc, time.year % 100)],
  ];
  for (const [index, value] of shown) rtc.bytes[index] = value & 0xff;
}

/** Sets the time from the registers: forward or back by what they changed. Fields out of range count on. */
function takeTime(rtc: RtcState, port: RtcPort): void {
  const field = (index: number): number => fromDigits(rtc, byteAt(rtc, index));
  const seconds = secondsOf({
    year: 2000 + field(register.year),
    month: field(register.month),
    day: field(register.day),
    hour: fromHour(rtc, byteAt(rtc, register.hour)),
    minute: field(register.minute),
    second: field(register.second),
  });
  if (seconds !== rtc.shownSec) port.timeSet();
  rtc.baseSec += seconds - rtc.shownSec;
  rtc.shownSec = seconds;
}

/** The period that register A selects, ns; null for none. */
function periodOf(rtc: RtcState): bigint | null {
  const [divider, rate] = [regA(rtc) & 0x70, regA(rtc) & 0xf];
  if (divider > 0x20 || rate === 0) return null;
  // The two highest rates of a 32.768 kHz crystal are those of 256 Hz and 128 Hz.
  const code = divider === 0x20 && rate <= 2 ? rate + 7 : rate;
  return ((1n << BigInt(code - 1)) * nsPerSecond + 16_384n) / 32_768n;
}

/** Sets the interrupt anew if register A selects another period. */
function setPeriod(rtc: RtcState, port: RtcPort, nowNs: bigint): void {
  const periodNs = periodOf(rtc);
  if (periodNs === null) port.setPeriodic(null);
  else if (periodNs !== rtc.periodNs) {
    if ((regB(rtc) & flag.periodic) === 0) rtc.seenNs = nowNs;
    else port.setPeriodic({ afterNs: periodNs - (nowNs % periodNs), periodNs });
  }
  rtc.periodNs = periodNs;
}

/** Notes periods that passed while their interrupt was off. */
function notePeriods(rtc: RtcState, nowNs: bigint): void {
  const { periodNs, seenNs } = rtc;
  if (periodNs === null || (regB(rtc) & flag.periodic) !== 0) return;
  if (nowNs / periodNs !== seenNs / periodNs) rtc.bytes[register.c] = regC(rtc) | flag.periodic;
  rtc.seenNs = nowNs;
}

/** Raises the interrupt if one of its causes is there and enabled. */
function interrupt(rtc: RtcState, port: RtcPort): void {
  if ((regB(rtc) & regC(rtc) & (flag.periodic | flag.alarm | flag.updated)) === 0) return;
  rtc.bytes[register.c] = regC(rtc) | interrupting;
  port.raise();
}

/** Once the flag of updates is set, nobody needs to know of the next, until the flag was read. */
function planUpdate(rtc: RtcState, nowNs: bigint): void {
  const waits = (regC(rtc) & flag.updated) === 0 && (regB(rtc) & flag.set) === 0;
  rtc.updateNs = waits ? (nowNs / nsPerSecond + 1n) * nsPerSecond : null;
}

/** The values below `limit` that an alarm's field matches: one, or any if its two highest bits are set. */
function alarmValues(rtc: RtcState, index: number, limit: number): readonly number[] {
  const byte = byteAt(rtc, index);
  if ((byte & 0xc0) === 0xc0) return Array.from({ length: limit }, (_, value) => value);
  const value = index === register.hourAlarm ? fromHour(rtc, byte) : fromDigits(rtc, byte);
  return value < limit ? [value] : [];
}

const secondsPerDay = 86_400;

/** The first second of a day behind `after` at which the alarm matches; null if there is none. */
function nextMatch(rtc: RtcState, after: number): number | null {
  const minutes = alarmValues(rtc, register.minuteAlarm, 60);
  const seconds = alarmValues(rtc, register.secondAlarm, 60);
  for (const hour of alarmValues(rtc, register.hourAlarm, 24)) {
    for (const minute of minutes) {
      const start = hour * 3600 + minute * 60;
      const second = start + 59 <= after ? undefined : seconds.find((value) => start + value > after);
      if (second !== undefined) return start + second;
    }
  }
  return null;
}

/** Plans the next alarm: today or tomorrow, unless a field has a value that no time of day has. */
function planAlarm(rtc: RtcState, nowNs: bigint): void {
  rtc.alarmNs = null;
  if ((regC(rtc) & flag.alarm) !== 0 || (regB(rtc) & flag.set) !== 0) return;
  const now = secondsAt(rtc, nowNs);
  const ofDay = ((now % secondsPerDay) + secondsPerDay) % secondsPerDay;
  const today = nextMatch(rtc, ofDay);
  const match = today ?? nextMatch(rtc, -1);
  if (match === null) return;
  const ahead = match - ofDay + (today === null ? secondsPerDay : 0);
  rtc.alarmNs = (nowNs / nsPerSecond + BigInt(ahead)) * nsPerSecond;
}

/** When the clock does something by itself next: the end of an update whose interrupt is on, or an alarm. */
export function rtcDueNs(rtc: RtcState): bigint | null {
  const { updateNs: updatedNs, alarmNs } = rtc;
  const enabled = regB(rtc);
  return earlier(
    (enabled & flag.updated) !== 0 ? updatedNs : null,
    (enabled & flag.alarm) !== 0 ? alarmNs : null,
  );
}

/** Sets the flags of what is due by `nowNs`, and raises the interrupt where that is enabled. */
export function passRtc(rtc: RtcState, port: RtcPort, nowNs: bigint): void {
  if (rtc.updateNs !== null && rtc.updateNs <= nowNs) {
    rtc.bytes[register.c] = regC(rtc) | flag.updated;
    rtc.updateNs = null;
    interrupt(rtc, port);
  }
  if (rtc.alarmNs !== null && rtc.alarmNs <= nowNs) {
    rtc.bytes[register.c] = regC(rtc) | flag.alarm;
    rtc.alarmNs = null;
    interrupt(rtc, port);
  }
}

/** The periodic interrupt has reached the guest. */
export function rtcFired(rtc: RtcState): void {
  rtc.bytes[register.c] = regC(rtc) | flag.periodic | interrupting;
}

function writeStatusB(rtc: RtcState, port: RtcPort, value: number, nowNs: bigint): void {
  const before = regB(rtc);
  const isSet = (value & flag.set) !== 0;
  if (isSet && (before & flag.set) === 0) showTime(rtc, nowNs);
  if (!isSet && (before & flag.set) !== 0) takeTime(rtc, port);
  notePeriods(rtc, nowNs);
  rtc.bytes[register.b] = value;
  interrupt(rtc, port);
  const changed = value ^ before;
  if ((changed & flag.periodic) !== 0) {
    port.setPeriodic(null);
    rtc.periodNs = null;
    setPeriod(rtc, port, nowNs);
  }
  if ((changed & flag.set) !== 0) planUpdate(rtc, nowNs);
  if ((changed & (flag.fullDay | flag.binary | flag.set)) !== 0) planAlarm(rtc, nowNs);
}

function writeClock(rtc: RtcState, port: RtcPort, index: number, value: number, nowNs: bigint): void {
  switch (index) {
    case register.a:
      // The flag of an update is read-only.
      rtc.bytes[index] = value & ~updating;
      setPeriod(rtc, port, nowNs);
      return;
    case register.b:
      writeStatusB(rtc, port, value, nowNs);
      return;
    case register.c:
    case register.d:
      return;
    case register.secondAlarm:
    case register.minuteAlarm:
    case register.hourAlarm:
      rtc.bytes[index] = value;
      break;
    default: {
      const stands = (regB(rtc) & flag.set) !== 0;
      if (!stands) showTime(rtc, nowNs);
      rtc.bytes[index] = value;
      if (!stands) takeTime(rtc, port);
    }
  }
  planAlarm(rtc, nowNs);
}

/** Whether the clock is being updated: in the last 244 us of each second. */
function isUpdating(rtc: RtcState, nowNs: bigint): boolean {
  return (regB(rtc) & flag.set) === 0 && nowNs % nsPerSecond >= nsPerSecond - updateNs;
}

function readClock(rtc: RtcState, port: RtcPort, index: number, nowNs: bigint): number {
  switch (index) {
    case register.a:
      return regA(rtc) | (isUpdating(rtc, nowNs) ? updating : 0);
    case register.c: {
      passRtc(rtc, port, nowNs);
      notePeriods(rtc, nowNs);
      const value = regC(rtc);
      rtc.bytes[register.c] = 0;
      if ((value & interrupting) !== 0) port.lower();
      planUpdate(rtc, nowNs);
      planAlarm(rtc, nowNs);
      return value;
    }
    case register.b:
    case register.d:
    case register.secondAlarm:
    case register.minuteAlarm:
    case register.hourAlarm:
      return byteAt(rtc, index);
    default:
      if ((regB(rtc) & flag.set) === 0) showTime(rtc, nowNs);
      return byteAt(rtc, index);
  }
}

/** A byte written to port 0x70 + `offset`, 0 or 1. */
export function writeRtc(rtc: RtcState, port: RtcPort, offset: number, value: number, nowNs: bigint): void {
  if (offset === 0) {
    rtc.index = value & 0x7f;
    if (rtc.index >= clockRegisters) rtc.memoryIndex = rtc.index;
  } else if (rtc.index < clockRegisters) {
    passRtc(rtc, port, nowNs);
    writeClock(rtc, port, rtc.index, value, nowNs);
  } else {
    rtc.bytes[rtc.memoryIndex] = value;
  }
}

/** A byte read from port 0x70 + `offset`, 0 or 1. The index reads as all ones. */
export function readRtc(rtc: RtcState, port: RtcPort, offset: number, nowNs: bigint): number {
  if (offset === 0) return 0xff;
  if (rtc.index < clockRegisters) return readClock(rtc, port, rtc.index, nowNs);
  return byteAt(rtc, rtc.memoryIndex);
}
