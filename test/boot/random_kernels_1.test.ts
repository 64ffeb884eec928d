import { it } from 'node:test';
import { bootRandomKernels } from './random_kernels.js';

it('five hundred random kernels do the host no harm', () => {
  bootRandomKernels(0, 500);
});
