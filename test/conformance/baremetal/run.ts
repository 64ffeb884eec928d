/**
 * Runs a bare-metal test twice: on QEMU's `virt` board with a Cortex-A57, and on this project's own vCPU with the same
 * memory and a UART at the same address. The outputs are compared.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { arm64, Processor } from '../../../src/engine/index.js';
import type { Arm64Processor, Arm64Host } from '../../../src/engine/index.js';
import { outputOnQemu, readElf } from '../baremetal_program.js';

const compiler = 'aarch64-linux-gnu-gcc';
const emulator = 'qemu-system-aarch64';

/** The board's memory, and the data register of its UART. */
const ram = { start: 0x40000000, bytes: 64 << 20 } as const;
const uart = 0x09000000;
/** PSCI functions. */
const systemOff = 0x84000008n;
const cpuOn = 0xc4000003n;
const instructionLimit = 200_000_000;

function runs(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Why the tests cannot run here; null if they can. */
export function missingTool(): string | null {
  return [compiler, emulator].find((command) => !runs(command)) ?? null;
}

/** Compiles a test. Throws Error with the compiler's output. */
export function compileTest(sources: string, name: string, defines: readonly string[] = []): Uint8Array {
  const directory = mkdtempSync(path.join(tmpdir(), 'domulator-baremetal-'));
  try {
    const output = path.join(directory, 'test.elf');
    const inputs = ['runtime.S', 'bare.c', `${name}.c`].map((file) => path.join(sources, file));
    const options = [
      '-O1', '-ffreestanding', '-nostdlib', '-static', '-mgeneral-regs-only', '-fno-pie', '-no-pie', '-march=armv8-a+crc',
      '-fno-stack-protector', '-mstrict-align', ...defines.map((define) => `-D${define}`), '-Wall', '-Werror', '-Wl,--build-id=none', '-Wa,-march=armv8.2-a', '-Wl,-z,noexecstack',
      '-T', path.join(sources, 'bare.lds'), '-Wl,--no-warn-rwx-segments',
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

/** The output of the test on QEMU. */
export function runOnQemu(elf: Uint8Array, cpu = 'cortex-a57', cpus = 1): string {
  const board = ['-M', 'virt', '-cpu', cpu, '-smp', String(cpus), '-m', String(ram.bytes >> 20)];
  const shows = ['-display', 'none', '-nic', 'none', '-serial', 'stdio', '-monitor', 'none'];
  return outputOnQemu(emulator, elf, [...board, ...shows]);
}

/** The emulated board here: its output, and the CPUs that are on. */
interface Board {
  printed: string;
  off: boolean;
  readonly running: boolean[];
}

/** The part of PSCI over HVC that the tests call: SYSTEM_OFF and CPU_ON (Arm DEN 0022). */
function psci(board: Board, processor: Arm64Processor, vcpu: number): boolean {
  const caller = processor.vcpus[vcpu];
  const called = caller?.register(0);
  if (caller === undefined || (called !== systemOff && called !== cpuOn)) return false;
  if (called === systemOff) {
    board.off = true;
    processor.stop();
    return true;
  }
  const target = Number(caller.register(1));
  const started = processor.vcpus[target];
  const alreadyOn = board.running[target] === true;
  caller.setRegister(0, BigInt.asUintN(64, started === undefined ? -2n : alreadyOn ? -4n : 0n));
  if (started === undefined || alreadyOn) return true;
  started.reset();
  started.pc = caller.register(2);
  started.setRegister(0, caller.register(3));
  board.running[target] = true;
  return true;
}

function boardHost(board: Board, processor: () => Arm64Processor): Arm64Host {
  return {
    memory: {
      frame: (address) => {
        const offset = address - ram.start;
        return offset >= 0 && offset < ram.bytes ? processor().ramStart + offset : -1;
      },
      read: (_vcpu, address) => (address >= uart && address < uart + 4096 ? 0n : null),
      write: (_vcpu, address, _bytes, value) => {
        if (address === uart) board.printed += String.fromCharCode(Number(value & 0xffn));
        return address >= uart && address < uart + 4096;
      },
    },
    registers: { read: () => 'undefined', write: () => 'undefined' },
    call: (vcpu, kind) => kind === 'hvc' && psci(board, processor(), vcpu),
  };
}

/** The output of the test here. `change` may modify the CPU first. The CPUs run in time slices of varying lengths. */
export function runHere(
  elf: Uint8Array,
  change: (processor: Arm64Processor) => void = () => undefined,
  cpus = 1,
): string {
  const board: Board = { printed: '', off: false, running: [true] };
  const host = boardHost(board, () => processor);
  const processor: Arm64Processor = new Processor(arm64, host, {
    vcpus: cpus,
    ramBytes: ram.bytes,
    decodedPages: 256,
  });
  const { entry, segments } = readElf(elf);
  for (const { address, bytes } of segments) processor.ram.set(bytes, address - ram.start);
  const [first] = processor.vcpus;
  if (first === undefined) throw new Error('there is no vCPU');
  first.pc = entry;
  change(processor);
  let executed = 0;
  for (let turn = 0; !board.off && executed < instructionLimit; turn += 1) {
    const vcpu = turn % cpus;
    const budget = cpus === 1 ? 100_000 : 40 + ((turn * 7919) % 1201);
    if (board.running[vcpu] === true) executed += processor.run(vcpu, budget).executed;
    else executed += 1;
  }
  return board.off ? board.printed : `${board.printed}\nno end after ${executed} instructions`;
}
