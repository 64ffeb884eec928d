import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cellsValue,
  deviceTreeNode,
  madtGicc,
  madtLocalApic,
  madtLocalX2apic,
  readMadt,
  writeMadt,
} from '../abi/index.js';
import type { DeviceTree, Madt, MadtEntry } from '../abi/index.js';
import { apicId, linuxCpu, mpidrOf, xenVcpuId } from './ids.js';
import { mpidrOfVcpu } from './mpidr.js';
import { hardwareIds, policies } from './policies.js';
import {
  canBeAsked,
  cpuidSource,
  deviceTreeSource,
  directSource,
  madtSource,
  mpidrSource,
  sources,
} from './sources.js';

function madtOf(...entries: MadtEntry[]): Madt {
  return readMadt(writeMadt({ entries })).madt;
}

function treeOf(regs: readonly number[]): DeviceTree {
  const cpus = regs.map((reg) => deviceTreeNode(`cpu@${reg.toString(16)}`, { reg: cellsValue(reg) }));
  const root = deviceTreeNode('', {}, [deviceTreeNode('cpus', { '#address-cells': cellsValue(1) }, cpus)]);
  return { bootCpuidPhys: 0, reservations: [], root };
}

test('sources: direct takes the CPU number', () => {
  assert.equal(directSource.knows(linuxCpu(5)), 5);
});

test('sources: CPUID leaf base + 4 answers if bit 3 of EAX says so, and then with all of EBX', () => {
  assert.equal(cpuidSource.knows({ eax: 0x08, ebx: 3 }), 3);
  assert.equal(cpuidSource.knows({ eax: 0xffff_fff7, ebx: 3 }), null);
  assert.equal(cpuidSource.knows({ eax: 0x18, ebx: 0x8000_0000 }), 0x8000_0000);
  assert.equal(
    cpuidSource.knows({ eax: -1, ebx: -2 }),
    0xffff_fffe,
    'signed registers are taken as unsigned',
  );
  assert.equal(cpuidSource.knows({ eax: 0x08, ebx: 0xffff_ffff }), null);
});

test('sources: the MADT knows by APIC id and by MPIDR, and a disabled CPU as well', () => {
  const madt = madtOf(madtLocalApic(1, 2), madtLocalX2apic(2, 4, 0), madtGicc(3, 0x100));
  assert.equal(madtSource.knows(madt, { apicId: apicId(2) }), 1);
  assert.equal(madtSource.knows(madt, { apicId: apicId(4) }), 2);
  assert.equal(madtSource.knows(madt, { apicId: apicId(3) }), null);
  assert.equal(madtSource.knows(madt, { mpidr: mpidrOf({ aff1: 1 }) }), 3);
  assert.equal(madtSource.knows(madt, { mpidr: mpidrOf({ aff0: 2 }) }), null);
});

test('sources: entries that agree are one answer, entries that disagree are none', () => {
  const agreeing = madtOf(madtLocalApic(1, 2), madtLocalX2apic(1, 2));
  assert.equal(madtSource.knows(agreeing, { apicId: apicId(2) }), 1);
  const disagreeing = madtOf(madtLocalApic(1, 2), madtLocalX2apic(2, 2));
  assert.equal(madtSource.knows(disagreeing, { apicId: apicId(2) }), null);
  const nameless = madtOf(madtLocalX2apic(0xffff_ffff, 2));
  assert.equal(madtSource.knows(nameless, { apicId: apicId(2) }), null);
});

test("sources: MPIDR and device tree decode Xen's affinities, and know nothing of others", () => {
  const tree = treeOf([0, 1, 0x100, 0x10]);
  assert.equal(mpidrSource.knows(mpidrOfVcpu(xenVcpuId(16))), 16);
  assert.equal(mpidrSource.knows(mpidrOf({ aff0: 16 })), null);
  assert.equal(mpidrSource.knows(mpidrOf({ aff2: 1 })), null);
  assert.equal(deviceTreeSource.knows(tree, mpidrOf({ aff1: 1 })), 16);
  assert.equal(deviceTreeSource.knows(tree, mpidrOf({ aff0: 2 })), null, 'no such node');
  assert.equal(deviceTreeSource.knows(tree, mpidrOf({ aff0: 16 })), null, "not one of Xen's");
});

test('sources: under a permuted policy the MADT is right for every vCPU and the MPIDR for none', () => {
  for (const { vcpu, mpidr, acpiUid } of hardwareIds(policies.permuted, 'arm64', 8)) {
    assert.equal(madtSource.knows(madtOf(madtGicc(acpiUid, mpidr)), { mpidr }), vcpu);
    assert.notEqual(mpidrSource.knows(mpidr), vcpu);
  }
});

test('sources: each can be asked from its own moment on, and about its own CPUs', () => {
  const asked = (executing: boolean, parsed: boolean): string[] =>
    Object.values(sources)
      .filter(({ name }) => canBeAsked(name, executing, parsed))
      .map(({ name }) => name)
      .sort();
  assert.deepEqual(asked(false, false), ['direct']);
  assert.deepEqual(asked(true, false), ['cpuid', 'direct', 'mpidr']);
  assert.deepEqual(asked(false, true), ['devicetree', 'direct', 'madt']);
  assert.deepEqual(asked(true, true), ['cpuid', 'devicetree', 'direct', 'madt', 'mpidr']);
});

test('sources: Xen promises two of the five', () => {
  const promised = Object.values(sources).filter(({ promisedBy }) => promisedBy !== null);
  assert.deepEqual(
    promised.map(({ name }) => name),
    ['cpuid', 'madt'],
  );
});
