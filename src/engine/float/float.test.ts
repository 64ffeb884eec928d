import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FloatOperation, FloatRounding } from '../../isa/index.js';
import { a64FloatRegisters } from '../arm64/float_registers.js';
import { floatFunction } from './calls.js';
import { exceptions, FloatContext } from './context.js';

const view = new DataView(new ArrayBuffer(8));

function bits64(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function number64(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

function bits32(value: number): bigint {
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}

function number32(bits: bigint): number {
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

/** Control values for each rounding mode, to nearest, up, down and to zero, and others. */
const controls = {
  nearest: 0,
  up: 1 << 22,
  down: 2 << 22,
  zero: 3 << 22,
  flush: 1 << 24,
  defaultNan: 1 << 25,
};

function run(
  operation: FloatOperation,
  inputs: readonly bigint[],
  control = controls.nearest,
): { result: bigint; raised: number } {
  const context = new FloatContext(a64FloatRegisters.modesOf(control), a64FloatRegisters.rules);
  const [a = 0n, b = 0n, c = 0n] = inputs;
  const result = floatFunction(operation)(context, a, b, c);
  return { result, raised: context.raised };
}

/** Any double. Numbers near the limits and numbers near each other are drawn as often as others. */
const anyDouble = fc.oneof(
  fc.double({ noNaN: true }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(number64),
  fc.integer({ min: -64, max: 64 }),
  fc.double({ noNaN: true, min: -1e-300, max: 1e-300 }),
).filter((value) => !Number.isNaN(value)); // prettier-ignore
const anySingle = anyDouble.map(Math.fround);

const twoDoubles: readonly [FloatOperation['kind'], (a: number, b: number) => number][] = [
  ['add', (a, b) => a + b],
  ['sub', (a, b) => a - b],
  ['mul', (a, b) => a * b],
  ['div', (a, b) => a / b],
];

test('rounding to nearest, doubles and singles agree with the host', () => {
  for (const [kind, expected] of twoDoubles) {
    fc.assert(
      fc.property(anyDouble, anyDouble, (a, b) => {
        const { result } = run({ kind, format: 64 } as FloatOperation, [bits64(a), bits64(b)]);
        const want = expected(a, b);
        assert.ok(Object.is(number64(result), want), `${kind} ${a} ${b}: ${number64(result)}, host ${want}`);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(anySingle, anySingle, (a, b) => {
        const { result } = run({ kind, format: 32 } as FloatOperation, [bits32(a), bits32(b)]);
        // A double's 53 bits are enough to make double rounding harmless.
        const want = Math.fround(expected(a, b));
        assert.ok(Object.is(number32(result), want), `${kind} ${a} ${b}: ${number32(result)}, host ${want}`);
      }),
      { numRuns: 2000 },
    );
  }
});

test('square roots agree with the host', () => {
  fc.assert(
    fc.property(anyDouble, (value) => {
      const { result, raised } = run({ kind: 'sqrt', format: 64 }, [bits64(value)]);
      assert.ok(Object.is(number64(result), Math.sqrt(value)) || (raised & exceptions.invalid) !== 0);
    }),
  );
});

/** The exact value of a finite double, in units of 2^-1074. */
function exact(value: number): bigint {
  const bits = bits64(value);
  const field = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & (2n ** 52n - 1n);
  const magnitude = field === 0 ? fraction : (fraction | (1n << 52n)) << BigInt(field - 1);
  return value < 0 || Object.is(value, -0) ? -magnitude : magnitude;
}

test('a fused multiply-add is the exact result, rounded once to nearest', () => {
  const moderate = fc.double({ noNaN: true, min: -1e60, max: 1e60 }).filter((x) => Math.abs(x) > 1e-60);
  fc.assert(
    fc.property(moderate, moderate, moderate, (c, a, b) => {
      const { result } = run({ kind: 'mulAdd', format: 64 }, [bits64(c), bits64(a), bits64(b)]);
      const scale = 1n << 1074n;
      const want = exact(c) * scale + exact(a) * exact(b);
      const distance = (bits: bigint): bigint => {
        const off = exact(number64(bits)) * scale - want;
        return off < 0n ? -off : off;
      };
      if (number64(result) === 0) return;
      assert.ok(distance(result) <= distance(result + 1n) && distance(result) <= distance(result - 1n));
    }),
  );
});

test('the directed rounding modes enclose the exact result, and agree where it is representable', () => {
  for (const kind of ['add', 'mul', 'div'] as const) {
    fc.assert(
      fc.property(anyDouble, anyDouble, (a, b) => {
        const operation: FloatOperation = { kind, format: 64 };
        const inputs = [bits64(a), bits64(b)];
        const down = run(operation, inputs, controls.down);
        const up = run(operation, inputs, controls.up);
        const near = run(operation, inputs);
        const [low, high] = [number64(down.result), number64(up.result)];
        if (Number.isNaN(low)) return;
        assert.ok(low <= high);
        const isExact = (near.raised & exceptions.inexact) === 0;
        assert.equal(low === high, isExact, `${kind} ${a} ${b}`);
        assert.ok(near.result === down.result || near.result === up.result);
      }),
      { numRuns: 1000 },
    );
  }
});

test('integers survive a round trip through every format that can hold them; others saturate', () => {
  const roundings: FloatRounding[] = ['nearestEven', 'up', 'down', 'zero', 'nearestAway'];
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n }),
      fc.constantFrom(...roundings),
      (value, rounding) => {
        const from = run({ kind: 'fromFixed', format: 64, bits: 64, signed: true }, [
          BigInt.asUintN(64, value),
          0n,
        ]);
        const back = run({ kind: 'toFixed', format: 64, bits: 64, signed: true, rounding }, [
          from.result,
          0n,
        ]);
        assert.equal(BigInt.asIntN(64, back.result), value);
        assert.equal(from.raised | back.raised, 0);
      },
    ),
  );
  const tooLarge = run({ kind: 'toFixed', format: 64, bits: 32, signed: true, rounding: 'zero' }, [
    bits64(1e10),
    0n,
  ]);
  assert.deepEqual(tooLarge, { result: 0x7fffffffn, raised: exceptions.invalid });
  const negative = run({ kind: 'toFixed', format: 64, bits: 32, signed: false, rounding: 'zero' }, [
    bits64(-1),
    0n,
  ]);
  assert.deepEqual(negative, { result: 0n, raised: exceptions.invalid });
});

test('rounding to an integer follows the rounding mode, and only the exact form raises Inexact', () => {
  const expected: Readonly<Record<string, (value: number) => number>> = {
    up: Math.ceil,
    down: Math.floor,
    zero: Math.trunc,
  };
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.constantFrom('up', 'down', 'zero'), (value, rounding) => {
      const shape = { kind: 'roundToInteger', format: 64, rounding: rounding as FloatRounding } as const;
      const { result, raised } = run({ ...shape, exact: true }, [bits64(value)]);
      const want = expected[rounding]!(value);
      assert.ok(Object.is(number64(result), want));
      assert.equal(raised, want === value ? 0 : exceptions.inexact);
      assert.equal(run({ ...shape, exact: false }, [bits64(value)]).raised, 0);
    }),
  );
});

