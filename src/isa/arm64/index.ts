/** The A64 instruction set: the defined instructions, by group (Arm DDI 0487). */
import { makeDecoder } from './decoder.js';
import type { Decoder } from './decoder.js';
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

/**
 * The words with bits 27 and 26 set are loads and stores of vector registers, and floating point and SIMD (C4.1). No other word is
 * one of these.
 */
function isVectorWord(word: number): boolean {
  return ((word >>> 26) & 3) === 3;
}

/** Of all words but those, with {@link crc32}. */
const general: readonly A64Instruction[] = [
  ...dataProcessingImmediate,
  ...dataProcessingRegister,
  ...branches,
  ...loadsAndStores,
  ...exclusives,
  ...prefetches,
  ...exceptions,
  ...system,
  ...systemOperations,
];

/** Of those words: three quarters of all definitions, which most guests never need. */
const vectors = once((): readonly A64Instruction[] => [
  ...advancedSimd(),
  ...floatMoves(),
  ...floatDataProcessing(),
  ...floatConversions(),
  ...cryptography(),
]);

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

/** All defined instructions. */
export const a64 = once((): readonly A64Instruction[] => [...general, ...vectors(), ...crc32]);

/** The decoder of all instructions. It defines the vector instructions when it first meets one. */
export const a64Decoder = once((): Decoder => {
  const others = makeDecoder([...general, ...crc32]);
  const vector = once(() => makeDecoder(vectors()));
  return {
    decode: (word, mode) => (isVectorWord(word) ? vector() : others).decode(word, mode),
  };
});
