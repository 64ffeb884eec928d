import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  cellsOf,
  deviceTreeNodeAt,
  deviceTreeProperty,
  readDeviceTree,
  stringsOf,
  writeDeviceTree,
} from '../../abi/index.js';
import type { DeviceTreeNode } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { guestDefaults, guestDeviceTree } from './tables.js';
import type { GuestDescription } from './tables.js';
import { memoryBanks } from './memory_map.js';

const reference: GuestDescription = {
  ...guestDefaults,
  vcpus: 4,
  memory: memoryBanks(512),
  bootArgs: 'console=ttyAMA0 cpuinfo=1 fdt=1',
  initrd: { start: 0x4820_0000n, end: 0x482f_130en },
};

/** The device tree of a guest with four vCPUs and 512 MiB under Xen 4.17 on a GICv3, line by line. */
const referenceText = `
/
  #address-cells 2
  #size-cells 2
/chosen
  bootargs "console=ttyAMA0 cpuinfo=1 fdt=1"
  linux,initrd-start 0 48200000
  linux,initrd-end 0 482f130e
/psci
  compatible "arm,psci-1.0" "arm,psci-0.2" "arm,psci"
  method "hvc"
  cpu_off 1
  cpu_on 2
/cpus
  #address-cells 1
  #size-cells 0
/cpus/cpu@0
  compatible "arm,cortex-a57"
  device_type "cpu"
  reg 0
  enable-method "psci"
/cpus/cpu@1
  compatible "arm,cortex-a57"
  device_type "cpu"
  reg 1
  enable-method "psci"
/cpus/cpu@2
  compatible "arm,cortex-a57"
  device_type "cpu"
  reg 2
  enable-method "psci"
/cpus/cpu@3
  compatible "arm,cortex-a57"
  device_type "cpu"
  reg 3
  enable-method "psci"
/memory@40000000
  device_type "memory"
  reg 0 40000000 0 20000000
/interrupt-controller@3001000
  #address-cells 0
  #interrupt-cells 3
  interrupt-controller
  compatible "arm,gic-v3"
  reg 0 3001000 0 10000 0 3020000 0 1000000
  linux,phandle fde8
  phandle fde8
/timer
  compatible "arm,armv8-timer"
  interrupts 1 d f08 1 e f08 1 b f08
  interrupt-parent fde8
/sbsa-uart@22000000
  compatible "arm,sbsa-uart"
  reg 0 22000000 0 1000
  interrupts 0 0 f04
  interrupt-parent fde8
  current-speed 1c200
/hypervisor
  compatible "xen,xen-4.17" "xen,xen"
  reg 0 38000000 0 1000000 0 60000000 0 a0000000 2 0 fe 0
  interrupts 1 f f08
  interrupt-parent fde8
`;

const texts = new Set(['bootargs', 'compatible', 'method', 'device_type', 'enable-method']);

/**
 * Formats a tree like the text above: a line per node, and a line per property with its strings or hexadecimal cells.
 */
function textOf(node: DeviceTreeNode, path = ''): string {
  const lines = node.properties.map(({ name, value }) => {
    const words = texts.has(name)
      ? stringsOf(value).map((text) => `"${text}"`)
      : cellsOf(value).map((cell) => cell.toString(16));
    return `  ${[name, ...words].join(' ')}\n`;
  });
  return [
    `${path === '' ? '/' : path}\n`,
    ...lines,
    ...node.children.map((child) => textOf(child, `${path}/${child.name}`)),
  ].join('');
}

const textOfGuest = (guest: GuestDescription): string => textOf(guestDeviceTree(guest).root);

test('the reference guest’s device tree equals the one from Xen 4.17', () => {
  assert.equal(`\n${textOfGuest(reference)}`, referenceText);
  const blob = writeDeviceTree(guestDeviceTree(reference));
  assert.equal(`\n${textOf(readDeviceTree(blob).root)}`, referenceText);
});

