/** The A64 instruction set: all defined instructions, by group (Arm DDI 0487). */
import type { A64Instruction } from './encoding.js';
import { branches } from './branches.js';
import { crc32 } from './crc32.js';
import { cryptography } from './cryptography.js';
import { dataProcessingImmediate } from './data_processing_immediate.js';
import { dataProcessingRegister } from './data_processing_register.js';
import { floatConversions } from './float_conversions.js';
import { floatDataProcessing } from './float_data_processing.js';
import { floatMoves } from './float_moves.js';
import { exceptions } from './exceptions.js';
import { exclusives } from './exclusives.js';
import { loadsAndStores } from './loads_stores.js';
import { prefetches } from './prefetch.js';
import { advancedSimd } from './simd/index.js';
import { system } from './system.js';
import { systemOperations } from './system_operations.js';

export const a64: readonly A64Instruction[] = [
  ...dataProcessingImmediate,
  ...dataProcessingRegister,
  ...branches,
  ...loadsAndStores,
  ...exclusives,
  ...prefetches,
  ...exceptions,
  ...system,
  ...systemOperations,
  ...advancedSimd,
  ...floatMoves,
  ...floatDataProcessing,
  ...floatConversions,
  ...cryptography,
  ...crc32,
];
