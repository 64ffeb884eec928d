/**
 * The ICC_* system registers of a GICv3, by encoding (IHI 0069H, "AArch64 System register descriptions"). Every
 * interrupt is in Group 1, so the registers of Group 0 store their values but never signal an interrupt. Registers that
 * are not in the table are Undefined: the AP registers that five priority bits do not need, and the SGI registers that
 * Xen does not emulate (Xen 4.17 arch/arm/vgic-v3.c, vgic_v3_emulate_sysreg).
 */
import type { Gic } from './cpu_interface.js';
import {
  acknowledge,
  deactivate,
  endOfInterrupt,
  highestPendingIntid,
  runningPriority,
  sendSgi,
} from './cpu_interface.js';
import type { CpuInterfaceState } from './state.js';
import { minBinaryPoint, priorityMask, spurious } from './state.js';

/** The encoding of a system register as a number: op0, op1, CRn, CRm, op2 in bits 15:14, 13:11, 10:7, 6:3, 2:0. */
export function systemRegister(op0: number, op1: number, crn: number, crm: number, op2: number): number {
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

interface IccRegister {
  readonly name: string;
  readonly read?: (gic: Gic, cpu: number) => number;
  /** `value` is the low 32 bits of the written value, `wide` the whole value. */
  readonly write?: (gic: Gic, cpu: number, value: number, wide: bigint) => void;
}

/** A register that is part of the CPU interface's own state. */
function own(
  name: string,
  read: (state: CpuInterfaceState) => number,
  write: (state: CpuInterfaceState, value: number) => void,
): IccRegister {
  return {
    name,
    read: ({ state }, cpu) => {
      const interface_ = state.cpus[cpu]?.interface;
      return interface_ === undefined ? 0 : read(interface_);
    },
    write: ({ state }, cpu, value) => {
      const interface_ = state.cpus[cpu]?.interface;
      if (interface_ !== undefined) write(interface_, value);
    },
  };
}

/** ICC_CTLR_EL1: A3V, 24-bit INTIDs, five priority bits; the low bits are EOImode and CBPR. */
const ctlrFixed = (1 << 15) | (1 << 11) | (4 << 8);

function readCtlr({ splitEoi, commonBinaryPoint }: CpuInterfaceState): number {
  return ctlrFixed | (splitEoi ? 2 : 0) | (commonBinaryPoint ? 1 : 0);
}

function writeCtlr(state: CpuInterfaceState, value: number): void {
  state.splitEoi = (value & 2) !== 0;
  state.commonBinaryPoint = (value & 1) !== 0;
}

/** While the binary point is common, ICC_BPR1_EL1 reads as ICC_BPR0_EL1 plus one and ignores writes. */
function readBinaryPoint1({ commonBinaryPoint, binaryPoint0, binaryPoint1 }: CpuInterfaceState): number {
  return commonBinaryPoint ? Math.min(binaryPoint0 + 1, 7) : binaryPoint1;
}

function writeBinaryPoint1(state: CpuInterfaceState, value: number): void {
  if (!state.commonBinaryPoint) state.binaryPoint1 = Math.max(value & 7, minBinaryPoint.group1);
}

const intidBits = 0xff_ffff;

/** By CRm and op2; op0 is 3, op1 is 0 and CRn is 12. */
const crn12: readonly (readonly [crm: number, op2: number, IccRegister])[] = [
  [8, 0, { name: 'ICC_IAR0_EL1', read: () => spurious }],
  [8, 1, { name: 'ICC_EOIR0_EL1', write: () => undefined }],
  [8, 2, { name: 'ICC_HPPIR0_EL1', read: () => spurious }],
  [
    8,
    3,
    own(
      'ICC_BPR0_EL1',
      ({ binaryPoint0 }) => binaryPoint0,
      (state, value) => {
        state.binaryPoint0 = Math.max(value & 7, minBinaryPoint.group0);
      },
    ),
  ],
  // No interrupt of Group 0 is ever active. Writing any other value than the one read is UNPREDICTABLE.
  [8, 4, { name: 'ICC_AP0R0_EL1', read: () => 0, write: () => undefined }],
  [
    9,
    0,
    own(
      'ICC_AP1R0_EL1',
      ({ activePriorities }) => activePriorities,
      (state, value) => {
        state.activePriorities = value;
      },
    ),
  ],
  [11, 1, { name: 'ICC_DIR_EL1', write: (gic, cpu, value) => deactivate(gic, cpu, value & intidBits) }],
  [11, 3, { name: 'ICC_RPR_EL1', read: runningPriority }],
  [11, 5, { name: 'ICC_SGI1R_EL1', write: (gic, cpu, _, wide) => sendSgi(gic, cpu, wide) }],
  [12, 0, { name: 'ICC_IAR1_EL1', read: acknowledge }],
  [12, 1, { name: 'ICC_EOIR1_EL1', write: (gic, cpu, value) => endOfInterrupt(gic, cpu, value & intidBits) }],
  [12, 2, { name: 'ICC_HPPIR1_EL1', read: highestPendingIntid }],
  [12, 3, own('ICC_BPR1_EL1', readBinaryPoint1, writeBinaryPoint1)],
  [12, 4, own('ICC_CTLR_EL1', readCtlr, writeCtlr)],
  // The system registers are always enabled, without IRQ or FIQ bypass.
  [12, 5, { name: 'ICC_SRE_EL1', read: () => 7, write: () => undefined }],
  [
    12,
    6,
    own(
      'ICC_IGRPEN0_EL1',
      ({ enabled0 }) => Number(enabled0),
      (state, value) => {
        state.enabled0 = (value & 1) !== 0;
      },
    ),
  ],
  [
    12,
    7,
    own(
      'ICC_IGRPEN1_EL1',
      ({ enabled1 }) => Number(enabled1),
      (state, value) => {
        state.enabled1 = (value & 1) !== 0;
      },
    ),
  ],
];

const priorityMaskRegister = own(
  'ICC_PMR_EL1',
  (state) => state.priorityMask,
  (state, value) => {
    state.priorityMask = value & priorityMask;
  },
);

const registers: ReadonlyMap<number, IccRegister> = new Map([
  [systemRegister(3, 0, 4, 6, 0), priorityMaskRegister],
  ...crn12.map(([crm, op2, register]) => [systemRegister(3, 0, 12, crm, op2), register] as const),
]);

/** The registers of the CPU interface: encoding (see {@link systemRegister}), name, and permitted accesses. */
export const iccRegisters: readonly {
  encoding: number;
  name: string;
  readable: boolean;
  writable: boolean;
}[] = [...registers].map(([encoding, { name, read, write }]) => ({
  encoding,
  name,
  readable: read !== undefined,
  writable: write !== undefined,
}));

/** Whether `encoding` is a register of the CPU interface. */
export function isIccRegister(encoding: number): boolean {
  return registers.has(encoding);
}

/** Reads a register; null if it cannot be read, which is an Undefined exception for the guest. */
export function readIcc(gic: Gic, cpu: number, encoding: number): bigint | null {
  const read = registers.get(encoding)?.read;
  return read === undefined ? null : BigInt(read(gic, cpu) >>> 0);
}

/** Writes a register; false if it cannot be written, which is an Undefined exception for the guest. */
export function writeIcc(gic: Gic, cpu: number, encoding: number, value: bigint): boolean {
  const write = registers.get(encoding)?.write;
  write?.(gic, cpu, Number(BigInt.asUintN(32, value)), BigInt.asUintN(64, value));
  gic.stale.add(cpu);
  return write !== undefined;
}
