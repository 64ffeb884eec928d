import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  acknowledge,
  deactivate,
  endOfInterrupt,
  highestPendingIntid,
  irqAsserted,
  latchShared,
  runningPriority,
  sendSgi,
  setCpuPower,
  setLine,
} from './cpu_interface.js';
import type { Gic } from './cpu_interface.js';
import { newGic } from './state.js';

const cpus = 4;

/**
 * A GIC as a kernel configures it: everything on, all interrupts enabled with priority 0xa0, all but SGIs
 * level-triggered.
 */
function readyGic(): Gic {
  const gic: Gic = {
    state: newGic(cpus),
    stale: new Set(),
    affinities: [0, 1, 2, 3],
    cpuOfAffinity: Number,
    cpusOfSgi: (value) => [0, 1, 2, 3, 4].filter((i) => ((value >> BigInt(i)) & 1n) === 1n),
  };
  gic.state.enabled = true;
  for (const bank of [...gic.state.shared, ...gic.state.cpus.map(({ own }) => own)]) {
    bank.enabled = 0xffff_ffff;
    bank.priorities.fill(0xa0);
  }
  for (const [cpu, { interface: own }] of gic.state.cpus.entries()) {
    setCpuPower(gic, cpu, true);
    own.priorityMask = 0xf0;
    own.enabled1 = true;
  }
  return gic;
}

function setPriority(gic: Gic, cpu: number, intid: number, priority: number): void {
  const bank = intid < 32 ? gic.state.cpus[cpu]!.own : gic.state.shared[(intid >>> 5) - 1]!;
  bank.priorities[intid % 32] = priority;
}

test('a level-triggered interrupt is pending while its line is high, and again after its end', () => {
  const gic = readyGic();
  setLine(gic, 1, 27, true);
  assert.ok(irqAsserted(gic, 1));
  assert.ok(!irqAsserted(gic, 0), 'private');
  assert.equal(acknowledge(gic, 1), 27);
  assert.ok(!irqAsserted(gic, 1), 'active');
  endOfInterrupt(gic, 1, 27);
  assert.ok(irqAsserted(gic, 1), 'the line is still high');
  assert.equal(acknowledge(gic, 1), 27);
  setLine(gic, 1, 27, false);
  endOfInterrupt(gic, 1, 27);
  assert.ok(!irqAsserted(gic, 1));
});

test('a level that falls before it is acknowledged is no longer pending; an edge stays pending', () => {
  const gic = readyGic();
  setLine(gic, 0, 40, true);
  setLine(gic, 0, 40, false);
  assert.ok(!irqAsserted(gic, 0));
  gic.state.shared[0]!.edge = 1 << 8;
  setLine(gic, 0, 40, true);
  setLine(gic, 0, 40, false);
  assert.equal(acknowledge(gic, 0), 40);
  endOfInterrupt(gic, 0, 40);
  assert.ok(!irqAsserted(gic, 0));
  setLine(gic, 0, 40, true);
  setLine(gic, 0, 40, true);
  assert.equal(acknowledge(gic, 0), 40);
  endOfInterrupt(gic, 0, 40);
  assert.ok(!irqAsserted(gic, 0), 'a line that stays high has one edge');
});

test('an edge during the handling of the interrupt is taken afterwards', () => {
  const gic = readyGic();
  sendSgi(gic, 0, 0x0300_0002n);
  assert.equal(acknowledge(gic, 1), 3);
  sendSgi(gic, 0, 0x0300_0002n);
  assert.ok(!irqAsserted(gic, 1));
  endOfInterrupt(gic, 1, 3);
  assert.equal(acknowledge(gic, 1), 3);
});

test('the first and the last interrupt of each bank are independent', () => {
  for (const intid of [16, 31, 32, 63, 64, 255]) {
    const gic = readyGic();
    setLine(gic, 0, intid, true);
    assert.equal(acknowledge(gic, 0), intid);
    assert.equal(acknowledge(gic, 0), 1023);
    endOfInterrupt(gic, 0, intid);
    assert.equal(acknowledge(gic, 0), intid);
  }
  const gic = readyGic();
  for (const intid of [256, 1019, 1023]) setLine(gic, 0, intid, true);
  assert.equal(acknowledge(gic, 0), 1023);
});

