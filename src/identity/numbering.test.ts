import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import type { ArmCpuEntry, X86CpuEntry } from './firmware.js';
import { acpiUid, apicId, mpidrOf, xenVcpuId } from './ids.js';
import { mpidrOfVcpu } from './mpidr.js';
import { numberCpus } from './numbering.js';
import type { ArmNumbering, NotTaken, X86Numbering } from './numbering.js';

const xenVcpus = [0, 1, 2, 3];

function x86Entry(vcpu: number, rest: Partial<X86CpuEntry> = {}): X86CpuEntry {
  const ids = { apicId: apicId(2 * vcpu), acpiUid: acpiUid(vcpu) };
  return { type: 'local_apic', ...ids, enabled: true, onlineCapable: false, ...rest };
}

function armEntry(vcpu: number, rest: Partial<ArmCpuEntry> = {}): ArmCpuEntry {
  return {
    mpidr: mpidrOfVcpu(xenVcpuId(vcpu)),
    acpiUid: null,
    enabled: true,
    onlineCapable: false,
    ...rest,
  };
}

const x86: X86Numbering = {
  platform: 'x86_64',
  version: '6.1',
  entries: xenVcpus.map((vcpu) => x86Entry(vcpu)),
  entryApicId: apicId(0),
};
const arm: ArmNumbering = {
  platform: 'arm64',
  table: 'devicetree',
  entries: xenVcpus.map((vcpu) => armEntry(vcpu)),
  entryMpidr: mpidrOf({}),
};

/** The vCPUs behind CPUs 0, 1, ... under Xen's ids, by number; '-' where a number was left out. */
function x86Vcpus(numbering: X86Numbering): string {
  return numberCpus(numbering)
    .cpus.map(({ apicId: id, present }) => `${id / 2}${present ? '' : '?'}`)
    .join(' ');
}
function armVcpus(numbering: ArmNumbering): string {
  const { cpus } = numberCpus(numbering);
  const last = cpus.at(-1)?.cpu ?? 0;
  const shown = Array.from({ length: last + 1 }, (_, number) => cpus.find(({ cpu }) => cpu === number));
  return shown.map((cpu) => (cpu === undefined ? '-' : String(cpu.mpidr))).join(' ');
}
function reasons(notTaken: readonly NotTaken[]): string[] {
  return notTaken.map(({ entry, reason }) => `${entry} ${reason}`);
}

test('numbering: a first boot numbers as Xen does, on every platform', () => {
  assert.equal(x86Vcpus(x86), '0 1 2 3');
  assert.equal(x86Vcpus({ ...x86, version: '6.12', entryHasBspBit: true }), '0 1 2 3');
  assert.equal(armVcpus(arm), '0 1 2 3');
  assert.equal(armVcpus({ ...arm, table: 'acpi' }), '0 1 2 3');
});

test('numbering: after a crash on vCPU 2 of 4', () => {
  const crashed = { ...x86, entryApicId: apicId(4) };
  assert.equal(x86Vcpus(crashed), '2 0 1 3');
  const later: X86Numbering = { ...crashed, version: '6.12', entryHasBspBit: false };
  assert.equal(x86Vcpus(later), '2 1 3');
  assert.deepEqual(reasons(numberCpus(later).notTaken), ['0 real BSP']);
  assert.equal(x86Vcpus({ ...later, entryHasBspBit: null }), '2 1 3');
  assert.equal(armVcpus({ ...arm, entryMpidr: mpidrOf({ aff0: 2 }) }), '2 0 1 3');
});

test('numbering: each x86 CPU knows the UID of its entry, the entry CPU too', () => {
  for (const version of ['6.1', '6.12']) {
    const { cpus } = numberCpus({ ...x86, version, entryApicId: apicId(6), entryHasBspBit: true });
    for (const { apicId: id, acpiUid: uid } of cpus) assert.equal(uid, id / 2);
  }
});

