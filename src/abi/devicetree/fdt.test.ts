import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import {
  FDT_END_NODE,
  FDT_NOP,
  cellsOf,
  cellsValue,
  deviceTreeNode,
  deviceTreeNodeAt,
  deviceTreeProperty,
  readDeviceTree,
  stringsOf,
  stringsValue,
  writeDeviceTree,
} from './fdt.js';
import type { DeviceTree, DeviceTreeNode } from './fdt.js';

function treeOf(root: DeviceTreeNode): DeviceTree {
  return { bootCpuidPhys: 0, reservations: [], root };
}

const small = treeOf(
  deviceTreeNode('', { model: stringsValue('m') }, [
    deviceTreeNode('cpus', {}, [
      deviceTreeNode('cpu@0', { reg: cellsValue(0) }),
      deviceTreeNode('cpu@1', { reg: cellsValue(1) }),
    ]),
    deviceTreeNode('memory@40000000', { reg: cellsValue(0, 0x4000_0000) }),
  ]),
);

test('fdt: a written tree, byte for byte', () => {
  const bytes = writeDeviceTree({
    bootCpuidPhys: 3,
    reservations: [{ address: 0x1000n, size: 0x2000n }],
    root: deviceTreeNode('', { a: new Uint8Array([1]) }),
  });
  const words = [
    ...['d00dfeed', '0000006a', '00000048', '00000068', '00000028'], // magic, total, structure, strings, reservations
    ...['00000011', '00000010', '00000003', '00000002', '00000020'], // version 17 (16), boot CPU, sizes
    ...['0000000000001000', '0000000000002000', '0000000000000000', '0000000000000000'],
    ...['00000001', '00000000'], // FDT_BEGIN_NODE and an empty name
    ...['00000003', '00000001', '00000000', '01000000'], // FDT_PROP, its length, its name's place, its value
    ...['00000002', '00000009'], // FDT_END_NODE, FDT_END
    '6100',
  ];
  assert.equal(Buffer.from(bytes).toString('hex'), words.join(''));
});

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const plain = { noNullPrototype: true } as const;
const name = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 12 })
  .map((codes) => String.fromCharCode(...codes));
const property = fc.record({ name, value: fc.uint8Array({ maxLength: 9 }) }, plain);
function nodeOfDepth(depth: number): fc.Arbitrary<DeviceTreeNode> {
  const children =
    depth === 0 ? fc.constant<DeviceTreeNode[]>([]) : fc.array(nodeOfDepth(depth - 1), { maxLength: 3 });
  return fc.record({ name, properties: fc.array(property, { maxLength: 3 }), children }, plain);
}
const anyTree: fc.Arbitrary<DeviceTree> = fc.record(
  {
    bootCpuidPhys: u32,
    reservations: fc.array(
      fc
        .record({ address: u64, size: u64 }, plain)
        .filter(({ address, size }) => address !== 0n || size !== 0n),
      { maxLength: 3 },
    ),
    root: nodeOfDepth(3),
  },
  plain,
);

test('fdt: what was written is read back, whatever it was', () => {
  fc.assert(
    fc.property(anyTree, (tree) => {
      const bytes = writeDeviceTree(tree);
      assert.deepEqual(readDeviceTree(bytes), tree);
      assert.deepEqual(writeDeviceTree(readDeviceTree(bytes)), bytes);
    }),
  );
});

test('fdt: bytes behind the blob are not looked at, and reading takes copies', () => {
  const bytes = Buffer.from([...writeDeviceTree(small), 1, 2, 3]);
  const read = readDeviceTree(bytes);
  bytes.fill(0xff);
  assert.deepEqual(read, small);
});

test('fdt: FDT_NOP is passed over wherever a token may stand', () => {
  const bytes = writeDeviceTree(treeOf(deviceTreeNode('', { a: cellsValue(5) }, [deviceTreeNode('b', {})])));
  const view = new DataView(bytes.buffer);
  const structure = view.getUint32(8);
  // The property (token, length, name, value) becomes four words to pass over.
  for (let at = structure + 8; at < structure + 24; at += 4) view.setUint32(at, FDT_NOP);
  assert.deepEqual(readDeviceTree(bytes).root, deviceTreeNode('', {}, [deviceTreeNode('b', {})]));
});