test('after reset only SGIs are edge-triggered, and nothing is enabled', () => {
  const { cpus: all, shared } = newGic(1);
  assert.equal(all[0]!.own.edge, 0xffff);
  assert.ok(shared.every(({ edge, enabled }) => edge === 0 && enabled === 0));
  assert.equal(all[0]!.powered, false);
});

test('pending interrupts are taken by priority, then by number', () => {
  const gic = readyGic();
  setPriority(gic, 0, 100, 0x40);
  setPriority(gic, 0, 70, 0x60);
  for (const intid of [20, 16, 70, 100]) setLine(gic, 0, intid, true);
  const order = [0, 1, 2, 3].map(() => {
    const intid = acknowledge(gic, 0);
    setLine(gic, 0, intid, false);
    endOfInterrupt(gic, 0, intid);
    return intid;
  });
  assert.deepEqual(order, [100, 70, 16, 20]);
  assert.equal(acknowledge(gic, 0), 1023);
});

test('only a higher group priority preempts a handler, and its end restores the previous running priority', () => {
  const gic = readyGic();
  setPriority(gic, 0, 50, 0x80);
  setPriority(gic, 0, 60, 0x40);
  setLine(gic, 0, 33, true);
  assert.equal(acknowledge(gic, 0), 33);
  assert.equal(runningPriority(gic, 0), 0xa0);
  setLine(gic, 0, 34, true);
  assert.ok(!irqAsserted(gic, 0), 'equal priority waits');
  assert.equal(highestPendingIntid(gic, 0), 34);
  setLine(gic, 0, 50, true);
  assert.equal(acknowledge(gic, 0), 50);
  setLine(gic, 0, 60, true);
  assert.equal(acknowledge(gic, 0), 60);
  assert.equal(runningPriority(gic, 0), 0x40);
  endOfInterrupt(gic, 0, 60);
  assert.equal(runningPriority(gic, 0), 0x80);
  endOfInterrupt(gic, 0, 50);
  endOfInterrupt(gic, 0, 33);
  assert.equal(runningPriority(gic, 0), 0xff);
});

test('the binary point selects the priority bits that can preempt', () => {
  const gic = readyGic();
  const own = gic.state.cpus[0]!.interface;
  setPriority(gic, 0, 50, 0x80);
  own.binaryPoint1 = 6;
  setLine(gic, 0, 33, true);
  acknowledge(gic, 0);
  assert.equal(runningPriority(gic, 0), 0x80, 'the group priority');
  setLine(gic, 0, 50, true);
  assert.ok(!irqAsserted(gic, 0), '0x80 and 0xa0 are one group');
  own.commonBinaryPoint = true;
  own.binaryPoint0 = 7;
  endOfInterrupt(gic, 0, 33);
  setLine(gic, 0, 33, false);
  assert.equal(acknowledge(gic, 0), 50);
  assert.equal(runningPriority(gic, 0), 0, 'no bit is left');
});

test('an interrupt of the mask’s priority or lower is not signalled', () => {
  const gic = readyGic();
  setLine(gic, 0, 33, true);
  gic.state.cpus[0]!.interface.priorityMask = 0xa0;
  assert.ok(!irqAsserted(gic, 0));
  assert.equal(acknowledge(gic, 0), 1023);
  assert.equal(highestPendingIntid(gic, 0), 33);
  gic.state.cpus[0]!.interface.priorityMask = 0xa8;
  assert.ok(irqAsserted(gic, 0));
});

test('priorities that differ only in unimplemented bits are equal', () => {
  const gic = readyGic();
  setPriority(gic, 0, 40, 0xa7);
  setPriority(gic, 0, 41, 0xa1);
  setLine(gic, 0, 41, true);
  setLine(gic, 0, 40, true);
  assert.equal(acknowledge(gic, 0), 40);
});

test('each enable bit on the way can hold interrupts back', () => {
  const switches: ((gic: Gic) => void)[] = [
    ({ state }) => (state.enabled = false),
    ({ state }) => (state.cpus[2]!.interface.enabled1 = false),
    ({ state }) => (state.cpus[2]!.own.enabled = 0),
    ({ state }) => (state.cpus[2]!.own.active = 1 << 30),
    (gic) => setCpuPower(gic, 2, false),
  ];
  for (const turnOff of switches) {
    const gic = readyGic();
    setLine(gic, 2, 30, true);
    assert.ok(irqAsserted(gic, 2));
    turnOff(gic);
    assert.ok(!irqAsserted(gic, 2));
    assert.equal(acknowledge(gic, 2), 1023);
  }
});

