import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cellsValue, deviceTreeNode, readDeviceTree, stringsValue, writeDeviceTree } from '../abi/index.js';
import type { DeviceTree, DeviceTreeNode } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { armCpusOfDeviceTree } from './firmware_tree.js';
import { vcpuIdsFromDeviceTree } from './firmware_vcpus.js';

const psciNode = deviceTreeNode('psci', {
  compatible: stringsValue('arm,psci-1.0', 'arm,psci-0.2', 'arm,psci'),
  method: stringsValue('hvc'),
});

function treeOf(cpus: DeviceTreeNode[], addressCells: number | null = 1, psci = psciNode): DeviceTree {
  const cellProperties: Record<string, Uint8Array> =
    addressCells === null ? {} : { '#address-cells': cellsValue(addressCells) };
  const root = deviceTreeNode('', { '#address-cells': cellsValue(2) }, [
    deviceTreeNode('cpus', cellProperties, cpus),
    psci,
  ]);
  return { bootCpuidPhys: 0, reservations: [], root };
}

function cpuNode(name: string, properties: Record<string, Uint8Array>): DeviceTreeNode {
  return deviceTreeNode(name, { device_type: stringsValue('cpu'), ...properties });
}

function mpidrs(tree: DeviceTree): (number | null)[] {
  return armCpusOfDeviceTree(readDeviceTree(writeDeviceTree(tree))).map(({ mpidr }) => mpidr);
}

test("firmware: a device tree's CPUs are read in order, by one or two address cells", () => {
  const one = [3, 0x100, 0].map((reg) => cpuNode(`cpu@${reg.toString(16)}`, { reg: cellsValue(reg) }));
  assert.deepEqual(mpidrs(treeOf(one)), [3, 0x100, 0]);
  const two = [cpuNode('cpu@100000002', { reg: cellsValue(1, 2) })];
  assert.deepEqual(mpidrs(treeOf(two, 2)), [0x1_0000_0002]);
  assert.deepEqual(mpidrs(treeOf(two, null)), [0x1_0000_0002], "the root's cells stand in");
});

test('firmware: a reg that is missing, short or not an affinity gives no MPIDR but keeps its place', () => {
  const nodes = [
    cpuNode('cpu@0', {}),
    cpuNode('cpu@1', { reg: new Uint8Array(3) }),
    cpuNode('cpu@80000000', { reg: cellsValue(0x8000_0000) }),
    cpuNode('cpu@2', { reg: cellsValue(2) }),
  ];
  assert.deepEqual(mpidrs(treeOf(nodes)), [null, null, null, 2]);
  assert.deepEqual(mpidrs(treeOf([cpuNode('cpu@0', { reg: cellsValue(0, 0, 0) })], 3)), [null]);
  assert.deepEqual(mpidrs(treeOf([cpuNode('cpu@0', { reg: cellsValue(0) })], 0)), [null]);
});

test('firmware: what counts as a CPU node', () => {
  const reg = cellsValue(0);
  const nodes = [
    deviceTreeNode('cpu-map', {}),
    deviceTreeNode('idle-states', {}),
    deviceTreeNode('cpu@0', { reg }),
    deviceTreeNode('processor@1', { device_type: stringsValue('cpu'), reg: cellsValue(1) }),
    cpuNode('cpu@2', { reg: cellsValue(2), status: stringsValue('disabled') }),
    cpuNode('cpu@3', { reg: cellsValue(3), status: stringsValue('fail') }),
    cpuNode('cpu@4', { reg: cellsValue(4), status: stringsValue('fail-thermal') }),
  ];
  assert.deepEqual(mpidrs(treeOf(nodes)), [0, 1, 2]);
  const before517 = armCpusOfDeviceTree(treeOf(nodes), '5.10.0-30-arm64').map(({ mpidr }) => mpidr);
  assert.deepEqual(before517, [0, 1, 2, 3, 4], 'a status of "fail" means nothing before 5.17');
  assert.deepEqual(
    armCpusOfDeviceTree({ bootCpuidPhys: 0, reservations: [], root: deviceTreeNode('', {}) }),
    [],
  );
});

/** A node of MPIDR `reg` that is started as `properties` say. */
function startedBy(reg: number, properties: Record<string, Uint8Array>): DeviceTreeNode {
  return cpuNode(`cpu@${reg.toString(16)}`, { reg: cellsValue(reg), ...properties });
}
const method = (text: string): Record<string, Uint8Array> => ({ 'enable-method': stringsValue(text) });
const releaseAt = (...words: number[]): Record<string, Uint8Array> => ({
  ...method('spin-table'),
  'cpu-release-addr': cellsValue(...words),
});

function methods(tree: DeviceTree): (string | undefined)[] {
  return armCpusOfDeviceTree(tree).map(({ enableMethod }) => enableMethod);
}

test('firmware: what Linux can do with an enable-method', () => {
  const nodes = [
    startedBy(0, method('psci')),
    startedBy(1, {}),
    startedBy(2, method('qcom,kpss-acc-v2')),
    startedBy(3, method('')),
    startedBy(4, method('spin-table')),
    startedBy(5, releaseAt(0x8000_fff8)),
    startedBy(6, releaseAt(0, 0x8000_fff8)),
    startedBy(7, releaseAt(0, 0)),
  ];
  assert.deepEqual(methods(treeOf(nodes)), [
    'usable',
    'missing',
    'unknown',
    'unknown',
    'no address',
    'no address',
    'usable',
    'not ready',
  ]);
});