test('numbering: 6.9 believes the BSP bit more than the order of the table', () => {
  const shuffled = { ...x86, version: '6.12', entries: [1, 0, 2].map((vcpu) => x86Entry(vcpu)) };
  assert.equal(x86Vcpus({ ...shuffled, entryHasBspBit: true }), '0 1 2');
  assert.equal(x86Vcpus({ ...shuffled, entryHasBspBit: false }), '0 2', 'vCPU 1 passes for the real BSP');
  const first = { ...shuffled, entryApicId: apicId(2), entryHasBspBit: false };
  assert.equal(x86Vcpus(first), '1', 'first in the table without the bit: one CPU only');
  assert.deepEqual(reasons(numberCpus(first).notTaken), ['1 real BSP', '2 limit']);
});

test('numbering: the real BSP is the first usable entry, be it enabled or not', () => {
  const entries = [x86Entry(7, { apicId: null }), x86Entry(0, { enabled: false }), x86Entry(1), x86Entry(2)];
  const crashed: X86Numbering = {
    ...x86,
    version: '6.12',
    entries,
    entryApicId: apicId(4),
    entryHasBspBit: false,
  };
  assert.equal(x86Vcpus(crashed), '2 1');
  assert.deepEqual(reasons(numberCpus(crashed).notTaken), ['0 no id', '1 real BSP']);
  assert.equal(x86Vcpus({ ...crashed, onlineCapableHeeded: true }), '2', 'vCPU 1 is the first usable then');
});

test('numbering: CPUs that are not enabled', () => {
  const entries = [0, 1, 2, 3].map((vcpu) => x86Entry(vcpu, { enabled: vcpu === 0 || vcpu === 2 }));
  assert.equal(x86Vcpus({ ...x86, entries }), '0 2');
  assert.deepEqual(reasons(numberCpus({ ...x86, entries }).notTaken), ['1 disabled', '3 disabled']);
  const later: X86Numbering = { ...x86, version: '6.12', entries };
  assert.equal(x86Vcpus(later), '0 2 1? 3?', 'possible, behind those that are present');
  assert.equal(x86Vcpus({ ...later, entries: entries.toReversed(), entryHasBspBit: true }), '0 2 1? 3?');
  assert.equal(x86Vcpus({ ...later, onlineCapableHeeded: true }), '0 2');
  const absent = numberCpus(later).cpus.filter(({ present }) => !present);
  assert.deepEqual(
    absent.map(({ acpiUid: uid, started }) => [uid, started]),
    [
      [null, false],
      [null, false],
    ],
  );
});

test('numbering: an x86 entry that repeats an id makes no CPU, and its UID is the one that stays', () => {
  const entries = [...x86.entries, x86Entry(1, { acpiUid: acpiUid(9) })];
  for (const version of ['6.1', '6.12']) {
    const { cpus, notTaken } = numberCpus({ ...x86, version, entries });
    assert.deepEqual(
      cpus.map(({ acpiUid: uid }) => uid),
      [0, 9, 2, 3],
    );
    assert.deepEqual(reasons(notTaken), ['4 duplicate']);
  }
});

test('numbering: an entry CPU that the x86 table leaves out is CPU 0 all the same, without a UID', () => {
  for (const version of ['6.1', '6.12']) {
    const { cpus } = numberCpus({ ...x86, version, entryApicId: apicId(100), entryHasBspBit: true });
    assert.deepEqual(
      cpus.map(({ apicId: id, acpiUid: uid }) => [id, uid]),
      [
        [100, null],
        [0, 0],
        [2, 1],
        [4, 2],
        [6, 3],
      ],
    );
  }
});