test('with priority drop and deactivation split, an interrupt stays active until ICC_DIR_EL1', () => {
  const gic = readyGic();
  gic.state.cpus[0]!.interface.splitEoi = true;
  setLine(gic, 0, 27, true);
  acknowledge(gic, 0);
  endOfInterrupt(gic, 0, 27);
  assert.equal(runningPriority(gic, 0), 0xff);
  assert.ok(!irqAsserted(gic, 0), 'still active');
  setLine(gic, 0, 30, true);
  assert.equal(acknowledge(gic, 0), 30, 'others come');
  deactivate(gic, 0, 27);
  endOfInterrupt(gic, 0, 30);
  assert.equal(acknowledge(gic, 0), 27);
});

test('without the split ICC_DIR_EL1 does nothing, and special INTIDs are ignored', () => {
  const gic = readyGic();
  setLine(gic, 0, 27, true);
  acknowledge(gic, 0);
  deactivate(gic, 0, 27);
  for (const intid of [1020, 1021, 1022, 1023]) endOfInterrupt(gic, 0, intid);
  assert.equal(runningPriority(gic, 0), 0xa0);
  assert.equal(gic.state.cpus[0]!.own.active, 1 << 27);
  endOfInterrupt(gic, 0, 27);
  assert.equal(gic.state.cpus[0]!.own.active, 0);
  endOfInterrupt(gic, 0, 27);
  assert.equal(runningPriority(gic, 0), 0xff);
});

const waiting = (gic: Gic, intid: number): number[] =>
  gic.state.cpus.flatMap(({ own }, cpu) => (((own.latched >>> intid) & 1) === 1 ? [cpu] : []));

test('an SGI goes to the listed CPUs, which may include the sender, or to all others', () => {
  const gic = readyGic();
  sendSgi(gic, 0, 0x0700_000bn);
  assert.deepEqual(waiting(gic, 7), [0, 1, 3]);
  sendSgi(gic, 2, (1n << 40n) | 0x0500_ffffn);
  assert.deepEqual(waiting(gic, 5), [0, 1, 3]);
  sendSgi(gic, 0, 0x0100_0010n);
  assert.deepEqual(waiting(gic, 1), [], 'CPU 4 is not there');
});

test('a CPU that is off loses its interrupts, and has none pending or active when it is turned on', () => {
  const gic = readyGic();
  gic.state.routes[0] = 3;
  setLine(gic, 3, 27, true);
  acknowledge(gic, 3);
  sendSgi(gic, 0, 0x0100_0008n);
  setCpuPower(gic, 3, false);
  sendSgi(gic, 0, 0x0200_0008n);
  latchShared(gic, 0, 1);
  setCpuPower(gic, 3, true);
  assert.deepEqual([waiting(gic, 1), waiting(gic, 2)], [[], []]);
  assert.equal(gic.state.shared[0]!.latched, 0);
  assert.equal(runningPriority(gic, 3), 0xff);
  assert.equal(acknowledge(gic, 3), 27, 'but a line that is high is high');
  setCpuPower(gic, 3, true);
  assert.equal(gic.state.cpus[3]!.own.active, 1 << 27, 'turning on what is on changes nothing');
});

test('a shared interrupt follows its route, even if that changes while it is pending', () => {
  const gic = readyGic();
  gic.state.routes[8] = 2;
  setLine(gic, 0, 40, true);
  assert.deepEqual(
    [0, 1, 2, 3].map((cpu) => irqAsserted(gic, cpu)),
    [false, false, true, false],
  );
  gic.state.routes[8] = 1;
  assert.deepEqual(
    [0, 1, 2, 3].map((cpu) => irqAsserted(gic, cpu)),
    [false, true, false, false],
  );
});

/** An interrupt of the model below. */
interface ModelInterrupt {
  readonly intid: number;
  /** The CPU of a private interrupt; null for a shared one, which goes to `route`. */
  readonly cpu: number | null;
  route: number;
  readonly edge: boolean;
  readonly priority: number;
  waiting: boolean;
  line: boolean;
  active: boolean;
}

/** A simple model of a GIC: a list of interrupts, and for each CPU the priorities that it is handling. */
class Model {
  readonly handling: number[][] = Array.from({ length: cpus }, () => []);
  readonly interrupts: ModelInterrupt[];

  constructor(interrupts: ModelInterrupt[]) {
    this.interrupts = interrupts;
  }

