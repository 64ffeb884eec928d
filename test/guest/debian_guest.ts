/** Boots Debian bookworm's stock kernel with an initramfs of the test's own. */
import type { TestContext } from 'node:test';
import { Boot } from '../../src/boot/index.js';
import type { BootKernel, BootOptions, BootResult } from '../../src/boot/index.js';
import { InputError } from '../../src/base/index.js';
import { debianFiles, debianSettings, loadDebianKernel } from '../../src/kernel_source/index.js';
import type { DebianSettings } from '../../src/kernel_source/index.js';

const release = 'bookworm';

/** The machine's own settings, without its warnings. */
export function settings(): DebianSettings {
  return debianSettings(process.env, Math.floor(Date.now() / 1000), () => undefined);
}

/**
 * What `get` gives; null, with the test skipped, where there is neither a cache nor a network to have it from. With
 * DOMULATOR_NEED_KERNEL=1 that is a failure.
 */
export async function orSkip<T>(t: TestContext, get: () => Promise<T>): Promise<T | null> {
  try {
    return await get();
  } catch (error) {
    if (!(error instanceof InputError) || process.env['DOMULATOR_NEED_KERNEL'] === '1') throw error;
    t.skip(error.message);
    return null;
  }
}

export interface DebianParts {
  readonly kernel: BootKernel;
  readonly busybox: Uint8Array;
}

/** Kernel and busybox. Throws InputError when they cannot be had. */
export async function debianParts(): Promise<DebianParts> {
  const { name, version, sha256, image } = await loadDebianKernel(release, settings());
  const { busybox } = await debianFiles(release, ['busybox'], settings());
  const { bytes, textOffset, memoryBytes } = image;
  const kernel = { name, version, sha256, image: bytes, textOffset, memoryBytes };
  return { kernel, busybox: busybox.bytes };
}

export interface GuestRun {
  readonly result: BootResult;
  /** All that its console said. */
  readonly console: string;
}

/** Boots to power-off, or until the limit is reached. */
export function runGuest(
  kernel: BootKernel,
  initrd: Uint8Array,
  more: Partial<Pick<BootOptions, 'commandLine' | 'vcpus' | 'memoryMiB' | 'limits'>>,
): GuestRun {
  const pieces: Uint8Array[] = [];
  const boot = new Boot(
    {
      kernel,
      initrd,
      commandLine: 'console=ttyAMA0',
      vcpus: 2,
      memoryMiB: 512,
      release: '4.17',
      seed: 1,
      xenstore: false,
      whatIf: null,
      entryVcpu: 0,
      until: { kind: 'poweroff' },
      limits: { instructions: 10_000_000_000, guestNs: 100_000_000_000n },
      ...more,
    },
    { console: (bytes) => pieces.push(bytes.slice()) },
  );
  while (boot.step(100_000_000) === 'running');
  return { result: boot.result(), console: Buffer.concat(pieces).toString('latin1') };
}
