import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Semantics } from '../../isa/index.js';
import type { Instruction } from '../../isa/index.js';
import { recordBytes } from '../layout.js';
import { discover, regionLimits, unitsOf } from './discover.js';
import type { RegionCode } from './discover.js';
import type { Unit } from './units.js';

const instruction: Instruction = {
  name: 'TEST',
  feature: null,
  cold: false,
  operands: {},
  text: '',
  semantics: new Semantics(),
  vector: false,
};

/** A record of a page: how it goes on, and where it jumps. */
interface Line {
  readonly kind: 'plain' | 'jump' | 'branch' | 'leaves' | 'missing';
  readonly to: number;
}

function unitOf(lines: readonly Line[], record: number): Unit | null {
  const { kind, to } = lines[record / recordBytes] ?? { kind: 'missing', to: 0 };
  if (kind === 'missing') return null;
  const jumps = kind === 'jump' || kind === 'branch';
  return {
    record,
    offset: record / 4,
    handler: 4,
    instruction,
    layout: {},
    near: jumps ? to * recordBytes : null,
    next: kind === 'jump' || kind === 'leaves' ? null : record + recordBytes,
  };
}

const pages = fc.array(
  fc.record({
    kind: fc.constantFrom('plain', 'plain', 'plain', 'jump', 'branch', 'branch', 'leaves', 'missing'),
    to: fc.nat({ max: 40 }),
  } satisfies Record<keyof Line, unknown>),
  { minLength: 1, maxLength: 40 },
);

/** Where execution goes on behind each unit, as the region says it: records, or null for outside. */
function assertConnected({ blocks }: RegionCode): void {
  const starts = blocks.map(({ units }) => units[0]?.record);
  for (const { units, jump, next } of blocks) {
    for (const [index, unit] of units.entries()) {
      const following = units[index + 1];
      if (following === undefined) {
        if (next !== null) assert.equal(starts[next], unit.next);
        if (jump !== null) assert.equal(starts[jump], unit.near);
      } else {
        assert.equal(following.record, unit.next);
        assert.equal(unit.near, null);
        assert.ok(!starts.includes(following.record), 'no block begins within another');
      }
    }
  }
}

describe('the blocks of a region', () => {
  it('are connected as their units are, for random pages', () => {
    fc.assert(
      fc.property(
        pages,
        fc.uniqueArray(fc.nat({ max: 39 }), { minLength: 1, maxLength: 3 }),
        (lines, wanted) => {
          const entries = wanted.map((line) => line * recordBytes);
          const there = entries.filter((entry) => unitOf(lines, entry) !== null);
          const code = discover(there, (record) => unitOf(lines, record));
          assert.deepEqual(
            code.entries.map((entry) => code.blocks[entry]?.units[0]?.record),
            there,
          );
          assertConnected(code);
          const records = unitsOf(code).map(({ record }) => record);
          assert.equal(new Set(records).size, records.length, 'no unit is there twice');
        },
      ),
    );
  });

  it('have a limit, behind which the region is left', () => {
    const long = Array.from({ length: 2 * regionLimits.units }, (): Line => ({ kind: 'plain', to: 0 }));
    assert.equal(unitsOf(discover([0], (record) => unitOf(long, record))).length, regionLimits.units);
    const wide = Array.from({ length: 1000 }, (_, to): Line => ({ kind: 'branch', to: (to * 7) % 1000 }));
    const code = discover([0], (record) => unitOf(wide, record));
    assert.ok(code.blocks.length <= regionLimits.blocks);
    assertConnected(code);
  });
});
