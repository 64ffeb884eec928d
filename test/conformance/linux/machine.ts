/**
 * Boots a Debian kernel under QEMU on generated tables, and determines how it numbered its CPUs: from the output of a
 * small init that reads /sys and /proc, and on arm64 from the kernel's messages about the CPUs that it booted.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileType, writeCpio } from '../../../src/firmware/index.js';
import type { CpioEntry } from '../../../src/firmware/index.js';
import { compiledTree } from './tables.js';
import type { TreeSource } from './tables.js';

export type LinuxArch = 'arm64' | 'amd64';

/** The number of emulated CPUs. Their MPIDR or APIC id is 0 to 3, and the kernel is entered on 0. */
export const machineCpus = 4;

const firmware = '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd';
const compilers: Readonly<Record<LinuxArch, readonly string[]>> = {
  arm64: process.arch === 'arm64' ? ['aarch64-linux-gnu-gcc', 'gcc'] : ['aarch64-linux-gnu-gcc'],
  amd64: process.arch === 'x64' ? ['x86_64-linux-gnu-gcc', 'gcc'] : ['x86_64-linux-gnu-gcc'],
};
const emulators: Readonly<Record<LinuxArch, string>> = {
  arm64: 'qemu-system-aarch64',
  amd64: 'qemu-system-x86_64',
};

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function compilerFor(arch: LinuxArch): string | undefined {
  return compilers[arch].find((command) => runs(command, '--version'));
}

/** Why nothing can be booted here; null if it can. */
export function missingMachine(arch: LinuxArch): string | null {
  if (!runs(emulators[arch], '--version')) return `no ${emulators[arch]} (qemu-system)`;
  if (compilerFor(arch) === undefined) return `no C compiler for ${arch}`;
  if (!runs('dtc', '--version')) return 'no dtc (device-tree-compiler)';
  if (!runs('iasl', '-v')) return 'no iasl (acpica-tools)';
  return arch === 'arm64' && !existsSync(firmware) ? `no ${firmware} (qemu-efi-aarch64)` : null;
}

/** The tables for the kernel. */
export type Tables =
  | { readonly kind: 'devicetree'; readonly tree: TreeSource }
  /** Replaces the firmware's MADT. */
  | { readonly kind: 'acpi'; readonly madt: Uint8Array };

/** How a kernel numbered its CPUs. The masks are as /sys prints them: `0,2-3`. */
export interface Observed {
  readonly possible: string;
  readonly present: string;
  readonly online: string;
  /** For the CPUs that ran: Linux CPU to MPIDR or APIC id. */
  readonly hardware: ReadonlyMap<number, number>;
}

/** Addresses of an arm64 kernel and its data in the 384 MiB from 0x40000000 on. */
const places = {
  kernel: 0x4020_0000,
  tree: 0x5000_0000,
  initrd: 0x5100_0000,
  entry: 0x5200_0000,
} as const;

/**
 * Code that enters the kernel by its boot protocol (Linux Documentation/arm64/booting.rst): the tree's address in X0,
 * X1 to X3 zero.
 */
function entryCode(): Uint8Array {
  const words = [
    0x580000c0, // ldr x0, tree
    0x580000e4, // ldr x4, kernel
    0xd2800001, // mov x1, #0
    0xd2800002, // mov x2, #0
    0xd2800003, // mov x3, #0
    0xd61f0080, // br x4
    ...[places.tree, 0],
    ...[places.kernel, 0],
  ];
  return new Uint8Array(Uint32Array.from(words).buffer);
}

/** Guest time is the instruction count, so that load on the host does not affect the guest. */
const clock = ['-accel', 'tcg,thread=single', '-icount', 'shift=3,sleep=off'];
const quiet = ['-nic', 'none', '-nographic', '-no-reboot'];

const directory = (path: string): CpioEntry => ({
  path,
  mode: fileType.directory | 0o755,
  content: new Uint8Array(),
  device: [0, 0],
});

function file(path: string, content: Uint8Array): CpioEntry {
  return { path, mode: fileType.regular | 0o755, content, device: [0, 0] };
}

/** A temporary folder, and the files shared by all boots of one architecture. */
export class LinuxMachine {
  readonly folder = mkdtempSync(join(tmpdir(), 'domulator-linux-'));
  readonly arch: LinuxArch;
  readonly #init: Uint8Array;

