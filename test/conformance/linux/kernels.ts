/** Debian's kernels for the comparison with Linux, from the cache or the mirror. */
import { join } from 'node:path';
import { InputError } from '../../../src/base/index.js';
import {
  debianFiles,
  debianSettings,
  loadDebianKernel,
  parseDebianSpec,
} from '../../../src/kernel_source/index.js';
import type { LinuxArch } from './machine.js';

export interface DebianLinux {
  /** As `uname -r` prints it. */
  readonly version: string;
  readonly image: Uint8Array;
}

/** The kernels: Linux 6.1 and 6.12. The cloud flavour is the smallest, and numbers CPUs like the others. */
export const kernelSpecs: Readonly<Record<LinuxArch, readonly string[]>> = {
  arm64: ['bookworm', 'trixie/cloud'],
  amd64: ['bookworm/cloud', 'trixie/cloud'],
};

/** The kernel `spec` for `arch`, or why it is not available. With DOMULATOR_NEED_KERNEL=1 that is an error. */
export async function debianLinux(spec: string, arch: LinuxArch): Promise<DebianLinux | string> {
  const settings = debianSettings(process.env, Math.floor(Date.now() / 1000), () => undefined, {
    architecture: arch,
  });
  try {
    if (arch === 'arm64') {
      const { version, image } = await loadDebianKernel(parseDebianSpec(spec), settings);
      return { version: version ?? '', image: image.bytes };
    }
    const cacheFolder = settings.cacheFolder === null ? null : join(settings.cacheFolder, arch);
    const { kernel } = await debianFiles(parseDebianSpec(spec), ['kernel'], { ...settings, cacheFolder });
    return { version: kernel.path.replace(/^.*vmlinuz-/, ''), image: kernel.bytes };
  } catch (error) {
    if (!(error instanceof InputError) || process.env['DOMULATOR_NEED_KERNEL'] === '1') throw error;
    return `no debian:${spec} for ${arch} here: ${error.message}`;
  }
}
