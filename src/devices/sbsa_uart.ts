/**
 * The SBSA UART (Arm BSA, appendix B: a PL011 without DMA, modem lines and baud rate), as Xen emulates it for a guest
 * (Xen 4.17 arch/arm/vpl011.c). What is sent leaves at once; what is received waits in 32 places.
 */
import { registers32, readRegister, writeRegister } from './mmio.js';
import type { MmioDevice, Register } from './mmio.js';

const fifoPlaces = 32;

/** UARTFR. */
const receiveEmpty = 1 << 4;
const receiveFull = 1 << 6;
const transmitEmpty = 1 << 7;
/** UARTRIS and its fellows. */
const receiveInterrupt = 1 << 4;
const transmitInterrupt = 1 << 5;
const receiveTimeout = 1 << 6;

export interface UartState {
  received: number[];
  /** UARTRIS's latched bits. */
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

/** Gives the guest a byte to read; false, and the byte is not taken, when 32 wait already. */
export function receive(state: UartState, byte: number): boolean {
  if (state.received.length >= fifoPlaces) return false;
  state.received.push(byte);
  state.raw |= receiveInterrupt | receiveTimeout;
  return true;
}

/** The UART's registers; `send` takes each byte that the guest sends. */
export function sbsaUart(state: UartState, send: (byte: number) => void): MmioDevice {
  const takeByte = (): number => {
    const byte = state.received.shift() ?? 0;
    if (state.received.length === 0) state.raw &= ~(receiveInterrupt | receiveTimeout);
    return byte;
  };
  const table: readonly Register[] = [
    {
      name: 'UARTDR',
      offset: 0x0,
      bytes: 4,
      count: 1,
      read: () => BigInt(takeByte()),
      write: (_, value) => {
        send(Number(value & 0xffn));
        state.raw |= transmitInterrupt;
      },
    },
    registers32('UARTFR', 0x18, 1, () => {
      const { length } = state.received;
      return transmitEmpty | (length === 0 ? receiveEmpty : 0) | (length >= fifoPlaces ? receiveFull : 0);
    }),
    registers32(
      'UARTIMSC',
      0x38,
      1,
      () => state.enabled,
      (_, value) => {
        state.enabled = value & 0x7ff;
      },
    ),
    registers32('UARTRIS', 0x3c, 1, () => state.raw),
    registers32('UARTMIS', 0x40, 1, () => state.raw & state.enabled),
    registers32(
      'UARTICR',
      0x44,
      1,
      () => 0,
      (_, value) => {
        state.raw &= ~value;
      },
    ),
    registers32('UARTPCELLID', 0xff0, 4, (index) => [0x0d, 0xf0, 0x05, 0xb1][index] ?? 0),
  ];
  return {
    size: 0x1000,
    read: (offset, bytes) => readRegister(table, offset, bytes),
    write: (offset, bytes, value) => writeRegister(table, offset, bytes, value),
  };
}
