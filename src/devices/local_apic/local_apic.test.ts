import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  acceptsExternal,
  acknowledgeVector,
  answersInPage,
  deliverMessage,
  initialiseApic,
  isRequested,
  newLocalApics,
  passTimers,
  pendingVector,
  readApicBase,
  readMsr,
  readPage,
  requestVector,
  timersDueNs,
  deadline,
  writeApicBase,
  writeDeadline,
  writeMsr,
  writePage,
} from './index.js';
import type { LocalApics } from './index.js';

type Sent = readonly [kind: string, from: number, to: number, vector?: number];

interface Bench {
  readonly apics: LocalApics;
  readonly sent: Sent[];
}

/** `count` CPUs with the ids that Xen gives them; with software-enabled APICs in x2APIC mode unless told otherwise. */
function bench(count: number, { x2apic = true, latchesErrors = false } = {}): Bench {
  const sent: Sent[] = [];
  const apicIds = Array.from({ length: count }, (_, cpu) => 2 * cpu);
  const apics: LocalApics = {
    state: newLocalApics(apicIds),
    apicIds,
    latchesErrors,
    stale: new Set(),
    port: {
      init: (from, to) => sent.push(['init', from, to]),
      startup: (from, to, vector) => sent.push(['startup', from, to, vector]),
      nmi: (from, to) => sent.push(['nmi', from, to]),
      enabled: (cpu) => sent.push(['enabled', cpu, cpu]),
      unsupported: (from) => sent.push(['unsupported', from, from]),
    },
  };
  for (let cpu = 0; cpu < count; cpu += 1) {
    if (x2apic) {
      assert.ok(writeApicBase(apics, cpu, readApicBase(apics, cpu) | 0x400n));
      assert.ok(writeMsr(apics, cpu, 0x80f, 0x1ffn, 0n));
    } else {
      writePage(apics, cpu, 0xf0, 4, 0x1ffn, 0n);
    }
  }
  sent.length = 0;
  return { apics, sent };
}

const send = ({ apics }: Bench, from: number, value: bigint): boolean =>
  writeMsr(apics, from, 0x830, value, 0n);
const pending = ({ apics }: Bench): (number | null)[] =>
  apics.state.cpus.map((_, cpu) => pendingVector(apics, cpu));

test('the registers after reset are those observed on Xen 4.17', () => {
  const { apics } = { apics: { ...bench(4).apics, state: newLocalApics([0, 2, 4, 6]) } };
  assert.deepEqual(
    [0, 1, 2, 3].map((cpu) => readApicBase(apics, cpu)),
    [0xfee00900n, 0xfee00800n, 0xfee00800n, 0xfee00800n],
  );
  assert.equal(readPage(apics, 1, 0x20, 4, 0n), 0x0200_0000n);
  assert.equal(readPage(apics, 1, 0x30, 4, 0n), 0x0005_0014n);
  assert.equal(readPage(apics, 1, 0xe0, 4, 0n), 0xffff_ffffn);
  assert.equal(readPage(apics, 1, 0xf0, 4, 0n), 0xffn);
  for (let at = 0x320; at < 0x380; at += 0x10) assert.equal(readPage(apics, 1, at, 4, 0n), 0x1_0000n);
});

test('x2APIC mode gives the observed ids and logical ids, and leaves the page', () => {
  const { apics } = bench(40);
  assert.deepEqual(
    [0, 1, 3, 8, 39].map((cpu) => readMsr(apics, cpu, 0x802, 0n)),
    [0n, 2n, 6n, 16n, 78n],
  );
  assert.deepEqual(
    [0, 1, 3, 8, 39].map((cpu) => readMsr(apics, cpu, 0x80d, 0n)),
    [1n, 4n, 0x40n, 0x1_0001n, 0x4_4000n],
  );
  assert.equal(readApicBase(apics, 0), 0xfee00d00n);
  assert.equal(readApicBase(apics, 1), 0xfee00c00n);
  assert.equal(answersInPage(apics, 0), false);
});

