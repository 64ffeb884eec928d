import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { deviceTreeNode, stringsValue, writeDeviceTree } from '../../abi/index.js';
import { arm64 as firmware } from '../../firmware/index.js';
import { mpidrOfVcpu, xenVcpuId } from '../../identity/index.js';
import { arm64Machine } from '../../machine/index.js';
import type { Arm64Machine } from '../../machine/index.js';
import { KernelImage } from '../kernel_image.js';
import { arm64KernelEntered } from './next_kernel.js';

const ramAt = 0x4000_0000;
const imageAt = ramAt + 0x20_0000;
const treeAt = ramAt + 0x80_0000;
const vcpus = 4;

function machine(): Arm64Machine {
  return arm64Machine(
    {
      config: {
        kind: 'arm',
        release: '4.17',
        domid: 1,
        ram: [{ start: ramAt / 4096, count: 4096 }],
        xenFrames: { start: 2 ** 28, count: 80 },
        hardwareIds: Array.from({ length: vcpus }, (_, vcpu) => mpidrOfVcpu(xenVcpuId(vcpu))),
        fifo: true,
        softReset: false,
        maxGrantFrames: 64,
        entryVcpu: xenVcpuId(0),
      },
      seed: 1,
      entry: BigInt(imageAt),
      bootInformation: 0n,
    },
    { uart: () => undefined },
  );
}

/** The beginning of an Image of `bytes` in memory, and its version. */
function header(bytes: number): Uint8Array {
  const image = new Uint8Array(0x1000);
  const view = new DataView(image.buffer);
  view.setBigUint64(16, BigInt(bytes), true);
  image.set(Buffer.from('ARMd', 'latin1'), 56);
  image.set(Buffer.from('Linux version 6.1.0-9-arm64 (somebody)\0', 'latin1'), 0x200);
  return image;
}

function treeFile(cpus: number, chosen: Parameters<typeof deviceTreeNode>[1] = {}): Uint8Array {
  const tree = firmware.guestDeviceTree({
    ...firmware.guestDefaults,
    vcpus: cpus,
    memory: [{ start: BigInt(ramAt), size: 0x100_0000n }],
    bootArgs: 'console=ttyAMA0 other',
    initrd: null,
    release: '4.17',
  });
  const children = tree.root.children.map((node) =>
    node.name === 'chosen'
      ? deviceTreeNode('chosen', { bootargs: stringsValue('console=ttyAMA0 other'), ...chosen })
      : node,
  );
  return writeDeviceTree({ ...tree, root: { ...tree.root, children } });
}

/** vCPU 2 runs at `pc`, without translation, so that each address is its own; x21 has the address of the tree. */
function entered(
  image: Uint8Array,
  tree: Uint8Array,
  pc = imageAt + 0x1234,
  first = new Uint8Array(0x2000),
): ReturnType<typeof arm64KernelEntered> {
  const made = machine();
  made.load(BigInt(imageAt), image);
  made.load(BigInt(treeAt), tree);
  const view = made.processor.vcpus[2];
  view?.reset();
  view?.setRegister(21, BigInt(treeAt));
  if (view !== undefined) view.pc = BigInt(pc);
  return arm64KernelEntered(made, xenVcpuId(2), KernelImage.of(first));
}

describe('the kernel that a vCPU has entered', () => {
  it('is the image around its code, with the CPUs and the command line of its device tree', () => {
    const found = entered(header(0x30_0000), treeFile(vcpus));
    assert.deepEqual(
      [found?.at, found?.image.length, found?.version, found?.commandLine, found?.isCrashKernel],
      [BigInt(imageAt), 0x30_0000, '6.1.0-9-arm64', 'console=ttyAMA0 other', false],
    );
    assert.deepEqual(
      found?.cpus.map(({ linuxCpu, vcpu }) => [linuxCpu, vcpu]),
      [
        [0, 2],
        [1, 0],
        [2, 1],
        [3, 3],
      ],
    );
  });

  it('has the image of the first kernel’s file, if most of its pages are there as in that', () => {
    const file = new Uint8Array(0x14000).map((_, at) => at >>> 12);
    file.set(header(0x30_0000));
    const loaded = file.slice();
    loaded[0x3000] = 0xff;
    const enter = (image: Uint8Array): Uint8Array | undefined =>
      entered(image, treeFile(vcpus), imageAt + 0x1234, file)?.image.bytes;
    assert.equal(enter(loaded), file);
    for (const page of [4, 5]) loaded[page << 12] = 0xff;
    const copied = enter(loaded);
    assert.equal(copied?.length, 0x30_0000);
    assert.deepEqual(copied.subarray(0, loaded.length), loaded);
  });

  it('is a crash kernel if its tree limits its memory', () => {
    const range = { 'linux,usable-memory-range': new Uint8Array(16) };
    assert.equal(entered(header(0x30_0000), treeFile(vcpus, range))?.isCrashKernel, true);
  });

  it('has no CPUs that the machine lacks', () => {
    assert.equal(entered(header(0x30_0000), treeFile(8))?.cpus.length, vcpus);
    // Linux does not bring up CPUs by a tree that lacks the one that it runs on.
    assert.equal(entered(header(0x30_0000), treeFile(2))?.cpus.length, 1);
  });

  it('is none without an image around the code, and without a tree', () => {
    assert.equal(entered(header(0x1000), treeFile(vcpus)), null);
    assert.equal(entered(header(0x30_0000), new Uint8Array(0x1000)), null);
    assert.equal(entered(header(0x4000_0000), treeFile(vcpus)), null);
    assert.equal(entered(header(0x30_0000), treeFile(vcpus), 0x100), null);
    // It would reach beyond the end of memory.
    assert.equal(entered(header(0x200_0000), treeFile(vcpus)), null);
  });

  it('is looked for without harm, whatever the guest wrote', () => {
    const [image, tree] = [header(0x30_0000), treeFile(vcpus)];
    const change = fc.tuple(fc.nat(tree.length - 1), fc.nat(255));
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 8 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (changes, pc) => {
          const changed = tree.slice();
          for (const [at, byte] of changes) changed[at] = byte;
          entered(image, changed);
          entered(image, changed, Number(pc % (1n << 48n)));
        },
      ),
      { numRuns: 60 },
    );
  });
});