test('two lines differ for a GICv2', () => {
  const expected = referenceText
    .replace('arm,gic-v3', 'arm,gic-400')
    .replace('0 3001000 0 10000 0 3020000 0 1000000', '0 3001000 0 1000 0 3002000 0 2000');
  assert.equal(`\n${textOfGuest({ ...reference, gic: 'v2' })}`, expected);
});

test('CPUs are named by their affinity: the seventeenth is 0x100', () => {
  const names = deviceTreeNodeAt(guestDeviceTree({ ...reference, vcpus: 18 }), '/cpus')!.children;
  assert.deepEqual(
    names.slice(14).map(({ name, properties }) => [name, cellsOf(properties[2]!.value)]),
    [
      ['cpu@e', [0xe]],
      ['cpu@f', [0xf]],
      ['cpu@100', [0x100]],
      ['cpu@101', [0x101]],
    ],
  );
});

test('the hypervisor node has the release, and an empty command line has no property', () => {
  const tree = guestDeviceTree({ ...reference, release: '4.18', bootArgs: '', initrd: null });
  const compatible = deviceTreeProperty(deviceTreeNodeAt(tree, '/hypervisor')!, 'compatible')!;
  assert.deepEqual(stringsOf(compatible), ['xen,xen-4.18', 'xen,xen']);
  const chosen = deviceTreeNodeAt(tree, '/chosen')!;
  assert.deepEqual(
    chosen.properties.map(({ name, value }) => [name, ...cellsOf(value)]),
    [
      ['linux,initrd-start', 0, 0],
      ['linux,initrd-end', 0, 0],
    ],
  );
});

test('memory beyond 3 GiB is a second bank of the same node', () => {
  const text = textOfGuest({ ...reference, memory: memoryBanks(4096) });
  assert.match(
    text,
    /\n\/memory@40000000\n {2}device_type "memory"\n {2}reg 0 40000000 0 c0000000 2 0 0 40000000\n/,
  );
  assert.match(text, /\n {2}reg 0 38000000 0 1000000 2 40000000 fd c0000000\n/);
});

test('too many vCPUs, zero vCPUs, or a command line with characters beyond bytes give one clear line', () => {
  const wrong: [Partial<GuestDescription>, RegExp][] = [
    [{ vcpus: 0 }, /^a guest with a GICv3 has 1 to 128 vCPUs, not 0$/],
    [{ vcpus: 129 }, /1 to 128 vCPUs, not 129$/],
    [{ vcpus: 9, gic: 'v2' }, /1 to 8 vCPUs, not 9$/],
    [{ vcpus: 1.5 }, /not 1\.5$/],
    [{ bootArgs: 'quiet \u2014' }, /command line/],
    [{ bootArgs: 'a\0b' }, /command line/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(
      () => guestDeviceTree({ ...reference, ...change }),
      (error: unknown) => error instanceof InputError && message.test(error.message),
    );
  }
});

test('the tree of any guest survives a round trip', () => {
  const guest = fc.record({
    vcpus: fc.integer({ min: 1, max: 128 }),
    memoryMiB: fc.integer({ min: 1, max: 1_043_456 }),
    bootArgs: fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)) }),
    release: fc.constantFrom('4.17', '4.18'),
    initrd: fc.option(fc.record({ start: fc.bigInt(0n, 1n << 40n), end: fc.bigInt(0n, 1n << 40n) })),
  });
  fc.assert(
    fc.property(guest, ({ memoryMiB, ...rest }) => {
      const tree = guestDeviceTree({ ...guestDefaults, ...rest, memory: memoryBanks(memoryMiB) });
      assert.deepEqual(readDeviceTree(writeDeviceTree(tree)), tree);
      assert.equal(deviceTreeNodeAt(tree, '/cpus')!.children.length, rest.vcpus);
    }),
    { numRuns: 30 },
  );
});