test('INIT and startup IPIs as Linux sends them reach the CPU with that id', () => {
  const some = bench(4);
  // The values that Linux wrote for vCPU 1 on a real Xen: assert, de-assert, startup.
  for (const value of [0x2_0000_c500n, 0x2_0000_8500n, 0x2_0000_0699n]) assert.ok(send(some, 0, value));
  assert.deepEqual(some.sent, [
    ['init', 0, 1],
    ['startup', 0, 1, 0x99],
  ]);
});

test('an NMI for all others, and an id that nobody has', () => {
  const some = bench(4);
  assert.ok(send(some, 2, 0xc_0400n));
  assert.ok(send(some, 2, 0x3_0000_0400n));
  assert.deepEqual(some.sent, [
    ['nmi', 2, 0],
    ['nmi', 2, 1],
    ['nmi', 2, 3],
  ]);
});

test('destinations: physical, broadcast, logical, shorthands', () => {
  const reached = (value: bigint): number[] => {
    const some = bench(4);
    assert.ok(send(some, 1, value | 0x40n));
    return pending(some).flatMap((vector, cpu) => (vector === 0x40 ? [cpu] : []));
  };
  assert.deepEqual(reached(0x4_0000_0000n), [2]);
  assert.deepEqual(reached(0xffff_ffff_0000_0000n), [0, 1, 2, 3]);
  assert.deepEqual(reached(0x45_0000_0800n), [0, 1, 3]);
  assert.deepEqual(reached(0x1_0001_0000_0800n), []);
  assert.deepEqual(reached(0x4_0000n), [1]);
  assert.deepEqual(reached(0x8_0000n), [0, 1, 2, 3]);
  assert.deepEqual(reached(0xc_0000n), [0, 2, 3]);
});

test('logical destinations in xAPIC mode: flat and cluster', () => {
  const { apics } = bench(4, { x2apic: false });
  const ids = [0x01, 0x02, 0x14, 0x11];
  for (const [cpu, id] of ids.entries()) writePage(apics, cpu, 0xd0, 4, BigInt(id) << 24n, 0n);
  const reached = (destination: number): number[] => {
    writePage(apics, 0, 0x310, 4, BigInt(destination) << 24n, 0n);
    writePage(apics, 0, 0x300, 4, 0x850n, 0n);
    const hit = [0, 1, 2, 3].filter((cpu) => pendingVector(apics, cpu) === 0x50);
    for (const cpu of hit) {
      acknowledgeVector(apics, cpu, 0x50);
      writePage(apics, cpu, 0xb0, 4, 0n, 0n);
    }
    return hit;
  };
  assert.deepEqual(reached(0x01), [0, 3]);
  for (let cpu = 0; cpu < 4; cpu += 1) writePage(apics, cpu, 0xe0, 4, 0n, 0n);
  assert.deepEqual(reached(0x15), [2, 3]);
  assert.deepEqual(reached(0x03), [0, 1]);
});

test('lowest priority goes round, and avoids a busy CPU', () => {
  const some = bench(3);
  const next = (): number => {
    assert.ok(send(some, 0, 0x8_0160n));
    const cpu = pending(some).indexOf(0x60);
    acknowledgeVector(some.apics, cpu, 0x60);
    assert.ok(writeMsr(some.apics, cpu, 0x80b, 0n, 0n));
    return cpu;
  };
  assert.deepEqual([next(), next(), next()], [1, 2, 0]);
  assert.ok(writeMsr(some.apics, 1, 0x808, 0x10n, 0n));
  assert.deepEqual([next(), next(), next()], [2, 0, 2]);
});

