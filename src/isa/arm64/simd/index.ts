/** Advanced SIMD, group by group. */
import type { Instruction } from '../../instruction.js';
import { copies } from './copy.js';
import { simdLoadsAndStores } from './loads_stores.js';
import { modifiedImmediates } from './modified_immediate.js';
import { structures } from './structures.js';
import { threeSame } from './three_same.js';

export const advancedSimd: readonly Instruction[] = [
  ...simdLoadsAndStores,
  ...structures,
  ...copies,
  ...modifiedImmediates,
  ...threeSame,
];
