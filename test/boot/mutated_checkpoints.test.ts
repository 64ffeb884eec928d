/** Checkpoint files with errors: each is refused with one line, or it runs. `scripts/mutated_checkpoints.js` tries more of them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { checkpointBytes, boot, InputError } from '../../src/library/index.js';
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