test('numbering: nr_cpus= and NR_CPUS keep a place for the entry CPU', () => {
  for (const version of ['6.1', '6.12']) {
    const crashed: X86Numbering = { ...x86, version, entryApicId: apicId(6), entryHasBspBit: true };
    assert.equal(x86Vcpus({ ...crashed, nrCpus: 2 }), '3 0');
    assert.deepEqual(reasons(numberCpus({ ...crashed, nrCpus: 2 }).notTaken), ['1 limit', '2 limit']);
    assert.equal(x86Vcpus({ ...crashed, nrCpus: 1 }), '3');
    assert.equal(x86Vcpus({ ...crashed, configNrCpus: 3, nrCpus: 64 }), '3 0 1');
  }
  assert.equal(armVcpus({ ...arm, entryMpidr: mpidrOf({ aff0: 3 }), nrCpus: 2 }), '3 0');
});

test('numbering: up to 6.8 a duplicate counts against the limit, from 6.9 on it does not', () => {
  const entries = [x86Entry(0), x86Entry(1), x86Entry(1), x86Entry(2)];
  assert.equal(x86Vcpus({ ...x86, entries, nrCpus: 3 }), '0 1');
  assert.equal(x86Vcpus({ ...x86, version: '6.12', entries, nrCpus: 3 }), '0 1 2');
});

test('numbering: CPUs that 6.9 counts but that are not there fit the limit too', () => {
  const entries = [0, 1, 2, 3].map((vcpu) => x86Entry(vcpu, { enabled: vcpu < 1 }));
  const limited: X86Numbering = { ...x86, version: '6.12', entries, nrCpus: 3 };
  assert.equal(x86Vcpus(limited), '0 1? 2?');
  assert.deepEqual(reasons(numberCpus(limited).notTaken), ['3 limit']);
});

test('numbering: maxcpus= says how many are started, not how they are numbered', () => {
  const started = (numbering: X86Numbering): number[] =>
    numberCpus(numbering).cpus.flatMap((cpu) => (cpu.started ? [cpu.cpu] : []));
  assert.deepEqual(started(x86), [0, 1, 2, 3]);
  assert.deepEqual(started({ ...x86, maxCpus: 2 }), [0, 1]);
  assert.equal(x86Vcpus({ ...x86, maxCpus: 2 }), '0 1 2 3');
  assert.equal(x86Vcpus({ ...x86, version: '6.12', maxCpus: 0 }), '0');
  const up = numberCpus({ ...arm, maxCpus: 0 }).cpus;
  assert.deepEqual(
    up.map(({ present, started: on }) => [present, on]),
    [
      [true, true],
      [false, false],
      [false, false],
      [false, false],
    ],
  );
});

test('numbering: disable_cpu_apicid= leaves a CPU out, up to 6.8, unless the kernel was entered on it', () => {
  const crashed = { ...x86, entryApicId: apicId(4), disableCpuApicId: apicId(0) };
  assert.equal(x86Vcpus(crashed), '2 1 3');
  assert.deepEqual(reasons(numberCpus(crashed).notTaken), ['0 disable_cpu_apicid']);
  const onIt = numberCpus({ ...crashed, entryApicId: apicId(0) });
  assert.deepEqual(
    onIt.cpus.map(({ acpiUid: uid }) => uid),
    [0, 1, 2, 3],
  );
  assert.deepEqual(onIt.notTaken, []);
});

test('numbering: x2APIC entries', () => {
  const x2apic = (id: number, uid: number): X86CpuEntry =>
    x86Entry(uid, { type: 'local_x2apic', apicId: apicId(id) });
  const beyond = [x2apic(256, 0), x2apic(258, 1)];
  const bits: X86Numbering = { ...x86, entries: beyond, entryApicId: apicId(256) };
  assert.equal(x86Vcpus(bits), '128 129');
  const off = numberCpus({ ...bits, x2apicMode: false });
  assert.deepEqual(reasons(off.notTaken), ['0 x2apic off', '1 x2apic off']);
  const huge = numberCpus({ ...x86, version: '6.12', entries: [...x86.entries, x2apic(32_768, 9)] });
  assert.deepEqual(reasons(huge.notTaken), ['4 id too big']);
  const mixed = [...x86.entries, x2apic(8, 4), x2apic(300, 5)];
  assert.equal(x86Vcpus({ ...x86, entries: mixed }), '0 1 2 3 4 150');
  const later = numberCpus({ ...x86, version: '6.12', entries: mixed });
  assert.deepEqual(reasons(later.notTaken), ['4 x2apic below 255']);
});

