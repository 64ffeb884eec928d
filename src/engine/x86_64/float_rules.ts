/** How SSE computes, where IEEE 754 leaves it to the architecture (Intel SDM, volume 1, 4.8.3.5, 4.9.1.2, 4.9.1.5, 10.2.3.3 and 11.5). */
import type { FloatRules } from '../float/index.js';

export const x86FloatRules: FloatRules = {
  negativeDefaultNan: true,
  prefersSignalling: false,
  tinyBeforeRounding: false,
  flushedIsInexact: true,
  inputDenormal: 'used',
};
