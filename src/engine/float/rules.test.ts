/** What the rules of an architecture change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FloatOperation } from '../../isa/index.js';
import { a64FloatRegisters } from '../arm64/float_registers.js';
import { x86FloatRules } from '../x86_64/float_rules.js';
import { floatFunction } from './calls.js';
import { exceptions, FloatContext } from './context.js';
import type { FloatRules } from './context.js';

const { invalid, divideByZero, underflow, inexact, inputDenormal } = exceptions;
const modes = { ...a64FloatRegisters.modesOf(0) };

/** The result of an operation and the exceptions that it raises. */
function run(
  rules: FloatRules,
  operation: FloatOperation,
  [a = 0n, b = 0n]: readonly bigint[],
  more: Partial<typeof modes> = {},
): [result: string, raised: number] {
  const context = new FloatContext({ ...modes, ...more }, rules);
  return [floatFunction(operation)(context, a, b, 0n).toString(16), context.raised];
}

const single = (kind: 'add' | 'sub' | 'div' | 'compare'): FloatOperation => ({ kind, format: 32 });
const narrow: FloatOperation = { kind: 'convert', format: 64, to: 32, rounding: 'current' };
const [one, infinity, quiet, signalling, subnormal] = [
  0x3f800000n,
  0x7f800000n,
  0x7fc12345n,
  0x7f800001n,
  1n,
];

test('SSE returns the first NaN, and a negative one by default; Arm a signalling one first, and a positive one', () => {
  assert.deepEqual(run(x86FloatRules, single('add'), [quiet, signalling]), ['7fc12345', invalid]);
  assert.deepEqual(run(a64FloatRegisters.rules, single('add'), [quiet, signalling]), ['7fc00001', invalid]);
  assert.deepEqual(run(x86FloatRules, single('sub'), [infinity, infinity]), ['ffc00000', invalid]);
  assert.deepEqual(run(a64FloatRegisters.rules, single('sub'), [infinity, infinity]), ['7fc00000', invalid]);
});

test('a value that rounds up to the smallest normal number is tiny for Arm, not for SSE', () => {
  const below = 0x380ffffff8000000n;
  assert.deepEqual(run(x86FloatRules, narrow, [below]), ['800000', inexact]);
  assert.deepEqual(run(a64FloatRegisters.rules, narrow, [below]), ['800000', inexact | underflow]);
  const flush = { flushToZero: true };
  assert.deepEqual(run(x86FloatRules, narrow, [below], flush), ['800000', inexact]);
  assert.deepEqual(run(x86FloatRules, narrow, [0x380fffffe0000000n], flush), ['0', inexact | underflow]);
  assert.deepEqual(run(a64FloatRegisters.rules, narrow, [below], flush), ['0', underflow]);
});

test('a subnormal operand raises its exception where SSE computes with it and nothing goes before', () => {
  assert.deepEqual(run(x86FloatRules, single('add'), [subnormal, one]), [
    '3f800000',
    inputDenormal | inexact,
  ]);
  assert.deepEqual(run(a64FloatRegisters.rules, single('add'), [subnormal, one]), ['3f800000', inexact]);
  assert.deepEqual(run(x86FloatRules, single('add'), [subnormal, one], { flushInputs: true }), [
    '3f800000',
    0,
  ]);
  assert.deepEqual(run(x86FloatRules, single('div'), [subnormal, 0n]), ['7f800000', divideByZero]);
  assert.deepEqual(run(x86FloatRules, single('compare'), [subnormal, quiet]), ['3', 0]);
  assert.deepEqual(run(x86FloatRules, single('compare'), [subnormal, one]), ['8', inputDenormal]);
});

test('a number that does not fit an integer becomes the smallest one if the operation says so', () => {
  const shape = { kind: 'toFixed', format: 32, bits: 32, signed: true, rounding: 'zero' } as const;
  for (const value of [quiet, infinity, 0x4f000000n]) {
    assert.deepEqual(run(x86FloatRules, { ...shape, outside: 'smallest' }, [value]), ['80000000', invalid]);
  }
  assert.deepEqual(run(x86FloatRules, shape, [infinity]), ['7fffffff', invalid]);
});
