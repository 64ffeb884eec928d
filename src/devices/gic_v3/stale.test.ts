import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MmioBytes } from '../mmio.js';
import { irqAsserted, latchPrivate, latchShared, setCpuPower, setLine } from './cpu_interface.js';
import type { Gic } from './cpu_interface.js';
import { distributor } from './distributor.js';
import { iccRegisters, readIcc, writeIcc } from './icc_registers.js';
import { redistributorBytes, redistributors } from './redistributor.js';
import { newGic } from './state.js';

const cpus = 3;

function newTestGic(): Gic {
  return {
    state: newGic(cpus),
    affinities: [0, 1, 2],
    cpuOfAffinity: Number,
    cpusOfSgi: (value) => [0, 1, 2, 3].filter((i) => ((value >> BigInt(i)) & 1n) === 1n),
    stale: new Set(),
  };
}

type Step = (gic: Gic) => void;

const cpu = fc.nat(cpus - 1);
const intid = fc.nat(100);
const bits = fc.integer({ min: 0, max: 0xffff_ffff });
const icc = fc.constantFrom(...iccRegisters.map(({ encoding }) => encoding));
/** Values with few bits set, and arbitrary values. */
const value = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(0n, 1n, 2n, 0x10n, 0xf0n, 0xffff_ffffn),
);
const offset = fc.oneof(
  fc.constantFrom(0x0, 0x80, 0x100, 0x104, 0x180, 0x200, 0x204, 0x300, 0x400, 0x420, 0xc00, 0xc08),
  fc.nat(0x7fff),
);
const bytes = fc.constantFrom<MmioBytes>(1, 4, 8);

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(cpu, intid, fc.boolean()).map(
    ([c, i, high]): Step =>
      (gic) =>
        setLine(gic, c, i, high),
  ),
  fc.tuple(cpu, bits).map(
    ([c, b]): Step =>
      (gic) =>
        latchPrivate(gic, c, b),
  ),
  fc.tuple(fc.nat(2), bits).map(
    ([bank, b]): Step =>
      (gic) =>
        latchShared(gic, bank, b),
  ),
  fc.tuple(cpu, fc.boolean()).map(
    ([c, on]): Step =>
      (gic) =>
        setCpuPower(gic, c, on),
  ),
  fc.tuple(cpu, icc).map(
    ([c, encoding]): Step =>
      (gic) =>
        void readIcc(gic, c, encoding),
  ),
  fc.tuple(cpu, icc, value).map(
    ([c, encoding, v]): Step =>
      (gic) =>
        void writeIcc(gic, c, encoding, v),
  ),
  fc.tuple(offset, bytes, value).map(
    ([at, width, v]): Step =>
      (gic) =>
        void distributor(gic).write(at, width, v),
  ),
  fc.tuple(cpu, offset, bytes, value).map(
    ([c, at, width, v]): Step =>
      (gic) =>
        void redistributors(gic, cpus * redistributorBytes).write(
          c * redistributorBytes + 0x1_0000 + at,
          width,
          v,
        ),
  ),
);

/** Steps that must come first, because no line is asserted without them. */
const wake: readonly Step[] = [
  ...[0, 1, 2].map(
    (c): Step =>
      (gic) =>
        setCpuPower(gic, c, true),
  ),
  (gic) => {
    gic.state.enabled = true;
    for (const { own, interface: face } of gic.state.cpus) {
      own.enabled = 0xffff_ffff;
      face.priorityMask = 0xf0;
      face.enabled1 = true;
    }
    for (const bank of gic.state.shared) bank.enabled = 0xffff_ffff;
    for (let c = 0; c < cpus; c += 1) gic.stale.add(c);
  },
];

test('every CPU whose line changes is in the set of stale CPUs', () => {
  let changes = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const gic = newTestGic();
      const known = [0, 1, 2].map(() => false);
      for (const each of [...wake, ...steps]) {
        each(gic);
        for (let c = 0; c < cpus; c += 1) {
          const asserted = irqAsserted(gic, c);
          if (asserted !== known[c]) {
            changes += 1;
            assert.ok(gic.stale.has(c), `CPU ${c} became ${asserted}`);
          }
          known[c] = asserted;
        }
        gic.stale.clear();
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(changes > 100, `only ${changes} changes were seen`);
});
