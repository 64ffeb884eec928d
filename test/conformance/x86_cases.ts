/** Draws random x86-64 instructions with random states to run them from, all derived from a seed. */
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { Dice } from './a64_draw.js';
import { drawReachable, encodings } from './x86_draw.js';
import { directionFlag, flagNames, flagPlaces, memoryBytes, memoryStart, start } from './x86_layout.js';
import type { Case, X87State } from './x86_layout.js';

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

/** MXCSR: rounding, flushing and cumulative exceptions vary; now and then some exceptions are not masked. */
function drawMxcsr(dice: Dice): number {
  const modes = dice.below(2) === 0 ? 0 : (dice.below(4) << 13) | dice.pick([0, 0, 0x40, 0x8000, 0x8040]);
  const masks = dice.below(4) === 0 ? dice.below(0x40) << 7 : 0x1f80;
  return masks | modes | (dice.below(2) === 0 ? 0 : dice.below(0x40));
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

const callsOf = new Map<x86_64.X86Instruction, readonly string[]>();

/** The system calls that an instruction may make. */
function systemCallsOf(instruction: x86_64.X86Instruction): readonly string[] {
  const known = callsOf.get(instruction);
  if (known !== undefined) return known;
  const text = JSON.stringify(instruction.semantics.statements, (_, value: unknown) =>
    typeof value === 'bigint' ? '' : value,
  );
  const calls = [...text.matchAll(/"op":"system","name":"(\w+)"/g)].map(([, name = '']) => name);
  callsOf.set(instruction, calls);
  return calls;
}

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

/** Whether MASKMOVDQU or MASKMOVQ writes nothing: whether it faults then is up to the CPU (Intel SDM, MASKMOVDQU). */
function isMaskedOut(
  { name }: x86_64.X86Instruction,
  { rm }: x86_64.Fields,
  vectors: readonly bigint[],
  { registers, status }: X87State,
): boolean {
  const signs = BigInt(`0x${'80'.repeat(16)}`);
  // MMX registers are numbered as the CPU has them, and those of x87 from the top on.
  const mask = name.startsWith('MASKMOVQ') ? registers[(rm - (status >> 11)) & 7]![0] : vectors[rm]!;
  return name.startsWith('MASKMOV') && (mask & signs) === 0n;
}

/** An empty x87, as FNINIT leaves it. */
export const initialX87 = {
  registers: Array.from({ length: 8 }, () => [0n, 0] as const),
  control: 0x37f,
  status: 0,
  tags: 0,
  opcode: 0,
  instruction: 0n,
  operand: 0n,
};

/** Numbers of 80 bits: zeros, denormal ones, the smallest and largest, infinities, NaNs, unsupported ones, integers, usual ones. */
function drawExtended(dice: Dice): readonly [bigint, number] {
  const sign = dice.below(2) << 15;
  const top = 1n << 63n;
  const kind = dice.below(8);
  if (kind < 2) {
    const [mantissa, exponent] = dice.pick([
      [0n, 0], [1n, 0], [top, 0], [top - 1n, 0], [top, 1], [top | 1n, 1], [2n ** 64n - 1n, 0x7ffe], [top, 0x7fff], [top | 1n, 0x7fff],
      [top | (1n << 62n), 0x7fff], [top | (1n << 62n) | 5n, 0x7fff], [0n, 0x7fff], [5n, 0x3fff], [top, 0x3fff], [top, 0x4000],
    ] as const); // prettier-ignore
    return [mantissa, exponent | sign];
  }
  if (kind < 3) return [dice.bits64(), dice.below(0x8000) | sign];
  const digits = dice.pick([1, 11, 24, 25, 53, 54, 64]);
  const mantissa = top | ((dice.bits64() >> BigInt(64 - digits)) << BigInt(64 - digits));
  const exponent =
    kind < 4
      ? dice.pick([1, 2, 0x3f80, 0x3c01, 0x3f6a, 0x43fe, 0x407e, 0x7ffd])
      : 0x3fff + dice.below(80) - 20;
  return [mantissa, exponent | sign];
}

function drawX87(dice: Dice, mayBePending: boolean): X87State {
  const top = dice.below(8);
  const masks = dice.below(4) === 0 ? dice.below(0x40) : 0x3f;
  const control = masks | 0x40 | (dice.pick([0, 2, 3, 3, 3]) << 8) | (dice.below(4) << 10);
  // An exception that is not masked is pending.
  const isPending = mayBePending && dice.below(8) === 0;
  const raised = dice.below(2) === 0 ? 0 : dice.below(0x40) & (isPending ? 0x3f : masks);
  return {
    registers: Array.from({ length: 8 }, () => drawExtended(dice)),
    control,
    status: (top << 11) | raised | (dice.below(2) === 0 ? 0 : dice.below(8) << 8) | (dice.below(2) << 14),
    tags: dice.below(3) === 0 ? dice.below(256) : 0xff & ~(dice.below(2) === 0 ? 1 << ((top - 1) & 7) : 0),
    opcode: dice.below(0x800),
    instruction: dice.bits64() >> 17n,
    operand: dice.bits64() >> 17n,
  };
}

const isMmx = ({ feature }: x86_64.X86Instruction): boolean => feature?.startsWith('mmx') === true;

/** As `drawX87`, with values for MMX registers as XMM registers have them. Now and then an exception is pending. */
function drawMmx(dice: Dice, isFloat: boolean): X87State {
  const state = drawX87(dice, false);
  const draw = (): bigint => BigInt.asUintN(64, isFloat ? drawNumbers(dice, 32) : drawVector(dice));
  const registers = state.registers.map(([, exponent]) => [draw(), exponent] as const);
  if (dice.below(8) !== 0) return { ...state, registers };
  const bit = 1 << dice.below(6);
  return {
    ...state,
    registers,
    control: state.control & ~bit,
    status: state.status | bit | 0x8080,
  };
}

function x87Of(instruction: x86_64.X86Instruction, dice: Dice, isFloat: boolean): X87State {
  if (isMmx(instruction)) return drawMmx(dice, isFloat);
  if (instruction.feature?.startsWith('fpu') !== true) return initialX87;
  const state = drawX87(dice, true);
  const isKept = (state.status & ~state.control & 0x3f) !== 0;
  // The pointers are lost if the host saves and restores its state before an exception is pending.
  return isKept || !/^FN(STENV|SAVE)/.test(instruction.name)
    ? state
    : { ...state, opcode: 0, instruction: 0n, operand: 0n };
}

/** Segments whose use depends on the host: FS, and in 32-bit code GS too. */
const isHostSegment = (mode: 32 | 64, { segment }: x86_64.Fields): boolean =>
  segment === x86_64.segments.fs || (mode === 32 && segment === x86_64.segments.gs);

/** A case of an encoding; null where the draw gave none, or one whose outcome is not defined. */
function drawCase(
  decoder: x86_64.Decoder,
  encoding: x86_64.Encoding,
  dice: Dice,
  { mode, calls }: Pick<Drawing, 'mode' | 'calls'>,
): Case | null {
  const drawn = drawReachable(encoding, dice, memoryStart, start, mode);
  const found = decoder.decode(drawn, mode);
  if (found.kind !== 'instruction') return null;
  if (!systemCallsOf(found.instruction).every((name) => calls.includes(name))) return null;
  if (isOther(found.instruction, found.fields) || isHostSegment(mode, found.fields)) return null;
  const registers = Array.from({ length: 16 }, (_, number) => {
    const value = drawRegister(dice);
    return mode === 64 ? value : number < 8 ? BigInt.asUintN(32, value) : 0n;
  });
  registers[4] = memoryStart + BigInt(memoryBytes / 2 + 8 * dice.below(64) + (dice.below(8) === 0 ? 3 : 0));
  if (found.instruction.form.repeat !== 0) registers[1] = BigInt(dice.below(12));
  if (isUndefined(found.instruction, found.fields, registers)) return null;
  if (found.instruction.vector) align(registers, found.instruction.form, found.fields, dice);
  const isFloat =
    /^(CVT|U?COMI|(ADD|SUB|MUL|DIV|MIN|MAX|SQRT|CMP|RCP|RSQRT|ADDSUB|HADD|HSUB|ROUND|DP)[PS][SD])/.test(
      found.instruction.name,
    );
  const vectors = Array.from({ length: 16 }, () =>
    isFloat ? drawNumbers(dice, dice.pick([32, 64])) : drawVector(dice),
  );
  const x87 = x87Of(found.instruction, dice, isFloat);
  if (isMaskedOut(found.instruction, found.fields, vectors, x87)) return null;
  const flags = flagNames.reduce(
    (all, name) => all | (BigInt(dice.below(2)) << BigInt(flagPlaces[name])),
    0n,
  );
  return {
    mode,
    bytes: drawn.slice(0, found.fields.length),
    instruction: found.instruction,
    fields: found.fields,
    registers,
    flags: flags | (dice.below(4) === 0 ? directionFlag : 0n),
    vectors,
    mxcsr: drawMxcsr(dice),
    x87,
    readOnly: dice.below(6) === 0,
  };
}

/** What cases to draw. */
export interface Drawing {
  readonly mode: 32 | 64;
  /** How many draws; some give no case. */
  readonly count: number;
  readonly seed: number;
  /** The system calls that instructions may make. */
  readonly calls: readonly string[];
  /** Encodings by name. */
  readonly only: RegExp;
  readonly excluded: RegExp;
}

/** Cases of all encodings in turn. */
export function drawCases({ mode, count, seed, calls, only, excluded }: Drawing): readonly Case[] {
  const [dice, decoder] = [new Dice(seed), x86_64.makeDecoder(x86_64.x86)];
  const chosen = encodings.filter(
    ({ name, modes }) => only.test(name) && !excluded.test(name) && modes.includes(mode),
  );
  return Array.from({ length: chosen.length === 0 ? 0 : count }, (_, turn) =>
    drawCase(decoder, chosen[turn % chosen.length]!, dice, { mode, calls }),
  ).filter((each) => each !== null);
}
