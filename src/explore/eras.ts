/** Releases of Linux that the models follow. What a record says is the strategy's; these are the other differences. */
import type { KernelEra } from './scenario.js';

/** Linux 4.8, the release of the thread. */
export const linux48: KernelEra = {
  numbering: '<=6.8',
  delaysTimeInit: false,
  registersTimeArea: false,
  spreadsPorts: false,
};

export const linux61: KernelEra = {
  numbering: '<=6.8',
  delaysTimeInit: true,
  registersTimeArea: true,
  spreadsPorts: true,
};

export const linux517: KernelEra = { ...linux61, delaysTimeInit: false };
export const linux69: KernelEra = { ...linux61, numbering: '>=6.9' };