  next(cpu: number): ModelInterrupt | undefined {
    const mine = this.interrupts.filter(
      (each) =>
        (each.cpu ?? each.route) === cpu && !each.active && (each.waiting || (!each.edge && each.line)),
    );
    mine.sort((a, b) => a.priority - b.priority || a.intid - b.intid);
    const running = Math.min(0xf0, ...this.handling[cpu]!);
    return mine[0] !== undefined && mine[0].priority < running ? mine[0] : undefined;
  }

  acknowledge(cpu: number): number {
    const taken = this.next(cpu);
    if (taken === undefined) return 1023;
    taken.waiting = false;
    taken.active = true;
    this.handling[cpu]!.push(taken.priority);
    return taken.intid;
  }

  end(cpu: number, intid: number): void {
    this.handling[cpu]!.sort((a, b) => b - a).pop();
    for (const each of this.named(cpu, intid)) each.active = false;
  }

  named(cpu: number, intid: number): ModelInterrupt[] {
    return this.interrupts.filter((each) => each.intid === intid && (each.cpu === null || each.cpu === cpu));
  }

  setLine(cpu: number, intid: number, high: boolean): void {
    for (const each of this.named(cpu, intid)) {
      if (each.edge && high && !each.line) each.waiting = true;
      each.line = high;
    }
  }
}

const intids = [1, 2, 27, 30, 32, 33, 63, 64, 255];
const priorityOf = (seed: number, intid: number): number => ((seed >>> (intid % 13)) % 28) * 8;
const isEdge = (seed: number, intid: number): boolean => intid < 16 || ((seed >>> (intid % 11)) & 1) === 1;

function sameSetUp(seed: number): { gic: Gic; model: Model } {
  const gic = readyGic();
  const interrupts = intids.flatMap((intid) =>
    (intid < 32 ? [0, 1, 2, 3] : [null]).map((cpu): ModelInterrupt => {
      const [edge, priority] = [isEdge(seed, intid), priorityOf(seed, intid)];
      setPriority(gic, cpu ?? 0, intid, priority);
      const bank = intid < 32 ? gic.state.cpus[cpu!]!.own : gic.state.shared[(intid >>> 5) - 1]!;
      if (edge) bank.edge = (bank.edge | (1 << (intid % 32))) >>> 0;
      return { intid, cpu, route: 0, edge, priority, waiting: false, line: false, active: false };
    }),
  );
  return { gic, model: new Model(interrupts) };
}

const step = fc.record({
  kind: fc.constantFrom('line', 'line', 'sgi', 'acknowledge', 'acknowledge', 'end', 'route'),
  cpu: fc.nat(3),
  intid: fc.constantFrom(...intids),
  high: fc.boolean(),
});

test('random lines, SGIs, routes and handlers: the GIC agrees with a simple model', () => {
  fc.assert(
    fc.property(fc.nat(), fc.array(step, { maxLength: 120 }), (seed, steps) => {
      const { gic, model } = sameSetUp(seed);
      const open: number[][] = Array.from({ length: cpus }, () => []);
      for (const { kind, cpu, intid, high } of steps) {
        if (kind === 'line' && intid >= 16) {
          setLine(gic, cpu, intid, high);
          model.setLine(cpu, intid, high);
        } else if (kind === 'sgi') {
          sendSgi(gic, cpu, BigInt(((intid & 1) + 1) << 24) | BigInt(1 << cpu));
          for (const each of model.named(cpu, (intid & 1) + 1)) each.waiting = true;
        } else if (kind === 'acknowledge') {
          const taken = acknowledge(gic, cpu);
          assert.equal(taken, model.acknowledge(cpu));
          if (taken !== 1023) open[cpu]!.push(taken);
        } else if (kind === 'end' && open[cpu]!.length > 0) {
          const ended = open[cpu]!.pop()!;
          endOfInterrupt(gic, cpu, ended);
          model.end(cpu, ended);
        } else if (kind === 'route' && intid >= 32) {
          gic.state.routes[intid - 32] = cpu;
          for (const each of model.named(cpu, intid)) each.route = cpu;
        }
        for (let i = 0; i < cpus; i += 1) {
          assert.equal(irqAsserted(gic, i), model.next(i) !== undefined);
          assert.equal(runningPriority(gic, i), Math.min(0xff, ...model.handling[i]!));
        }
      }
    }),
    { numRuns: 300 },
  );
});
