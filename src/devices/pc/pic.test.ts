import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  acknowledgePic,
  drivePic,
  isPicMasked,
  newPics,
  picAsserted,
  picVector,
  readPic,
  readPicLevel,
  writePic,
  writePicLevel,
} from './pic.js';
import type { PicNumber, PicsState } from './pic.js';

/** Initialised as a PC's: vectors 0x30 and 0x38, all inputs open. */
function pair(word4 = 1): PicsState {
  const pics = newPics();
  for (const [number, base, cascade] of [
    [0, 0x30, 4],
    [1, 0x38, 2],
  ] as const) {
    writePic(pics, number, false, 0x11);
    for (const word of [base, cascade, word4]) writePic(pics, number, true, word);
  }
  return pics;
}

const raise = (pics: PicsState, ...irqs: readonly number[]): void => {
  for (const irq of irqs) drivePic(pics, irq, true);
};
const command = (pics: PicsState, number: PicNumber, value: number): boolean =>
  writePic(pics, number, false, value);

describe('the 8259 pair', () => {
  test('asks for the most important input first, and lets none less important in before its end', () => {
    const pics = pair();
    raise(pics, 5, 1);
    assert.equal(acknowledgePic(pics), 1);
    assert.equal(picAsserted(pics), false);
    raise(pics, 0);
    assert.equal(acknowledgePic(pics), 0);
    assert.equal(acknowledgePic(pics), null);
    command(pics, 0, 0x20);
    assert.equal(picAsserted(pics), false, 'input 1 is still in service');
    command(pics, 0, 0x20);
    assert.equal(acknowledgePic(pics), 5);
    assert.deepEqual(
      [0, 7, 8, 15].map((irq) => picVector(pics, irq)),
      [0x30, 0x37, 0x38, 0x3f],
    );
  });

  test('passes on inputs of the slave as input 2 of the master', () => {
    const pics = pair();
    raise(pics, 12, 8);
    assert.equal(acknowledgePic(pics), 8);
    assert.deepEqual([pics[0].inService, pics[1].inService], [4, 1]);
    command(pics, 1, 0x20);
    command(pics, 0, 0x20);
    assert.equal(acknowledgePic(pics), 12);
    raise(pics, 2);
    assert.equal(pics[0].requested & 4, 0, 'nothing is connected to input 2');
  });

  test('forgets an edge that was taken, and asks again while a level is high', () => {
    const pics = pair();
    writePicLevel(pics, 0, 0xff);
    writePicLevel(pics, 1, 0xff);
    assert.deepEqual([readPicLevel(pics, 0), readPicLevel(pics, 1)], [0xf8, 0xde]);
    raise(pics, 1, 5);
    for (const irq of [1, 5, 5]) {
      assert.equal(acknowledgePic(pics), irq);
      command(pics, 0, 0x60 | irq);
    }
    drivePic(pics, 5, false);
    assert.equal(acknowledgePic(pics), null);
  });

  test('masks inputs, and says what a write opened', () => {
    const pics = pair();
    assert.equal(writePic(pics, 0, true, 0xff), false);
    raise(pics, 3);
    assert.deepEqual([picAsserted(pics), isPicMasked(pics, 3), readPic(pics, 0, true)], [false, true, 0xff]);
    assert.equal(writePic(pics, 0, true, 0xf7), true);
    assert.deepEqual([picAsserted(pics), isPicMasked(pics, 3), isPicMasked(pics, 11)], [true, false, false]);
  });

  test('shows requests and what is in service, and gives interrupts by polling', () => {
    const pics = pair();
    raise(pics, 4, 6);
    assert.equal(readPic(pics, 0, false), 0x50);
    command(pics, 0, 0x0c);
    assert.equal(readPic(pics, 0, false), 4);
    command(pics, 0, 0x0b);
    assert.equal(readPic(pics, 0, false), 0x10);
    command(pics, 0, 0x0c);
    assert.equal(readPic(pics, 0, false), 0xff, 'input 6 is less important than 4');
  });

  test('rotates priorities, ends by itself, and lets masked inputs in service not block others', () => {
    const pics = pair();
    raise(pics, 3, 4);
    assert.equal(acknowledgePic(pics), 3);
    command(pics, 0, 0xa0);
    raise(pics, 3);
    assert.equal(acknowledgePic(pics), 4, 'input 3 is the least important now');
    const special = pair();
    raise(special, 1);
    assert.equal(acknowledgePic(special), 1);
    raise(special, 6);
    assert.equal(picAsserted(special), false);
    command(special, 0, 0x68);
    writePic(special, 0, true, 2);
    assert.equal(acknowledgePic(special), 6);
    const automatic = pair(3);
    raise(automatic, 2, 7);
    assert.deepEqual([acknowledgePic(automatic), automatic[0].inService], [7, 0]);
  });

  test('is silent while it is being initialised', () => {
    const pics = pair();
    raise(pics, 5);
    writePicLevel(pics, 0, 0x20);
    command(pics, 0, 0x11);
    assert.equal(picAsserted(pics), false);
    for (const word of [0x40, 4]) assert.equal(writePic(pics, 0, true, word), false);
    assert.equal(writePic(pics, 0, true, 1), true);
    assert.deepEqual([acknowledgePic(pics), picVector(pics, 5)], [5, 0x45]);
  });

  test('takes any sequence of accesses, and asks only for what it then gives', () => {
    const act = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const pics = pair();
        for (const [kind, value] of acts) {
          if (kind < 4) writePic(pics, (kind & 1) as PicNumber, kind > 1, value);
          else if (kind === 4) drivePic(pics, value & 15, (value & 16) !== 0);
          else readPic(pics, (value & 1) as PicNumber, (value & 2) !== 0);
          const copy = structuredClone(pics);
          assert.equal(acknowledgePic(copy) !== null, picAsserted(pics));
        }
      }),
      { numRuns: 300 },
    );
  });
});
