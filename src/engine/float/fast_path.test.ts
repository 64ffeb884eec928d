/** Checks that every answer of the fast path equals the exact arithmetic, including the exceptions raised. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FloatOperation } from '../../isa/index.js';
import { cpuOffsets } from '../layout.js';
import { Code, i32, i64 } from '../wasm/code.js';
import { webAssembly } from '../wasm/host_api.js';
import { WasmModule } from '../wasm/module.js';
import { a64FloatRegisters } from '../arm64/float_registers.js';
import { x86FloatRules } from '../x86_64/float_rules.js';
import { floatFunction } from './calls.js';
import { FloatContext } from './context.js';
import type { FloatRegisters } from './context.js';
import { FloatFunctions } from './functions.js';

const formats = [32, 64] as const;
const operations: readonly FloatOperation[] = formats.flatMap((format): FloatOperation[] => [
  ...(
    [
      'add',
      'sub',
      'mul',
      'mulExtended',
      'div',
      'min',
      'max',
      'minNumber',
      'maxNumber',
      'sqrt',
      'mulAdd',
    ] as const
  ).map((kind) => ({ kind, format })),
  ...(['eq', 'ge', 'gt', 'compare', 'compareSignalling'] as const).map((kind) => ({ kind, format })),
  ...(['nearestEven', 'up', 'down', 'zero', 'nearestAway', 'current'] as const).flatMap(
    (rounding): FloatOperation[] => [
      { kind: 'roundToInteger', format, rounding, exact: true },
      { kind: 'roundToInteger', format, rounding, exact: false },
      ...formats.flatMap((bits) =>
        [true, false].map((signed): FloatOperation => ({ kind: 'toFixed', format, bits, signed, rounding })),
      ),
    ],
  ),
  ...formats.flatMap((bits) =>
    [true, false].map((signed): FloatOperation => ({ kind: 'fromFixed', format, bits, signed })),
  ),
  { kind: 'convert', format, to: format === 32 ? 64 : 32, rounding: 'current' },
]);

interface Machine {
  /** Calls the function of an operation with the given FPCR and FPSR. Returns the result and the new FPSR. */
  run(index: number, fpcr: number, fpsr: number, inputs: readonly bigint[]): { result: bigint; fpsr: number };
  /** Number of calls to the host. */
  asked: number;
}

function makeMachine(registers: FloatRegisters): Machine {
  const module = new WasmModule(1);
  const hostCall = module.importFunction('float', { parameters: [i32, i32, i64, i64, i64], results: [i64] });
  const floats = new FloatFunctions(module, hostCall, registers);
  for (const [index, operation] of operations.entries()) {
    const code = new Code();
    for (const parameter of [0, 1, 2, 3]) code.get(parameter);
    code.call(floats.indexOf(operation));
    module.addFunction({ parameters: [i32, i64, i64, i64], results: [i64] }, [], code, `f${index}`);
  }
  const memory = new webAssembly.Memory({ initial: 1 });
  const view = new DataView(memory.buffer);
  const machine = { asked: 0 };
  const host = {
    memory,
    float: (_block: number, number: number, a: bigint, b: bigint, c: bigint) => {
      machine.asked += 1;
      const context = new FloatContext(
        registers.modesOf(view.getUint32(cpuOffsets.floatControl, true)),
        registers.rules,
      );
      const result = floatFunction(floats.operations[number]!)(context, a, b, c);
      view.setUint32(
        cpuOffsets.floatStatus,
        view.getUint32(cpuOffsets.floatStatus, true) | context.raised,
        true,
      );
      return result;
    },
  };
  const { exports } = new webAssembly.Instance(new webAssembly.Module(module.encode()), { host });
  return Object.assign(machine, {
    run: (index: number, fpcr: number, fpsr: number, inputs: readonly bigint[]) => {
      view.setUint32(cpuOffsets.floatControl, fpcr, true);
      view.setUint32(cpuOffsets.floatStatus, fpsr, true);
      const call = exports[`f${index}`] as (cpu: number, ...inputs: bigint[]) => bigint;
      const [a = 0n, b = 0n, c = 0n] = inputs;
      const result = BigInt.asUintN(64, call(0, a, b, c));
      return { result, fpsr: view.getUint32(cpuOffsets.floatStatus, true) };
    },
  });
}

