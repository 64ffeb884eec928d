import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  driveIsa,
  drivePci,
  gsiOfIsa,
  gsiOfPci,
  holdPin,
  isGsiHigh,
  lowerGsi,
  newInterruptLines,
  raiseGsi,
  routeLink,
} from './interrupt_lines.js';
import type { InterruptLinesState, LinesPort } from './interrupt_lines.js';

interface Bench {
  readonly lines: InterruptLinesState;
  readonly port: LinesPort;
  readonly told: string[];
}

function bench(events: readonly number[] = []): Bench {
  const told: string[] = [];
  const lines = newInterruptLines();
  lines.routes = [5, 10, 11, 5];
  const port: LinesPort = {
    raise: (gsi) => void told.push(`raise ${gsi}`),
    raisePin: (gsi) => void told.push(`pin ${gsi}`),
    lower: (gsi) => void told.push(`lower ${gsi}`),
    drivePic: (irq, isHigh) => void told.push(`pic ${irq} ${isHigh ? 'up' : 'down'}`),
    isEventChannel: (gsi) => events.includes(gsi),
  };
  return { lines, port, told };
}

describe('interrupt lines', () => {
  test('lead from ISA interrupts to the same numbers, but from 0 to 2', () => {
    const { lines, port, told } = bench();
    assert.deepEqual([0, 1, 15].map(gsiOfIsa), [2, 1, 15]);
    driveIsa(lines, port, 0, true);
    driveIsa(lines, port, 0, true);
    driveIsa(lines, port, 0, false);
    assert.deepEqual(told, ['raise 2', 'pic 0 up', 'lower 2', 'pic 0 down']);
  });

  test('lead from PCI pins to 16 and more, and by links to ISA interrupts', () => {
    const { lines, port, told } = bench();
    assert.deepEqual([gsiOfPci(2, 0), gsiOfPci(1, 0), gsiOfPci(31, 3)], [24, 20, 18]);
    drivePci(lines, port, 2, 0, true);
    assert.deepEqual(told, ['raise 24', 'raise 11', 'pic 11 up']);
    assert.equal(isGsiHigh(lines, 24), true);
    // Device 1, INTB has the same link.
    drivePci(lines, port, 1, 1, true);
    drivePci(lines, port, 2, 0, false);
    told.length = 0;
    drivePci(lines, port, 1, 1, false);
    assert.deepEqual(told, ['lower 21', 'lower 11', 'pic 11 down']);
  });

  test('follow a link to another interrupt', () => {
    const { lines, port, told } = bench();
    drivePci(lines, port, 2, 0, true);
    told.length = 0;
    routeLink(lines, port, 2, 7);
    assert.deepEqual(told, ['lower 11', 'pic 11 down', 'pin 7', 'pic 7 up']);
    routeLink(lines, port, 2, 0);
    assert.equal(isGsiHigh(lines, 7), false);
  });

  test("do not lower the 8259's input where an event channel stands for the interrupt", () => {
    const { lines, port, told } = bench([8]);
    driveIsa(lines, port, 8, true);
    driveIsa(lines, port, 8, false);
    assert.deepEqual(told, ['raise 8', 'pic 8 up', 'lower 8']);
  });

  test("of Xen's own callback pass event channels by", () => {
    const { lines, port, told } = bench([28]);
    holdPin(lines, port, 28, true);
    holdPin(lines, port, 28, false);
    raiseGsi(lines, port, 20, false);
    raiseGsi(lines, port, 21, true);
    raiseGsi(lines, port, 21, true);
    lowerGsi(lines, port, 21);
    assert.deepEqual(told, ['pin 28', 'lower 28', 'raise 20', 'raise 21']);
  });

  test('hold an interrupt high exactly while one of its wires is high', () => {
    const act = fc.record({
      kind: fc.constantFrom('isa', 'pci'),
      index: fc.nat(127),
      isHigh: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const { lines, port } = bench();
        const high = new Set<string>();
        for (const { kind, index, isHigh } of acts) {
          const wire = kind === 'isa' ? index & 15 : index;
          if (kind === 'isa') driveIsa(lines, port, wire, isHigh);
          else drivePci(lines, port, wire >> 2, wire & 3, isHigh);
          if (isHigh) high.add(`${kind} ${wire}`);
          else high.delete(`${kind} ${wire}`);
        }
        const held = new Set<number>();
        for (const name of high) {
          const [kind, number = ''] = name.split(' ');
          const wire = Number(number);
          if (kind === 'isa') held.add(gsiOfIsa(wire));
          else {
            held.add(gsiOfPci(wire >> 2, wire & 3));
            held.add(lines.routes[((wire >> 2) + wire) & 3] ?? 0);
          }
        }
        for (let gsi = 0; gsi < 48; gsi += 1) assert.equal(isGsiHigh(lines, gsi), held.has(gsi), `${gsi}`);
      }),
    );
  });
});
