/**
 * Fuzzing by the builtin guest (src/builtin_guest/arm64/fuzz.ts): 100,000 random hypercalls and accesses from all vCPUs.
 * Nothing may throw or hang, and only memory that the guest shared may change.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { frameBytes, hashValue, present } from '../../src/base/index.js';
import { Boot } from '../../src/boot/index.js';
import type { BootOptions, BootResult } from '../../src/boot/index.js';
import { bootOptions, kernel } from './builtin_runs.js';

/** A pattern in guest memory that Xen must not write to. Its bytes are odd, so that written zeros show. */
const canary = Uint8Array.from({ length: 256 * 1024 }, (_, i) => ((i * 2_654_435_761) >>> 13) | 1);

interface Fuzzed {
  readonly console: string;
  readonly result: BootResult;
  /** Number of random actions that the guest reports; 0 if it did not survive to report. */
  readonly done: number;
}

/** The offset of `bytes` in `memory`. */
function placeOf(memory: Uint8Array, bytes: Uint8Array): number {
  return Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength).indexOf(bytes);
}

/** Size of the engine's constant tables, which come before everything that changes in a run. */
const tableBytes = 4096;

function fuzz(commandLine: string, options: Partial<BootOptions> = {}): Fuzzed {
  const pieces: string[] = [];
  const asked = bootOptions({ commandLine, initrd: canary, ...options });
  const boot = new Boot(asked, {
    console: (bytes) => {
      pieces.push(String.fromCharCode(...bytes));
    },
  });
  const { ram } = boot.machine.processor;
  const code = placeOf(ram, kernel.image);
  const data = placeOf(ram, canary);
  const tables = new Uint8Array(ram.buffer, 0, tableBytes).slice();
  while (boot.step(10_000_000) === 'running');
  assert.deepEqual(ram.subarray(code, code + kernel.image.length), kernel.image, 'the kernel has changed');
  assert.ok(Buffer.from(ram.subarray(data, data + canary.length)).equals(canary), 'the initrd has changed');
  assert.deepEqual(new Uint8Array(ram.buffer, 0, tableBytes), tables, "the engine's tables have changed");
  const { start, count } = boot.guest.config.xenFrames;
  const end = present(boot.machine.frames.offsetOf(start + count - 1), "Xen's last frame") + frameBytes;
  const behind = new Uint8Array(ram.buffer, end);
  // The engine's memory has larger pages. With xenstore's frames there is space after them.
  assert.ok(behind.length > 0 || options.xenstore === false);
  assert.ok(
    behind.every((byte) => byte === 0),
    'something was written behind all frames',
  );
  const text = pieces.join('');
  return {
    console: text,
    result: boot.result(),
    done: Number(/fuzz: (\d+) things done/.exec(text)?.[1] ?? 0),
  };
}

/** The answers of a run's calls, by the operation's name. */
function answers({ result }: Fuzzed): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>();
  for (const event of result.events) {
    if (event.kind !== 'hypercall') continue;
    const { op, returned } = event.call;
    found.set(op, (found.get(op) ?? new Set()).add(returned));
  }
  return found;
}

describe('a guest with random actions', () => {
  const runs: Fuzzed[] = [];

  for (const [vcpus, release, xenstore] of [
    [4, '4.17', true],
    [4, '4.18', true],
    [8, '4.17', true],
    [8, '4.18', false],
    [1, '4.17', true],
    [16, '4.18', true],
  ] as const) {
    it(`does up to 20,000 of them on ${vcpus} vCPUs, on Xen ${release}${xenstore ? '' : ' without xenstore'}, and powers off`, () => {
      const run = fuzz(`fuzz=${20_000 / vcpus} seed=${7 * vcpus}`, { vcpus, release, xenstore, seed: vcpus });
      assert.equal(run.result.outcome, 'poweroff');
      runs.push(run);
    });
  }

  // A CPU may block if others have disabled its interrupts, and then falls behind.
  it('makes 100,000 actions in total', () => {
    const done = runs.map((run) => run.done);
    assert.ok(done.reduce((sum, each) => sum + each, 0) >= 100_000, done.join(' '));
  });

  it('gets most operations refused, and many accepted', () => {
    const all = runs.map(answers);
    const operations = new Set(all.flatMap((found) => [...found.keys()]));
    const taken = [...operations].filter((op) =>
      all.some((found) => [...(found.get(op) ?? [])].some((n) => n >= 0)),
    );
    assert.ok(operations.size > 150, `only ${operations.size} operations were asked for`);
    assert.ok(taken.length > 40, `only ${taken.join(' ')} were ever taken`);
  });

  it('gets the answers that the audit expects of Xen', () => {
    const wrong = runs.flatMap(({ result }) =>
      result.findings.filter(({ rule }) => rule === 'answer-as-xen'),
    );
    assert.deepEqual(
      wrong.map(({ why }) => why),
      [],
    );
  });

  it('behaves identically when run again', () => {
    const [first, again] = [1, 2].map(() => fuzz('fuzz=1000 seed=5'));
    assert.equal(hashValue(again?.result.events), hashValue(first?.result.events));
    assert.equal(again?.console, first?.console);
  });

  it('can request its own end, and turn its CPUs off and on at any address', () => {
    const outcomes = Array.from({ length: 40 }, (_, seed) => {
      const limits = { instructions: 3_000_000, guestNs: 100_000_000_000n };
      return fuzz(`fuzz=2000 seed=${1000 + seed} deadly`, { seed, limits }).result.outcome;
    });
    assert.ok(new Set(outcomes).size > 1, outcomes.join(' '));
  });
});