  constructor(arch: LinuxArch) {
    this.arch = arch;
    const init = join(this.folder, 'init');
    const flags = [
      '-O2',
      '-static',
      '-nostdlib',
      '-ffreestanding',
      '-fno-stack-protector',
      '-fno-pie',
      '-no-pie',
    ];
    const source = 'test/conformance/linux/init.c';
    const { status, stderr } = spawnSync(compilerFor(arch) ?? '', [...flags, '-o', init, source], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    this.#init = readFileSync(init);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #write(name: string, content: Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  /** The initramfs. The MADT that replaces the firmware's is before it, uncompressed (ACPI_TABLE_UPGRADE). */
  #initramfs(tables: Tables): Uint8Array {
    const initramfs = writeCpio([directory('sys'), directory('proc'), file('init', this.#init)]);
    if (tables.kind === 'devicetree') return initramfs;
    const folders = ['kernel', 'kernel/firmware', 'kernel/firmware/acpi'].map(directory);
    const tablesFirst = writeCpio([...folders, file('kernel/firmware/acpi/APIC.aml', tables.madt)]);
    return Buffer.concat([tablesFirst, initramfs]);
  }

  /** Boots with QEMU's own boot loader, which provides the kernel and the firmware's tables. */
  #usualBoot(kernel: Uint8Array, initrd: Uint8Array, commandLine: string): string[] {
    const board =
      this.arch === 'amd64'
        ? ['-M', 'q35', '-cpu', 'qemu64']
        : ['-M', 'virt,gic-version=3', '-cpu', 'cortex-a57', '-bios', firmware];
    const files = ['-kernel', this.#write('kernel', kernel), '-initrd', this.#write('initrd', initrd)];
    const first = this.arch === 'amd64' ? 'console=ttyS0' : 'console=ttyAMA0 acpi=force';
    return [...board, ...files, '-append', `${first} ${commandLine}`];
  }

  /** Boots with our own boot loader, because QEMU's adds its own psci node to every tree. */
  #treeBoot(kernel: Uint8Array, initrd: Uint8Array, commandLine: string, tree: TreeSource): string[] {
    const chosen = {
      commandLine: `console=ttyAMA0 ${commandLine}`,
      initrd: { start: places.initrd, end: places.initrd + initrd.length },
    };
    const load = (name: string, content: Uint8Array, address: number): string[] => [
      '-device',
      `loader,file=${this.#write(name, content)},addr=${address},force-raw=on`,
    ];
    return [
      ...['-M', 'virt,gic-version=3', '-cpu', 'cortex-a57'],
      ...load('kernel', kernel, places.kernel),
      ...load('tree.dtb', compiledTree(tree, chosen), places.tree),
      ...load('initrd', initrd, places.initrd),
      ...load('entry', entryCode(), places.entry),
      ...['-device', `loader,addr=${places.entry},cpu-num=0`],
    ];
  }

  /** Boots `kernel`. Throws if it does not reach init within ten minutes. */
  boot(kernel: Uint8Array, tables: Tables, commandLine: string): Observed {
    const all = `cryptomgr.notests panic=-1 ${commandLine}`;
    const initrd = this.#initramfs(tables);
    const boot =
      tables.kind === 'devicetree'
        ? this.#treeBoot(kernel, initrd, all, tables.tree)
        : this.#usualBoot(kernel, initrd, all);
    const { stdout, stderr } = spawnSync(
      emulators[this.arch],
      [...boot, ...['-m', '384', '-smp', String(machineCpus)], ...clock, ...quiet],
      { encoding: 'latin1', input: '', timeout: 600_000, maxBuffer: 1 << 26 },
    );
    return observed(stdout.replaceAll('\r', ''), stderr);
  }
}

/** Parses a console output. Throws if the boot is incomplete. */
function observed(console: string, stderr: string): Observed {
  assert.match(
    console,
    /^@end$/m,
    `the kernel did not come as far as init:\n${console.slice(-2000)}${stderr}`,
  );
  const valueOf = (key: string): string => new RegExp(`^@${key}=(.*)$`, 'm').exec(console)?.[1] ?? '?';
  const hardware = new Map<number, number>();
  for (const [, id] of console.matchAll(/Booting Linux on physical CPU 0x([0-9a-f]+)/g)) {
    hardware.set(0, Number.parseInt(id ?? '', 16));
  }
  for (const [, cpu, id] of console.matchAll(/CPU(\d+): Booted secondary processor 0x([0-9a-f]+)/g)) {
    hardware.set(Number(cpu), Number.parseInt(id ?? '', 16));
  }
  for (const [, cpu, id] of console.matchAll(
    /^(?:@cpuinfo=)?processor\t: (\d+)\n(?:.+\n)*?apicid\t\t: (\d+)/gm,
  )) {
    hardware.set(Number(cpu), Number(id));
  }
  return { possible: valueOf('possible'), present: valueOf('present'), online: valueOf('online'), hardware };
}
