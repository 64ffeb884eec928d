/** Tests of the machine's small parts in isolation. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { MmioDevice } from '../devices/index.js';
import { newGenericTimer, systemRegister } from '../devices/index.js';
import { Bus } from './bus.js';
import { isTimerRegister, readTimerRegister, writeTimerRegister } from './arm64/clock.js';
import { ConsoleInput } from './console_input.js';
import { EngineFrames } from './frames.js';
import { smcccCall } from './arm64/smccc.js';

describe('the bus', () => {
  const device = (size: number, answer: bigint | null): MmioDevice & { readonly seen: number[] } => {
    const seen: number[] = [];
    const hear = (offset: number): void => void seen.push(offset);
    return {
      size,
      seen,
      read: (offset) => (hear(offset), answer),
      write: (offset) => (hear(offset), answer !== null),
    };
  };

  it('finds the device at an address, and passes it offsets', () => {
    const bus = new Bus();
    const [first, second] = [device(0x100, 1n), device(0x100, null)];
    bus.attach(0x1000, first);
    bus.attach(0x1100, second);
    assert.equal(bus.read(0x1000, 4), 1n);
    assert.equal(bus.read(0x10ff, 1), 1n);
    assert.equal(bus.read(0x1100, 4), null, 'it refuses');
    assert.equal(bus.write(0x1104, 4, 0n), false);
    assert.equal(bus.write(0x1004, 4, 0n), true);
    assert.deepEqual(
      [first.seen, second.seen],
      [
        [0, 0xff, 4],
        [0, 4],
      ],
    );
    for (const address of [0xfff, 0x1200]) {
      assert.equal(bus.read(address, 4), null);
      assert.equal(bus.write(address, 4, 0n), false);
    }
  });
});

describe('frames in the engine’s memory', () => {
  const ranges = [
    { start: 100, count: 3 },
    { start: 7, count: 2 },
  ];

  it('are laid out consecutively', () => {
    const frames = new EngineFrames(new ArrayBuffer(8 * 4096), 4096, ranges, () => undefined);
    assert.deepEqual(
      [100, 102, 7, 8].map((mfn) => frames.offsetOf(mfn)),
      [4096, 3 * 4096, 4 * 4096, 5 * 4096],
    );
    for (const mfn of [99, 103, 6, 9]) {
      assert.equal(frames.offsetOf(mfn), null);
      assert.equal(frames.readable(mfn), undefined);
      assert.equal(frames.writable(mfn), undefined);
    }
  });

  it('report each frame returned for writing, and no other', () => {
    const written: number[] = [];
    const frames = new EngineFrames(new ArrayBuffer(8 * 4096), 4096, ranges, (offset) =>
      written.push(offset),
    );
    frames.readable(100);
    assert.deepEqual(written, []);
    frames.writable(8)?.fill(3);
    frames.writable(1);
    assert.deepEqual(written, [5 * 4096]);
    assert.equal(frames.readable(8)?.[4095], 3);
    assert.equal(frames.readable(7)?.[4095], 0);
  });
});

describe('the registers of the timers', () => {
  const at = (crm: number, op2: number): number => systemRegister(3, 3, 14, crm, op2);
  const [frequency, physicalCount, virtualCount] = [at(0, 0), at(0, 1), at(0, 2)] as const;
  const control = systemRegister(3, 0, 14, 1, 0);
  const compare = { physical: at(2, 2), virtual: at(3, 2) };

  it('report 62.5 MHz', () => {
    const access = { timers: newGenericTimer(), nowNs: 1_000_000n };
    assert.equal(readTimerRegister(frequency, access, 1), 62_500_000n);
    assert.equal(readTimerRegister(physicalCount, access, 1), 62_500n);
    assert.equal(readTimerRegister(virtualCount, access, 1), 62_500n);
    assert.equal(writeTimerRegister(virtualCount, access, 0n, 1), 'undefined');
  });

  it('are separate for each timer, and read back what was written', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.bigInt({ min: 0n, max: 1n << 62n }),
        (ticks, nowNs) => {
          const access = { timers: newGenericTimer(), nowNs };
          assert.equal(writeTimerRegister(compare.virtual, access, ticks, 1), 'done');
          assert.equal(readTimerRegister(compare.virtual, access, 1), ticks);
          assert.equal(readTimerRegister(compare.physical, access, 1), 0n);
          for (const crm of [2, 3]) {
            writeTimerRegister(at(crm, 0), access, ticks, 1);
            assert.equal(readTimerRegister(at(crm, 0), access, 1), BigInt.asUintN(32, ticks));
            writeTimerRegister(at(crm, 1), access, ticks & 2n, 1);
            assert.equal(readTimerRegister(at(crm, 1), access, 1), ticks & 2n);
          }
        },
      ),
    );
  });

  it('are accessible at EL0 as CNTKCTL_EL1 permits', () => {
    const access = { timers: newGenericTimer(), nowNs: 16n };
    for (const [encoding, bit] of [
      [physicalCount, 1n],
      [virtualCount, 2n],
      [compare.virtual, 1n << 8n],
      [compare.physical, 1n << 9n],
    ] as const) {
      writeTimerRegister(control, access, 0x3ffn & ~bit, 1);
      assert.equal(readTimerRegister(encoding, access, 0), 'trapped');
      writeTimerRegister(control, access, bit, 1);
      assert.equal(typeof readTimerRegister(encoding, access, 0), 'bigint');
    }
    assert.equal(readTimerRegister(control, access, 0), 'undefined');
    assert.equal(writeTimerRegister(control, access, 0n, 0), 'undefined');
    writeTimerRegister(control, access, 1n << 8n, 1);
    assert.equal(writeTimerRegister(compare.physical, access, 9n, 0), 'trapped');
    assert.equal(access.timers.physical.compare, 0n);
  });

  it('are found by their encoding', () => {
    assert.ok(isTimerRegister(frequency) && isTimerRegister(control));
    const other = systemRegister(3, 0, 12, 12, 0);
    assert.ok(!isTimerRegister(other));
    const access = { timers: newGenericTimer(), nowNs: 0n };
    assert.equal(readTimerRegister(other, access, 1), 'undefined');
  });
});

describe('SMCCC calls', () => {
  const minusOne = (1n << 64n) - 1n;

  it('report which workarounds the CPU needs', () => {
    const features = (argument: number): readonly bigint[] | null => smcccCall(0x8000_0001, argument);
    assert.deepEqual(features(0x8000_8000), [0n]);
    assert.deepEqual(features(0x8000_7fff), [0n]);
    assert.deepEqual(features(0x8000_3fff), [minusOne]);
    // Xen 4.17 knows no other function here, not even its two workaround calls.
    for (const argument of [0x8000_0000, 0x8000_0001, 0x8400_0000, 5]) {
      assert.deepEqual(features(argument), [minusOne]);
    }
  });

  it('return the version, return nothing for a workaround, and reject all other functions', () => {
    assert.deepEqual(smcccCall(0x8000_0000, 0), [0x1_0001n]);
    for (const workaround of [0x8000_8000, 0x8000_7fff, 0x8000_3fff]) {
      assert.deepEqual(smcccCall(workaround, 1), []);
    }
    for (const other of [0x8400_0000, 0xc400_0003, 0x8600_ff01, 0]) assert.equal(smcccCall(other, 0), null);
  });

  it('return the UID of both services', () => {
    assert.deepEqual(smcccCall(0x8500_ff00, 0), [3n]);
    assert.deepEqual(smcccCall(0x8500_ff03, 0), [0n, 1n]);
    assert.deepEqual(smcccCall(0x8400_ff00, 0), [15n]);
    assert.equal(smcccCall(0x8400_ff01, 0)?.length, 4);
    assert.notDeepEqual(smcccCall(0x8400_ff01, 0), smcccCall(0x8500_ff01, 0));
  });
});

describe('console input', () => {
  it('delivers each byte at its time, exactly once', () => {
    const typed = fc.record({ atNs: fc.bigInt({ min: 0n, max: 50n }), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(typed, { maxLength: 20 }), (all) => {
        const input = new ConsoleInput();
        for (const { atNs, byte } of all) input.add('uart', Uint8Array.of(byte), atNs);
        const got: { atNs: bigint; byte: number }[] = [];
        for (let due = input.dueNs; due !== null; due = input.dueNs) {
          const atNs = due;
          input.passTo(atNs, (_, [byte = -1]) => got.push({ atNs, byte }) && 1);
        }
        const sorted = all
          .map((each, i) => ({ ...each, i }))
          .sort((a, b) => Number(a.atNs - b.atNs) || a.i - b.i)
          .map(({ atNs, byte }) => ({ atNs, byte }));
        assert.deepEqual(got, sorted);
      }),
    );
  });

  it('waits where the guest has no space, and keeps the order', () => {
    const input = new ConsoleInput();
    input.add('pvConsole', Uint8Array.of(1, 2, 3, 4, 5), 10n);
    input.add('uart', Uint8Array.of(6), 10n);
    const got: number[] = [];
    let room = 2;
    const take = (_: string, bytes: Uint8Array): number => {
      const count = Math.min(room, bytes.length);
      got.push(...bytes.subarray(0, count));
      return count;
    };
    input.passTo(9n, take);
    assert.equal(input.dueNs, 10n);
    input.passTo(10n, take);
    assert.equal(input.dueNs, null, 'nothing comes by itself');
    room = 0;
    input.passTo(11n, take);
    room = 9;
    input.passTo(12n, take);
    assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
  });
});
