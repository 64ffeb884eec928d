/**
 * The SBSA UART (Arm BSA, "SBSA Generic UART": a PL011 without DMA, modem lines and baud rate), as Xen emulates it for
 * a guest (Xen 4.17 arch/arm/vpl011.c). Bytes are sent immediately; received bytes wait in a FIFO of 32.
 */
import { registerDevice, registers32, zeroes } from './mmio.js';
import type { MmioBytes, MmioDevice, Register } from './mmio.js';

const fifoPlaces = 32;
/** Number of waiting bytes that raises the receive interrupt. Fewer raise the receive timeout only. */
const receiveLevel = 16;

/** UARTFR. */
const receiveEmpty = 1 << 4;
const receiveFull = 1 << 6;
const transmitEmpty = 1 << 7;
/** Bits of UARTRIS, UARTIMSC, UARTMIS and UARTICR. */
const receiveInterrupt = 1 << 4;
const transmitInterrupt = 1 << 5;
const receiveTimeout = 1 << 6;

export interface UartState {
  /** Received bytes that were not read yet, oldest first. */
  received: number[];
  /** UARTRIS. Each bit stays set until it is cleared. */
  raw: number;
  /** UARTIMSC. */
  enabled: number;
}

export function newUart(): UartState {
  return { received: [], raw: 0, enabled: 0 };
}

/** Whether the UART's line is high. */
export function uartAsserted({ raw, enabled }: UartState): boolean {
  return (raw & enabled) !== 0;
}

/** Adds a received byte. False if the FIFO already has 32. */
export function receive(state: UartState, byte: number): boolean {
  if (state.received.length >= fifoPlaces) return false;
  state.received.push(byte & 0xff);
  state.raw |= receiveTimeout | (state.received.length >= receiveLevel ? receiveInterrupt : 0);
  return true;
}

/** Reads UARTDR: the oldest byte, or 0 if there is none. */
function takeByte(state: UartState): number {
  const byte = state.received.shift();
  if (byte === undefined) return 0;
  if (state.received.length === 0) state.raw &= ~receiveTimeout;
  if (state.received.length < receiveLevel) state.raw &= ~receiveInterrupt;
  return byte;
}

/** UARTFR. The transmit FIFO is never full. */
function flags({ received: { length } }: UartState): number {
  return transmitEmpty | (length === 0 ? receiveEmpty : 0) | (length >= fifoPlaces ? receiveFull : 0);
}

const narrow: readonly MmioBytes[] = [1, 2, 4];

/** UARTDR has its own definition, because a narrow write must not read it first: that would consume a byte. */
function dataRegister(state: UartState, send: (byte: number) => void): Register {
  return {
    name: 'UARTDR',
    offset: 0x0,
    bytes: 4,
    count: 1,
    widths: narrow,
    read: () => BigInt(takeByte(state)),
    write: (_, value) => {
      send(Number(value) & 0xff);
      state.raw |= transmitInterrupt;
    },
  };
}

/** UARTICR, which is write-only. */
function clearRegister(state: UartState): Register {
  return {
    name: 'UARTICR',
    offset: 0x44,
    bytes: 4,
    count: 1,
    widths: narrow,
    read: null,
    write: (_, value) => {
      state.raw &= ~Number(value);
    },
  };
}

/**
 * The UART's registers. `send` is called with each byte that the guest sends. Accesses to other offsets are refused.
 */
export function sbsaUart(state: UartState, send: (byte: number) => void): MmioDevice {
  const shape = { widths: narrow };
  const table: readonly Register[] = [
    dataRegister(state, send),
    zeroes('UARTRSR', 0x4, shape),
    registers32('UARTFR', 0x18, shape, () => flags(state)),
    registers32(
      'UARTIMSC',
      0x38,
      shape,
      () => state.enabled,
      (_, value) => {
        state.enabled = value >>> 0;
      },
    ),
    registers32('UARTRIS', 0x3c, shape, () => state.raw),
    registers32('UARTMIS', 0x40, shape, () => state.raw & state.enabled),
    clearRegister(state),
  ];
  return registerDevice(0x1000, table, 'refused');
}