test('priority classes: a vector waits for its class, the task priority holds it back', () => {
  const some = bench(1);
  const { apics } = some;
  requestVector(apics, 0, 0x41);
  requestVector(apics, 0, 0x4f);
  assert.equal(pendingVector(apics, 0), 0x4f);
  acknowledgeVector(apics, 0, 0x4f);
  assert.equal(pendingVector(apics, 0), null);
  requestVector(apics, 0, 0x50);
  assert.equal(pendingVector(apics, 0), 0x50);
  assert.equal(readMsr(apics, 0, 0x80a, 0n), 0x40n);
  assert.ok(writeMsr(apics, 0, 0x808, 0x5fn, 0n));
  assert.equal(pendingVector(apics, 0), null);
  assert.equal(readMsr(apics, 0, 0x80a, 0n), 0x5fn);
  assert.ok(writeMsr(apics, 0, 0x808, 0n, 0n));
  assert.ok(writeMsr(apics, 0, 0x80b, 0n, 0n));
  assert.equal(pendingVector(apics, 0), 0x50);
});

test('a disabled APIC takes nothing, masks its local vectors, and tells when it is enabled', () => {
  const some = bench(2);
  assert.ok(writeMsr(some.apics, 1, 0x835, 0x700n, 0n));
  assert.ok(writeMsr(some.apics, 1, 0x80f, 0xffn, 0n));
  assert.equal(readMsr(some.apics, 1, 0x835, 0n), 0x1_0700n);
  assert.ok(send(some, 0, 0x2_0000_0040n));
  assert.ok(writeMsr(some.apics, 1, 0x80f, 0x1ffn, 0n));
  assert.equal(pendingVector(some.apics, 1), null);
  assert.deepEqual(some.sent, [['enabled', 1, 1]]);
});

test('an INIT keeps mode, id and logical id', () => {
  const { apics } = bench(2);
  requestVector(apics, 1, 0x44);
  const apic = apics.state.cpus[1];
  assert.ok(apic !== undefined);
  initialiseApic(apic);
  assert.equal(readApicBase(apics, 1), 0xfee00c00n);
  assert.equal(readMsr(apics, 1, 0x802, 0n), 2n);
  assert.equal(readMsr(apics, 1, 0x80d, 0n), 4n);
  assert.equal(readMsr(apics, 1, 0x80f, 0n), 0xffn);
  assert.equal(readMsr(apics, 1, 0x822, 0n), 0n);
});

test('#GP: registers that x2APIC mode lacks, reserved bits, and every access in xAPIC mode', () => {
  const { apics } = bench(1);
  for (const msr of [0x800, 0x801, 0x80b, 0x80e, 0x831, 0x83f, 0x840, 0x8ff]) {
    assert.equal(readMsr(apics, 0, msr, 0n), null, msr.toString(16));
  }
  for (const msr of [0x802, 0x803, 0x80a, 0x80d, 0x810, 0x839, 0x831]) {
    assert.equal(writeMsr(apics, 0, msr, 0n, 0n), false, msr.toString(16));
  }
  assert.equal(writeMsr(apics, 0, 0x80b, 1n, 0n), false);
  assert.equal(writeMsr(apics, 0, 0x808, 0x100n, 0n), false);
  assert.equal(writeMsr(apics, 0, 0x830, 0x1000n, 0n), false);
  const old = bench(1, { x2apic: false });
  assert.equal(readMsr(old.apics, 0, 0x802, 0n), null);
  assert.equal(writeMsr(old.apics, 0, 0x80b, 0n, 0n), false);
});

test('changes of mode: what IA32_APIC_BASE refuses', () => {
  const { apics } = bench(1, { x2apic: false });
  const to = (value: bigint): boolean => writeApicBase(apics, 0, value);
  assert.equal(to(0xfee0_0a00n), false, 'a reserved bit');
  assert.equal(to(0xfed0_0900n), false, 'a moved page');
  assert.equal(to(0xfee0_0d00n), true, 'to x2APIC');
  assert.equal(to(0x0010_0000_fee0_0d00n), false, 'a bit above every physical address');
  assert.equal(to(0x000f_ffff_fed0_0d00n), true, 'any page, which x2APIC does not use');
  assert.equal(to(0xfee0_0900n), false, 'from x2APIC to xAPIC');
  assert.equal(to(0xfee0_0100n), true, 'off');
  assert.equal(to(0xfee0_0d00n), false, 'from off to x2APIC');
  assert.equal(to(0xfee0_0900n), true, 'on');
  assert.equal(readPage(apics, 0, 0xf0, 4, 0n), 0xffn, 'a reset');
});

