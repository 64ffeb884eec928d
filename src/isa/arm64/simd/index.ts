/** Advanced SIMD instructions, by group. A group is a function, so that a guest without vector code does not define them. */
import type { A64Instruction } from '../encoding.js';
import { copies } from './copy.js';
import { simdLoadsAndStores } from './loads_stores.js';
import { modifiedImmediates } from './modified_immediate.js';
import { structures } from './structures.js';
import { threeSame } from './three_same.js';
import { acrossLanes } from './across_lanes.js';
import { permutes } from './permute.js';
import { threeDifferent } from './three_different.js';
import { twoRegisters } from './two_registers.js';
import { byElement } from './by_element.js';
import { immediateShifts } from './shift_immediate.js';
import { floatThreeSame } from './float_three_same.js';
import { floatTwoRegisters } from './float_two_registers.js';

export const advancedSimd = (): readonly A64Instruction[] => [
  ...simdLoadsAndStores(),
  ...structures(),
  ...copies(),
  ...modifiedImmediates(),
  ...threeSame(),
  ...floatTwoRegisters(),
  ...floatThreeSame(),
  ...immediateShifts(),
  ...byElement(),
  ...twoRegisters(),
  ...threeDifferent(),
  ...permutes(),
  ...acrossLanes(),
];
