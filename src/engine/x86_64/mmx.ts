/** MMX registers: the mantissas of the x87 registers, by physical number (Intel SDM, volume 1, 9.2 and 9.5). */
import type { Vcpu } from './vcpu.js';
import { allEmpty, status, waitX87 } from './x87_registers.js';

/** Sign and exponent of a register that MMX has written. */
const allOnes = 0xffff;

export function readMmx({ system: { float } }: Vcpu, number: number): bigint {
  return float.registers[number]?.[0] ?? 0n;
}

export function writeMmx({ system: { float } }: Vcpu, number: number, value: bigint): void {
  float.registers[number] = [BigInt.asUintN(64, value), allOnes];
}

/** What each instruction but EMMS does: all registers are valid, and the first one is the top. */
export function enterMmx({ system: { float } }: Vcpu): void {
  [float.tags, float.status] = [0, float.status & ~status.top];
}

/** EMMS. */
export function leaveMmx(cpu: Vcpu): void {
  waitX87(cpu);
  const { float } = cpu.system;
  [float.tags, float.status] = [allEmpty, float.status & ~status.top];
}
