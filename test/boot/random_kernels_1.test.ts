import { it } from 'node:test';
import { bootRandomKernels } from './random_kernels.js';

it('five hundred random kernels do not harm the host', () => {
  bootRandomKernels(0, 500);
});
