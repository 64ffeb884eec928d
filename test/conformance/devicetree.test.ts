/**
 * Compares reading and writing of flattened device trees in src/abi/devicetree with dtc (Debian: device-tree-compiler):
 * readDeviceTree reads trees compiled by dtc, and dtc decompiles the output of writeDeviceTree.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  cellsOf,
  cellsValue,
  deviceTreeNode,
  deviceTreeNodeAt,
  deviceTreeProperty,
  readDeviceTree,
  stringsOf,
  stringsValue,
  writeDeviceTree,
} from '../../src/abi/index.js';
import type { DeviceTree, DeviceTreeNode } from '../../src/abi/index.js';
import {
  armCpusOfDeviceTree,
  deviceTreeSource,
  mpidrOf,
  mpidrOfVcpu,
  xenVcpuId,
} from '../../src/identity/index.js';

const missing =
  spawnSync('dtc', ['--version'], { stdio: 'ignore' }).status === 0 ? false : 'no dtc (device-tree-compiler)';

function dtc(args: readonly string[], input: string | Uint8Array): Buffer {
  const { status, stdout, stderr } = spawnSync('dtc', ['-q', '-q', '-f', ...args], { input });
  assert.equal(status, 0, stderr.toString());
  return stdout;
}

function compiled(source: string): Uint8Array {
  return dtc(['-I', 'dts', '-O', 'dtb', '-'], source);
}

function decompiled(blob: Uint8Array): string {
  return dtc(['-I', 'dtb', '-O', 'dts', '-'], blob).toString();
}

const cpuNode = (id: number): string => `
    cpu@${mpidrOfVcpu(xenVcpuId(id)).toString(16)} {
      compatible = "arm,cortex-a57";
      device_type = "cpu";
      reg = <0x${mpidrOfVcpu(xenVcpuId(id)).toString(16)}>;
      enable-method = "psci";
    };`;

/** A guest tree as Xen 4.17's toolstack generates it for `vcpus` vCPUs with a GICv3. */
const guestTree = (vcpus: number): string => `/dts-v1/;
/memreserve/ 0x48000000 0x200000;
/ {
  #address-cells = <2>;
  #size-cells = <2>;
  chosen { bootargs = "console=ttyAMA0"; linux,initrd-start = <0x0 0x48200000>; };
  psci {
    compatible = "arm,psci-1.0", "arm,psci-0.2", "arm,psci";
    method = "hvc";
    cpu_off = <1>;
    cpu_on = <2>;
  };
  cpus {
    #address-cells = <1>;
    #size-cells = <0>;${Array.from({ length: vcpus }, (_, id) => cpuNode(id)).join('')}
  };
  memory@40000000 { device_type = "memory"; reg = <0x0 0x40000000 0x0 0x20000000>; };
  gic: interrupt-controller@3001000 {
    #address-cells = <0>;
    #interrupt-cells = <3>;
    interrupt-controller;
    compatible = "arm,gic-v3";
    reg = <0x0 0x3001000 0x0 0x10000 0x0 0x3020000 0x0 0x1000000>;
  };
  timer { compatible = "arm,armv8-timer"; interrupts = <1 13 0xf08 1 14 0xf08 1 11 0xf08>; interrupt-parent = <&gic>; };
  hypervisor {
    compatible = "xen,xen-4.17", "xen,xen";
    reg = <0x0 0x38000000 0x0 0x1000000>;
    interrupts = <1 15 0xf08>;
    interrupt-parent = <&gic>;
  };
};
`;

/** Names that dtc accepts but that have no meaning to it. */
const name = fc.stringMatching(/^x[a-z0-9,._+-]{0,8}$/);
const value = fc.uint8Array({ maxLength: 12 });
function nodesOfDepth(depth: number): fc.Arbitrary<DeviceTreeNode[]> {
  if (depth === 0) return fc.constant([]);
  return fc.uniqueArray(nodeOfDepth(depth), { maxLength: 3, selector: (node) => node.name });
}
function nodeOfDepth(depth: number): fc.Arbitrary<DeviceTreeNode> {
  const properties = fc.uniqueArray(fc.record({ name, value }, { noNullPrototype: true }), {
    maxLength: 3,
    selector: (property) => property.name,
  });
  return fc.record({ name, properties, children: nodesOfDepth(depth - 1) }, { noNullPrototype: true });
}

test('dtc: reads the guest tree compiled by dtc', { skip: missing }, () => {
  const tree = readDeviceTree(compiled(guestTree(20)));
  assert.deepEqual(tree.reservations, [{ address: 0x4800_0000n, size: 0x20_0000n }]);
  assert.deepEqual(
    tree.root.children.map((node) => node.name),
    ['chosen', 'psci', 'cpus', 'memory@40000000', 'interrupt-controller@3001000', 'timer', 'hypervisor'],
  );
  const hypervisor = deviceTreeNodeAt(tree, '/hypervisor');
  assert.ok(hypervisor !== undefined);
  const valueOf = (property: string): Uint8Array =>
    deviceTreeProperty(hypervisor, property) ?? new Uint8Array();
  assert.deepEqual(stringsOf(valueOf('compatible')), ['xen,xen-4.17', 'xen,xen']);
  assert.deepEqual(cellsOf(valueOf('interrupts')), [1, 15, 0xf08]);
});

test('dtc: finds every CPU in the tree, and its vCPU id', { skip: missing }, () => {
  const tree = readDeviceTree(compiled(guestTree(20)));
  const cpus = armCpusOfDeviceTree(tree);
  assert.equal(cpus.length, 20);
  for (const [id, { mpidr }] of cpus.entries()) {
    const affinity = mpidrOfVcpu(xenVcpuId(id));
    assert.equal(mpidr, affinity);
    assert.equal(deviceTreeSource.knows(tree, affinity), id);
  }
  assert.equal(cpus[19]?.mpidr, mpidrOf({ aff1: 1, aff0: 3 }));
});

test('dtc: writes a tree that dtc decompiles to the same text', { skip: missing }, () => {
  const blob = compiled(guestTree(4));
  const again = writeDeviceTree(readDeviceTree(blob));
  assert.equal(decompiled(again), decompiled(blob));
  assert.deepEqual(readDeviceTree(again), readDeviceTree(blob));
});

test('dtc: a tree built here survives a round trip through dtc', { skip: missing }, () => {
  const tree: DeviceTree = {
    bootCpuidPhys: 0,
    reservations: [],
    root: deviceTreeNode('', { compatible: stringsValue('xen,xenvm') }, [
      deviceTreeNode('cpus', { '#address-cells': cellsValue(2), '#size-cells': cellsValue(0) }, [
        deviceTreeNode('cpu@100000002', { device_type: stringsValue('cpu'), reg: cellsValue(1, 2) }),
      ]),
    ]),
  };
  assert.deepEqual(readDeviceTree(compiled(decompiled(writeDeviceTree(tree)))), tree);
});

test('dtc: any tree survives a round trip through dtc', { skip: missing }, () => {
  fc.assert(
    fc.property(nodeOfDepth(3), (node) => {
      const tree: DeviceTree = { bootCpuidPhys: 0, reservations: [], root: { ...node, name: '' } };
      assert.deepEqual(readDeviceTree(compiled(decompiled(writeDeviceTree(tree)))), tree);
    }),
    { numRuns: 40 },
  );
});
