/** The modules of Debian's kernel, in an order in which they can be loaded. */
import type { TestContext } from 'node:test';
import { InputError } from '../../src/base/index.js';
import { busyboxInitramfs, fileType } from '../../src/firmware/index.js';
import type { CpioEntry } from '../../src/firmware/index.js';
import { debianSettings, kernelPackageFiles, parseDebianSpec } from '../../src/kernel_source/index.js';

export interface KernelModule {
  /** Its name in other modules, with underscores. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * The values of a key in a module's .modinfo section: `key=value` strings, each with a NUL (Linux linux/moduleparam.h).
 */
function modinfo(bytes: Uint8Array, key: string): string[] {
  const text = Buffer.from(bytes).toString('latin1');
  return [...text.matchAll(new RegExp(`\\0${key}=([^\\0]*)(?=\\0)`, 'g'))].map(([, value = '']) => value);
}

function nameOf(path: string): string {
  return (/([^/]+)\.ko$/.exec(path)?.[1] ?? '').replaceAll('-', '_');
}

/** The modules to load before: those in `depends`, and those in `softdep` that exist. */
function needs({ bytes }: KernelModule): string[] {
  const hard = modinfo(bytes, 'depends').flatMap((list) => list.split(','));
  const soft = modinfo(bytes, 'softdep').flatMap((list) => (/pre: ([^:]*)/.exec(list)?.[1] ?? '').split(' '));
  return [...hard, ...soft].filter((name) => name !== '').map((name) => name.replaceAll('-', '_'));
}

/** Files of the kernel's package; null if they are not available. Then the test is skipped (see kernel.ts). */
async function packageFiles(
  t: TestContext,
  isWanted: (path: string) => boolean,
): Promise<Awaited<ReturnType<typeof kernelPackageFiles>> | null> {
  const settings = debianSettings(process.env, Math.floor(Date.now() / 1000), () => undefined);
  try {
    return await kernelPackageFiles(parseDebianSpec('bookworm'), isWanted, settings);
  } catch (error) {
    if (!(error instanceof InputError) || process.env['DOMULATOR_NEED_KERNEL'] === '1') throw error;
    t.skip(`no kernel modules here: ${error.message}`);
    return null;
  }
}

/**
 * The modules of the kernel's package whose paths are wanted, each after its dependencies; null if they are not
 * available. Then the test is skipped.
 */
export async function kernelModules(
  t: TestContext,
  isWanted: (path: string) => boolean,
): Promise<KernelModule[] | null> {
  const files = await packageFiles(t, (path) => path.endsWith('.ko') && isWanted(path));
  if (files === null) return null;
  const modules = files.map(({ path, bytes }): KernelModule => ({ name: nameOf(path), bytes }));
  const byName = new Map(modules.map((one) => [one.name, one]));
  const ordered = new Set<KernelModule>();
  const place = (one: KernelModule): void => {
    for (const name of needs(one)) {
      const needed = byName.get(name);
      if (needed !== undefined) place(needed);
    }
    ordered.add(one);
  };
  for (const one of modules) place(one);
  return [...ordered];
}

const folder: CpioEntry = {
  path: 'modules',
  mode: fileType.directory | 0o755,
  content: new Uint8Array(),
  device: [0, 0],
};

/**
 * An initramfs that loads the modules in order and then runs `after`. It prints `loaded: NAME` or `not loaded: NAME`
 * for each module. `parameters` are module parameters by module name.
 */
export function modulesInitramfs(
  busybox: Uint8Array,
  modules: readonly KernelModule[],
  parameters: Readonly<Record<string, string>> = {},
  after = '',
): Uint8Array {
  const load = ({ name }: KernelModule): string =>
    `if insmod /modules/${name}.ko ${parameters[name] ?? ''}; then echo "loaded: ${name}"; else echo "not loaded: ${name}"; fi`;
  const init = [
    '#!/bin/busybox sh',
    'export PATH=/bin',
    'mount -t proc proc /proc',
    'mount -t devtmpfs devtmpfs /dev',
    ...modules.map(load),
    after,
    'poweroff -f',
    '',
  ].join('\n');
  const files = modules.map(({ name, bytes }): CpioEntry => ({
    path: `modules/${name}.ko`,
    mode: fileType.regular | 0o644,
    content: bytes,
    device: [0, 0],
  }));
  const applets = ['sh', 'mount', 'insmod', 'poweroff', 'awk'];
  return busyboxInitramfs(busybox, 'arm64', { applets, init, entries: [folder, ...files] });
}

/** The modules that were not loaded, according to the console. */
export function notLoaded(console: string): string[] {
  return [...console.matchAll(/^not loaded: (\w+)/gm)].map(([, name = '']) => name).sort();
}
