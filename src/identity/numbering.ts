/**
 * How Linux numbers its CPUs from firmware tables and the CPU on which it was entered, on arm64 and x86, by the rules
 * of its version. After a crash the entry CPU is the one that panicked, so the numbers are no longer the vCPU ids.
 */
import type { Numbering } from './cpu_limits.js';
import { numberArmCpus } from './numbering_arm.js';
import type { ArmNumbering, NumberedArmCpu } from './numbering_arm.js';
import { numberX86Cpus } from './numbering_x86.js';
import type { NumberedX86Cpu, X86Numbering } from './numbering_x86.js';

export type { CpuLimits, NotTaken, NotTakenReason, Numbering } from './cpu_limits.js';
export type { ArmNumbering, NumberedArmCpu } from './numbering_arm.js';
export type { NumberedX86Cpu, X86Numbering } from './numbering_x86.js';

/**
 * Linux's own numbers for the CPUs of a guest: the hardware id of each CPU number, and which entries of the
 * firmware's table got no number, with the reason. Throws `InputError` on limits that no kernel takes.
 */
export function numberCpus(numbering: ArmNumbering): Numbering<NumberedArmCpu>;
export function numberCpus(numbering: X86Numbering): Numbering<NumberedX86Cpu>;
export function numberCpus(
  numbering: ArmNumbering | X86Numbering,
): Numbering<NumberedArmCpu> | Numbering<NumberedX86Cpu> {
  return numbering.platform === 'arm64' ? numberArmCpus(numbering) : numberX86Cpus(numbering);
}