const view = new DataView(new ArrayBuffer(8));
function bitsOf(value: number, format: 32 | 64): bigint {
  view.setBigUint64(0, 0n);
  if (format === 64) view.setFloat64(0, value);
  else view.setFloat32(4, value);
  return view.getBigUint64(0);
}

/** Bits of a number in the format: small, large, near the limits, integers, short fractions, or arbitrary bits. */
function anyBits(format: 32 | 64): fc.Arbitrary<bigint> {
  const asBits = (value: number): bigint => bitsOf(value, format);
  return fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** BigInt(format) - 1n }),
    fc.integer({ min: -1000, max: 1000 }).map(asBits),
    fc.integer({ min: -1000, max: 1000 }).map((value) => asBits(value / 16)),
    fc.double({ noNaN: true, min: -1e6, max: 1e6 }).map(asBits),
    fc.double({ noNaN: true, min: 1, max: 2 }).map(asBits),
    fc.constantFrom(0, -0, 1, -1, Infinity, -Infinity, NaN, 2 ** -1074, 2 ** -1022, 2 ** -126, 2 ** -149).map(asBits),
    fc.integer({ min: -1074, max: 1023 }).map((exponent) => asBits(2 ** exponent)),
  ); // prettier-ignore
}

function inputsOf(operation: FloatOperation): fc.Arbitrary<bigint[]> {
  if (!('format' in operation) || operation.format === 16) return fc.constant([]);
  const number = anyBits(operation.format);
  if (operation.kind === 'toFixed') {
    return fc.tuple(number, fc.integer({ min: 0, max: operation.bits }).map(BigInt)).map((all) => [...all]);
  }
  if (operation.kind === 'fromFixed') {
    const whole = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: -5n, max: 5n }));
    return fc
      .tuple(whole, fc.integer({ min: 0, max: operation.bits }).map(BigInt))
      .map(([value, fraction]) => [BigInt.asUintN(64, value), fraction]);
  }
  return fc.tuple(number, number, number).map((all) => [...all]);
}

const machine = makeMachine(a64FloatRegisters);

/** The rules of both architectures, with the registers of one, which decide nothing else. */
const sets = [
  { rules: "Arm's", registers: a64FloatRegisters, computing: machine },
  {
    rules: "SSE's",
    registers: { ...a64FloatRegisters, rules: x86FloatRules },
    computing: makeMachine({ ...a64FloatRegisters, rules: x86FloatRules }),
  },
];

for (const [{ rules, registers, computing }, index, operation] of sets.flatMap((set) =>
  operations.map((operation, index) => [set, index, operation] as const),
)) {
  test(`the fast path of ${JSON.stringify(operation)} agrees with the exact arithmetic by ${rules} rules`, () => {
    const control = fc.constantFrom(0, 0, 0, 1 << 25, 1 << 24, 1 << 22, 2 << 22, 3 << 22);
    fc.assert(
      fc.property(inputsOf(operation), control, fc.constantFrom(0, 16), (inputs, fpcr, fpsr) => {
        const context = new FloatContext(registers.modesOf(fpcr), registers.rules);
        const [a = 0n, b = 0n, c = 0n] = inputs;
        const result = floatFunction(operation)(context, a, b, c);
        assert.deepEqual(computing.run(index, fpcr, fpsr, inputs), { result, fpsr: fpsr | context.raised });
      }),
      { numRuns: 400 },
    );
  });
}

test('ordinary numbers stay on the fast path once Inexact was raised', () => {
  for (const [index, operation] of operations.entries()) {
    if (!('format' in operation) || operation.format === 16) continue;
    const [x, y, z] = [1.5, 3.25, 0.1].map((value) => bitsOf(value, operation.format as 32 | 64));
    const isFixed = operation.kind === 'toFixed' || operation.kind === 'fromFixed';
    const before = machine.asked;
    machine.run(index, 0, 16, isFixed ? [x!, 0n] : [x!, y!, z!]);
    const isLarge = operation.kind === 'fromFixed';
    assert.ok(machine.asked === before || isLarge, JSON.stringify(operation));
  }
});
