/** The redistributors: two frames of 64 KiB for each CPU, one behind the other (IHI 0069H, 12.10 and 12.11). */
import { registers32, registers64, readRegister, writeRegister } from '../mmio.js';
import type { MmioDevice, Register } from '../mmio.js';
import type { Gic } from './cpu_interface.js';
import { pidr2 } from './distributor.js';
import { interruptRegisters } from './interrupt_registers.js';

/** Both frames of one CPU. */
export const redistributorBytes = 0x20000;
const sgiFrame = 0x10000;

/** GICR_TYPER.Last: no redistributor follows in this region. */
const lastBit = 1n << 4n;

/** The registers of one CPU's two frames; `last` of the one that ends the region. */
function tableOf({ state, affinities }: Gic, cpu: number, last: boolean): readonly Register[] {
  const own = state.cpus[cpu];
  const affinity = BigInt(affinities[cpu] ?? 0);
  // TYPER carries the affinity as AFF3.AFF2.AFF1.AFF0 in its upper half, MPIDR has AFF3 apart from the others.
  const packed = (affinity & 0xff_ffffn) | ((affinity >> 8n) & 0xff00_0000n);
  const typer = (packed << 32n) | (BigInt(cpu) << 8n) | (last ? lastBit : 0n);
  const sgis = interruptRegisters(1, (intid) => own?.own[intid]);
  return [
    registers32('GICR_CTLR', 0x0, 1, () => 0),
    registers32('GICR_IIDR', 0x4, 1, () => 0x34c),
    registers64('GICR_TYPER', 0x8, 1, () => typer),
    registers32(
      'GICR_WAKER',
      0x14,
      1,
      () => (own?.asleep === true ? 6 : 0),
      (_, value) => {
        if (own !== undefined) own.asleep = (value & 2) !== 0;
      },
    ),
    registers32('GICR_PIDR2', 0xffe8, 1, () => pidr2),
    ...sgis.map((register) => ({ ...register, offset: register.offset + sgiFrame })),
  ];
}

/** The region of all redistributors of `gic`, `size` bytes of address space. */
export function redistributors(gic: Gic, size: number): MmioDevice {
  const cpus = gic.affinities.length;
  const tables = gic.affinities.map((_, cpu) => tableOf(gic, cpu, cpu === cpus - 1));
  const locate = (offset: number): { table: readonly Register[]; within: number } => ({
    table: tables[Math.floor(offset / redistributorBytes)] ?? [],
    within: offset % redistributorBytes,
  });
  return {
    size,
    read: (offset, bytes) => {
      const { table, within } = locate(offset);
      return readRegister(table, within, bytes);
    },
    write: (offset, bytes, value) => {
      const { table, within } = locate(offset);
      writeRegister(table, within, bytes, value);
    },
  };
}
