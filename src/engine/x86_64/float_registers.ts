/** MXCSR (Intel SDM, volume 1, 10.2.3). Control and status are one register, so both state slots hold parts of it. */
import { exceptions } from '../float/index.js';
import type { FloatModes, FloatRegisters } from '../float/index.js';
import { x86FloatRules } from './float_rules.js';

const roundings = ['nearestEven', 'down', 'up', 'zero'] as const satisfies FloatModes['rounding'][];

/** Bits of MXCSR. */
export const mxcsr = {
  status: 0x3f,
  denormalsAreZero: 1 << 6,
  masks: 0x1f80,
  masksAt: 7,
  roundingAt: 13,
  flushToZero: 1 << 15,
  /** MXCSR_MASK: a write of any other bit is #GP. */
  writable: 0xffff,
  reset: 0x1f80,
  /** The masks of Overflow and Underflow. While the latter is 0, MXCSR.FZ has no effect. */
  overflowMask: 1 << 10,
  underflowMask: 1 << 11,
  /** No bit of MXCSR: set in the control slot while an instruction computes with exceptions that are not masked. */
  unmasked: 1 << 31,
} as const;

/** The exceptions in the order of their bits in MXCSR. */
const statusBits = [
  exceptions.invalid,
  exceptions.inputDenormal,
  exceptions.divideByZero,
  exceptions.overflow,
  exceptions.underflow,
  exceptions.inexact,
] as const;

export const x86FloatRegisters: FloatRegisters = {
  rules: x86FloatRules,
  modesOf: (control) => ({
    rounding: roundings[(control >>> mxcsr.roundingAt) & 3] ?? 'nearestEven',
    flushToZero: (control & mxcsr.flushToZero) !== 0 && (control & mxcsr.underflowMask) !== 0,
    trapped:
      ((control & mxcsr.overflowMask) === 0 ? exceptions.overflow : 0) |
      ((control & mxcsr.underflowMask) === 0 ? exceptions.underflow : 0),
    flushInputs: (control & mxcsr.denormalsAreZero) !== 0,
    defaultNan: false,
    alternativeHalf: false,
  }),
  hostModes: (3 << mxcsr.roundingAt) | mxcsr.flushToZero | mxcsr.denormalsAreZero | mxcsr.unmasked,
  statusOf: (raised) =>
    statusBits.reduce((all, bit, index) => all | ((raised & bit) === 0 ? 0 : 1 << index), 0),
  saturation: null,
};
