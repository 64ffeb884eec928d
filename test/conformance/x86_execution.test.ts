/**
 * Executes random x86-64 instructions from random states by their semantics and on the host's own CPU, and compares registers,
 * flags, memory and faults. Only where the host is x86-64 with a C compiler. DOMULATOR_X86_WORDS, DOMULATOR_X86_SEED and
 * DOMULATOR_X86_ONLY are as in x86_disassembly.test.ts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { Dice } from './a64_draw.js';
import { drawReachable, encodings } from './x86_draw.js';
import { evaluate, evaluatedCalls } from './x86_evaluator.js';
import type { Ending, Machine } from './x86_evaluator.js';

const wanted = Number(process.env['DOMULATOR_X86_WORDS'] ?? 5_000);
const seed = Number(process.env['DOMULATOR_X86_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_X86_ONLY'] ?? '');

// The compiled test is in dist/test/conformance.
const source = fileURLToPath(new URL('../../../test/conformance/x86_runner.c', import.meta.url));
const hasCompiler = spawnSync('gcc', ['--version'], { stdio: 'ignore' }).status === 0;
const skip =
  arch() !== 'x64' || platform() !== 'linux' ? 'the host is no x86-64 Linux' : hasCompiler ? false : 'no gcc';

/** See x86_runner.c. */
const codeStart = 0x10000000n;
const start = codeStart + 0x800n;
const memoryStart = 0x20000000n;
const memoryBytes = 0x10000;
const gsBase = 0x40n;
const [testBytes, outcomeBytes, diffBytes] = [424, 528, 96];
const signals = { trap: 5n, illegal: 4n, bus: 7n, divide: 8n, segment: 11n, clock: 26n };

const pattern = Uint8Array.from({ length: memoryBytes }, (_, at) => at * 7 + (at >> 8) * 13);

const flagPlaces = { c: 0, p: 2, a: 4, z: 6, s: 7, o: 11 } as const;
const flagNames = Object.keys(flagPlaces) as (keyof typeof flagPlaces)[];
const direction = 0x400n;
/** RFLAGS.IF, which is set outside the kernel. */
const interrupt = 0x200n;

/** The memory of the machine that is evaluated: each test puts back what it changed. */
const ownMemory = pattern.slice();

interface Case {
  readonly bytes: Uint8Array;
  readonly instruction: x86_64.X86Instruction;
  readonly fields: x86_64.Fields;
  readonly registers: readonly bigint[];
  readonly flags: bigint;
  readonly vectors: readonly bigint[];
  readonly mxcsr: number;
}

const edges = [
  0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x7fffffffffffffffn,
  0x8000000000000000n, 0xffffffffffffffffn, 0xffffffff80000000n,
]; // prettier-ignore

function drawRegister(dice: Dice): bigint {
  const kind = dice.below(16);
  if (kind < 7) return memoryStart + BigInt(memoryBytes / 2 + dice.below(4096) - 2048);
  if (kind < 9) return BigInt(dice.below(70));
  if (kind < 12) return dice.pick(edges);
  if (kind < 13) return BigInt(dice.word());
  return dice.bits64();
}

/** Numbers of both formats, by their bits: zeros, subnormal ones, the smallest and largest, infinities, NaNs, and usual ones. */
const floats = {
  32: [
    0n, 1n, 0x7fffffn, 0x800000n, 0x800001n, 0x3f800000n, 0x3f800001n, 0x40400000n, 0x4effffffn, 0x4f000000n, 0x7f7fffffn, 0x7f800000n,
    0x7f800001n, 0x7fc00000n, 0x7fc12345n, 0x3effffffn, 0x3f000000n, 0x5f000000n, 0x20000000n,
  ],
  64: [
    0n, 1n, 0xfffffffffffffn, 0x10000000000000n, 0x10000000000001n, 0x3ff0000000000000n, 0x3ff0000000000001n, 0x4008000000000000n,
    0x41dfffffffc00000n, 0x41dfffffffe00000n, 0x43e0000000000000n, 0x7fefffffffffffffn, 0x7ff0000000000000n, 0x7ff0000000000001n,
    0x7ff8000000000000n, 0x7ff8000012345678n, 0x380fffffffffffffn, 0x36a0000000000000n, 0x47efffffffffffffn, 0x2000000000000000n,
  ],
} as const; // prettier-ignore

/** A vector of numbers of one format, which are close to each other now and then. */
function drawNumbers(dice: Dice, format: 32 | 64): bigint {
  const bits = BigInt(format);
  const one = (): bigint => {
    const sign = BigInt(dice.below(2)) << (bits - 1n);
    const kind = dice.below(4);
    if (kind === 0) return dice.bits64() >> (64n - bits);
    if (kind < 3) return sign | dice.pick(floats[format]);
    const exponent = BigInt((format === 32 ? 127 : 1023) + dice.below(70) - 8);
    const fraction = dice.bits64() >> (64n - bits + BigInt(format === 32 ? 9 : 12));
    return sign | (exponent << BigInt(format === 32 ? 23 : 52)) | (dice.below(3) === 0 ? 0n : fraction);
  };
  return Array.from({ length: 128 / format }, one).reduce((all, each) => (all << bits) | each, 0n);
}

