/**
 * Fuzzing by the builtin guest for x86-64 (src/builtin_guest/x86_64/fuzz.ts): 100,000 random hypercalls and accesses to registers,
 * ports, the local APIC and memory, from all vCPUs. Nothing may throw or hang, and only memory that the guest shared may change.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SHUTDOWN_poweroff } from '../../src/abi/index.js';
import { frameBytes, hashValue, present } from '../../src/base/index.js';
import { kernel, runX86 } from './builtin_amd64_runs.js';
import type { X86Options, X86Run } from './builtin_amd64_runs.js';

/** A pattern in guest memory that Xen must not write to. Its bytes are odd, so that written zeros show. */
const canary = Uint8Array.from({ length: 256 * 1024 }, (_, i) => ((i * 2_654_435_761) >>> 13) | 1);

interface Fuzzed extends X86Run {
  /** Number of random actions that the guest reports; 0 if it did not survive to report. */
  readonly done: number;
}

/** Whether `bytes` still lie somewhere in `memory`. */
function holds(memory: Uint8Array, bytes: Uint8Array): boolean {
  return Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength).includes(Buffer.from(bytes));
}

function fuzz(commandLine: string, options: X86Options = {}): Fuzzed {
  const run = runX86({ commandLine, initrd: canary, ...options });
  const { ram } = run.machine.processor;
  assert.ok(holds(ram, kernel.image), 'the kernel has changed');
  assert.ok(holds(ram, canary), 'the initrd has changed');
  const { start, count } = run.machine.domain.state.config.xenFrames;
  const end = present(run.machine.frames.offsetOf(start + count - 1), "Xen's last frame") + frameBytes;
  const behind = new Uint8Array(ram.buffer, end);
  assert.ok(
    behind.every((byte) => byte === 0),
    'something was written behind all frames',
  );
  // The console's port may have been closed. Then the guest uses Xen's console.
  const text = [...run.lines, ...run.xenLines].join('\n');
  return { ...run, done: Number(/fuzz: (\d+) things done/.exec(text)?.[1] ?? 0) };
}

describe('an x86-64 guest with random actions', () => {
  const runs: Fuzzed[] = [];

  for (const [vcpus, release, xenstore] of [
    [1, '4.17', true],
    [4, '4.17', true],
    [4, '4.18', false],
    [8, '4.18', true],
    [16, '4.17', true],
  ] as const) {
    it(`does up to 25,000 of them on ${vcpus} vCPUs, on Xen ${release}${xenstore ? '' : ' without xenstore'}, and powers off`, () => {
      const count = Math.ceil(25_000 / vcpus);
      const run = fuzz(`fuzz=${count} seed=${7 * vcpus}`, { vcpus, release, xenstore, seed: vcpus });
      assert.deepEqual([run.ended, run.shutdown], ['shutdown', SHUTDOWN_poweroff], run.lines.join('\n'));
      runs.push(run);
    });
  }

  // A CPU may block if others have disabled its interrupts, and then falls behind.
  it('makes 100,000 actions in total', () => {
    const done = runs.map((run) => run.done);
    assert.ok(done.reduce((sum, each) => sum + each, 0) >= 100_000, done.join(' '));
  });

  it('gets most operations refused, and many accepted', () => {
    const calls = runs.flatMap((run) => run.calls);
    const operations = new Set(calls.map(({ op }) => op));
    const taken = new Set(calls.filter(({ returned }) => returned >= 0).map(({ op }) => op));
    assert.ok(operations.size > 150, `only ${operations.size} operations were asked for`);
    assert.ok(taken.size > 40, `only ${[...taken].join(' ')} were ever taken`);
  });

  it('accesses ports, and registers that are not modelled', () => {
    const { board } = present(runs[1], 'a run').machine;
    assert.ok(board.ports.length > 20, `only ${board.ports.length} kinds of port accesses`);
    assert.ok(board.unimplemented.size > 0);
  });

  it('behaves identically when run again', () => {
    const [first, again] = [1, 2].map(() => fuzz('fuzz=1000 seed=5'));
    const hash = (run: Fuzzed | undefined): string =>
      hashValue(run?.calls.map(({ op, vcpu, returned }) => ({ op, vcpu, returned })) ?? null);
    assert.equal(hash(again), hash(first));
  });

  it('can request its own end, and turn CPUs off and on at any address', () => {
    const ends = Array.from({ length: 12 }, (_, seed) => {
      const { ended, shutdown } = fuzz(`fuzz=2000 seed=${seed} deadly`, { seed, limit: 2_000_000 });
      return `${ended} ${String(shutdown)}`;
    });
    assert.ok(new Set(ends).size > 1, ends.join(', '));
  });
});