function changed(bytes: Uint8Array, at: number, word: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  new DataView(copy.buffer).setUint32(at, word);
  return copy;
}

test('fdt: each way in which a blob is broken has its line', () => {
  const valid = writeDeviceTree(small);
  const view = new DataView(valid.buffer);
  const [structure, size] = [view.getUint32(8), view.getUint32(36)];
  const broken: [string, Uint8Array, RegExp][] = [
    ['no bytes', new Uint8Array(), /at least 40 bytes, this has 0/],
    ['something else', changed(valid, 0, 0x7f45_4c46), /begins with 0x7f454c46, not 0xd00dfeed/],
    ['a blob cut short', valid.subarray(0, -1), /says it is \d+ bytes long, but \d+ are here/],
    ['a size below the header', changed(valid, 4, 39), /says it is 39 bytes long/],
    ['an old version', changed(valid, 20, 16), /of version 16/],
    ['a version to come', changed(valid, 24, 18), /readable as 18/],
    ['a structure block outside', changed(valid, 8, valid.length), /structure block .* is not inside/],
    ['a structure block in the header', changed(valid, 8, 4), /structure block .* is not inside/],
    ['a strings block outside', changed(valid, 32, valid.length), /strings block .* is not inside/],
    ['reservations outside', changed(valid, 16, valid.length - 8), /within its memory reservations/],
    ['reservations in the header', changed(valid, 16, 0), /memory reservations/],
    ['no root node', changed(valid, structure, 9), /does not begin with a node/],
    ['no end', changed(valid, 36, size - 4), /ends too early/],
    ['more behind the root', changed(valid, structure + size - 4, 1), /goes on after the root/],
    ['a token that is none', changed(valid, structure + 8, 7), /holds the word 7/],
    [
      'a property past the block',
      changed(valid, structure + 12, 0x7fff_fffc),
      /ends within property "model"/,
    ],
    ['a name outside the strings', changed(valid, structure + 16, 4096), /names a property by string 4096/],
    ['a node name without an end', changed(valid, 36, 4), /node name without an end/],
  ];
  for (const [what, bytes, message] of broken) {
    assert.throws(
      () => readDeviceTree(bytes),
      (error: unknown) => error instanceof InputError && message.test(error.message),
      what,
    );
  }
});

test('fdt: a property behind a child node is refused', () => {
  const bytes = writeDeviceTree(treeOf(deviceTreeNode('', {}, [deviceTreeNode('', { a: cellsValue(1) })])));
  const structure = new DataView(bytes.buffer).getUint32(8);
  // The child's end, at byte 32, goes before its property, which then is the root's.
  const moved = Uint8Array.from(bytes).copyWithin(structure + 20, structure + 16, structure + 32);
  new DataView(moved.buffer).setUint32(structure + 16, FDT_END_NODE);
  assert.throws(() => readDeviceTree(moved), /a property after a child node/);
});

function nested(depth: number): DeviceTree {
  let node = deviceTreeNode('n', {});
  for (let i = 1; i < depth; i += 1) node = deviceTreeNode('n', {}, [node]);
  return treeOf(node);
}

test('fdt: nodes nest 64 deep and no deeper', () => {
  assert.deepEqual(readDeviceTree(writeDeviceTree(nested(64))), nested(64));
  assert.throws(() => writeDeviceTree(nested(65)), InputError);
  const bytes = writeDeviceTree(treeOf(deviceTreeNode('', {}, [deviceTreeNode('', {})])));
  const view = new DataView(bytes.buffer);
  const [structure, begins] = [view.getUint32(8), 65];
  const deep = new Uint8Array(structure + 8 * begins + 8);
  deep.set(bytes.subarray(0, structure));
  const deepView = new DataView(deep.buffer);
  for (let i = 0; i < begins; i += 1) deepView.setUint32(structure + 8 * i, 1);
  for (const [at, word] of [
    [4, deep.length],
    [12, deep.length],
    [32, 0],
    [36, 8 * begins + 8],
  ] as const) {
    deepView.setUint32(at, word);
  }
  assert.throws(() => readDeviceTree(deep), /nests nodes more than 64 deep/);
});

