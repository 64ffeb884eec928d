/**
 * base: the foundation of every other module: brands, assertions, bits, plain values (clone, compare, hash, JSON) and
 * the memory interface. It does not depend on Xen, CPUs or identities.
 */
export { InputError, InvariantError, invariant, present, unlessInvalid } from './assert.js';
export { alignUp, bitField, hasBit, s64, u32, u64 } from './bits.js';
export type { Brand } from './brand.js';
export { frameBytes, SparseMemory } from './memory.js';
export type { FrameMemory, FrameRange, SparseMemoryValue } from './memory.js';
export { prepared } from './prepared.js';
export type { Prepared, PreparedBytes } from './prepared.js';
export { oneLine } from './one_line.js';
export { isUsable } from './pattern.js';
export { rangesText } from './ranges.js';
export { loadRecord, savedRecord } from './saved_record.js';
export type { SavedMember, SavedRecord } from './saved_record.js';
export { earlier } from './times.js';
export {
  cloneValue,
  equalValues,
  hashBytes,
  hashText,
  hashValue,
  ValueHash,
  valueFromJson,
  valueToJson,
} from './value.js';
export type { Sha256State, ValueHashState } from './value.js';
export { domulatorVersion } from './version.js';
