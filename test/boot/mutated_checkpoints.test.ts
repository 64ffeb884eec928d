/** Checkpoint files with errors: each is refused with one line, or it runs. `scripts/mutated_checkpoints.js` tries more of them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { checkpointBytes, boot, InputError } from '../../src/library/index.js';
import type { Checkpoint } from '../../src/library/index.js';
import { checkpointFile, goOnFrom, Mutants, unchangedReport } from './mutated_checkpoints.js';

it('are refused, or go on', async () => {
  const file = await checkpointFile();
  const unchanged = await unchangedReport(file);
  const mutants = new Mutants(file);
  const became = new Set<string>();
  for (let number = 1; number <= 60; number += 1) {
    const { kind, file: mutant } = mutants.mutant(number);
    const { what } = await goOnFrom(mutant, unchanged).catch((error: unknown) => {
      throw new Error(`mutant ${number} (${kind})`, { cause: error });
    });
    if (kind === 'bytes')
      assert.ok(what === 'refused' || Buffer.from(mutant).equals(file), `mutant ${number}`);
    became.add(`${kind}: ${what}`);
  }
  for (const each of ['value: equal', 'value: another', 'value: refused', 'memory: another', 'text: refused'])
    assert.ok(became.has(each), `no mutant became ${each}`);
});

type SavedFrame = Checkpoint['frames'][number];

/** A file whose value was changed, with right hashes. */
async function changed(change: (value: never) => void): Promise<Uint8Array> {
  const run = boot({ kernel: 'builtin', vcpus: 2, memoryMiB: 32 });
  await run.reach(/CPU 1/);
  const { value, frames } = structuredClone(await run.checkpoint());
  change(value as never);
  return checkpointBytes({ value, frames });
}

interface Sizes {
  options: { vcpus: number; memoryMiB: number };
  kernel: { imageBytes: number };
  machine: { options: { config: { ram: { start: number; count: number }[]; xenFrames: { count: number } } } };
}

it('are refused where they ask for more memory than a guest may have', async () => {
  const changes: readonly ((value: Sizes) => void)[] = [
    ({ options }) => (options.vcpus = 1e9),
    ({ options }) => (options.memoryMiB = 1e6),
    ({ kernel }) => (kernel.imageBytes = 2 ** 40),
    ({ kernel }) => (kernel.imageBytes = 2 ** 31),
    ({ machine }) => (machine.options.config.ram[0]!.count = 2 ** 20),
    ({ machine }) => (machine.options.config.xenFrames.count = 2 ** 30),
  ];
  for (const change of changes) {
    const from = await changed(change);
    await assert.rejects(boot({ from }).report(), /its sizes are none that a guest may have$/);
  }
});

it('are refused where they name a frame that the guest does not have, or one twice', async () => {
  const run = boot({ kernel: 'builtin', vcpus: 2, memoryMiB: 32 });
  await run.reach(/CPU 1/);
  const { value, frames } = await run.checkpoint();
  const { ram } = (value as Sizes).machine.options.config;
  let asked = 0;
  const many = (first: number): SavedFrame[] =>
    Array.from({ length: 1000 }, (_, i) => ({
      number: first + i,
      get bytes() {
        asked += 1;
        return new Uint8Array(4096);
      },
    }));
  const ends = ram.map(({ start, count }) => start + count);
  // Behind the guest's memory, behind each of its files, and in files that it does not have.
  for (const first of [
    Math.max(...ends),
    2 ** 28 + 2 ** 27,
    2 ** 31 + 2 ** 19,
    2 ** 31 + 2 ** 20,
    2 ** 31 + 64 * 2 ** 20,
  ])
    await assert.rejects(
      boot({ from: { value, frames: [...frames, ...many(first)] } }).report(),
      /a frame of it is none that its guest has$/,
    );
  await assert.rejects(
    boot({ from: { value, frames: [...frames, ...frames.slice(0, 1)] } }).report(),
    /a frame of it is none that its guest has$/,
  );
  assert.equal(asked, 0);
});

it('hold up nobody by the regular expression of their goal', async () => {
  const goal = (source: string): Promise<Uint8Array> =>
    changed(({ options }: { options: { until: unknown } }) => {
      options.until = { kind: 'line', source, flags: '' };
    });
  const plain = await boot({ from: await goal('user space has.*$') }).report();
  assert.equal(plain.runs[0].outcome.what, 'userspace');
  const from = await goal('(.+)+\\n');
  await assert.rejects(
    boot({ from }).report(),
    (error) =>
      error instanceof InputError && /"\(\.\+\)\+.*; give the goal \(until\) again$/.test(error.message),
  );
  const other = await boot({ from, until: 'poweroff' }).report();
  assert.equal(other.runs[0].outcome.what, 'poweroff');
});

it('are refused where a line of a console is longer than any', async () => {
  const from = await changed(({ boot: { lines } }: { boot: { lines: { uart: string } } }) => {
    lines.uart = 'a'.repeat(4096);
  });
  await assert.rejects(boot({ from }).report(), /a line of its console is too long$/);
});

it('are named where the run from them fails, and nothing else is', async () => {
  interface Clocked {
    machine: { clock: { sliceNs: unknown } };
  }
  const from = await changed(({ machine }: Clocked) => (machine.clock.sliceNs = 5));
  const failed = boot({ from }).report();
  await assert.rejects(
    failed,
    (error) => error instanceof InputError && error.message.includes('cannot be used as a checkpoint: '),
  );
  // What a function of the caller throws is the caller's.
  const own = new TypeError('mine');
  const event = (): void => {
    throw own;
  };
  await assert.rejects(boot({ from: await changed(() => undefined), event }).report(), own);
});