test('fdt: a property name may have 255 characters, and is refused with more', () => {
  const tree = treeOf(deviceTreeNode('', { ['n'.repeat(255)]: new Uint8Array() }));
  const bytes = writeDeviceTree(tree);
  assert.deepEqual(readDeviceTree(bytes), tree);
  const longer = Uint8Array.from([...bytes.subarray(0, -1), 0x6e, 0]);
  const resized = changed(changed(longer, 4, longer.length), 32, 257);
  assert.throws(() => readDeviceTree(resized), /more than 255 characters/);
});

test('fdt: what the format cannot hold is not written', () => {
  const root = deviceTreeNode('', {});
  for (const tree of [
    treeOf(deviceTreeNode('\u0100', {})),
    treeOf(deviceTreeNode('a\0b', {})),
    treeOf(deviceTreeNode('', { '\u20ac': new Uint8Array() })),
    treeOf(deviceTreeNode('', { ['n'.repeat(256)]: new Uint8Array() })),
    { ...treeOf(root), bootCpuidPhys: -1 },
    { ...treeOf(root), reservations: [{ address: 0n, size: 0n }] },
    { ...treeOf(root), reservations: [{ address: 0n, size: 1n << 64n }] },
  ]) {
    assert.throws(() => writeDeviceTree(tree), InputError);
  }
});

test('fdt: nodes are found by path, with a unit address or without where that is enough', () => {
  const name = (path: string): string | undefined => deviceTreeNodeAt(small, path)?.name;
  assert.equal(name('/'), '');
  assert.equal(name('/cpus/cpu@1'), 'cpu@1');
  assert.equal(name('/memory'), 'memory@40000000');
  assert.equal(name('/cpus/cpu'), undefined, 'there are two');
  assert.equal(name('/cpus/none/deeper'), undefined);
});

test('fdt: cells and strings', () => {
  assert.deepEqual(cellsOf(cellsValue(1, 0xffff_ffff)), [1, 0xffff_ffff]);
  assert.deepEqual(cellsOf(new Uint8Array([0, 0, 0, 1, 9])), [1]);
  assert.deepEqual(stringsOf(stringsValue('a', '', 'bc')), ['a', '', 'bc']);
  assert.deepEqual(stringsOf(new Uint8Array()), []);
  assert.deepEqual(stringsOf(new Uint8Array([0x61])), ['a'], 'without its end');
  const memory = deviceTreeNodeAt(small, '/memory');
  assert.ok(memory !== undefined);
  assert.deepEqual(deviceTreeProperty(memory, 'reg'), cellsValue(0, 0x4000_0000));
  assert.equal(deviceTreeProperty(memory, 'status'), undefined);
});

test('fdt: any bytes, and any change to a good blob, give a tree or an InputError', () => {
  const good = anyTree.map((tree) => writeDeviceTree(tree));
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 });
  const bent = fc
    .tuple(fc.oneof(good, fc.constant(writeDeviceTree(small))), changes)
    .map(([bytes, list]) => list.reduce((copy, [at, value]) => copy.with(at % copy.length, value), bytes));
  const words = fc.array(fc.oneof(fc.constantFrom(1, 2, 3, 4, 9, 0), u32), { maxLength: 24 }).map((list) => {
    const bytes = new Uint8Array(56 + 4 * list.length);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of [
      0xd00d_feed,
      bytes.length,
      56,
      40,
      40,
      17,
      16,
      0,
      16,
      4 * list.length,
    ].entries()) {
      view.setUint32(4 * i, word);
    }
    for (const [i, word] of list.entries()) view.setUint32(56 + 4 * i, word);
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 128 }), bent, words), (bytes) => {
      try {
        readDeviceTree(bytes);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
        assert.ok(!error.message.includes('\n'));
      }
    }),
    { numRuns: 3000 },
  );
});
