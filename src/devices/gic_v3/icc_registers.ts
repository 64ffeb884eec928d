/** The ICC_* system registers of a GICv3, by their encoding (IHI 0069H, 12.2). */
import type { Gic } from './cpu_interface.js';
import { acknowledge, deactivate, endOfInterrupt, runningPriority, sendSgi } from './cpu_interface.js';
import { priorityMask, spurious } from './state.js';

/** A system register's encoding as one number: op0, op1, CRn, CRm, op2 in bits 15:14, 13:11, 10:7, 6:3, 2:0. */
export function systemRegister(op0: number, op1: number, crn: number, crm: number, op2: number): number {
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

interface IccRegister {
  readonly read?: (gic: Gic, cpu: number) => bigint;
  readonly write?: (gic: Gic, cpu: number, value: bigint) => void;
}

/** ICC_CTLR_EL1: A3V, 5 priority bits, 16-bit INTIDs (IHI 0069H, 12.2.6). */
const ctlrFixed = (1n << 15n) | (4n << 8n);

const registers: ReadonlyMap<number, IccRegister> = new Map([
  [
    systemRegister(3, 0, 4, 6, 0),
    {
      read: (gic, cpu) => BigInt(gic.state.cpus[cpu]?.interface.priorityMask ?? 0),
      write: (gic, cpu, value) => {
        const own = gic.state.cpus[cpu]?.interface;
        if (own !== undefined) own.priorityMask = Number(value & 0xffn) & priorityMask;
      },
    },
  ],
  [systemRegister(3, 0, 12, 12, 0), { read: (gic, cpu) => BigInt(acknowledge(gic, cpu)) }],
  [
    systemRegister(3, 0, 12, 12, 1),
    { write: (gic, cpu, value) => endOfInterrupt(gic, cpu, Number(value & 0xffffffn)) },
  ],
  [systemRegister(3, 0, 12, 12, 2), { read: () => BigInt(spurious) }],
  [
    systemRegister(3, 0, 12, 12, 3),
    {
      read: (gic, cpu) => BigInt(gic.state.cpus[cpu]?.interface.binaryPoint ?? 0),
      write: (gic, cpu, value) => {
        const own = gic.state.cpus[cpu]?.interface;
        // Three subpriority bits do not exist, so the smallest point that means anything is 3.
        if (own !== undefined) own.binaryPoint = Math.max(Number(value & 7n), 3);
      },
    },
  ],
  [
    systemRegister(3, 0, 12, 12, 4),
    {
      read: (gic, cpu) => ctlrFixed | (gic.state.cpus[cpu]?.interface.splitEoi === true ? 2n : 0n),
      write: (gic, cpu, value) => {
        const own = gic.state.cpus[cpu]?.interface;
        if (own !== undefined) own.splitEoi = (value & 2n) !== 0n;
      },
    },
  ],
  // ICC_SRE_EL1: the system registers are always on, without IRQ or FIQ bypass.
  [systemRegister(3, 0, 12, 12, 5), { read: () => 7n, write: () => undefined }],
  [
    systemRegister(3, 0, 12, 12, 7),
    {
      read: (gic, cpu) => (gic.state.cpus[cpu]?.interface.enabled === true ? 1n : 0n),
      write: (gic, cpu, value) => {
        const own = gic.state.cpus[cpu]?.interface;
        if (own !== undefined) own.enabled = (value & 1n) !== 0n;
      },
    },
  ],
  [
    systemRegister(3, 0, 12, 11, 1),
    { write: (gic, cpu, value) => deactivate(gic, cpu, Number(value & 0xffffffn)) },
  ],
  [systemRegister(3, 0, 12, 11, 3), { read: (gic, cpu) => BigInt(runningPriority(gic, cpu)) }],
  [systemRegister(3, 0, 12, 11, 5), { write: sendSgi }],
  // ICC_AP1R0_EL1: Linux clears it at start; what is active is kept elsewhere.
  [systemRegister(3, 0, 12, 9, 0), { read: () => 0n, write: () => undefined }],
] as const);

/** Whether `encoding` is a register of the CPU interface. */
export function isIccRegister(encoding: number): boolean {
  return registers.has(encoding);
}

/** Reads it; null when there is none that can be read. */
export function readIcc(gic: Gic, cpu: number, encoding: number): bigint | null {
  return registers.get(encoding)?.read?.(gic, cpu) ?? null;
}

/** Writes it; false when there is none that can be written. */
export function writeIcc(gic: Gic, cpu: number, encoding: number, value: bigint): boolean {
  const write = registers.get(encoding)?.write;
  write?.(gic, cpu, value);
  return write !== undefined;
}
