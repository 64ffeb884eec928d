/**
 * The 8254 timer with port 0x61, which gates its channel 2 and shows its output, as Xen emulates them for an HVM guest (Xen 4.17
 * arch/x86/emul-i8254.c; Intel 8254 data sheet). Counts are binary: like Xen, a channel in BCD mode counts in binary. Channel 0's
 * interrupt is a platform timer's.
 */

/** Ticks of the 8254 in a second. */
export const pitHz = 1_193_182n;
const nsPerSecond = 1_000_000_000n;

/** Which byte of a count the next access transfers. */
type Half = 'low' | 'high' | 'low, then high' | 'high, after low';

export interface PitChannelState {
  /** 0 to 5; 0xff until it is set. */
  mode: number;
  isBcd: boolean;
  /** 1 to 0x10000. */
  count: number;
  /** System time in ns when the count was loaded. */
  loadedNs: bigint;
  gate: boolean;
  /** Bytes that a count has: 1 low, 2 high, 3 both; 0 until it is set. */
  access: number;
  reads: Half;
  writes: Half;
  /** The low byte of a count whose high byte is awaited. */
  writtenLow: number;
  /** A latched count, of which `latchedBytes` (as `access`) are still to be read. */
  latched: number;
  latchedBytes: number;
  /** A latched status byte; null if there is none. */
  status: number | null;
}

export interface PitState {
  channels: [PitChannelState, PitChannelState, PitChannelState];
  speaker: boolean;
}

/** What a write changes for the interrupt of channel 0: its period in ns, or once after that time, or that it stops; null: nothing. */
export type PitInterrupt =
  | { readonly kind: 'periodic'; readonly ns: bigint }
  | { readonly kind: 'once'; readonly ns: bigint }
  | { readonly kind: 'stopped' };

function newChannel(gate: boolean): PitChannelState {
  return {
    mode: 0xff,
    isBcd: false,
    count: 0x1_0000,
    loadedNs: 0n,
    gate,
    access: 0,
    reads: 'low',
    writes: 'low',
    writtenLow: 0,
    latched: 0,
    latchedBytes: 0,
    status: null,
  };
}

export function newPit(): PitState {
  return { channels: [newChannel(true), newChannel(true), newChannel(false)], speaker: false };
}

const channelOf = ({ channels }: PitState, index: number): PitChannelState =>
  channels[index === 1 ? 1 : index === 2 ? 2 : 0];

/** Ticks since the count was loaded. */
function ticks({ loadedNs }: PitChannelState, nowNs: bigint): bigint {
  return nowNs <= loadedNs ? 0n : ((nowNs - loadedNs) * pitHz) / nsPerSecond;
}

/** The channel's counter, 16 bits. */
function counter(channel: PitChannelState, nowNs: bigint): number {
  const passed = ticks(channel, nowNs);
  const count = BigInt(channel.count);
  switch (channel.mode) {
    case 0:
    case 1:
    case 4:
    case 5:
      return Number((count - passed) & 0xffffn);
    case 3:
      return Number((count - ((2n * passed) % count)) & 0xffffn);
    default:
      return Number((count - (passed % count)) & 0xffffn);
  }
}

/** The channel's output. */
function output(channel: PitChannelState, nowNs: bigint): boolean {
  const passed = ticks(channel, nowNs);
  const count = BigInt(channel.count);
  switch (channel.mode) {
    case 1:
      return passed < count;
    case 2:
      return passed !== 0n && passed % count === 0n;
    case 3:
      return passed % count < (count + 1n) >> 1n;
    case 4:
    case 5:
      return passed === count;
    default:
      return passed >= count;
  }
}

function latchCount(channel: PitChannelState, nowNs: bigint): void {
  if (channel.latchedBytes !== 0) return;
  channel.latched = counter(channel, nowNs);
  channel.latchedBytes = channel.access;
}

function latchStatus(channel: PitChannelState, nowNs: bigint): void {
  const mode = (channel.mode & 7) << 1;
  channel.status ??=
    (output(channel, nowNs) ? 0x80 : 0) | (channel.access << 4) | mode | (channel.isBcd ? 1 : 0);
}

function readBack(pit: PitState, value: number, nowNs: bigint): void {
  for (const [index, channel] of pit.channels.entries()) {
    if ((value & (2 << index)) === 0) continue;
    if ((value & 0x20) === 0) latchCount(channel, nowNs);
    if ((value & 0x10) === 0) latchStatus(channel, nowNs);
  }
}

