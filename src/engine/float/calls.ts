/** Answers the interpreter's calls for floating-point operations. */
import { InvariantError } from '../../base/index.js';
import type { FloatOperation } from '../../isa/index.js';

/** (vCPU's block, number of the operation, up to three inputs) -> the result's bits. */
export type FloatCall = (block: number, operation: number, a: bigint, b: bigint, c: bigint) => bigint;

export function floatCalls(_memory: DataView, operations: readonly FloatOperation[]): FloatCall {
  return (_block, operation) => {
    throw new InvariantError(`${operations[operation]?.kind ?? 'this'} is not defined yet`);
  };
}
