/**
 * System calls: what instructions call the host for, beyond registers and memory. Each architecture has a list of its own,
 * which begins with these; a back end numbers them by their index in that list.
 */

/** The calls that an engine makes itself, whatever the architecture. */
export const commonSystemCalls = [
  /** The instruction is Undefined. */
  'undefined',
  /** The instruction belongs to floating point and SIMD, and these trap. */
  'vectorTrap',
  /** (address, 1 for a write): an access with required alignment is misaligned. */
  'misaligned',
  /** The stack pointer is misaligned. Faults if the check is enabled. */
  'misalignedStack',
] as const;