/** MXCSR: rounding, flushing and cumulative exceptions vary; all exceptions are masked. */
function drawMxcsr(dice: Dice): number {
  const modes = dice.below(2) === 0 ? 0 : (dice.below(4) << 13) | dice.pick([0, 0, 0x40, 0x8000, 0x8040]);
  return 0x1f80 | modes | (dice.below(2) === 0 ? 0 : dice.below(0x40));
}

/** An XMM register: now and then with equal or extreme lanes, or a small number. */
function drawVector(dice: Dice): bigint {
  const kind = dice.below(8);
  if (kind < 3) return (dice.bits64() << 64n) | dice.bits64();
  if (kind < 4) return (dice.bits64() << 64n) | BigInt(dice.below(70));
  const byte = (): bigint => dice.pick([0n, 1n, 0x7fn, 0x80n, 0xffn]);
  if (kind < 5) return byte() * (2n ** 128n / 255n);
  return Array.from({ length: 16 }, byte).reduce((all, each) => (all << 8n) | each, 0n);
}

/** Lets the address of an operand of 16 bytes mostly be aligned, by its base. */
function align(registers: bigint[], { memory }: x86_64.Form, fields: x86_64.Fields, dice: Dice): void {
  const { base, index, scale, displacement } = fields;
  if (!memory || base >= 16 || base === index || dice.below(4) === 0) return;
  const offset = (index < 16 ? registers[index]! << BigInt(scale) : 0n) + BigInt(displacement);
  registers[base] = BigInt.asUintN(64, registers[base]! - ((registers[base]! + offset) & 15n));
}

/** Whether the evaluator can carry the instruction out, and the host may. */
function isEvaluated({ semantics }: x86_64.X86Instruction): boolean {
  const text = JSON.stringify(semantics.statements, (_, value: unknown) =>
    typeof value === 'bigint' ? '' : value,
  );
  const calls = [...text.matchAll(/"op":"system","name":"(\w+)"/g)].map(([, name = '']) => name);
  return calls.every((name) => evaluatedCalls.includes(name));
}

/** CLI and STI fault outside the kernel; moves of selectors read what the host has. */
const excluded = /^(CLI|STI|MOV_r_sreg|MOV_m16_sreg|PUSH_[fg]s)/;

/** What the host does otherwise, because it advertises more or by a relic: TZCNT, LZCNT, and LOOPcc with a repeat prefix. */
const isOther = ({ name }: x86_64.X86Instruction, { repeat }: x86_64.Fields): boolean =>
  repeat !== 0 && /^(BS[FR]_|LOOPN?E)/.test(name);

/** SHLD and SHRD of 16 bits by more than 16 are undefined. */
function isUndefined(
  { name }: x86_64.X86Instruction,
  { immediate }: x86_64.Fields,
  registers: readonly bigint[],
): boolean {
  const count = name.includes('_imm8') ? immediate : Number((registers[1] ?? 0n) & 0xffn);
  return /^SH[LR]D.*\.16/.test(name) && (count & 31) > 16;
}

/** Whether MASKMOVDQU writes nothing: whether it faults then is up to the CPU (Intel SDM, MASKMOVDQU). */
function isMaskedOut(
  { name }: x86_64.X86Instruction,
  { rm }: x86_64.Fields,
  vectors: readonly bigint[],
): boolean {
  const signs = BigInt(`0x${'80'.repeat(16)}`);
  return name.startsWith('MASKMOV') && (vectors[rm]! & signs) === 0n;
}

function drawCase(decoder: x86_64.Decoder, encoding: x86_64.Encoding, dice: Dice): Case | null {
  const drawn = drawReachable(encoding, dice, memoryStart, start);
  const found = decoder.decode(drawn, 64);
  if (found.kind !== 'instruction' || !isEvaluated(found.instruction)) return null;
  if (isOther(found.instruction, found.fields) || found.fields.segment === x86_64.segments.fs) return null;
  const registers = Array.from({ length: 16 }, () => drawRegister(dice));
  registers[4] = memoryStart + BigInt(memoryBytes / 2 + 8 * dice.below(64) + (dice.below(8) === 0 ? 3 : 0));
  if (found.instruction.form.repeat !== 0) registers[1] = BigInt(dice.below(12));
  if (isUndefined(found.instruction, found.fields, registers)) return null;
  if (found.instruction.vector) align(registers, found.instruction.form, found.fields, dice);
  const isFloat = /^(CVT|U?COMI|(ADD|SUB|MUL|DIV|MIN|MAX|SQRT|CMP)[PS][SD])/.test(found.instruction.name);
  const vectors = Array.from({ length: 16 }, () =>
    isFloat ? drawNumbers(dice, dice.pick([32, 64])) : drawVector(dice),
  );
  if (isMaskedOut(found.instruction, found.fields, vectors)) return null;
  const flags = flagNames.reduce(
    (all, name) => all | (BigInt(dice.below(2)) << BigInt(flagPlaces[name])),
    0n,
  );
  return {
    bytes: drawn.slice(0, found.fields.length),
    instruction: found.instruction,
    fields: found.fields,
    registers,
    flags: flags | (dice.below(4) === 0 ? direction : 0n),
    vectors,
    mxcsr: drawMxcsr(dice),
  };
}

