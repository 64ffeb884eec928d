/** Checks micro-operations on vectors that no instruction of arm64 has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LaneBits } from '../isa/index.js';
import type { Environment } from './emit.js';
import { emitLaneExpr } from './emit_vector.js';
import { Code, i32 } from './wasm/code.js';
import { webAssembly } from './wasm/host_api.js';
import { WasmModule } from './wasm/module.js';

/** What WebAssembly makes of the sign bits of a constant. */
function signBitsOf(value: bigint, lane: LaneBits): number {
  const module = new WasmModule(1);
  const code = new Code();
  // Constants need no more of an environment.
  const environment = { code } as Environment;
  const refuse = (): never => assert.fail('there is no scalar');
  emitLaneExpr(environment, { op: 'signBits', lane, a: { op: 'vectorConst', value } }, refuse);
  module.addFunction({ parameters: [], results: [i32] }, [], code, 'run');
  const host = { memory: new webAssembly.Memory({ initial: 1 }) };
  const { exports } = new webAssembly.Instance(new webAssembly.Module(module.encode()), { host });
  return (exports['run'] as () => number)();
}

test('the sign bits of lanes come lowest first', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
      fc.constantFrom<LaneBits>(8, 16, 32, 64),
      (value, lane) => {
        const signs = Array.from(
          { length: 128 / lane },
          (_, at) => (value >> BigInt((at + 1) * lane - 1)) & 1n,
        );
        const expected = signs.reduce((all, sign, at) => all | (sign << BigInt(at)), 0n);
        assert.equal(signBitsOf(value, lane), Number(expected));
      },
    ),
  );
});