test('firmware: of nodes that name one MPIDR, the first says how the CPU is started', () => {
  const both = cpuNode('cpu@0', { reg: cellsValue(0, 1), ...method('psci') });
  assert.deepEqual(methods(treeOf([both, startedBy(1, {})])), ['usable', 'usable']);
  assert.deepEqual(methods(treeOf([startedBy(1, {}), startedBy(1, method('psci'))])), ['missing', 'missing']);
});

test('firmware: psci is usable when the first psci node says how to call CPU_ON', () => {
  const nodes = [startedBy(0, method('psci'))];
  const psci = (properties: Record<string, Uint8Array>): DeviceTreeNode =>
    deviceTreeNode('psci', { compatible: stringsValue('arm,psci-0.2'), ...properties });
  const hvc = { method: stringsValue('hvc') };
  const first = { ...hvc, compatible: stringsValue('arm,psci', 'arm,psci-0.2') };
  for (const [node, expected] of [
    [psci(hvc), 'usable'],
    [psci({ method: stringsValue('smc'), status: stringsValue('okay') }), 'usable'],
    [psci({ ...hvc, status: stringsValue('disabled') }), 'not ready'],
    [psci({ method: stringsValue('svc') }), 'not ready'],
    [psci({}), 'not ready'],
    [psci(first), 'not ready'],
    [psci({ ...first, cpu_on: cellsValue(0x8400_0003) }), 'usable'],
    [deviceTreeNode('firmware', {}, [psci(hvc)]), 'usable'],
    [deviceTreeNode('firmware', {}), 'not ready'],
  ] as const) {
    assert.deepEqual(methods(treeOf(nodes, 1, node)), [expected], JSON.stringify(node));
  }
});

test('firmware: a device tree maps each MPIDR to its vCPU', () => {
  const nodes = [0, 1, 0x101, 0xf].map((reg) => startedBy(reg, method('psci')));
  const { vcpus } = vcpuIdsFromDeviceTree(writeDeviceTree(treeOf(nodes)));
  assert.deepEqual(vcpus, [
    { vcpu: 0, mpidr: 0 },
    { vcpu: 1, mpidr: 1 },
    { vcpu: 17, mpidr: 0x101 },
    { vcpu: 15, mpidr: 0xf },
  ]);
  const four = [0, 1, 2, 3].map((reg) => startedBy(reg, reg === 0 ? {} : method('psci')));
  assert.deepEqual(vcpuIdsFromDeviceTree(writeDeviceTree(treeOf(four))).warnings, []);
});

test('firmware: what is wrong with the CPUs of a device tree is a warning', () => {
  const nodes = [
    startedBy(0, {}),
    startedBy(1, {}),
    startedBy(2, method('psci')),
    startedBy(2, method('psci')),
    startedBy(0x10, method('psci')),
    startedBy(0x1_0000, method('hlt')),
    startedBy(0x101, releaseAt(0, 0)),
    startedBy(0x800, method('psci')),
    cpuNode('cpu', method('psci')),
  ];
  const { vcpus, warnings } = vcpuIdsFromDeviceTree(writeDeviceTree(treeOf(nodes)));
  assert.deepEqual(
    vcpus.map(({ vcpu }) => vcpu),
    [0, 1, 2, 2, null, null, 17, 128],
  );
  assert.deepEqual(warnings, [
    '1 of 9 CPU nodes have no MPIDR in their reg',
    'more than one entry has the MPIDR 0x2',
    'Xen gives the MPIDR 0x10 to no vCPU',
    'Xen gives the MPIDR 0x10000 to no vCPU',
    'no Xen domain has the vCPU 128: it has at most 128 vCPUs, from 0 on',
    'no Xen domain has the vCPU 17: its vCPUs are numbered from 0 on without gaps, and 9 are listed',
    'Linux cannot start the CPU with MPIDR 0x1: it has no enable-method',
    'Linux cannot start the CPU with MPIDR 0x10000: its enable-method is neither psci nor spin-table',
    'Linux cannot start the CPU with MPIDR 0x101: no psci node says how to call CPU_ON, or its cpu-release-addr is 0',
  ]);
});

test('firmware: what is not a device tree with a CPU fails with one line', () => {
  for (const bytes of [new Uint8Array(), new Uint8Array(64), writeDeviceTree(treeOf([]))]) {
    assert.throws(
      () => vcpuIdsFromDeviceTree(bytes),
      (error: unknown) => error instanceof InputError && !error.message.includes('\n'),
    );
  }
});

test('firmware: any bytes give the vCPUs of a device tree or an InputError', () => {
  const valid = writeDeviceTree(treeOf([0, 1].map((reg) => startedBy(reg, releaseAt(reg, 0)))));
  const mutated = fc
    .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 8 })
    .map((changes) => changes.reduce((bytes, [at, value]) => bytes.with(at, value), valid));
  fc.assert(
    fc.property(mutated, (bytes) => {
      try {
        vcpuIdsFromDeviceTree(bytes);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
