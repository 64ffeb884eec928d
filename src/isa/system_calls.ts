/**
 * What instructions ask of whoever runs the machine, beyond registers and memory. A back end may number them by their
 * position here.
 */
export const systemCalls = [
  /** (encoding) -> the system register's value. */
  'readRegister',
  /** (encoding, value). */
  'writeRegister',
  /** (low bit of the immediate): PSTATE.SP. */
  'selectStack',
  /** (bits of PSTATE.DAIF, whether they are set): at EL0, where EL1 may forbid it. */
  'changeMasks',
  /** Interrupts were unmasked, and one is pending. */
  'interruptible',
  /** Exceptions that instructions are there for; (immediate). */
  'supervisorCall',
  'hypervisorCall',
  'secureMonitorCall',
  'breakpoint',
  /** The instruction is Undefined. */
  'undefined',
  /** It belongs to floating point and SIMD, which is switched off. */
  'vectorTrap',
  'exceptionReturn',
  'waitForInterrupt',
  'waitForEvent',
  'sendEvent',
  'yield',
  /** (encoding of the instruction, value): TLBI. */
  'invalidateTlb',
  /** (encoding, address): AT. */
  'translateAddress',
  /** (encoding, address): DC and IC by address. */
  'maintainCache',
  /** Whether EL0 may do DC ZVA. */
  'checkClearBlock',
  /** (address, 1 for a write): the access is not aligned, and must be. */
  'misaligned',
  /** The stack pointer is not aligned; faults where that is checked. */
  'misalignedStack',
] as const;

export type SystemCall = (typeof systemCalls)[number];
