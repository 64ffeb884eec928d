/** Runs cases on the host's own CPU, by x86_runner.c. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { diffBytes, vectors, withErrorCode } from './x86_layout.js';
import type { Case, Outcome, X87State } from './x86_layout.js';

// The compiled test is in dist/test/conformance.
const source = fileURLToPath(new URL('../../../test/conformance/x86_runner.c', import.meta.url));
const hasCompiler = spawnSync('gcc', ['--version'], { stdio: 'ignore' }).status === 0;

/** Why cases cannot be run; null if they can. */
export const missingHost =
  arch() !== 'x64' || platform() !== 'linux' ? 'the host is no x86-64 Linux' : hasCompiler ? null : 'no gcc';

/** Numbers of 64 bits in a test and in an outcome, by where they are; see x86_runner.c. */
const inTest = {
  flags: 16,
  bytes: 17,
  length: 19,
  vectors: 20,
  mxcsr: 52,
  x87: 53,
  readOnly: 75,
  mode: 76,
  size: 77,
};
const changedBytes = diffBytes / 8;
const inOutcome = {
  flags: 16, pc: 17, signal: 18, vector: 19, error: 20, address: 21, first: 22, last: 23, changed: 24,
  vectors: 24 + changedBytes, mxcsr: 56 + changedBytes, x87: 57 + changedBytes, size: 79 + changedBytes,
}; // prettier-ignore

/** How many cases the runner gets at once. */
const atOnce = 20_000;

/** Signals of Linux: of INT3, of an instruction that is undefined, and of the clock. */
const signals = { illegal: 4, trap: 5, clock: 26 };

const halves = (value: bigint): bigint[] => [BigInt.asUintN(64, value), value >> 64n];

function x87Numbers({ registers, control, status, tags, ...last }: X87State): bigint[] {
  return [
    ...registers.flatMap(([mantissa, exponent]) => [mantissa, BigInt(exponent)]),
    ...[control, status, tags, last.opcode].map(BigInt),
    last.instruction,
    last.operand,
  ];
}

function writeCase(input: DataView, at: number, each: Case): void {
  const put = (index: number, values: readonly (bigint | number)[]): void => {
    for (const [offset, value] of values.entries()) {
      input.setBigUint64(at + 8 * (index + offset), BigInt(value), true);
    }
  };
  put(0, [...each.registers, each.flags]);
  new Uint8Array(input.buffer).set(each.bytes, at + 8 * inTest.bytes);
  put(inTest.length, [each.bytes.length, ...each.vectors.flatMap(halves), each.mxcsr]);
  put(inTest.x87, [...x87Numbers(each.x87), each.readOnly ? 1 : 0, each.mode]);
}

function x87At(number: (index: number) => bigint): X87State {
  const at = inOutcome.x87;
  return {
    registers: Array.from({ length: 8 }, (_, index) => [
      number(at + 2 * index),
      Number(number(at + 2 * index + 1) & 0xffffn),
    ]),
    control: Number(number(at + 16)),
    status: Number(number(at + 17)),
    tags: Number(number(at + 18)),
    opcode: Number(number(at + 19)),
    instruction: number(at + 20),
    operand: number(at + 21),
  };
}

function outcomeAt(found: DataView, at: number): Outcome {
  const number = (index: number): bigint => found.getBigUint64(at + 8 * index, true);
  const [signal, vector] = [Number(number(inOutcome.signal)), Number(number(inOutcome.vector))];
  const [first, last] = [Number(number(inOutcome.first)), Number(number(inOutcome.last))];
  const isDone = signal === signals.clock || (signal === signals.trap && vector === vectors.breakpoint);
  const fault = {
    vector,
    errorCode: withErrorCode.has(vector) ? Number(number(inOutcome.error)) : null,
    address: vector === vectors.page ? number(inOutcome.address) : null,
  };
  const count = Math.max(0, Math.min(diffBytes, last - first + 1));
  return {
    fault: isDone ? null : fault,
    registers: Array.from({ length: 16 }, (_, index) => number(index)),
    flags: number(inOutcome.flags),
    pc: number(inOutcome.pc),
    vectors: Array.from({ length: 16 }, (_, index) => {
      const place = inOutcome.vectors + 2 * index;
      return number(place) | (number(place + 1) << 64n);
    }),
    mxcsr: Number(number(inOutcome.mxcsr)),
    x87: x87At(number),
    first,
    last,
    changed: Array.from({ length: count }, (_, index) => found.getUint8(at + 8 * inOutcome.changed + index)),
    endless: signal === signals.clock,
  };
}

function runSome(program: string, cases: readonly Case[]): Outcome[] {
  const input = new DataView(new ArrayBuffer(8 + cases.length * 8 * inTest.size));
  input.setBigUint64(0, BigInt(cases.length), true);
  for (const [index, each] of cases.entries()) writeCase(input, 8 + index * 8 * inTest.size, each);
  const run = spawnSync(program, {
    input: new Uint8Array(input.buffer),
    maxBuffer: 2 ** 30,
    timeout: 300_000,
  });
  if (run.status !== 0) throw new Error(`the runner ends with ${run.status ?? run.signal}`);
  assert.equal(run.stdout.length, cases.length * 8 * inOutcome.size);
  const found = new DataView(run.stdout.buffer, run.stdout.byteOffset, run.stdout.length);
  return cases.map((_, index) => outcomeAt(found, index * 8 * inOutcome.size));
}

/** What the host makes of all cases. */
export function runNatively(cases: readonly Case[]): readonly Outcome[] {
  const directory = mkdtempSync(join(tmpdir(), 'domulator-x86-'));
  try {
    const program = join(directory, 'runner');
    const compiled = spawnSync('gcc', ['-O1', '-o', program, source], { encoding: 'utf8' });
    if (compiled.status !== 0) throw new Error(`gcc: ${compiled.stderr}`);
    const parts = Array.from({ length: Math.ceil(cases.length / atOnce) }, (_, part) =>
      cases.slice(part * atOnce, (part + 1) * atOnce),
    );
    return parts.flatMap((part) => runSome(program, part));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
