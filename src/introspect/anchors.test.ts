import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { textBehind } from './anchors.js';
import { arm64 } from './arm64/anchors.js';
import type { Arm64Cpu } from './arm64/anchors.js';

const image = { at: 0x4008_0000n, bytes: 0x200_0000 };
const text = 0xffff_8000_0801_0000n;
const linear = 0xffff_0000_0000_0000n;

/** Maps the image at `text`, all memory from `linear` on, and one page of the image elsewhere too. */
const trampoline = 0xffff_fbff_fe00_0000n;
function translate(address: bigint): bigint | null {
  if (address >= text && address < text + BigInt(image.bytes)) return address - text + image.at;
  if (address >= trampoline && address < trampoline + 0x1000n)
    return address - trampoline + image.at + 0x5000n;
  return address >= linear && address < text ? address - linear : null;
}

describe('the address of _text', () => {
  it('follows from two addresses of code, wherever the kernel is', () => {
    const offset = fc.integer({ min: 0, max: image.bytes - 1 }).map(BigInt);
    fc.assert(
      fc.property(offset, offset, (one, other) => {
        assert.equal(textBehind([text + one, text + other], translate, image), text);
      }),
    );
  });

  it('is not taken from one address, from a second mapping, or from addresses outside of the image', () => {
    assert.equal(textBehind([text + 4n], translate, image), null);
    assert.equal(textBehind([trampoline, text + 4n], translate, image), null);
    assert.equal(textBehind([trampoline, text + 4n, text + 8n], translate, image), text);
    // Translation is off, or the kernel's map is not in use yet.
    assert.equal(
      textBehind([image.at, image.at + 4n], (address) => address, image),
      null,
    );
    // A module, and code that is not mapped.
    assert.equal(
      textBehind([linear + 0x10n, linear + 0x20n, 0xffff_ffff_0000_0000n], translate, image),
      null,
    );
  });
});

/** A CPU in the kernel, with the registers that matter; each other register has a value that would show. */
function cpu(
  more: Partial<Arm64Cpu> & { readonly system?: Readonly<Record<string, bigint>> } = {},
): Arm64Cpu {
  const system: Readonly<Record<string, bigint>> = {
    VBAR_EL1: text + 0x1_0800n,
    TPIDR_EL1: 0x7f00_0000n,
    SP_EL0: linear + 0x123_4000n,
    ...more.system,
  };
  return {
    pc: text + 0x2000n,
    stackPointer: linear + 0x5000n,
    mode: 'EL1h',
    register: (number) => BigInt(number) + text,
    systemRegister: (name) => system[name] ?? 0xbad0n,
    translate,
    ...more,
  };
}

describe('the anchors of an arm64 kernel', () => {
  it('are what the architecture and Linux keep in the registers', () => {
    const anchors = arm64.anchorsOf(cpu());
    assert.equal(anchors.hasKernelMap, true);
    assert.equal(anchors.perCpuBase, 0x7f00_0000n);
    assert.equal(anchors.task, linear + 0x123_4000n);
    assert.equal(anchors.caller, text + 30n);
    assert.equal(anchors.stackPointer, linear + 0x5000n);
    assert.deepEqual(
      anchors.preserved,
      [19n, 20n, 21n, 22n, 23n, 24n, 25n, 26n, 27n, 28n].map((number) => number + text),
    );
    assert.equal(anchors.text(image), text);
  });

  it('say nothing of a task in user space, of a user stack, or before the kernel has its map', () => {
    assert.equal(arm64.anchorsOf(cpu({ mode: 'EL0t' })).task, null);
    assert.equal(arm64.anchorsOf(cpu({ system: { SP_EL0: 0x7fff_0000n } })).task, null);
    const early = arm64.anchorsOf(cpu({ system: { VBAR_EL1: 0x4009_0800n }, pc: 0x4009_0000n }));
    assert.equal(early.hasKernelMap, false);
    assert.equal(early.text(image), null);
  });

  it('follow the registers as they change', () => {
    let base = 1n;
    const anchors = arm64.anchorsOf(cpu({ systemRegister: () => base }));
    assert.equal(anchors.perCpuBase, 1n);
    base = 2n;
    assert.equal(anchors.perCpuBase, 2n);
  });
});