test('illegal vectors are errors: 4.17 shows them at once, 4.18.5 after a write', () => {
  for (const latchesErrors of [false, true]) {
    const some = bench(1, { latchesErrors });
    assert.ok(send(some, 0, 0x4_000fn));
    assert.equal(readMsr(some.apics, 0, 0x828, 0n), latchesErrors ? 0n : 0x20n);
    assert.ok(writeMsr(some.apics, 0, 0x828, 0n, 0n));
    assert.equal(readMsr(some.apics, 0, 0x828, 0n), 0x20n);
    assert.ok(writeMsr(some.apics, 0, 0x828, 0n, 0n));
    assert.equal(readMsr(some.apics, 0, 0x828, 0n), latchesErrors ? 0n : 0x20n);
  }
});

test('the error vector tells of a new error once, and an illegal one adds an error', () => {
  const some = bench(1);
  assert.ok(writeMsr(some.apics, 0, 0x837, 0xfen, 0n));
  assert.ok(send(some, 0, 0x4_0001n));
  assert.equal(pendingVector(some.apics, 0), 0xfe);
  const other = bench(1);
  assert.ok(writeMsr(other.apics, 0, 0x837, 0x01n, 0n));
  assert.ok(send(other, 0, 0x4_0001n));
  assert.equal(pendingVector(other.apics, 0), null);
  assert.equal(readMsr(other.apics, 0, 0x828, 0n), 0x60n);
});

test('the timer counts 10 ns times the divisor, once or again and again', () => {
  const { apics } = bench(1);
  assert.ok(writeMsr(apics, 0, 0x832, 0x30n, 0n));
  assert.ok(writeMsr(apics, 0, 0x83e, 0b1011n, 0n));
  assert.ok(writeMsr(apics, 0, 0x838, 100n, 5n));
  assert.equal(timersDueNs(apics), 1005n);
  assert.equal(readMsr(apics, 0, 0x839, 505n), 50n);
  passTimers(apics, 1004n);
  assert.equal(pendingVector(apics, 0), null);
  passTimers(apics, 1005n);
  assert.equal(pendingVector(apics, 0), 0x30);
  assert.equal(timersDueNs(apics), null);
  assert.equal(readMsr(apics, 0, 0x839, 2000n), 0n);
  assert.ok(writeMsr(apics, 0, 0x832, 0x2_0031n, 2000n));
  assert.ok(writeMsr(apics, 0, 0x838, 100n, 2000n));
  passTimers(apics, 3000n);
  assert.equal(timersDueNs(apics), 4000n);
  assert.equal(pendingVector(apics, 0), 0x31);
});

test('a changed divisor stretches what is left', () => {
  const { apics } = bench(1);
  assert.ok(writeMsr(apics, 0, 0x832, 0x30n, 0n));
  assert.ok(writeMsr(apics, 0, 0x838, 100n, 0n));
  assert.equal(timersDueNs(apics), 2000n);
  assert.ok(writeMsr(apics, 0, 0x83e, 0b0001n, 1000n));
  assert.equal(timersDueNs(apics), 3000n);
  assert.equal(readMsr(apics, 0, 0x839, 2000n), 25n);
});

