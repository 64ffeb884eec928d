import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import type { ArmCpuEntry, EnableMethod, X86CpuEntry } from './firmware.js';
import { acpiUid, apicId, mpidrOf } from './ids.js';
import { numberCpus } from './numbering.js';
import type { ArmNumbering, NotTaken, X86Numbering } from './numbering.js';

function armEntry(aff0: number, rest: Partial<ArmCpuEntry> = {}): ArmCpuEntry {
  return { mpidr: mpidrOf({ aff0 }), acpiUid: null, enabled: true, onlineCapable: false, ...rest };
}

const arm: ArmNumbering = {
  platform: 'arm64',
  table: 'devicetree',
  entries: [0, 1, 2, 3].map((aff0) => armEntry(aff0)),
  entryMpidr: mpidrOf({}),
};

/** `CPU:MPIDR`, `?` behind those that are possible only. */
function armCpus(numbering: ArmNumbering): string {
  const { cpus } = numberCpus(numbering);
  return cpus.map(({ cpu, mpidr, present }) => `${cpu}:${mpidr}${present ? '' : '?'}`).join(' ');
}

function startedBy(...methods: EnableMethod[]): ArmNumbering {
  return { ...arm, entries: methods.map((enableMethod, aff0) => armEntry(aff0, { enableMethod })) };
}

function reasons(notTaken: readonly NotTaken[]): string[] {
  return notTaken.map(({ entry, reason }) => `${entry} ${reason}`);
}

test('numbering: a CPU whose enable-method Linux cannot use leaves a gap', () => {
  const numbering = startedBy('usable', 'missing', 'usable', 'unknown', 'no address', 'usable');
  assert.equal(armCpus(numbering), '0:0 2:2 5:5');
  assert.deepEqual(reasons(numberCpus(numbering).notTaken), [
    '1 no enable-method',
    '3 unknown enable-method',
    '4 no cpu-release-addr',
  ]);
});

test('numbering: the entry CPU needs no enable-method', () => {
  const numbering = startedBy('missing', 'usable', 'unknown');
  assert.equal(armCpus(numbering), '0:0 1:1');
  assert.equal(armCpus({ ...numbering, entryMpidr: mpidrOf({ aff0: 2 }) }), '0:2 2:1');
});

test('numbering: a CPU that cannot be prepared is possible, never present, and takes no place of maxcpus=', () => {
  const numbering = startedBy('usable', 'not ready', 'usable', 'usable');
  assert.equal(armCpus(numbering), '0:0 1:1? 2:2 3:3');
  const { cpus } = numberCpus({ ...numbering, maxCpus: 2 });
  assert.deepEqual(
    cpus.map(({ started }) => started),
    [true, false, true, false],
  );
});

test('numbering: a limit is named before an enable-method is', () => {
  const { notTaken } = numberCpus({ ...startedBy('usable', 'missing', 'missing'), nrCpus: 2 });
  assert.deepEqual(reasons(notTaken), ['1 no enable-method', '2 limit']);
});

test('numbering: a GICC entry that is only online-capable takes a number from 6.11 on', () => {
  const entries = [armEntry(0), armEntry(1, { enabled: false, onlineCapable: true }), armEntry(2)];
  const acpi: ArmNumbering = { ...arm, table: 'acpi', entries };
  for (const version of [undefined, null, '5.10.0-30-arm64', '6.1.0-56-arm64', '6.10.14']) {
    const numbering = version === undefined ? acpi : { ...acpi, version };
    assert.equal(armCpus(numbering), '0:0 1:2', String(version));
    assert.deepEqual(reasons(numberCpus(numbering).notTaken), ['1 disabled']);
  }
  for (const version of ['6.11.0', '6.12.85+deb13-arm64', '7.0.1']) {
    assert.equal(armCpus({ ...acpi, version }), '0:0 1:1 2:2', version);
  }
  const neither = entries.with(1, armEntry(1, { enabled: false }));
  assert.equal(armCpus({ ...acpi, entries: neither, version: '6.12.85' }), '0:0 1:2');
});

function x86Entry(id: number, type: X86CpuEntry['type'] = 'local_apic', enabled = true): X86CpuEntry {
  return { type, apicId: apicId(id), acpiUid: acpiUid(id), enabled, onlineCapable: false };
}