test('numbering: a faulty device tree node uses up its number, a faulty GICC entry does not', () => {
  const entries = [
    armEntry(0),
    armEntry(1, { mpidr: null }),
    armEntry(2),
    armEntry(2),
    armEntry(0),
    armEntry(3),
  ];
  assert.equal(armVcpus({ ...arm, entries }), '0 - 2 - - 3');
  assert.equal(armVcpus({ ...arm, entries, table: 'acpi' }), '0 2 3');
  assert.deepEqual(reasons(numberCpus({ ...arm, entries }).notTaken), [
    '1 no id',
    '3 duplicate',
    '4 duplicate',
  ]);
});

test('numbering: a GICC entry that is not enabled gets no number on Arm', () => {
  const entries = [armEntry(0), armEntry(1, { enabled: false, onlineCapable: true }), armEntry(2)];
  assert.equal(armVcpus({ ...arm, table: 'acpi', entries }), '0 2');
  assert.deepEqual(reasons(numberCpus({ ...arm, table: 'acpi', entries }).notTaken), ['1 disabled']);
});

test('numbering: an Arm CPU has the UID of its GICC entry, the entry CPU too', () => {
  const entries = xenVcpus.map((vcpu) => armEntry(vcpu, { acpiUid: acpiUid(vcpu + 4) }));
  const { cpus } = numberCpus({ ...arm, table: 'acpi', entries, entryMpidr: mpidrOf({ aff0: 1 }) });
  assert.deepEqual(
    cpus.map(({ acpiUid: uid }) => uid),
    [5, 4, 6, 7],
  );
});

test('numbering: Arm starts no other CPU when the entry CPU is not in the table', () => {
  const { cpus, notTaken } = numberCpus({ ...arm, entryMpidr: mpidrOf({ aff0: 9 }) });
  assert.deepEqual(
    cpus.map(({ mpidr }) => mpidr),
    [9],
  );
  assert.deepEqual(
    notTaken.map(({ reason }) => reason),
    xenVcpus.map(() => 'boot CPU missing'),
  );
});

test('numbering: NR_CPUS bounds an Arm kernel before nr_cpus= does', () => {
  assert.equal(armVcpus({ ...arm, configNrCpus: 2 }), '0 1');
  assert.deepEqual(reasons(numberCpus({ ...arm, configNrCpus: 2 }).notTaken), ['2 limit', '3 limit']);
});

const anyX86Entry = fc.record<X86CpuEntry>(
  {
    type: fc.constantFrom('local_apic', 'local_x2apic'),
    apicId: fc.option(fc.integer({ min: 0, max: 12 }).map(apicId), { freq: 8 }),
    acpiUid: fc.option(fc.integer({ min: 0, max: 12 }).map(acpiUid), { freq: 8 }),
    enabled: fc.boolean(),
    onlineCapable: fc.boolean(),
  },
  { noNullPrototype: true },
);
const limit = fc.integer({ min: 1, max: 10 });
const anyX86: fc.Arbitrary<X86Numbering> = fc.record(
  {
    platform: fc.constant('x86_64' as const),
    version: fc.constantFrom(null, '5.10.0-30-amd64', '6.8.12', '6.9.1', '6.12.3', '6.12.117', '6.19.2'),
    entries: fc.array(anyX86Entry, { maxLength: 10 }),
    entryApicId: fc.integer({ min: 0, max: 13 }).map(apicId),
    entryHasBspBit: fc.constantFrom<boolean | null>(true, false, null),
    onlineCapableHeeded: fc.boolean(),
    nrCpus: limit,
    maxCpus: fc.nat(10),
  },
  { noNullPrototype: true },
);
const anyArm: fc.Arbitrary<ArmNumbering> = fc.record(
  {
    platform: fc.constant('arm64' as const),
    table: fc.constantFrom('devicetree' as const, 'acpi' as const),
    entries: fc.array(
      fc
        .tuple(fc.option(fc.nat(6), { freq: 6 }), fc.boolean())
        .map(([aff0, enabled]) => armEntry(0, { mpidr: aff0 === null ? null : mpidrOf({ aff0 }), enabled })),
      { maxLength: 10 },
    ),
    entryMpidr: fc.nat(7).map((aff0) => mpidrOf({ aff0 })),
    configNrCpus: limit,
    nrCpus: limit,
    maxCpus: fc.nat(10),
  },
  { noNullPrototype: true },
);

