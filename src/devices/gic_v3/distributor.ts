/** The distributor's frame, 64 KiB (IHI 0069H, "The GIC Distributor register map"; Xen 4.17 arch/arm/vgic-v3.c). */
import { registerDevice, registers32, withWrites, zeroes } from '../mmio.js';
import type { MmioDevice, Register } from '../mmio.js';
import type { Gic } from './cpu_interface.js';
import { allStale, latchShared } from './cpu_interface.js';
import { interruptRegisters } from './interrupt_registers.js';
import { bankSize, intidCount, sharedBanks } from './state.js';

/** GICD_CTLR in the Non-secure view: ARE_NS, which is always on, and EnableGrp1A. */
const affinityRouting = 1 << 4;
const enableGroup1 = 1 << 1;

/** GICD_IIDR and GICR_IIDR: an Arm product, as Xen reports (asm/gic_v3_defs.h, GICV3_GICD_IIDR_VAL). */
export const iidr = 0x34c;
/** GICD_PIDR2 and GICR_PIDR2: architecture revision 3. */
export const pidr2 = 0x30;

/** GICD_IROUTER.Interrupt_Routing_Mode: any CPU. Xen routes such an interrupt to vCPU 0. */
const anyCpu = 1n << 31n;
/** Number of registers with one bit per interrupt that fit in the map. */
const mapRows = 32;

/** GICD_TYPER: INTIDs of 10 bits, 256 INTIDs, up to eight CPUs for software without affinity routing. */
function typer(cpus: number): number {
  const legacyCpus = Math.min(Math.max(cpus, 1), 8);
  return (9 << 19) | ((legacyCpus - 1) << 5) | (intidCount / bankSize - 1);
}

/**
 * Routes the shared interrupt with index `index` to the CPU that `value` names. Keeps the route if there is no such
 * CPU.
 */
function route({ state, cpuOfAffinity }: Gic, index: number, value: bigint): void {
  const cpu = (value & anyCpu) !== 0n ? 0 : cpuOfAffinity(value);
  if (state.cpus[cpu] !== undefined) state.routes[index] = cpu;
}

function routes(gic: Gic): Register {
  const read = (index: number): bigint => BigInt(gic.affinities[gic.state.routes[index] ?? 0] ?? 0);
  return {
    name: 'GICD_IROUTER',
    offset: 0x6000 + 8 * bankSize,
    bytes: 8,
    count: bankSize * sharedBanks,
    widths: [4, 8],
    read,
    write: (index, value, mask) => route(gic, index, (read(index) & ~mask) | value),
  };
}

/** GICD_CPENDSGIR and GICD_SPENDSGIR, which redistributors replace: they read as zero and refuse writes. */
const sgiPending: Register = { ...zeroes('GICD_nPENDSGIR', 0xf10, { count: 8 }), write: null };

/** The distributor of `gic`. Private interrupts belong to the redistributors; here they read as zero. */
export function distributor(gic: Gic): MmioDevice {
  const { state } = gic;
  const frame = {
    rows: mapRows,
    bank: (row: number) => state.shared[row - 1],
    latch: (row: number, bits: number) => latchShared(gic, row - 1, bits),
  };
  const table: readonly Register[] = [
    registers32(
      'GICD_CTLR',
      0x0,
      {},
      () => affinityRouting | (state.enabled ? enableGroup1 : 0),
      (_, value) => {
        state.enabled = (value & enableGroup1) !== 0;
      },
    ),
    registers32('GICD_TYPER', 0x4, {}, () => typer(state.cpus.length)),
    registers32('GICD_IIDR', 0x8, {}, () => iidr),
    zeroes('GICD_STATUSR', 0x10, {}),
    ...interruptRegisters(frame, false),
    zeroes('GICD_NSACR', 0xe00, { count: 64 }),
    zeroes('GICD_SGIR', 0xf00, {}),
    sgiPending,
    routes(gic),
    registers32('GICD_PIDR2', 0xffe8, {}, () => pidr2),
  ];
  return withWrites(registerDevice(0x10000, table, 'zero'), () => allStale(gic));
}