const halves = (value: bigint): bigint[] => [BigInt.asUintN(64, value), value >> 64n];

/** What the host makes of all cases; see x86_runner.c. */
function runNatively(cases: readonly Case[]): DataView {
  const directory = mkdtempSync(join(tmpdir(), 'domulator-x86-'));
  try {
    const program = join(directory, 'runner');
    const compiled = spawnSync('gcc', ['-O1', '-o', program, source], { encoding: 'utf8' });
    if (compiled.status !== 0) throw new Error(`gcc: ${compiled.stderr}`);
    const input = new DataView(new ArrayBuffer(8 + cases.length * testBytes));
    input.setBigUint64(0, BigInt(cases.length), true);
    for (const [index, { registers, flags, bytes, vectors, mxcsr }] of cases.entries()) {
      const at = 8 + index * testBytes;
      for (const [number, value] of [...registers, flags].entries())
        input.setBigUint64(at + 8 * number, value, true);
      new Uint8Array(input.buffer).set(bytes, at + 136);
      input.setBigUint64(at + 152, BigInt(bytes.length), true);
      for (const [number, value] of [...vectors.flatMap(halves), BigInt(mxcsr)].entries())
        input.setBigUint64(at + 160 + 8 * number, value, true);
    }
    const run = spawnSync(program, {
      input: new Uint8Array(input.buffer),
      maxBuffer: 2 ** 30,
      timeout: 300_000,
    });
    if (run.status !== 0) throw new Error(`the runner ends with ${run.status ?? run.signal}`);
    assert.equal(run.stdout.length, cases.length * outcomeBytes);
    return new DataView(run.stdout.buffer, run.stdout.byteOffset, run.stdout.length);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Repeated instructions jump to themselves, and so may loops. */
function runByDefinition({ instruction, fields }: Case, machine: Machine): Ending {
  const isLoop = instruction.form.repeat !== 0 || instruction.name.startsWith('LOOP');
  let ending = evaluate(machine, instruction, fields);
  for (let turns = 0; isLoop && ending === 'done' && machine.pc === start && turns < 200_000; turns += 1) {
    ending = evaluate(machine, instruction, fields);
  }
  return ending;
}

function machineFor({ registers, flags, vectors, mxcsr }: Case): Machine {
  const all = [...registers, 0n, 0n, 0n, gsBase];
  const state = Array.from({ length: x86_64.x86State.places }, () => 0n);
  state[x86_64.x86State.stackMask] = 2n ** 64n - 1n;
  state[x86_64.x86State.control] = BigInt(mxcsr);
  state[x86_64.x86State.flags] = (flags & direction) | interrupt;
  return {
    registers: all,
    flags: Object.fromEntries(
      flagNames.map((name) => [name, Number((flags >> BigInt(flagPlaces[name])) & 1n)]),
    ),
    vectors: [...vectors],
    mxcsr,
    state,
    pc: start,
    memoryStart,
    memory: ownMemory,
    touched: new Set(),
    faultAt: 0n,
  };
}

const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

function compareOne(each: Case, native: DataView, at: number): string[] {
  const machine = machineFor(each);
  try {
    return outcomeDiffers(each, machine, native, at);
  } finally {
    for (const offset of machine.touched) ownMemory[offset] = pattern[offset]!;
  }
}

/** The numbers of an outcome; see x86_runner.c. */
function outcomeAt(native: DataView, at: number) {
  const number = (index: number): bigint => native.getBigUint64(at + 8 * index, true);
  return {
    register: number,
    flags: number(16),
    pc: number(17),
    signal: number(18),
    first: Number(number(19)),
    last: Number(number(20)),
    changed: (index: number): number => native.getUint8(at + 168 + index),
    mxcsr: Number(number(65)),
    vector: (index: number): bigint => number(33 + 2 * index) | (number(34 + 2 * index) << 64n),
  };
}

type Outcome = ReturnType<typeof outcomeAt>;

type Compare = (what: string, mine: number | bigint | boolean, theirs: number | bigint | boolean) => void;

function compareEnds(ending: Ending, { pc }: Machine, theirs: Outcome, compare: Compare): void {
  const isFault = theirs.signal === signals.segment || theirs.signal === signals.bus;
  if (ending === 'divideError') compare('signal', signals.divide, theirs.signal);
  else if (ending === 'fault') compare('fault', true, isFault && theirs.pc === start);
  else compare('pc', pc, theirs.pc);
}

function compareFlags(ending: Ending, each: Case, machine: Machine, theirs: Outcome, compare: Compare): void {
  const { undefinedFlags } = each.instruction.encoding;
  const compared = ending === 'divideError' ? [] : flagNames;
  for (const name of compared.filter((flag) => ending !== 'done' || !undefinedFlags.includes(flag))) {
    compare(`flag ${name}`, machine.flags[name]!, Number((theirs.flags >> BigInt(flagPlaces[name])) & 1n));
  }
}

function compareMemory({ touched, memory }: Machine, theirs: Outcome, compare: Compare): void {
  const changed = [...touched].filter((offset) => memory[offset] !== pattern[offset]).sort((a, b) => a - b);
  const [from = 1, to = 0] = [changed[0], changed.at(-1)];
  compare('memory from', from, theirs.first);
  compare('memory to', to, theirs.last);
  for (const offset of changed.filter((at) => at - from < diffBytes)) {
    compare(`byte ${offset}`, memory[offset]!, theirs.changed(offset - from));
  }
}

/** Whether an outcome does not count: what is left behind the instruction is not the test's doing. */
function isUncountable(
  ending: Ending,
  { pc, faultAt }: Machine,
  { fields }: Case,
  { signal }: Outcome,
): boolean {
  // A jump into the instruction itself goes on with its bytes; one to itself ends with the clock.
  const isWithin = pc > start && pc < start + BigInt(fields.length);
  const isEndless = signal === signals.clock && pc === start;
  // The host may write its page of code.
  const isCode = ending === 'fault' && faultAt > codeStart - 8n && faultAt < codeStart + 4096n;
  return isWithin || isEndless || isCode || (ending === 'done' && !isCanonical(pc));
}

function outcomeDiffers(each: Case, machine: Machine, native: DataView, at: number): string[] {
  const [ending, theirs] = [runByDefinition(each, machine), outcomeAt(native, at)];
  if (theirs.signal === signals.illegal) return ['the host has no such instruction'];
  if (isUncountable(ending, machine, each, theirs)) return [];
  const differ: string[] = [];
  const compare: Compare = (what, mine, other) => {
    if (mine !== other) differ.push(`${what} 0x${mine.toString(16)}, host 0x${other.toString(16)}`);
  };
  compareEnds(ending, machine, theirs, compare);
  for (const [number, name] of x86_64.registerNames.entries()) {
    compare(name, machine.registers[number]!, theirs.register(number));
  }
  for (const [number, value] of machine.vectors.entries())
    compare(`xmm${number}`, value, theirs.vector(number));
  compare('mxcsr', machine.mxcsr, theirs.mxcsr);
  compareFlags(ending, each, machine, theirs, compare);
  compareMemory(machine, theirs, compare);
  return differ;
}

test('instructions do what they do on the host', { skip }, (t) => {
  const [dice, decoder] = [new Dice(seed), x86_64.makeDecoder(x86_64.x86)];
  const chosen = encodings.filter(
    ({ name, modes }) => only.test(name) && !excluded.test(name) && modes.includes(64),
  );
  const cases = Array.from({ length: wanted }, (_, turn) =>
    drawCase(decoder, chosen[turn % chosen.length]!, dice),
  ).filter((each) => each !== null);
  const native = runNatively(cases);
  const differ = cases.flatMap((each, index) => {
    const found = compareOne(each, native, index * outcomeBytes);
    if (found.length === 0) return [];
    const registers = each.registers.map(
      (value, number) => `${x86_64.registerNames[number]}=${value.toString(16)}`,
    );
    if (each.instruction.vector)
      registers.push(
        `mxcsr=${each.mxcsr.toString(16)}`,
        ...each.vectors.map((value, number) => `xmm${number}=${value.toString(16)}`),
      );
    return [
      `${Buffer.from(each.bytes).toString('hex')} ${each.instruction.name}: ${x86_64.printInstruction(each.instruction, each.fields, start)}: ${found.join('; ')} [${registers.join(' ')} flags=${each.flags.toString(16)}]`,
    ];
  });
  const forms = new Set(cases.map(({ instruction }) => instruction.name));
  t.diagnostic(`${cases.length} instructions of ${forms.size} forms, ${differ.length} differ`);
  assert.ok(cases.length > wanted / 2);
  assert.equal(differ.length, 0, `${differ.length} differ:\n${differ.slice(0, 40).join('\n')}`);
});
