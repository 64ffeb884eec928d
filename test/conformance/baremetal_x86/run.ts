/**
 * Runs a bare-metal test twice: on QEMU's `microvm` board, and on this project's own board, with the same memory. Both enter the
 * program as a PVH kernel, and print what it writes to port 0xe9. The outputs are compared.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DomainConfig } from '../../../src/hypervisor/index.js';
import { apicIdOfVcpu, xenVcpuId } from '../../../src/identity/index.js';
import type { CpuModel } from '../../../src/isa/x86_64/index.js';
import type { X86Machine } from '../../../src/machine/x86_64/index.js';
import { x86Machine } from '../../../src/machine/x86_64/index.js';
import { outputOnQemu, readElf } from '../baremetal_program.js';

const compiler = 'gcc';
const emulator = 'qemu-system-x86_64';
const ramMiB = 32;
const limits = { instructions: 100_000_000, guestNs: 20_000_000_000n };

function runs(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Why the tests cannot run here; null if they can. */
export function missingTool(): string | null {
  if (process.arch !== 'x64') return 'compiler for x86-64';
  return [compiler, emulator].find((command) => !runs(command)) ?? null;
}

/** Compiles a test. Throws Error with the compiler's output. */
export function compileTest(sources: string, name: string): Uint8Array {
  const directory = mkdtempSync(path.join(tmpdir(), 'domulator-baremetal-'));
  try {
    const output = path.join(directory, 'test.elf');
    const inputs = ['runtime.S', 'bare.c', `${name}.c`].map((file) => path.join(sources, file));
    const options = [
      '-O1', '-m64', '-ffreestanding', '-nostdlib', '-static', '-mgeneral-regs-only', '-mno-red-zone', '-mcmodel=small', '-fno-pie', '-no-pie',
      '-fno-stack-protector', '-fcf-protection=none', '-fno-asynchronous-unwind-tables', '-Wall', '-Werror', '-Wl,--build-id=none',
      '-Wl,-z,noexecstack', '-Wl,-z,max-page-size=4096', '-T', path.join(sources, 'bare.lds'), '-Wl,--no-warn-rwx-segments',
    ]; // prettier-ignore
    const { status, stderr } = spawnSync(compiler, [...options, '-o', output, ...inputs], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${name}.c: ${stderr}`);
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The features that the CPU has here, and pages of 1 GiB, which it has without advertising them. */
const cpu =
  'qemu64,vendor=AuthenticAMD,+pdpe1gb,-svm,-sse3,-cx16,-lahf_lm,-popcnt,-sse4a,-abm,-de,-vme,-mca,-mce,-mtrr';

/** Those of the model v2, but for PCID and INVPCID, which QEMU 7.2 lacks. */
const widerCpu =
  'qemu64,vendor=AuthenticAMD,+pdpe1gb,-svm,-sse4a,-abm,-de,-vme,-mca,-mce,-mtrr,+cx16,+lahf_lm,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2,' +
  '+rdtscp,+fsgsbase,+smep,+smap,+erms,+xsave,+xsaveopt';

/** The output of the test on QEMU. */
export function runOnQemu(elf: Uint8Array, cpus = 1, model: CpuModel = 'minimal'): string {
  const asked = model === 'minimal' ? cpu : widerCpu;
  const board = ['-M', 'microvm', '-accel', 'tcg', '-cpu', asked, '-smp', String(cpus), '-m', String(ramMiB)];
  const ends = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=1', '-no-reboot'];
  const shows = ['-display', 'none', '-nic', 'none', '-serial', 'none', '-monitor', 'none'];
  const prints = ['-chardev', 'stdio,id=out', '-device', 'isa-debugcon,iobase=0xe9,chardev=out'];
  return outputOnQemu(emulator, elf, [...board, ...ends, ...shows, ...prints]);
}

/** What a program did here. */
export interface OwnRun {
  readonly machine: X86Machine;
  readonly printed: string;
  readonly stopped: string;
  /** What the CPU or the board lacks, and how often it was asked for. */
  readonly unimplemented: ReadonlyMap<string, number>;
}

/** Runs the test here. */
export function runHere(
  elf: Uint8Array,
  cpus = 1,
  seed = 1,
  hvm = false,
  cpuModel: CpuModel = 'minimal',
): OwnRun {
  const config: DomainConfig = {
    kind: hvm ? 'pvhvm' : 'pvh',
    release: '4.17',
    domid: 1,
    ram: [{ start: 0, count: ramMiB * 256 }],
    xenFrames: { start: 2 ** 28, count: 80 },
    hardwareIds: Array.from({ length: cpus }, (_, vcpu) => apicIdOfVcpu(xenVcpuId(vcpu))),
    fifo: true,
    softReset: false,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(0),
  };
  const lines: string[] = [];
  const { entry, segments } = readElf(elf);
  const machine = x86Machine(
    { config, seed, entry, bootInformation: 0x7000n, cpu: cpuModel },
    { uart: () => undefined, xenConsole: (line) => void lines.push(line) },
  );
  for (const { address, bytes } of segments) machine.load(BigInt(address), bytes);
  const stopped = machine.run(limits.instructions, limits.guestNs);
  return { machine, printed: lines.join('\n'), stopped, unimplemented: machine.board.unimplemented };
}
