/** What A64 instructions call the host for. */
import { commonSystemCalls } from '../system_calls.js';

export const a64SystemCalls = [
  ...commonSystemCalls,
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
] as const;

export type A64SystemCall = (typeof a64SystemCalls)[number];
