import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { frameBytes, present } from '../../base/index.js';
import { powerOff, results, testGuest } from './test_guest.js';
import type { TestGuest } from './test_guest.js';

/** Stores of all kinds to the words around `results`, which end at 0x5000. The program tells by a hypercall that it has begun. */
const stores = `
  movl $0x11111111, 0x4000
  mov $17, %eax
  xor %edi, %edi
  xor %esi, %esi
  vmmcall
  movl $0x22222222, 0x4000
  movabs $0x3333333344444444, %rax
  mov %rax, 0x4004
  movw $0x5555, 0x4012
  movb $0x66, 0x4010
  mov $1, %eax
  lock xadd %eax, 0x4018
  mov %eax, 0x401c
  lock incl 0x4018
  mov $0x4020, %edi
  mov $0x77, %eax
  mov $0x10, %ecx
  rep stos %al,%es:(%rdi)
  mov %rax, 0x4ffc
  ${powerOff}`;

/** The 32-bit words at {@link results}, and the one behind its frame. */
function wordsOf(guest: TestGuest, ...offsets: readonly number[]): string[] {
  return offsets.map((offset) => {
    const at = results + offset;
    const frame = present(guest.machine.frames.readable(Math.floor(at / frameBytes)), 'memory');
    return new DataView(frame.buffer, frame.byteOffset).getUint32(at % frameBytes, true).toString(16);
  });
}

const offsets = [0, 4, 8, 0x10, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0xffc];

/** Runs the program; from its hypercall on, words at these offsets keep their values. */
function run(kept: Readonly<Record<number, number>>): string[] {
  const guest: TestGuest = testGuest(stores, {
    listener: {
      hypercall: (_, { op }) => {
        if (op !== 'XENVER_version') return;
        const words = Object.entries(kept).map(([offset, value]) => ({
          at: results + Number(offset),
          value,
        }));
        guest.machine.board.keepWords(words);
      },
    },
  });
  assert.equal(guest.runToEnd(), 'shutdown');
  return wordsOf(guest, ...offsets);
}

describe('words that keep their value', () => {
  const plain = run({});

  it('are none at first', () => {
    assert.deepEqual(plain, [
      ...['22222222', '44444444', '33333333', '55550066', '2', '0'],
      ...['77777777', '77777777', '77777777', '77777777', '77'],
    ]);
  });

  it('keep it, whatever is stored there, and their neighbours do not', () => {
    for (const offset of offsets.filter((each) => each !== 0x18 && each !== 0x1c)) {
      const expected = plain.map((word, index) => (offsets[index] === offset ? 'c0ffee' : word));
      assert.deepEqual(run({ [offset]: 0xc0_ffee }), expected, `offset ${offset}`);
    }
  });

  it('are read and changed as what they keep', () => {
    const [found] = [run({ 0x18: 7, 4: 0xffff_ffff })];
    assert.deepEqual([found[1], found[2], found[4], found[5]], ['ffffffff', '33333333', '7', '7']);
  });
});
