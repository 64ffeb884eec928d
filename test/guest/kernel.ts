/**
 * Debian's stock kernel and its busybox for tests with full boots, from the cache or the mirror. If they are not
 * available, the tests are skipped with a reason; with DOMULATOR_NEED_KERNEL=1 they fail instead.
 */
import type { TraceEvent } from '../../src/audit/index.js';
import { InputError } from '../../src/base/index.js';
import { Boot, defaultLimits, mainConsoleOf } from '../../src/boot/index.js';
import type { BootKernel, BootOptions, BootResult } from '../../src/boot/index.js';
import { busyboxInitramfs, defaultInitramfs } from '../../src/firmware/index.js';
import type { Architecture } from '../../src/firmware/index.js';
import {
  debianFiles,
  debianSettings,
  loadDebianKernel,
  parseDebianSpec,
} from '../../src/kernel_source/index.js';
import { plainBoot } from './plain_boot.js';

export interface StockKernel {
  readonly kernel: BootKernel;
  readonly busybox: Uint8Array;
  readonly initrd: Uint8Array;
}

async function load(architecture: Architecture): Promise<StockKernel> {
  const now = Math.floor(Date.now() / 1000);
  const settings = debianSettings(process.env, now, () => undefined, { architecture });
  const { name, version, sha256, image } = await loadDebianKernel(parseDebianSpec('bookworm'), settings);
  const { busybox } = await debianFiles(parseDebianSpec('bookworm'), ['busybox'], settings);
  const { bytes, memoryBytes, placement } = image;
  return {
    kernel: { name, version, sha256, image: bytes, memoryBytes, placement },
    busybox: busybox.bytes,
    initrd: defaultInitramfs(busybox.bytes, architecture),
  };
}

/** The kernel for an architecture, or why there is none. */
export async function findStock(architecture: Architecture): Promise<StockKernel | string> {
  try {
    return await load(architecture);
  } catch (error) {
    if (!(error instanceof InputError) || process.env['DOMULATOR_NEED_KERNEL'] === '1') throw error;
    return `no Debian kernel here: ${error.message}`;
  }
}

const found = await findStock('arm64');

/** The option `skip` of a test: false, or the reason. */
export const skip: string | false = typeof found === 'string' ? found : false;

/** The kernel, for a test that is not skipped. */
export function stockKernel(): StockKernel {
  if (typeof found === 'string') throw new Error(found);
  return found;
}

/** Disables the self-tests of the crypto drivers, which take most of a stock boot's instructions. */
export const quickCommandLine = 'console=ttyAMA0 cryptomgr.notests';

/** An initramfs whose first process runs `lines` of shell and powers off. $cpus is the CPU directory in sysfs. */
export function scriptInitramfs(lines: readonly string[]): Uint8Array {
  const init = [
    '#!/bin/busybox sh',
    'export PATH=/bin',
    'mount -t proc proc /proc',
    'mount -t sysfs sysfs /sys',
    'mount -t devtmpfs devtmpfs /dev',
    'cpus=/sys/devices/system/cpu',
    ...lines,
    'poweroff -f',
    '',
  ].join('\n');
  const applets = ['sh', 'mount', 'cat', 'poweroff'];
  return busyboxInitramfs(stockKernel().busybox, 'arm64', { applets, init });
}

/** The result of a boot, and the full text of the console that its command line names last. */
export interface Booted extends BootResult {
  readonly console: string;
}

/**
 * Boots the stock kernel to its end. Defaults: four vCPUs, the default initramfs, until power-off. `event` gets the events of its
 * trace.
 */
export function bootStock(options: Partial<BootOptions> = {}, event?: (event: TraceEvent) => void): Booted {
  const { kernel = stockKernel().kernel, initrd = stockKernel().initrd } = options;
  const { vcpus = 4, commandLine = quickCommandLine } = options;
  const main = mainConsoleOf(commandLine);
  const bytes: number[] = [];
  const boot = new Boot(
    {
      kernel,
      initrd,
      commandLine,
      vcpus,
      memoryMiB: 512,
      ...plainBoot,
      limits: defaultLimits(vcpus),
      ...options,
    },
    {
      console: (written, from) => {
        if (from === main) bytes.push(...written);
      },
      ...(event === undefined ? {} : { event }),
    },
  );
  while (boot.step(1_000_000_000) === 'running');
  return { ...boot.result(), console: Buffer.from(bytes).toString('latin1').replaceAll('\r', '') };
}
