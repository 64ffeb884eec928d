/** FPCR and FPSR (DDI 0487, C5.2). */
import type { FloatModes, FloatRegisters } from '../float/index.js';
import { a64FloatRules } from './float_rules.js';

const roundings = ['nearestEven', 'up', 'down', 'zero'] as const satisfies FloatModes['rounding'][];

/** Bits of FPCR: rounding mode, FZ, DN, AHP. */
const fpcr = { roundingAt: 22, flushToZero: 1 << 24, defaultNan: 1 << 25, alternativeHalf: 1 << 26 } as const;

export const a64FloatRegisters: FloatRegisters = {
  rules: a64FloatRules,
  modesOf: (control) => ({
    rounding: roundings[(control >>> fpcr.roundingAt) & 3] ?? 'nearestEven',
    flushToZero: (control & fpcr.flushToZero) !== 0,
    flushInputs: (control & fpcr.flushToZero) !== 0,
    defaultNan: (control & fpcr.defaultNan) !== 0,
    alternativeHalf: (control & fpcr.alternativeHalf) !== 0,
  }),
  hostModes: (3 << fpcr.roundingAt) | fpcr.flushToZero,
  // The engine's set of exceptions has FPSR's layout.
  statusOf: (raised) => raised,
  saturation: 27,
};