/** The table of the fix's own description: entries of both types, in turns. */
const mixed: X86Numbering = {
  platform: 'x86_64',
  entries: [
    x86Entry(0),
    x86Entry(2),
    x86Entry(0x100, 'local_x2apic'),
    x86Entry(1),
    x86Entry(0x102, 'local_x2apic'),
    x86Entry(3),
  ],
  entryApicId: apicId(0),
  entryHasBspBit: true,
};

function apicIds(numbering: X86Numbering): string {
  return numberCpus(numbering)
    .cpus.map(({ apicId: id }) => id)
    .join(' ');
}

test('numbering: entries of both types are numbered in their order, but for 6.7 to the fix: type 0 first', () => {
  for (const version of [
    '5.10.0-30-amd64',
    '6.1.0-56-amd64',
    '6.6.80',
    '6.12.14',
    '6.13.3',
    '6.14.0',
    '6.19.2',
  ]) {
    assert.equal(apicIds({ ...mixed, version }), '0 2 256 1 258 3', version);
  }
  for (const version of ['6.7.0', '6.8.12', '6.9.0', '6.12.0', '6.12.13', '6.13.2']) {
    assert.equal(apicIds({ ...mixed, version }), '0 2 1 3 256 258', version);
  }
});

test('numbering: where type 0 comes first, a type 9 entry that stands first is not taken for the real BSP', () => {
  const entries = [x86Entry(0x100, 'local_x2apic'), x86Entry(0), x86Entry(1)];
  const crashed = { ...mixed, entries, entryApicId: apicId(1), entryHasBspBit: false };
  assert.equal(apicIds({ ...crashed, version: '6.12.13' }), '1 256', 'APIC id 0 is left out');
  assert.equal(apicIds({ ...crashed, version: '6.12.14' }), '1 0', 'APIC id 256 is left out');
});

test('numbering: a limit refuses the entries that come last in the order that holds', () => {
  const limited = { ...mixed, nrCpus: 4 };
  assert.deepEqual(reasons(numberCpus({ ...limited, version: '6.1' }).notTaken), ['4 limit', '5 limit']);
  assert.deepEqual(reasons(numberCpus({ ...limited, version: '6.12.1' }).notTaken), ['2 limit', '4 limit']);
});

test('numbering: type 9 entries with small ids are dropped from 6.7 on, not from 6.9 on only', () => {
  const entries = [x86Entry(0), x86Entry(2, 'local_x2apic'), x86Entry(4)];
  const small = { ...mixed, entries };
  assert.equal(apicIds({ ...small, version: '6.6.80' }), '0 2 4');
  for (const version of ['6.7.1', '6.8.12', '6.9.1', '6.12.85']) {
    assert.equal(apicIds({ ...small, version }), '0 4', version);
    assert.deepEqual(reasons(numberCpus({ ...small, version }).notTaken), ['1 x2apic below 255']);
  }
});

test('numbering: the BSP bit says something from 6.10 and 6.9.4 on', () => {
  const shuffled = { ...mixed, entries: [x86Entry(2), x86Entry(0), x86Entry(4)] };
  assert.equal(apicIds({ ...shuffled, version: '6.9.3' }), '0 4', 'APIC id 2 passes for the real BSP');
  assert.equal(apicIds({ ...shuffled, version: '6.9.4' }), '0 2 4');
  assert.equal(apicIds({ ...shuffled, version: '6.8.12' }), '0 2 4', 'nobody is looked for');
});

test('numbering: possible_cpus= bounds the numbers on x86', () => {
  const entries = [x86Entry(0, 'local_apic', false), x86Entry(2), x86Entry(4), x86Entry(6)];
  for (const version of ['6.1', '6.12']) {
    const limited: X86Numbering = { ...mixed, entries, version, entryApicId: apicId(4), possibleCpus: 2 };
    assert.equal(apicIds(limited), '4 2', version);
    assert.ok(reasons(numberCpus(limited).notTaken).includes('3 limit'), version);
    assert.equal(apicIds({ ...limited, possibleCpus: 1 }), '4', version);
    assert.throws(() => numberCpus({ ...limited, possibleCpus: 0 }), InputError);
  }
});

test('numbering: whatever the version is called, the numbers are those of some kernel', () => {
  fc.assert(
    fc.property(fc.string(), (version) => {
      assert.ok(['0 2 256 1 258 3', '0 2 1 3 256 258'].includes(apicIds({ ...mixed, version })));
    }),
  );
});
