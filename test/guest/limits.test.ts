/** The documented limits, each tested at the limit, one below and one above, with the builtin guest. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InputError } from '../../src/base/index.js';
import { boot } from '../../src/library/index.js';
import type { BootReport, BootRequest } from '../../src/library/index.js';
import { onlyRun } from '../boot/reports.js';
import { image, powerOff } from '../boot/tiny_kernels.js';
import { bootStock, quickCommandLine, skip } from './kernel.js';

async function reportOf(request: BootRequest): Promise<BootReport> {
  return await boot({ kernel: 'builtin', vcpus: 2, ...request }).report();
}

async function assertBoots(request: BootRequest): Promise<void> {
  const { verdict, outcome } = onlyRun(await reportOf(request));
  assert.deepEqual([verdict, outcome.what], ['pass', 'poweroff'], outcome.why);
}

/** `boot` itself throws: nothing is loaded for an invalid request. */
function assertRefused(request: BootRequest, says: RegExp): void {
  assert.throws(
    () => boot({ kernel: 'builtin', ...request }),
    (error: unknown) => error instanceof InputError && says.test(error.message),
  );
}

describe('memory', () => {
  // At 1984 MiB the guest's memory reaches offset 2^31 of the engine's. At 2048 MiB its end is above 2^31 in any
  // layout.
  for (const memoryMiB of [16, 17, 1983, 1984, 2047, 2048, 2049, 3071, 3072]) {
    it(`of ${memoryMiB} MiB`, async () => {
      await assertBoots({ memoryMiB });
    });
  }

  it('of less or more is refused', () => {
    for (const memoryMiB of [0, 15, 3073, 16.5]) {
      assertRefused({ memoryMiB }, /memory in MiB must be a whole number from 16 to 3072/);
    }
  });

  it('of 3072 MiB, with the most vCPUs', async () => {
    await assertBoots({ memoryMiB: 3072, vcpus: 128 });
  });

  it("of 3072 MiB, by Debian's kernel", { skip }, () => {
    const { outcome, ending, findings } = bootStock({ memoryMiB: 3072, commandLine: quickCommandLine });
    assert.deepEqual([outcome, findings], ['poweroff', []], ending);
  });
});

describe('vCPUs', () => {
  for (const vcpus of [1, 2, 127, 128]) {
    it(`${vcpus} of them, entered on the last one`, async () => {
      await assertBoots({ vcpus, entryVcpu: vcpus - 1 });
    });
  }

  it('fewer or more are refused, and so is an entry vCPU beyond the last', () => {
    for (const vcpus of [0, 129])
      assertRefused({ vcpus }, /number of vCPUs must be a whole number from 1 to 128/);
    for (const entryVcpu of [-1, 4])
      assertRefused({ vcpus: 4, entryVcpu }, /enter on must be a whole number from 0 to 3/);
  });
});

describe('the command line', () => {
  const line = (bytes: number): string => 'ids=direct '.padEnd(bytes, 'x');

  for (const bytes of [0, 1, 2046, 2047]) {
    it(`of ${bytes} bytes`, async () => {
      await assertBoots({ commandLine: bytes < 12 ? ' '.repeat(bytes) : line(bytes) });
    });
  }

  it('is refused if arm64 Linux would truncate it', () => {
    assertRefused({ commandLine: line(2048) }, /has 2048 bytes; Linux reads 2047/);
  });

  it("of 2047 bytes reaches Debian's kernel untruncated", { skip }, () => {
    const commandLine = `${quickCommandLine} pad=`.padEnd(2046, 'x');
    const { kernelLog, console } = bootStock({ commandLine: `${commandLine}Z`, vcpus: 1 });
    assert.ok(console.includes('xxxZ') || kernelLog.some(({ text }) => text.includes('xxxZ')));
  });
});

describe('kernel and initrd', () => {
  const kernel = image(powerOff, { imageBytes: 4 << 20 });
  const request = { kernel, memoryMiB: 16, until: 'poweroff', vcpus: 1 } as const;
  // Of 16 MiB the kernel takes 4, the device tree 2, and the initrd the rest, in steps of 2 MiB.
  const room = 10 << 20;

  for (const bytes of [room - 1, room]) {
    it(`an initrd of ${bytes} bytes in ${room} bytes of space`, async () => {
      await assertBoots({ ...request, initrd: new Uint8Array(bytes) });
    });
  }

  it('one byte more is refused', async () => {
    const late = boot({ ...request, initrd: new Uint8Array(room + 1) }).report();
    await assert.rejects(late, /16 MiB of memory is too little: .* take 18 MiB/);
  });

  it('a kernel that fills the memory, one byte less, and one more', async () => {
    const initrd = new Uint8Array(1);
    const sized = (bytes: number): BootRequest => ({
      ...request,
      initrd,
      kernel: image(powerOff, { imageBytes: bytes }),
    });
    await assertBoots(sized((12 << 20) - 1));
    await assertBoots(sized(12 << 20));
    await assert.rejects(reportOf(sized((12 << 20) + 1)), /16 MiB of memory is too little/);
  });
});

describe('seed and limits', () => {
  for (const seed of [0, 1, Number.MAX_SAFE_INTEGER]) {
    it(`seed ${seed}`, async () => {
      await assertBoots({ seed });
    });
  }

  it('others are refused', () => {
    for (const seed of [-1, 2 ** 53, 0.5]) assertRefused({ seed }, /the seed must be a whole number from 0/);
    for (const guestSeconds of [0, 1_000_001]) {
      assertRefused({ limits: { guestSeconds } }, /guest seconds must be a whole number from 1 to 1000000/);
    }
    for (const instructions of [0, 1e15 + 1]) {
      assertRefused(
        { limits: { instructions } },
        /instructions must be a whole number from 1 to 1000000000000000/,
      );
    }
  });

  it('a run stops when it reaches its limit, and not before', async () => {
    const cut = onlyRun(await reportOf({ limits: { instructions: 1 } }));
    assert.deepEqual([cut.verdict, cut.outcome.what], ['incomplete', 'hang']);
    const { instructions } = onlyRun(await reportOf({}));
    await assertBoots({ limits: { instructions: instructions + 1 } });
    const less = onlyRun(await reportOf({ limits: { instructions: instructions >> 1 } }));
    assert.equal(less.outcome.what, 'hang');
  });

  it('the largest limits are accepted', async () => {
    await assertBoots({ limits: { guestSeconds: 1_000_000, instructions: 1e15 } });
  });
});
