import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { x86_64 } from './anchors.js';
import type { X86Cpu } from './anchors.js';

const image = { at: 0x100_0000n, bytes: 0x200_0000 };
const text = 0xffff_ffff_8100_0000n;
const area = 0xffff_8880_1f20_0000n;
const stack = 0xffff_c900_0001_3f00n;
const returnAddress = text + 0x1234n;

const vmmcall = 0xd9_010fn << 40n;
const vmcall = 0xc1_010fn << 40n;
const wrmsr = 0x300f_90n << 40n;

/** A CPU in the kernel behind a hypercall; `code` is the eight bytes in front of its next instruction. */
function cpu({ code = vmmcall, ...more }: Partial<X86Cpu> & { readonly code?: bigint } = {}): X86Cpu {
  const pc = more.pc ?? text + 0x2000n;
  const words = new Map([
    [pc - 8n, code],
    [stack, returnAddress],
  ]);
  return {
    pc,
    stackPointer: stack,
    privilege: 0,
    codeBits: 64,
    gsBase: area,
    system: { kernelGsBase: 0x7fff_0000n, lstar: text + 0xc0_0080n },
    register: (number) => BigInt(number),
    translate: (address) =>
      address >= text && address < text + BigInt(image.bytes) ? address - text + image.at : null,
    word: (address) => words.get(address) ?? null,
    ...more,
  };
}

describe('the anchors of an x86-64 kernel', () => {
  it('are what the ABI and Linux keep in the registers', () => {
    const anchors = x86_64.anchorsOf(cpu());
    assert.equal(anchors.hasKernelMap, true);
    assert.equal(anchors.perCpuBase, area);
    assert.equal(anchors.task, null);
    assert.equal(anchors.stackPointer, stack);
    assert.deepEqual(anchors.preserved, [3n, 5n, 12n, 13n, 14n, 15n]);
    assert.equal(anchors.text(image), text);
    assert.equal(x86_64.linkedText(image.at), text);
  });

  it('have the caller of a hypercall on the stack, and that of everything else in the instruction pointer', () => {
    for (const code of [vmmcall, vmcall]) {
      assert.equal(x86_64.anchorsOf(cpu({ code })).caller, returnAddress);
    }
    assert.equal(x86_64.anchorsOf(cpu({ code: wrmsr })).caller, text + 0x2000n);
    assert.equal(x86_64.anchorsOf(cpu({ word: () => null })).caller, text + 0x2000n, 'nothing is mapped');
  });

  it('have the base of the areas in the register that SWAPGS put it into', () => {
    const system = { kernelGsBase: area, lstar: 0n };
    assert.equal(x86_64.anchorsOf(cpu({ privilege: 3, gsBase: 0x1000n, system })).perCpuBase, area);
    assert.equal(x86_64.anchorsOf(cpu({ gsBase: 0x1000n, system })).perCpuBase, area, 'before SWAPGS');
    // A program may write an address of the kernel into its own base.
    assert.equal(x86_64.anchorsOf(cpu({ privilege: 3, gsBase: area + 1n, system })).perCpuBase, area);
    const early = cpu({ gsBase: 0n, system: { kernelGsBase: 0n, lstar: 0n } });
    assert.equal(x86_64.anchorsOf(early).perCpuBase, 0n);
  });

  it('say nothing of the kernel before it runs at its own addresses', () => {
    assert.equal(x86_64.anchorsOf(cpu({ pc: 0x100_0850n, codeBits: 32 })).hasKernelMap, false);
    const identity = x86_64.anchorsOf(cpu({ pc: 0x100_0900n, translate: (address) => address }));
    assert.equal(identity.hasKernelMap, false);
    assert.equal(identity.text(image), null);
    assert.equal(x86_64.anchorsOf(cpu({ privilege: 3, pc: 0x40_0000n })).hasKernelMap, true);
  });

  it('follow the registers as they change', () => {
    const state = { base: area };
    const changing: X86Cpu = Object.defineProperty({ ...cpu() }, 'gsBase', { get: () => state.base });
    const anchors = x86_64.anchorsOf(changing);
    assert.equal(anchors.perCpuBase, area);
    state.base += 0x1000n;
    assert.equal(anchors.perCpuBase, area + 0x1000n);
  });
});