test('a timer interrupt that finds its vector masked is lost, as in Xen', () => {
  const { apics } = bench(1);
  assert.ok(writeMsr(apics, 0, 0x832, 0x1_0030n, 0n));
  assert.ok(writeMsr(apics, 0, 0x838, 1n, 0n));
  passTimers(apics, 20n);
  assert.ok(writeMsr(apics, 0, 0x832, 0x30n, 30n));
  assert.equal(pendingVector(apics, 0), null);
  assert.ok(writeMsr(apics, 0, 0x838, 1n, 40n));
  passTimers(apics, 60n);
  assert.equal(pendingVector(apics, 0), 0x30);
});

test('deadline mode fires at a value of the TSC, at once if that is past', () => {
  const { apics } = bench(1);
  const tsc = { at: (ns: bigint): bigint => 2n * ns, timeOf: (value: bigint): bigint => (value + 1n) / 2n };
  writeDeadline(apics.state.cpus[0] ?? assert.fail(), 100n, tsc, 0n);
  assert.equal(timersDueNs(apics), null, 'not in deadline mode');
  assert.ok(writeMsr(apics, 0, 0x832, 0x4_0032n, 0n));
  const apic = apics.state.cpus[0] ?? assert.fail();
  writeDeadline(apic, 101n, tsc, 0n);
  assert.equal(deadline(apic), 101n);
  assert.equal(timersDueNs(apics), 51n);
  passTimers(apics, 51n);
  assert.equal(pendingVector(apics, 0), 0x32);
  assert.equal(deadline(apic), 0n);
  writeDeadline(apic, 7n, tsc, 60n);
  assert.equal(timersDueNs(apics), 60n);
  writeDeadline(apic, 0n, tsc, 60n);
  assert.equal(timersDueNs(apics), null);
});

test('a narrow access reaches its part of a register, and one across registers none', () => {
  const { apics } = bench(1, { x2apic: false });
  writePage(apics, 0, 0x311, 1, 0x12n, 0n);
  assert.equal(readPage(apics, 0, 0x310, 4, 0n), 0n);
  writePage(apics, 0, 0x313, 1, 0x12n, 0n);
  assert.equal(readPage(apics, 0, 0x310, 4, 0n), 0x1200_0000n);
  assert.equal(readPage(apics, 0, 0x313, 1, 0n), 0x12n);
  assert.equal(readPage(apics, 0, 0x312, 4, 0n), 0n);
  assert.equal(readPage(apics, 0, 0x310, 8, 0n), 0n);
});

test('whatever a guest writes, the state stays in bounds and time goes on', () => {
  const access = fc.record({
    cpu: fc.nat(2),
    at: fc.oneof(fc.nat(0xfff), fc.constantFrom(0x300, 0x310, 0x320, 0x380, 0x3e0, 0xf0)),
    value: fc.oneof(fc.bigInt({ min: 0n, max: 0xffff_ffffn }), fc.constantFrom(0x2_0030n, 1n, 0x1ffn)),
    bytes: fc.constantFrom(1, 2, 4, 8),
    base: fc.option(fc.constantFrom(0x100n, 0x900n, 0xd00n, 0x800n), { freq: 10 }),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 60 }), fc.boolean(), (accesses, latchesErrors) => {
      const { apics } = bench(3, { x2apic: false, latchesErrors });
      let nowNs = 0n;
      for (const { cpu, at, value, bytes, base } of accesses) {
        nowNs += 37n;
        if (base !== null) writeApicBase(apics, cpu, 0xfee0_0000n | base);
        if (answersInPage(apics, cpu)) writePage(apics, cpu, at, bytes, value, nowNs);
        else writeMsr(apics, cpu, 0x800 + (at >>> 4), value, nowNs);
        readPage(apics, cpu, at, bytes, nowNs);
        readMsr(apics, cpu, 0x800 + (at >>> 4), nowNs);
        passTimers(apics, nowNs);
        const due = timersDueNs(apics);
        assert.ok(due === null || due > nowNs);
        const vector = pendingVector(apics, cpu);
        if (vector !== null) acknowledgeVector(apics, cpu, vector);
      }
      for (const { registers } of apics.state.cpus) {
        assert.equal(registers.length, 0x40);
        for (const word of registers) assert.ok(Number.isInteger(word) && word >= 0 && word <= 0xffff_ffff);
      }
    }),
  );
});

