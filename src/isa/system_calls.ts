/**
 * The operations beyond registers and memory that instructions call the host for. A back end may number them by their
 * index here.
 */
export const systemCalls = [
  /** (encoding) -> value of the system register. */
  'readRegister',
  /** (encoding, value). */
  'writeRegister',
  /** (low bit of the immediate): PSTATE.SP. */
  'selectStack',
  /** (bits of PSTATE.DAIF, whether to set them): at EL0, where EL1 may forbid it. */
  'changeMasks',
  /** Interrupts were unmasked while one was pending. */
  'interruptible',
  /** Exception-generating instructions; (immediate). */
  'supervisorCall',
  'hypervisorCall',
  'secureMonitorCall',
  'breakpoint',
  /** The instruction is Undefined. */
  'undefined',
  /** The instruction belongs to floating point and SIMD, and these trap. */
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
  /** Checks whether EL0 may use DC ZVA. */
  'checkClearBlock',
  /** (address, 1 for a write): an access with required alignment is misaligned. */
  'misaligned',
  /** The stack pointer is misaligned. Faults if the check is enabled. */
  'misalignedStack',
] as const;

export type SystemCall = (typeof systemCalls)[number];
