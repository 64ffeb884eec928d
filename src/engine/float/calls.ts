/** Handles the interpreter's calls for floating-point operations. */
import { InvariantError } from '../../base/index.js';
import type { FloatOperation } from '../../isa/index.js';
import { cpuOffsets } from '../layout.js';
import * as arithmetic from './arithmetic.js';
import * as comparison from './comparison.js';
import { FloatContext } from './context.js';
import type { FloatRegisters } from './context.js';
import * as conversion from './conversion.js';
import * as estimates from './estimates.js';

type Operation = (context: FloatContext, a: bigint, b: bigint, c: bigint) => bigint;

type Plain = Exclude<
  FloatOperation,
  {
    kind:
      | 'roundToInteger'
      | 'convert'
      | 'toFixed'
      | 'fromFixed'
      | 'unsignedReciprocalEstimate'
      | 'unsignedReciprocalSqrtEstimate';
  }
>;

type OfFormat = (format: Plain['format']) => Operation;

const plain: Readonly<Record<Plain['kind'], OfFormat>> = {
  add: (format) => (x, a, b) => arithmetic.add(x, format, a, b),
  sub: (format) => (x, a, b) => arithmetic.subtract(x, format, a, b),
  mul: (format) => (x, a, b) => arithmetic.multiply(x, format, a, b),
  mulExtended: (format) => (x, a, b) => arithmetic.multiplyExtended(x, format, a, b),
  div: (format) => (x, a, b) => arithmetic.divide(x, format, a, b),
  min: (format) => (x, a, b) => comparison.extreme(x, format, false, a, b),
  max: (format) => (x, a, b) => comparison.extreme(x, format, true, a, b),
  minNumber: (format) => (x, a, b) => comparison.extremeNumber(x, format, false, a, b),
  maxNumber: (format) => (x, a, b) => comparison.extremeNumber(x, format, true, a, b),
  sqrt: (format) => (x, a) => arithmetic.squareRoot(x, format, a),
  mulAdd: (format) => (x, a, b, c) => arithmetic.multiplyAdd(x, format, a, b, c),
  reciprocalEstimate: (format) => (x, a) => estimates.reciprocalEstimate(x, format, a),
  reciprocalStep: (format) => (x, a, b) => arithmetic.step(x, format, 'reciprocal', a, b),
  reciprocalExponent: (format) => (x, a) => estimates.reciprocalExponent(x, format, a),
  reciprocalSqrtEstimate: (format) => (x, a) => estimates.reciprocalSqrtEstimate(x, format, a),
  reciprocalSqrtStep: (format) => (x, a, b) => arithmetic.step(x, format, 'reciprocalSqrt', a, b),
  eq: (format) => (x, a, b) => comparison.test(x, format, 'eq', a, b),
  ge: (format) => (x, a, b) => comparison.test(x, format, 'ge', a, b),
  gt: (format) => (x, a, b) => comparison.test(x, format, 'gt', a, b),
  compare: (format) => (x, a, b) => comparison.compare(x, format, a, b, false),
  compareSignalling: (format) => (x, a, b) => comparison.compare(x, format, a, b, true),
};

function isPlain(operation: FloatOperation): operation is Plain {
  return operation.kind in plain;
}

/** Whether an operation that has a subnormal input may raise Input Denormal where `inputDenormal` of FloatRules is `used`. */
export function usesSubnormals({ kind }: FloatOperation): boolean {
  return !/^(toFixed|fromFixed|roundToInteger|unsigned)/.test(kind);
}

/** The function that computes an operation on bit patterns. */
export function floatFunction(operation: FloatOperation): Operation {
  const compute = computation(operation);
  if (!usesSubnormals(operation)) return compute;
  return (x, a, b, c) => {
    const result = compute(x, a, b, c);
    x.finish();
    return result;
  };
}

function computation(operation: FloatOperation): Operation {
  if (isPlain(operation)) return plain[operation.kind](operation.format);
  switch (operation.kind) {
    case 'roundToInteger':
      return (x, a) => conversion.roundToInteger(x, operation.format, a, operation.rounding, operation.exact);
    case 'convert':
      return (x, a) => conversion.convert(x, operation.format, operation.to, a, operation.rounding);
    case 'toFixed':
      return (x, a, b) => conversion.toFixed(x, operation.format, a, operation, Number(b));
    case 'fromFixed':
      return (x, a, b) => conversion.fromFixed(x, operation.format, a, operation, Number(b));
    case 'unsignedReciprocalEstimate':
      return (_, a) => estimates.unsignedReciprocalEstimate(a);
    case 'unsignedReciprocalSqrtEstimate':
      return (_, a) => estimates.unsignedReciprocalSqrtEstimate(a);
  }
}

/** (vCPU's block, number of the operation, up to three inputs) -> the bits of the result. */
export type FloatCall = (block: number, operation: number, a: bigint, b: bigint, c: bigint) => bigint;

/** Computes the operations of a list, by number. Reads the vCPU's control register and updates its status register. */
export function floatCalls(
  memory: DataView,
  registers: FloatRegisters,
  operations: readonly FloatOperation[],
): FloatCall {
  const functions = operations.map(floatFunction);
  return (block, number, a, b, c) => {
    const operation = functions[number];
    if (operation === undefined) throw new InvariantError(`there is no floating-point operation ${number}`);
    const modes = registers.modesOf(memory.getUint32(block + cpuOffsets.floatControl, true));
    const context = new FloatContext(modes, registers.rules);
    const result = operation(context, a, b, c);
    if (context.raised !== 0) {
      const status = memory.getUint32(block + cpuOffsets.floatStatus, true);
      memory.setUint32(block + cpuOffsets.floatStatus, status | registers.statusOf(context.raised), true);
    }
    return result;
  };
}
