/** Tests guest memory at byte offsets of 2^31 and more: every kind of access must work as below 2^31. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { powerOff, ramStart, results, testGuest, translationOn } from './test_guest.js';

const mebibyte = 2 ** 20;
const at = (address: number): string => `0x${address.toString(16)}`;

const tables = ramStart + 0x2000;
/** A block descriptor of 1 GiB with full access for EL1: access flag, attribute index 0. */
const block = (address: number): bigint => BigInt(address) | 0x401n;

/**
 * Turns translation on with a flat map of the first 4 GiB as Normal memory, so that unaligned accesses and DC ZVA are
 * allowed.
 */
const translated = `
  li x1, ${at(tables)}
  ${[0, 1, 2, 3].map((gib) => `li x2, 0x${block(gib * 2 ** 30).toString(16)}\nstr x2, [x1, #${8 * gib}]`).join('\n')}
  ${translationOn(tables)}`;

/** Accesses of every kind at X20 and above, each of which may miss the TLB. The values read are summed up in X9. */
const accesses = `
  li x1, 0x1122334455667788
  movz x9, #0
  str x1, [x20]
  strb w1, [x20, #9]
  strh w1, [x20, #10]
  stp x1, x9, [x20, #16]
  stur x1, [x20, #33]
  li x2, 0xffc
  add x2, x20, x2
  stur x1, [x2]
  li x3, 0x2000
  add x3, x20, x3
  dc zva, x3
  ldr x4, [x3]
  add x9, x9, x4
  li x3, 0x3000
  add x3, x20, x3
  stxr w5, x1, [x3]
  ldxr x4, [x3]
  stxr w5, x1, [x3]
  add x9, x9, x5
  ldr x4, [x3]
  add x9, x9, x4
  ldp x4, x5, [x20, #8]
  add x9, x9, x4
  add x9, x9, x5
  ldur x4, [x20, #33]
  add x9, x9, x4
  ldur x4, [x2]
  add x9, x9, x4
  ldrb w4, [x20, #9]
  add x9, x9, x4`;

/** Writes a routine at X21 that returns X1 in X0, calls it, changes it, and calls it again. Adds both results to X9. */
const writtenCode = `
  li x2, 0xd2800540
  str w2, [x21]
  li x3, 0xd65f03c0
  str w3, [x21, #4]
  blr x21
  add x9, x9, x0
  li x2, 0xd2800560
  str w2, [x21]
  blr x21
  add x9, x9, x0`;

/** The sum of the accesses with a data page and a code page at the given addresses, in a guest of `memoryMiB` MiB. */
function sumAt(memoryMiB: number, data: number, code: number): bigint {
  const guest = testGuest(
    `${translated}\nli x20, ${at(data)}\nli x21, ${at(code)}\n${accesses}\n${writtenCode}
     li x28, ${at(results)}\nstr x9, [x28]\n${powerOff}`,
    { config: { ram: [{ start: ramStart / 4096, count: (memoryMiB * mebibyte) / 4096 }] } },
  );
  assert.equal(guest.runToEnd(), 'shutdown');
  return guest.result(0);
}

describe('guest memory', () => {
  const below = sumAt(4, ramStart + mebibyte, ramStart + 2 * mebibyte);

  it('works below 2^31', () => {
    assert.notEqual(below, 0n);
    assert.equal(sumAt(64, ramStart + 32 * mebibyte, ramStart + 48 * mebibyte), below);
  });

  for (const memoryMiB of [1984, 2048, 3072]) {
    it(`works the same at the end of ${memoryMiB} MiB`, () => {
      const end = ramStart + memoryMiB * mebibyte;
      assert.equal(sumAt(memoryMiB, end - mebibyte, end - 2 * mebibyte), below);
      assert.equal(sumAt(memoryMiB, end - 0x4000, end - mebibyte), below);
    });
  }
});
