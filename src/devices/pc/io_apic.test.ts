import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  endIoApicInterrupt,
  isIoApicMasked,
  newIoApic,
  raiseIoApicPin,
  readIoApic,
  writeIoApic,
} from './io_apic.js';
import type { IoApicPort, IoApicState } from './io_apic.js';
import type { DeviceMessage } from '../local_apic/index.js';

interface Bench {
  readonly ioApic: IoApicState;
  readonly port: IoApicPort;
  readonly high: Set<number>;
  readonly sent: [number, DeviceMessage][];
  readonly changed: number[];
}

function bench(): Bench {
  const [high, sent, changed] = [new Set<number>(), [] as [number, DeviceMessage][], [] as number[]];
  const port: IoApicPort = {
    isHigh: (pin) => high.has(pin),
    deliver: (pin, message) => void sent.push([pin, message]),
    changed: (pin) => void changed.push(pin),
  };
  return { ioApic: newIoApic(), port, high, sent, changed };
}

const write = ({ ioApic, port }: Bench, register: number, value: number): void => {
  writeIoApic(ioApic, port, 0, register);
  writeIoApic(ioApic, port, 0x10, value);
};
const read = ({ ioApic, port }: Bench, register: number): number => {
  writeIoApic(ioApic, port, 0, register);
  return readIoApic(ioApic, 0x10);
};

describe('the I/O APIC', () => {
  test('has 48 masked pins, version 0x11, and an id of four bits', () => {
    const one = bench();
    assert.equal(read(one, 1), 0x002f_0011);
    write(one, 1, 0xffff_ffff);
    write(one, 0, 0xff00_0000);
    assert.deepEqual([read(one, 0), read(one, 2), read(one, 1)], [0x0f00_0000, 0x0f00_0000, 0x002f_0011]);
    for (let pin = 0; pin < 48; pin += 1) assert.equal(read(one, 0x10 + 2 * pin), 0x1_0000);
    assert.deepEqual([read(one, 0x70), read(one, 5), readIoApic(one.ioApic, 4)], [0, 0, 0]);
    assert.equal(isIoApicMasked(one.ioApic, 48), true);
  });

  test('sends an edge each time, as its entry says', () => {
    const one = bench();
    raiseIoApicPin(one.ioApic, one.port, 2);
    write(one, 0x15, 0x0400_0000);
    write(one, 0x14, 0x0930);
    raiseIoApicPin(one.ioApic, one.port, 2);
    raiseIoApicPin(one.ioApic, one.port, 2);
    const message = { vector: 0x30, mode: 1, isLogical: true, isLevel: false, destination: 4 };
    assert.deepEqual(one.sent, [
      [2, message],
      [2, message],
    ]);
    assert.deepEqual(one.changed, [2]);
  });

  test('sends a level once until its end, and then again while the line is high', () => {
    const one = bench();
    one.high.add(24);
    write(one, 0x40, 0x8041);
    assert.equal(one.sent.length, 1, 'unmasking a pin that is high');
    assert.equal(read(one, 0x40), 0xc041);
    raiseIoApicPin(one.ioApic, one.port, 24);
    endIoApicInterrupt(one.ioApic, one.port, 0x42);
    assert.equal(one.sent.length, 1);
    endIoApicInterrupt(one.ioApic, one.port, 0x41);
    assert.equal(one.sent.length, 2);
    one.high.delete(24);
    endIoApicInterrupt(one.ioApic, one.port, 0x41);
    assert.deepEqual([one.sent.length, read(one, 0x40)], [2, 0x8041]);
  });

  test('does not let a guest write what is in flight, but by making a pin edge-triggered', () => {
    const one = bench();
    write(one, 0x40, 0xd041);
    assert.equal(read(one, 0x40), 0x8041);
    one.high.add(24);
    raiseIoApicPin(one.ioApic, one.port, 24);
    write(one, 0x40, 0x1_8041);
    assert.equal(read(one, 0x40), 0x1_c041);
    write(one, 0x40, 0x1_0041);
    assert.equal(read(one, 0x40), 0x1_0041);
  });

  test('takes any sequence of accesses', () => {
    const act = fc.tuple(
      fc.constantFrom(0, 0, 0x10, 0x10, 4, 0xff),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.nat(80),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const one = bench();
        for (const [offset, value, pin] of acts) {
          writeIoApic(one.ioApic, one.port, offset, offset === 0 && pin < 70 ? pin : value);
          const byte = readIoApic(one.ioApic, offset);
          assert.ok(Number.isInteger(byte) && byte >= 0 && byte <= 0xffff_ffff);
          raiseIoApicPin(one.ioApic, one.port, pin);
          endIoApicInterrupt(one.ioApic, one.port, value & 0xff);
        }
        assert.equal(one.ioApic.entries.length, 48);
      }),
      { numRuns: 300 },
    );
  });
});
