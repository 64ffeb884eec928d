/** Runs short A64 assembler programs on this project's engine, at EL1 with translation off. */
import { arm64, Processor } from '../../src/engine/index.js';
import type { Arm64Processor, VcpuView } from '../../src/engine/index.js';
import { a64, parseInstruction } from '../../src/isa/index.js';
import { stoppingHost } from './a64_host.js';

const ramBytes = 0x10000;
const codeStart = 0x1000;

/** Assembles a line for an address. Throws if it is not an instruction. */
export function assemble(line: string, pc: bigint): number {
  for (const definition of a64()) {
    const word = parseInstruction(definition, line, pc);
    if (word !== null) return word;
  }
  throw new Error(`no instruction is written ${line}`);
}

export class Program {
  readonly #processor: Arm64Processor;
  readonly #ram: DataView;

  constructor() {
    this.#processor = new Processor(
      arm64,
      stoppingHost(() => this.#processor, ramBytes),
      { vcpus: 1, ramBytes, decodedPages: 32 },
    );
    const { ram } = this.#processor;
    this.#ram = new DataView(ram.buffer, ram.byteOffset);
  }

  /** Runs the lines once after a reset. `prepare` sets registers first. Returns the vCPU afterwards. */
  run(lines: readonly string[], prepare: (cpu: VcpuView) => void): VcpuView {
    const all = [...lines, 'hvc #0x0'];
    for (const [index, line] of all.entries()) {
      const at = codeStart + 4 * index;
      this.#ram.setUint32(at, assemble(line, BigInt(at)), true);
    }
    this.#processor.wrote(this.#processor.ramStart + codeStart, 4 * all.length);
    const cpu = this.#processor.vcpus[0]!;
    cpu.reset();
    cpu.setSystemRegister('CPACR_EL1', 3n << 20n);
    cpu.pc = BigInt(codeStart);
    prepare(cpu);
    this.#processor.run(0, 10_000);
    return cpu;
  }
}
