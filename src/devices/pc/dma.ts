/**
 * The registers of the two 8237 DMA controllers and of their pages (QEMU hw/dma/i8257.c; Intel 8237A data sheet). No device asks
 * for a transfer, so none takes place.
 */
import { present } from '../../base/index.js';

export interface DmaChannelState {
  address: number;
  count: number;
  page: number;
}

export interface DmaState {
  /** Four. */
  channels: DmaChannelState[];
  /** The next byte of an address or a count is the high one. */
  isHigh: boolean;
  status: number;
  command: number;
  mask: number;
}

export function newDma(): DmaState {
  return {
    channels: [0, 1, 2, 3].map(() => ({ address: 0, count: 0, page: 0 })),
    isHigh: false,
    status: 0,
    command: 0,
    mask: 0xf,
  };
}

const channelOf = ({ channels }: DmaState, index: number): DmaChannelState =>
  present(channels[index & 3], 'a channel');

/** Reads register 0 to 15. */
export function readDma(dma: DmaState, register: number): number {
  if (register < 8) {
    const channel = channelOf(dma, register >> 1);
    const value = (register & 1) === 0 ? channel.address : channel.count;
    const byte = dma.isHigh ? value >> 8 : value & 0xff;
    dma.isHigh = !dma.isHigh;
    return byte;
  }
  if (register === 15) return dma.mask;
  if (register !== 8) return 0;
  const { status } = dma;
  dma.status &= 0xf0;
  return status;
}

function writeControl(dma: DmaState, register: number, value: number): void {
  const bit = 1 << (value & 3);
  switch (register) {
    case 8:
      dma.command = value;
      return;
    case 9:
      dma.status &= ~(bit | (bit << 4));
      if ((value & 4) !== 0) dma.status |= bit << 4;
      return;
    case 10:
      dma.mask = (value & 4) === 0 ? dma.mask & ~bit : dma.mask | bit;
      return;
    case 12:
      dma.isHigh = false;
      return;
    case 13:
      dma.isHigh = false;
      dma.mask = 0xf;
      dma.status = 0;
      dma.command = 0;
      return;
    case 14:
      dma.mask = 0;
      return;
    case 15:
      dma.mask = value & 0xf;
  }
}

/** Writes register 0 to 15. */
export function writeDma(dma: DmaState, register: number, value: number): void {
  if (register >= 8) {
    writeControl(dma, register, value);
    return;
  }
  const channel = channelOf(dma, register >> 1);
  const name = (register & 1) === 0 ? 'address' : 'count';
  channel[name] = dma.isHigh ? (channel[name] & 0xff) | (value << 8) : (channel[name] & 0xff00) | value;
  dma.isHigh = !dma.isHigh;
}

/** The channel whose page is at an offset, 0 to 7, of a controller's page registers; null for a port without one. */
function pageChannel(offset: number): number | null {
  return offset === 1 ? 2 : offset === 2 ? 3 : offset === 3 ? 1 : offset === 7 ? 0 : null;
}

/** Reads a page register; all ones where there is none. */
export function readDmaPage(dma: DmaState, offset: number): number {
  const channel = pageChannel(offset);
  return channel === null ? 0xff : channelOf(dma, channel).page;
}

export function writeDmaPage(dma: DmaState, offset: number, value: number): void {
  const channel = pageChannel(offset);
  if (channel !== null) channelOf(dma, channel).page = value;
}
