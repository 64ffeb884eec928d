/** How A64 computes, where IEEE 754 leaves it to the architecture (DDI 0487, A1.5). */
import type { FloatRules } from '../float/index.js';

export const a64FloatRules: FloatRules = {
  negativeDefaultNan: false,
  prefersSignalling: true,
  tinyBeforeRounding: true,
  flushedIsInexact: false,
  inputDenormal: 'flushed',
};
