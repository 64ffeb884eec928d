/** Runs A64 words on qemu's user-mode emulation of a Cortex-A57, by the program a64_runner.c. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outcomeBytes, stateBytes, testBytes } from './a64_layout.js';

/** A word, the number of its initial state, and whether it may write memory. */
export interface WordTest {
  readonly word: number;
  readonly state: number;
  readonly stores: boolean;
}

const emulator = 'qemu-aarch64';
const compiler = 'aarch64-linux-gnu-gcc';
// The compiled test is in dist/test/conformance.
const source = fileURLToPath(new URL('../../../test/conformance/a64_runner.c', import.meta.url));

function missing(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status !== 0;
}

/** Why there is no reference; null if there is one. */
export function missingReference(): string | null {
  const lacking = [emulator, compiler].filter(missing);
  return lacking.length === 0 ? null : `no ${lacking.join(', no ')}`;
}

/** The CPU of qemu that corresponds to this project's. */
export const referenceCpu = 'cortex-a57';
/**
 * A later CPU, for instructions with features that the first lacks. It must have these features, but not be so new that
 * other features change their behaviour: from Armv8.4 on (FEAT_LSE2) some accesses need no alignment.
 */
export const laterCpu = 'cortex-a76';

export class Reference {
  readonly cpu: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'domulator-a64-'));
  readonly #program = join(this.#directory, 'runner');

  /** Compiles the program for a CPU of qemu. Throws on compiler errors. */
  constructor(cpu: string = referenceCpu) {
    this.cpu = cpu;
    const options =
      '-O1 -static -nostdlib -ffreestanding -mgeneral-regs-only -fno-stack-protector -fno-pie -no-pie';
    const { status, stderr } = spawnSync(compiler, [...options.split(' '), '-o', this.#program, source], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${compiler}: ${stderr}`);
  }

  /** The outcomes of `tests` in order; see a64_layout.ts. */
  run(states: Uint8Array, tests: readonly WordTest[]): DataView {
    const input = new Uint8Array(8 + states.length + tests.length * testBytes);
    const view = new DataView(input.buffer);
    view.setUint32(0, states.length / stateBytes, true);
    view.setUint32(4, tests.length, true);
    input.set(states, 8);
    for (const [index, { word, state, stores }] of tests.entries()) {
      const at = 8 + states.length + index * testBytes;
      view.setUint32(at, word, true);
      view.setUint32(at + 4, state, true);
      view.setUint32(at + 8, stores ? 1 : 0, true);
    }
    const { stdout, status, signal } = spawnSync(emulator, ['-cpu', this.cpu, this.#program], {
      input,
      maxBuffer: 2 ** 30,
    });
    if (status !== 0 || stdout.length !== tests.length * outcomeBytes) {
      throw new Error(`${emulator} ended with ${status ?? signal} after ${stdout.length} bytes`);
    }
    return new DataView(stdout.buffer, stdout.byteOffset, stdout.length);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
