/**
 * The registers that the distributor and each redistributor have in common, with one bit, two bits or one byte per
 * interrupt (IHI 0069H, "The GIC Distributor register map" and "The GIC Redistributor register map"). They behave as in
 * Xen (Xen 4.17 arch/arm/vgic-v3.c, __vgic_v3_distr_common_mmio_read and _write): group, pending and active state read
 * as zero, ICPENDR and ICACTIVER take no effect, and a write to ISACTIVER is refused.
 */
import type { Register } from '../mmio.js';
import { registers32, zeroes } from '../mmio.js';
import { bankSize, sgiMask } from './state.js';
import type { InterruptBank } from './state.js';

/** The banks of a frame. */
export interface BankFrame {
  /** Number of registers with one bit per interrupt in the frame, including those without a bank. */
  readonly rows: number;
  /** The bank of row `row`; undefined where there are no interrupts, which reads as zero. */
  readonly bank: (row: number) => InterruptBank | undefined;
  /** Makes the interrupts `bits` of row `row` pending. */
  readonly latch: (row: number, bits: number) => void;
}

function enables({ rows, bank }: BankFrame): Register[] {
  const shape = { count: rows };
  const read = (row: number): number => bank(row)?.enabled ?? 0;
  const change = (row: number, with_: (enabled: number) => number): void => {
    const interrupts = bank(row);
    if (interrupts !== undefined) interrupts.enabled = with_(interrupts.enabled) >>> 0;
  };
  return [
    registers32('ISENABLER', 0x100, shape, read, (row, value) => change(row, (enabled) => enabled | value)),
    registers32('ICENABLER', 0x180, shape, read, (row, value) => change(row, (enabled) => enabled & ~value)),
  ];
}

/** ISPENDR to ICACTIVER. */
function states({ rows, latch }: BankFrame): Register[] {
  const readZero = (name: string, offset: number, write: Register['write']): Register => ({
    name,
    offset,
    bytes: 4,
    count: rows,
    widths: [4],
    read: () => 0n,
    write,
  });
  return [
    readZero('ISPENDR', 0x200, (row, value) => latch(row, Number(value))),
    readZero('ICPENDR', 0x280, () => undefined),
    readZero('ISACTIVER', 0x300, null),
    readZero('ICACTIVER', 0x380, () => undefined),
  ];
}

/** Registers with four interrupts each, so 8 per bank. */
function priorities({ rows, bank }: BankFrame): Register {
  const perBank = bankSize / 4;
  return registers32(
    'IPRIORITYR',
    0x400,
    { count: rows * perBank, widths: [1, 4] },
    (row) => {
      const bytes = bank(Math.floor(row / perBank))?.priorities.subarray(4 * (row % perBank)) ?? [];
      const [a = 0, b = 0, c = 0, d = 0] = bytes;
      return a | (b << 8) | (c << 16) | (d << 24);
    },
    (row, value) => {
      const bytes = bank(Math.floor(row / perBank))?.priorities;
      for (let i = 0; i < 4; i += 1)
        bytes?.fill(value >>> (8 * i), 4 * (row % perBank) + i, 4 * (row % perBank) + i + 1);
    },
  );
}

/** Spreads the low 16 bits of `bits`: bit n moves to bit 2n. */
function spread(bits: number): number {
  let value = 0;
  for (let i = 0; i < 16; i += 1) value |= ((bits >>> i) & 1) << (2 * i);
  return value;
}

/** The reverse of {@link spread}: bit 2n goes to bit n. */
function gather(value: number): number {
  let bits = 0;
  for (let i = 0; i < 16; i += 1) bits |= ((value >>> (2 * i)) & 1) << i;
  return bits;
}

/** Registers with sixteen interrupts each, so two per bank. SGIs are always edge-triggered; their fields read as 0. */
function configurations({ rows, bank }: BankFrame, sgis: boolean): Register {
  const half = (row: number): number => 16 * (row % 2);
  const fixed = (row: number): boolean => sgis && row === 0;
  return registers32(
    'ICFGR',
    0xc00,
    { count: rows * 2 },
    (row) => {
      const interrupts = fixed(row) ? undefined : bank(row >>> 1);
      if (interrupts === undefined) return 0;
      return (spread(interrupts.edge >>> half(row)) << 1) | spread(interrupts.configuration >>> half(row));
    },
    (row, value) => {
      const interrupts = fixed(row) ? undefined : bank(row >>> 1);
      if (interrupts === undefined) return;
      const keep = ~(sgiMask << half(row));
      interrupts.edge = ((interrupts.edge & keep) | (gather(value >>> 1) << half(row))) >>> 0;
      interrupts.configuration = ((interrupts.configuration & keep) | (gather(value) << half(row))) >>> 0;
    },
  );
}

/**
 * The common registers of a frame, at their offsets in both kinds of frames. `sgis` is set if row 0 contains the SGIs.
 */
export function interruptRegisters(frame: BankFrame, sgis: boolean): Register[] {
  return [
    zeroes('IGROUPR', 0x80, { count: frame.rows }),
    ...enables(frame),
    ...states(frame),
    priorities(frame),
    configurations(frame, sgis),
  ];
}
