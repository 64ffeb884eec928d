/** The distributor's frame, 64 KiB (IHI 0069H, 12.9). */
import { registers32, registers64, readRegister, writeRegister } from '../mmio.js';
import type { MmioDevice, Register } from '../mmio.js';
import type { Gic } from './cpu_interface.js';
import { interruptRegisters } from './interrupt_registers.js';
import { intidCount, privateCount } from './state.js';

/** GICD_CTLR: one security state, affinity routing on (both fixed), and EnableGrp1. */
const ctlrFixed = (1 << 6) | (1 << 4);
/** GICD_TYPER: 256 INTIDs of 10 bits, no LPIs, no message-based interrupts. */
const typer = (9 << 19) | (intidCount / 32 - 1);
/** GICD_IIDR: Arm's JEP106 code, as Xen's emulation shows it (Xen 4.17 asm/gic.h, GICV3_GICD_IIDR_VAL). */
const iidr = 0x34c;
/** GICD_PIDR2 and GICR_PIDR2: architecture revision 3. */
export const pidr2 = 0x30;

/** The distributor of `gic`. */
export function distributor(gic: Gic): MmioDevice {
  const { state } = gic;
  // Private interrupts are the redistributors'; here their bits read as zero.
  const shared = (intid: number): (typeof state.shared)[number] | undefined =>
    state.shared[intid - privateCount];
  const table: readonly Register[] = [
    registers32(
      'GICD_CTLR',
      0x0,
      1,
      () => ctlrFixed | (state.enabled ? 2 : 0),
      (_, value) => {
        state.enabled = (value & 2) !== 0;
      },
    ),
    registers32('GICD_TYPER', 0x4, 1, () => typer),
    registers32('GICD_IIDR', 0x8, 1, () => iidr),
    ...interruptRegisters(intidCount / 32, shared),
    registers64(
      'GICD_IROUTER',
      0x6000 + 8 * privateCount,
      intidCount - privateCount,
      (index) => state.routes[index] ?? 0n,
      (index, value) => {
        state.routes[index] = value & 0xff_80ff_ffffn;
      },
    ),
    registers32('GICD_PIDR2', 0xffe8, 1, () => pidr2),
  ];
  return {
    size: 0x10000,
    read: (offset, bytes) => readRegister(table, offset, bytes),
    write: (offset, bytes, value) => writeRegister(table, offset, bytes, value),
  };
}
