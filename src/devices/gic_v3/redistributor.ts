/**
 * The redistributors: two consecutive frames of 64 KiB per CPU (IHI 0069H, "The GIC Redistributor register map"; Xen
 * 4.17 arch/arm/vgic-v3.c). There is no power management: GICR_WAKER reads as awake.
 */
import { registerDevice, registers32, withWrites, zeroes } from '../mmio.js';
import type { MmioDevice, Register } from '../mmio.js';
import type { Gic } from './cpu_interface.js';
import { latchPrivate } from './cpu_interface.js';
import { iidr, pidr2 } from './distributor.js';
import { interruptRegisters } from './interrupt_registers.js';

/** Size of both frames of a CPU. */
export const redistributorBytes = 0x20000;
const sgiFrame = 0x10000;

/** GICR_TYPER.Last: no redistributor follows in this region. */
const lastBit = 1n << 4n;

/** GICR_TYPER: the CPU, by affinity and by number. */
function typer(affinity: number, cpu: number, last: boolean): bigint {
  const bits = BigInt(affinity);
  // AFF3 is separate from the other fields in MPIDR_EL1 but adjacent to them here.
  const packed = (bits & 0xff_ffffn) | ((bits >> 8n) & 0xff00_0000n);
  return (packed << 32n) | (BigInt(cpu) << 8n) | (last ? lastBit : 0n);
}

function typerRegister(value: bigint): Register {
  return {
    name: 'GICR_TYPER',
    offset: 0x8,
    bytes: 8,
    count: 1,
    widths: [4, 8],
    read: () => value,
    write: () => undefined,
  };
}

/** The two frames of a CPU. `last` marks the last one of the region. */
function redistributor(gic: Gic, cpu: number, last: boolean): MmioDevice {
  const frame = {
    rows: 1,
    bank: (row: number) => (row === 0 ? gic.state.cpus[cpu]?.own : undefined),
    latch: (_: number, bits: number) => latchPrivate(gic, cpu, bits),
  };
  const sgiRegisters = [
    ...interruptRegisters(frame, true),
    zeroes('GICR_IGRPMODR0', 0xd00, {}),
    zeroes('GICR_NSACR', 0xe00, {}),
  ];
  const table: readonly Register[] = [
    zeroes('GICR_CTLR', 0x0, {}),
    registers32('GICR_IIDR', 0x4, {}, () => iidr),
    typerRegister(typer(gic.affinities[cpu] ?? 0, cpu, last)),
    zeroes('GICR_STATUSR', 0x10, {}),
    zeroes('GICR_WAKER', 0x14, {}),
    // Always busy, as in Xen. This matters only to software that changes LPIs, and there are none.
    registers32('GICR_SYNCR', 0xc0, {}, () => 1),
    registers32('GICR_PIDR2', 0xffe8, {}, () => pidr2),
    ...sgiRegisters.map((register) => ({ ...register, offset: register.offset + sgiFrame })),
  ];
  return withWrites(registerDevice(redistributorBytes, table, 'zero'), () => gic.stale.add(cpu));
}

/**
 * The region of all redistributors of `gic`, `size` bytes of address space. Accesses after the last CPU's frames are
 * refused.
 */
export function redistributors(gic: Gic, size: number): MmioDevice {
  const cpus = gic.state.cpus.length;
  const frames = gic.state.cpus.map((_, cpu) => redistributor(gic, cpu, cpu === cpus - 1));
  const at = (offset: number): MmioDevice | undefined => frames[Math.floor(offset / redistributorBytes)];
  return {
    size,
    read: (offset, bytes) => at(offset)?.read(offset % redistributorBytes, bytes) ?? null,
    write: (offset, bytes, value) => at(offset)?.write(offset % redistributorBytes, bytes, value) ?? false,
  };
}