test('conversions between formats round-trip; a half-precision NaN keeps the leading bits of its payload', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(32 as const, 64 as const),
      (half, to) => {
        const wide = run({ kind: 'convert', format: 16, to, rounding: 'current' }, [BigInt(half)]);
        const back = run({ kind: 'convert', format: to, to: 16, rounding: 'current' }, [wide.result]);
        const isNan = (half & 0x7fff) > 0x7c00;
        assert.equal(back.result, BigInt(isNan ? half | 0x200 : half));
        assert.equal(wide.raised, isNan && (half & 0x200) === 0 ? exceptions.invalid : 0);
      },
    ),
  );
});

test('NaNs, flushed numbers and default NaNs follow the architecture, not the host', () => {
  const add: FloatOperation = { kind: 'add', format: 32 };
  const [signalling, quiet] = [0x7fa00001n, 0xffc00002n];
  assert.deepEqual(run(add, [quiet, signalling]), { result: 0x7fe00001n, raised: exceptions.invalid });
  assert.deepEqual(run(add, [quiet, 0x3f800000n]), { result: quiet, raised: 0 });
  assert.deepEqual(run(add, [quiet, signalling], controls.defaultNan), {
    result: 0x7fc00000n,
    raised: exceptions.invalid,
  });
  const infinities = [0x7f800000n, 0xff800000n];
  assert.deepEqual(run(add, infinities), { result: 0x7fc00000n, raised: exceptions.invalid });
  assert.deepEqual(run(add, [0x00000001n, 0x80000000n], controls.flush), {
    result: 0n,
    raised: exceptions.inputDenormal,
  });
  const half: FloatOperation = { kind: 'mul', format: 32 };
  assert.deepEqual(run(half, [0x00800000n, 0x3f000000n], controls.flush), {
    result: 0n,
    raised: exceptions.underflow,
  });
});
