/**
 * The registers that the distributor and each redistributor have alike: a bit, two bits or a byte for each interrupt
 * (IHI 0069H, 12.9 and 12.11). `interrupts` gives the interrupt with a number counted from the frame's first.
 */
import { hasBit } from '../../base/index.js';
import { registers32 } from '../mmio.js';
import type { Register } from '../mmio.js';
import { isPending, priorityMask } from './state.js';
import type { InterruptState } from './state.js';

type Interrupts = (intid: number) => InterruptState | undefined;

/** A row of registers with a bit for each of 32 interrupts; `write` is told of the bits that are ones. */
function bits(
  name: string,
  offset: number,
  rows: number,
  interrupts: Interrupts,
  read: (interrupt: InterruptState) => boolean,
  write: (interrupt: InterruptState) => void,
): Register {
  return registers32(
    name,
    offset,
    rows,
    (row) => {
      let value = 0;
      for (let bit = 0; bit < 32; bit += 1) {
        const interrupt = interrupts(row * 32 + bit);
        if (interrupt !== undefined && read(interrupt)) value |= 1 << bit;
      }
      return value;
    },
    (row, value) => {
      for (let bit = 0; bit < 32; bit += 1) {
        const interrupt = hasBit(value, bit) ? interrupts(row * 32 + bit) : undefined;
        if (interrupt !== undefined) write(interrupt);
      }
    },
  );
}

/** A pair of such rows, 0x80 apart: ones in the first set, ones in the second clear. */
function setAndClear(
  name: string,
  offset: number,
  rows: number,
  interrupts: Interrupts,
  read: (interrupt: InterruptState) => boolean,
  write: (interrupt: InterruptState, value: boolean) => void,
): Register[] {
  return [
    bits(`IS${name}`, offset, rows, interrupts, read, (interrupt) => write(interrupt, true)),
    bits(`IC${name}`, offset + 0x80, rows, interrupts, read, (interrupt) => write(interrupt, false)),
  ];
}

/** IGROUPR, which is written whole: zeroes count as well as ones. */
function groups(rows: number, interrupts: Interrupts): Register {
  const inRow = (row: number, visit: (interrupt: InterruptState, bit: number) => void): void => {
    for (let bit = 0; bit < 32; bit += 1) {
      const interrupt = interrupts(row * 32 + bit);
      if (interrupt !== undefined) visit(interrupt, bit);
    }
  };
  return registers32(
    'IGROUPR',
    0x80,
    rows,
    (row) => {
      let value = 0;
      inRow(row, ({ group1 }, bit) => {
        if (group1) value |= 1 << bit;
      });
      return value;
    },
    (row, value) =>
      inRow(row, (interrupt, bit) => {
        interrupt.group1 = hasBit(value, bit);
      }),
  );
}

function priorities(rows: number, interrupts: Interrupts): Register {
  return registers32(
    'IPRIORITYR',
    0x400,
    rows * 8,
    (row) =>
      [0, 1, 2, 3].reduce(
        (value, byte) => value | ((interrupts(row * 4 + byte)?.priority ?? 0) << (8 * byte)),
        0,
      ),
    (row, value) => {
      for (let byte = 0; byte < 4; byte += 1) {
        const interrupt = interrupts(row * 4 + byte);
        if (interrupt !== undefined) interrupt.priority = (value >>> (8 * byte)) & priorityMask;
      }
    },
  );
}

function configurations(rows: number, interrupts: Interrupts): Register {
  return registers32(
    'ICFGR',
    0xc00,
    rows * 2,
    (row) => {
      let value = 0;
      for (let at = 0; at < 16; at += 1) if (interrupts(row * 16 + at)?.edge === true) value |= 2 << (2 * at);
      return value;
    },
    (row, value) => {
      for (let at = 0; at < 16; at += 1) {
        const interrupt = interrupts(row * 16 + at);
        if (interrupt !== undefined) interrupt.edge = hasBit(value, 2 * at + 1);
      }
    },
  );
}

/** The rows for `rows` times 32 interrupts, at the offsets at which both frames have them. */
export function interruptRegisters(rows: number, interrupts: Interrupts): Register[] {
  const enable = (interrupt: InterruptState, value: boolean): void => {
    interrupt.enabled = value;
  };
  const pend = (interrupt: InterruptState, value: boolean): void => {
    interrupt.latched = value;
  };
  const activate = (interrupt: InterruptState, value: boolean): void => {
    interrupt.active = value;
  };
  return [
    groups(rows, interrupts),
    ...setAndClear('ENABLER', 0x100, rows, interrupts, ({ enabled }) => enabled, enable),
    ...setAndClear('PENDR', 0x200, rows, interrupts, isPending, pend),
    ...setAndClear('ACTIVER', 0x300, rows, interrupts, ({ active }) => active, activate),
    priorities(rows, interrupts),
    configurations(rows, interrupts),
  ];
}
