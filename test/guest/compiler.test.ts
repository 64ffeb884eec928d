/** A boot is the same with every engine. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashValue } from '../../src/base/index.js';
import { Boot, defaultLimits } from '../../src/boot/index.js';
import type { BootOptions, EngineOptions } from '../../src/boot/index.js';
import { hashSaved } from '../../src/machine/index.js';
import { bootOptions } from './builtin_runs.js';
import { quickCommandLine, skip, stockKernel } from './kernel.js';
import { plainBoot } from './plain_boot.js';

/** Compiles whatever is entered, at once. */
const policy = { samples: 1, batch: 8, patience: 8, everyEntry: true };

interface Course {
  readonly console: string;
  readonly events: string;
  readonly instructions: number;
  readonly machine: string;
  readonly compiled: number;
}

/** What came of a boot, down to the state of its machine at the end. `dropEvery`: after how many steps compiled code is dropped. */
function course(options: BootOptions, engine: EngineOptions, dropEvery = Infinity): Course {
  const pieces: string[] = [];
  const boot = new Boot(options, {
    engine,
    console: (bytes) => {
      pieces.push(Buffer.from(bytes).toString('latin1'));
    },
  });
  const { processor } = boot.machine;
  for (let step = 1; boot.step(200_000) === 'running'; step += 1) {
    if (step % dropEvery === 0) processor.dropCompiled();
  }
  const { events, instructions } = boot.result();
  return {
    console: pieces.join(''),
    events: hashValue(events),
    instructions,
    machine: hashSaved(boot.machine.save()),
    compiled: processor.compilerStatistics?.compiled ?? 0,
  };
}

function assertSame(other: Course, plain: Course, regions: number): void {
  assert.deepEqual({ ...other, compiled: 0 }, plain);
  assert.ok(other.compiled >= regions, `${other.compiled} regions`);
}

describe('the builtin guest', () => {
  const options = bootOptions({ commandLine: 'console=ttyAMA0 fuzz=500 seed=5' });
  const plain = course(options, {});

  for (const kind of ['compiler', 'check'] as const) {
    it(`is the same with the engine ${kind}`, () => assertSame(course(options, { kind, policy }), plain, 20));
  }

  it('is the same when compiled code is dropped now and then', () => {
    assertSame(course(options, { kind: 'compiler', policy }, 1), plain, 20);
  });
});

describe('a stock kernel', { skip }, () => {
  it('is the same with the compiler, whatever is compiled and when', () => {
    const { kernel, initrd } = stockKernel();
    const options: BootOptions = {
      kernel,
      initrd,
      commandLine: quickCommandLine,
      vcpus: 4,
      memoryMiB: 512,
      ...plainBoot,
      limits: defaultLimits(4),
      until: { kind: 'userspace' },
    };
    const plain = course(options, {});
    assertSame(course(options, { kind: 'compiler' }), plain, 100);
    assertSame(course(options, { kind: 'compiler', policy }, 100), plain, 300);
  });
});