test('messages of devices reach the CPUs of a destination of 8 bits', () => {
  const message = { vector: 0x41, mode: 0, isLogical: false, isLevel: false, destination: 2 };
  const physical = bench(3);
  deliverMessage(physical.apics, message);
  assert.deepEqual(pending(physical), [null, 0x41, null]);
  deliverMessage(physical.apics, { ...message, vector: 0x42, destination: 0xff });
  assert.deepEqual(pending(physical), [null, 0x41, null], 'a broadcast in x2APIC mode has 32 bits');
  deliverMessage(physical.apics, { ...message, vector: 0x42, isLogical: true, destination: 0x11 });
  assert.deepEqual(pending(physical), [0x42, 0x41, 0x42]);
  const pages = bench(3, { x2apic: false });
  deliverMessage(pages.apics, { ...message, destination: 0xff });
  assert.deepEqual(pending(pages), [0x41, 0x41, 0x41]);
  deliverMessage(pages.apics, { ...message, mode: 4, destination: 4 });
  assert.deepEqual(pages.sent, [['nmi', 2, 2]]);
  for (const mode of [2, 3, 5, 6, 7]) deliverMessage(pages.apics, { ...message, vector: 0x50, mode });
  assert.deepEqual(pending(pages), [0x41, 0x41, 0x41]);
  assert.deepEqual([isRequested(pages.apics, 1, 0x41), isRequested(pages.apics, 1, 0x50)], [true, false]);
});

test('messages of lowest priority go to one CPU, the preferred one if it is among them', () => {
  const message = { vector: 0x41, mode: 1, isLogical: true, isLevel: false, destination: 0x14 };
  const one = bench(3);
  deliverMessage(one.apics, message);
  deliverMessage(one.apics, { ...message, vector: 0x42 });
  assert.deepEqual(pending(one), [null, 0x41, 0x42]);
  deliverMessage(one.apics, { ...message, vector: 0x61 }, 2);
  deliverMessage(one.apics, { ...message, vector: 0x62 }, 2);
  deliverMessage(one.apics, { ...message, vector: 0x63 }, 0);
  assert.deepEqual(pending(one), [null, 0x63, 0x62]);
});

test('the end of a level-triggered interrupt is told, and that of an edge is not', () => {
  const ended: number[] = [];
  const { apics } = bench(1);
  const told: LocalApics = {
    ...apics,
    port: { ...apics.port, levelEnded: (vector) => void ended.push(vector) },
  };
  for (const [vector, isLevel] of [
    [0x41, true],
    [0x52, false],
    [0x41, false],
  ] as const) {
    requestVector(told, 0, vector, isLevel);
    acknowledgeVector(told, 0, vector);
    assert.ok(writeMsr(told, 0, 0x80b, 0n, 0n));
  }
  assert.deepEqual(ended, [0x41]);
});

test("the 8259 pair's interrupts are let in by LINT0, by pin 0 of the I/O APIC, and by an APIC that is off", () => {
  const { apics } = bench(2);
  const [, apic] = apics.state.cpus;
  assert.ok(apic !== undefined);
  assert.deepEqual(
    [acceptsExternal(apic, null), acceptsExternal(apic, 0), acceptsExternal(apic, 2)],
    [false, false, true],
  );
  assert.ok(writeMsr(apics, 1, 0x835, 0x1_0700n, 0n));
  assert.equal(acceptsExternal(apic, null), false);
  assert.ok(writeMsr(apics, 1, 0x835, 0x700n, 0n));
  assert.equal(acceptsExternal(apic, null), true);
  assert.ok(writeMsr(apics, 1, 0x80f, 0xffn, 0n));
  assert.equal(acceptsExternal(apic, 2), false, 'it is masked, and the APIC disabled');
});
