/** Boots the builtin guest for tests. Defaults are those of `domulator boot --kernel builtin`. */
import { Boot } from '../../src/boot/index.js';
import type { BootOptions, BootResult } from '../../src/boot/index.js';
import { builtinKernel } from '../../src/builtin_guest/arm64/index.js';
import { plainBoot } from './plain_boot.js';

export const kernel = builtinKernel();

export interface BuiltinRun {
  readonly console: string;
  readonly lines: readonly string[];
  readonly result: BootResult;
}

export function bootOptions(options: Partial<BootOptions> = {}): BootOptions {
  return {
    kernel,
    initrd: null,
    commandLine: 'console=ttyAMA0',
    vcpus: 4,
    memoryMiB: 64,
    ...plainBoot,
    limits: { instructions: 200_000_000, guestNs: 10_000_000_000n },
    ...options,
  };
}

/** Boots to the end. */
export function bootBuiltin(options: Partial<BootOptions> = {}): BuiltinRun {
  const pieces: string[] = [];
  const boot = new Boot(bootOptions(options), {
    console: (bytes) => {
      pieces.push(String.fromCharCode(...bytes));
    },
  });
  while (boot.step(10_000_000) === 'running');
  const text = pieces.join('');
  return { console: text, lines: text.split('\n'), result: boot.result() };
}