const halves: readonly Half[] = ['low', 'low', 'high', 'low, then high'];

function writeControl(pit: PitState, value: number, nowNs: bigint): void {
  if (value >> 6 === 3) {
    readBack(pit, value, nowNs);
    return;
  }
  const channel = channelOf(pit, value >> 6);
  const access = (value >> 4) & 3;
  if (access === 0) {
    latchCount(channel, nowNs);
    return;
  }
  const mode = (value >> 1) & 7;
  channel.access = access;
  channel.reads = halves[access] ?? 'low';
  channel.writes = channel.reads;
  channel.mode = mode > 5 ? mode - 4 : mode;
  channel.isBcd = (value & 1) !== 0;
}

function load(channel: PitChannelState, count: number, nowNs: bigint): PitInterrupt {
  channel.count = count === 0 ? 0x1_0000 : count;
  channel.loadedNs = nowNs;
  const ns = (BigInt(channel.count) * nsPerSecond + pitHz / 2n) / pitHz;
  if (channel.mode === 2 || channel.mode === 3) return { kind: 'periodic', ns };
  return channel.mode === 1 || channel.mode === 4 ? { kind: 'once', ns } : { kind: 'stopped' };
}

/** Writes a byte to port 0x40 + `offset`. Returns what changes for channel 0's interrupt; null for nothing. */
export function writePit(pit: PitState, offset: number, value: number, nowNs: bigint): PitInterrupt | null {
  if (offset === 3) {
    writeControl(pit, value, nowNs);
    return null;
  }
  const channel = channelOf(pit, offset);
  let count: number;
  switch (channel.writes) {
    case 'low, then high':
      channel.writtenLow = value;
      channel.writes = 'high, after low';
      return null;
    case 'high, after low':
      count = channel.writtenLow | (value << 8);
      channel.writes = 'low, then high';
      break;
    case 'low':
      count = value;
      break;
    case 'high':
      count = value << 8;
  }
  const interrupt = load(channel, count, nowNs);
  return offset === 0 ? interrupt : null;
}

function readLatched(channel: PitChannelState): number {
  const bytes = channel.latchedBytes;
  channel.latchedBytes = bytes === 3 ? 2 : 0;
  return bytes === 2 ? channel.latched >> 8 : channel.latched & 0xff;
}

/** Reads a byte from port 0x40 + `offset`, 0 to 2. */
export function readPit(pit: PitState, offset: number, nowNs: bigint): number {
  const channel = channelOf(pit, offset);
  const { status } = channel;
  if (status !== null) {
    channel.status = null;
    return status;
  }
  if (channel.latchedBytes !== 0) return readLatched(channel);
  const value = counter(channel, nowNs);
  switch (channel.reads) {
    case 'low':
      return value & 0xff;
    case 'high':
      return value >> 8;
    case 'low, then high':
      channel.reads = 'high, after low';
      return value & 0xff;
    case 'high, after low':
      channel.reads = 'low, then high';
      return value >> 8;
  }
}

/** Reads port 0x61: the speaker's bits, the refresh clock, which changes every 2^14 ns, and the output of channel 2. */
export function readSpeaker({ channels, speaker }: PitState, nowNs: bigint): number {
  const [, , second] = channels;
  const refresh = Number((nowNs >> 14n) & 1n) << 4;
  return (speaker ? 2 : 0) | (second.gate ? 1 : 0) | refresh | (output(second, nowNs) ? 0x20 : 0);
}

/** Writes port 0x61: bit 0 gates channel 2, which then counts anew in the modes that a gate triggers. */
export function writeSpeaker(pit: PitState, value: number, nowNs: bigint): void {
  const [, , second] = pit.channels;
  const gate = (value & 1) !== 0;
  const triggers = [1, 2, 3, 5].includes(second.mode);
  if (triggers && gate && !second.gate) second.loadedNs = nowNs;
  second.gate = gate;
  pit.speaker = (value & 2) !== 0;
}

/** Channel 0's interrupt has reached the guest: Xen lets the channel count from here. */
export function pitFired({ channels }: PitState, nowNs: bigint): void {
  channels[0].loadedNs = nowNs;
}