function checkNumbers(
  cpus: readonly { cpu: number; started: boolean; present: boolean }[],
  ids: readonly number[],
  { maxCpus = 0, nrCpus = 0 }: { maxCpus?: number; nrCpus?: number },
): void {
  const numbers = cpus.map(({ cpu }) => cpu);
  assert.equal(numbers[0], 0);
  assert.deepEqual(
    numbers,
    [...new Set(numbers)].sort((a, b) => a - b),
  );
  assert.equal(new Set(ids).size, ids.length, 'no two CPUs share a hardware id');
  assert.ok(numbers.every((number) => number < nrCpus));
  assert.ok(cpus.filter(({ started }) => started).length <= Math.max(1, maxCpus));
  assert.ok(cpus.every(({ started, present }) => present || !started));
}

test('numbering: for any x86 table, every entry is a CPU or has a reason, and CPU 0 is the entry CPU', () => {
  fc.assert(
    fc.property(anyX86, (numbering) => {
      const { cpus, notTaken } = numberCpus(numbering);
      checkNumbers(
        cpus,
        cpus.map((cpu) => cpu.apicId),
        numbering,
      );
      assert.equal(cpus[0]?.apicId, numbering.entryApicId);
      const refused = new Set(notTaken.map(({ entry }) => entry));
      assert.equal(refused.size, notTaken.length);
      const taken = numbering.entries.filter((_, entry) => !refused.has(entry)).map((cpu) => cpu.apicId);
      const numbered = cpus.map((cpu) => cpu.apicId);
      assert.equal(new Set(taken).size, taken.length);
      for (const id of taken) assert.ok(id !== null && numbered.includes(id));
      for (const id of numbered.slice(1)) assert.ok(taken.includes(id));
    }),
    { numRuns: 1000 },
  );
});

test('numbering: for any Arm table, every entry is a CPU or has a reason, and CPU 0 is the entry CPU', () => {
  fc.assert(
    fc.property(anyArm, (numbering) => {
      const { cpus, notTaken } = numberCpus(numbering);
      const ids = cpus.map((cpu) => cpu.mpidr);
      checkNumbers(cpus, ids, numbering);
      assert.equal(ids[0], numbering.entryMpidr);
      const refused = new Set(notTaken.map(({ entry }) => entry));
      assert.equal(refused.size, notTaken.length);
      const taken = numbering.entries.filter((_, entry) => !refused.has(entry)).map((cpu) => cpu.mpidr);
      assert.equal(new Set(taken).size, taken.length);
      for (const id of taken) assert.ok(id !== null && ids.includes(id));
      for (const id of ids.slice(1)) assert.ok(taken.includes(id));
    }),
    { numRuns: 1000 },
  );
});

test('numbering: limits that no kernel takes are refused', () => {
  for (const limits of [{ nrCpus: 0 }, { configNrCpus: 1.5 }, { maxCpus: -1 }]) {
    assert.throws(() => numberCpus({ ...x86, ...limits }), InputError);
    assert.throws(() => numberCpus({ ...arm, ...limits }), InputError);
  }
});
