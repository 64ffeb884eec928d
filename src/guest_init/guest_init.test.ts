import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { assembledCode, powerOffCall } from './arm64/code.js';
import { initProgram } from './init_program.js';
import { commandEndOf as endOf } from './reported_status.js';
import type { CommandEnd } from './reported_status.js';
import { utf8 } from './utf8.js';

describe('UTF-8', () => {
  it('agrees with the standard encoder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.deepEqual([...utf8(text)], [...Buffer.from(text, 'utf8')]);
      }),
    );
  });
});

describe('the first process', () => {
  it('is an arm64 ELF file that contains the command unchanged', () => {
    const bytes = initProgram({ args: ['echo', 'a  b', ''], setup: null }, 'arm64');
    const view = new DataView(bytes.buffer);
    assert.deepEqual([...bytes.subarray(0, 7)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    assert.equal(view.getUint16(18, true), 183);
    // One load segment covers the whole file.
    assert.equal(view.getBigUint64(64 + 32, true), BigInt(bytes.length));
    assert.ok(Buffer.from(bytes).includes('echo\0'));
    assert.ok(Buffer.from(bytes).includes('a  b\0'));
  });
});

/** A kernel stack with the registers of the power-off call `at` bytes from its start. */
function stackWith(
  at: number,
  status: number,
  change: (registers: bigint[]) => void = () => undefined,
): Uint8Array {
  const registers = Array<bigint>(34).fill(0n);
  const { magic1, magic2, command, number, tag } = powerOffCall;
  [magic1, magic2, command].forEach((value, i) => (registers[i] = BigInt(value)));
  registers[4] = tag;
  registers[5] = BigInt(status);
  registers[6] = BigInt.asUintN(64, ~BigInt(status));
  registers[8] = BigInt(number);
  registers[32] = BigInt(assembledCode().symbols.get('power_off_return') ?? 0);
  change(registers);
  const stack = new Uint8Array(at + 8 * 34 + 64);
  registers.forEach((value, i) => new DataView(stack.buffer).setBigUint64(at + 8 * i, value, true));
  return stack;
}

function commandEndOf(stack: Uint8Array): CommandEnd | null {
  return endOf(stack, 'arm64');
}

describe('the reported status', () => {
  it('is found wherever the registers are, with the meaning of wait(2)', () => {
    assert.deepEqual(commandEndOf(stackWith(0, 0)), { exitCode: 0, signal: null });
    assert.deepEqual(commandEndOf(stackWith(1000, 3 << 8)), { exitCode: 3, signal: null });
    // 0x80 means that a core dump was written.
    assert.deepEqual(commandEndOf(stackWith(16, 0x80 | 11)), { exitCode: null, signal: 11 });
    fc.assert(
      fc.property(fc.nat(255), fc.nat(4000), (code, place) => {
        assert.deepEqual(commandEndOf(stackWith(8 * place, code << 8)), { exitCode: code, signal: null });
      }),
    );
  });

  it('is not found if any of the registers differs', () => {
    for (const register of [1, 2, 4, 5, 6, 8, 32, 33]) {
      const changed = stackWith(
        64,
        0,
        (registers) => (registers[register] = (registers[register] ?? 0n) ^ 4n),
      );
      assert.equal(commandEndOf(changed), null, `register ${register}`);
    }
    assert.equal(commandEndOf(new Uint8Array()), null);
    assert.equal(commandEndOf(stackWith(64, 0).subarray(0, 200)), null);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => commandEndOf(bytes) === null));
  });
});
