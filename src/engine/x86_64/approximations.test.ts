import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { approximateInverseRoot, approximateReciprocal } from './approximations.js';
import { cr4 } from './regime.js';
import { enterLongMode, testMachine } from './test_machine.js';

describe('RCPSS and RSQRTSS', () => {
  const cases: readonly (readonly [operand: bigint, reciprocal: bigint, inverseRoot: bigint])[] = [
    [0x3f800000n, 0x3f800000n, 0x3f800000n],
    [0x40800000n, 0x3e800000n, 0x3f000000n],
    [0xc0800000n, 0xbe800000n, 0xffc00000n],
    [0x40400000n, 0x3eaaaaabn, 0x3f13cd3an],
    // Zeros, and subnormal numbers as zeros.
    [0n, 0x7f800000n, 0x7f800000n],
    [0x80000000n, 0xff800000n, 0xff800000n],
    [0x7fffffn, 0x7f800000n, 0x7f800000n],
    [0x807fffffn, 0xff800000n, 0xff800000n],
    // Infinities and NaNs.
    [0x7f800000n, 0n, 0n],
    [0xff800000n, 0x80000000n, 0xffc00000n],
    [0x7f800001n, 0x7fc00001n, 0x7fc00001n],
    [0xffc12345n, 0xffc12345n, 0xffc12345n],
    // A tiny reciprocal.
    [0x7f000000n, 0n, 0x1fb504f3n],
    [0xff7fffffn, 0x80000000n, 0xffc00000n],
  ];

  it('are rounded correctly, and take and give no subnormal number', () => {
    for (const [operand, reciprocal, inverseRoot] of cases) {
      assert.equal(approximateReciprocal(operand), reciprocal, operand.toString(16));
      assert.equal(approximateInverseRoot(operand), inverseRoot, operand.toString(16));
    }
  });

  it('change the lowest number or all four, and raise nothing', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.program(
      0x1000,
      `
      movl $0x0, 0x8000
      ldmxcsr 0x8000
      movabs $0x4080000000000000, %rax
      movq %rax, %xmm0
      rsqrtps %xmm0, %xmm1
      rcpss %xmm0, %xmm0
      stmxcsr 0x8000
      vmmcall
    `,
    );
    machine.cpu.setSystem({ cr4: machine.cpu.system.cr4 | cr4.vectorState });
    machine.cpu.pc = 0x1000n;
    machine.run();
    assert.deepEqual([...machine.cpu.unimplemented], []);
    assert.deepEqual(machine.cpu.vector(1), [0x3f0000007f800000n, 0x7f8000007f800000n]);
    assert.deepEqual(machine.cpu.vector(0), [0x408000007f800000n, 0n]);
    assert.equal(machine.memory.getUint32(0x8000, true), 0);
  });
});
