/** Compares what two ways of running a case lead to. */
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { codeStart, flagNames, flagPlaces, start, vectors } from './x86_layout.js';
import type { Case, Fault, Outcome, X87State } from './x86_layout.js';

type Value = number | bigint | boolean;
type Compare = (what: string, mine: Value, theirs: Value) => void;

/** What is compared: whether both tell #SS from #GP, and whether `theirs` is what the host's CPU did. */
interface Kind {
  readonly isExact: boolean;
  readonly isNative: boolean;
}

const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

/** Whether two outcomes do not count: what is left behind the instruction is not the test's doing. */
function isUncountable({ fields }: Case, mine: Outcome, theirs: Outcome): boolean {
  // A jump into the instruction itself goes on with its bytes; one that never ends is ended somewhere.
  const isWithin = (pc: bigint): boolean => pc > start && pc < start + BigInt(fields.length);
  // Pages of code may be written, but the definitions have none.
  const isCode = ({ fault }: Outcome): boolean =>
    fault?.address !== undefined &&
    fault.address !== null &&
    fault.address >= codeStart - 8n &&
    fault.address < codeStart + 4096n;
  const isLost = mine.fault === null && !isCanonical(mine.pc);
  return isWithin(mine.pc) || isWithin(theirs.pc) || mine.endless || isCode(mine) || isLost;
}

function compareFaults(
  { instruction }: Case,
  mine: Fault,
  theirs: Fault,
  { isExact, isNative }: Kind,
  compare: Compare,
): void {
  // CPUs of one vendor differ in which of its two operands CMPS reads first.
  const isAccess = ({ vector }: Fault): boolean => vector === vectors.page || vector === vectors.protection;
  const isOther = mine.vector !== theirs.vector || mine.address !== theirs.address;
  if (isNative && isOther && /^CMPS[BWLQ]/.test(instruction.name) && isAccess(mine) && isAccess(theirs))
    return;
  // Which of its bytes MASKMOVDQU faults at is up to the CPU.
  const isAddressKnown = !instruction.name.startsWith('MASKMOV');
  const { page, stack, protection } = vectors;
  // The definitions do not know which of both an access outside the canonical addresses is.
  const kindOf = ({ vector }: Fault): number => (!isExact && vector === stack ? protection : vector);
  compare('vector', kindOf(mine), kindOf(theirs));
  if (mine.vector !== theirs.vector) return;
  // Linux does not tell user code which of its own addresses are there (arch/x86/mm/fault.c, sanitize_error_code).
  const isHigh = mine.vector === page && (theirs.address ?? 0n) >> 47n !== 0n;
  const code = ({ errorCode }: Fault): number => (errorCode ?? -1) | (isHigh ? 1 : 0);
  compare('error code', code(mine), code(theirs));
  if (isAddressKnown) compare('address', mine.address ?? 0n, theirs.address ?? 0n);
}

function compareEnds(each: Case, mine: Outcome, theirs: Outcome, kind: Kind, compare: Compare): void {
  const name = ({ fault }: Outcome): number => fault?.vector ?? -1;
  if (mine.fault === null || theirs.fault === null) compare('vector', name(mine), name(theirs));
  else compareFaults(each, mine.fault, theirs.fault, kind, compare);
  compare('pc', mine.pc, theirs.pc);
}

function compareFlags({ instruction }: Case, mine: Outcome, theirs: Outcome, compare: Compare): void {
  const { undefinedFlags } = instruction.encoding;
  const isDone = mine.fault === null;
  // What a division that fails leaves in them is not defined.
  const compared = mine.fault?.vector === vectors.divideError ? [] : flagNames;
  for (const name of compared.filter((flag) => !isDone || !undefinedFlags.includes(flag))) {
    const bit = ({ flags }: Outcome): number => Number((flags >> BigInt(flagPlaces[name])) & 1n);
    compare(`flag ${name}`, bit(mine), bit(theirs));
  }
}

function compareMemory(mine: Outcome, theirs: Outcome, compare: Compare): void {
  compare('memory from', mine.first, theirs.first);
  compare('memory to', mine.last, theirs.last);
  for (const [at, byte] of mine.changed.entries())
    compare(`byte ${mine.first + at}`, byte, theirs.changed[at] ?? -1);
}

/** Functions whose results CPUs may give with an error below one unit in the last place (Intel SDM, volume 1, 8.3.10). */
const isApproximate = ({ name }: x86_64.X86Instruction): boolean =>
  /^F(2XM1|YL2X|YL2XP1|PTAN|PATAN|SIN|COS|SINCOS)$/.test(name);

/** Registers that are next to each other as numbers. */
function areClose(mine: bigint, theirs: bigint): boolean {
  // With the integer bit left out, the numbers of one sign are in order without gaps.
  const place = (bits: bigint): bigint => ((bits >> 64n) << 63n) | (bits & 0x7fffffffffffffffn);
  const distance = place(mine) - place(theirs);
  return distance >= -1n && distance <= 1n;
}

/** Takes what an approximate function may do otherwise for what the host did: the last bit of results, and with it C1. */
function withinBound(mine: X87State, theirs: X87State): X87State {
  const whole = ([mantissa, exponent]: X87State['registers'][number]): bigint =>
    (BigInt(exponent) << 64n) | mantissa;
  const isInexact = (mine.status & theirs.status & 0x60) === 0x20;
  return {
    ...mine,
    status: isInexact ? (mine.status & ~0x200) | (theirs.status & 0x200) : mine.status,
    registers: mine.registers.map((register, index) => {
      const other = theirs.registers[index]!;
      return index < 2 && areClose(whole(register), whole(other)) ? other : register;
    }),
  };
}

function compareX87(each: Case, found: X87State, theirs: X87State, compare: Compare): void {
  const mine = isApproximate(each.instruction) ? withinBound(found, theirs) : found;
  compare('x87 control', mine.control, theirs.control);
  compare('x87 status', mine.status, theirs.status);
  compare('x87 tags', mine.tags, theirs.tags);
  compare('x87 opcode', mine.opcode, theirs.opcode);
  compare('x87 instruction', mine.instruction, theirs.instruction);
  // An operand of an earlier instruction is lost if the host saves and restores its state before an exception is pending.
  if (each.instruction.form.memory || (each.x87.status & ~each.x87.control & 0x3f) !== 0)
    compare('x87 operand', mine.operand, theirs.operand);
  for (const [index, [mantissa, exponent]] of mine.registers.entries()) {
    const [otherMantissa, otherExponent] = theirs.registers[index]!;
    compare(
      `st${index}`,
      (BigInt(exponent) << 64n) | mantissa,
      (BigInt(otherExponent) << 64n) | otherMantissa,
    );
  }
}

const view = new DataView(new ArrayBuffer(4));

function numberOf(bits: bigint): number {
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

/** Whether both are within the bound of an approximation (Intel SDM, RCPPS and RSQRTPS); a tiny one may be a zero. */
function isWithinBound(mine: bigint, theirs: bigint): boolean {
  if (mine === theirs) return true;
  const [own, other] = [numberOf(mine), numberOf(theirs)];
  const bound = 1.5 * 2 ** -12 * Math.abs(own);
  const isTiny = other === 0 && Math.abs(own) <= 2 ** -126 * (1 + 2 ** -11);
  return mine >> 31n === theirs >> 31n && (isTiny || Math.abs(own - other) <= bound);
}

function areApproximate(mine: bigint, theirs: bigint): boolean {
  const lanes = [0n, 32n, 64n, 96n];
  return lanes.every((at) => isWithinBound(BigInt.asUintN(32, mine >> at), BigInt.asUintN(32, theirs >> at)));
}

function compareVectors(
  { instruction }: Case,
  mine: Outcome,
  theirs: Outcome,
  seen: number,
  compare: Compare,
) {
  const isApproximation = /^R(CP|SQRT)[PS]S/.test(instruction.name);
  for (const [number, value] of mine.vectors.slice(0, seen).entries()) {
    const other = theirs.vectors[number]!;
    if (!isApproximation || !areApproximate(value, other)) compare(`xmm${number}`, value, other);
  }
}

/** What differs. */
export function differences(each: Case, mine: Outcome, theirs: Outcome, kind: Kind): readonly string[] {
  if (isUncountable(each, mine, theirs)) return [];
  const differ: string[] = [];
  const compare: Compare = (what, own, other) => {
    if (own !== other) differ.push(`${what} 0x${own.toString(16)}, theirs 0x${other.toString(16)}`);
  };
  compareEnds(each, mine, theirs, kind, compare);
  // Outside 64-bit code the upper halves and R8 to R15 cannot be seen.
  const seen = each.mode === 64 ? 16 : 8;
  for (const [number, name] of x86_64.registerNames.slice(0, seen).entries()) {
    const value = ({ registers }: Outcome): bigint => BigInt.asUintN(each.mode, registers[number]!);
    compare(name, value(mine), value(theirs));
  }
  compareVectors(each, mine, theirs, seen, compare);
  compare('mxcsr', mine.mxcsr, theirs.mxcsr);
  if (mine.x87 !== null && theirs.x87 !== null) compareX87(each, mine.x87, theirs.x87, compare);
  compareFlags(each, mine, theirs, compare);
  compareMemory(mine, theirs, compare);
  return differ;
}

/** A case and what differs in it, on one line. */
export function describeCase(each: Case, found: readonly string[]): string {
  const { bytes, instruction, fields, registers, flags, readOnly, mode } = each;
  const state = registers.map((value, number) => `${x86_64.registerNames[number]}=${value.toString(16)}`);
  if (instruction.vector)
    state.push(
      `mxcsr=${each.mxcsr.toString(16)}`,
      ...each.vectors.map((value, number) => `xmm${number}=${value.toString(16)}`),
    );
  const { x87 } = each;
  if (/^(fpu|mmx)/.test(instruction.feature ?? ''))
    state.push(
      `control=${x87.control.toString(16)} status=${x87.status.toString(16)} tags=${x87.tags.toString(16)}`,
      ...x87.registers.map(
        ([mantissa, exponent], index) => `st${index}=${exponent.toString(16)}.${mantissa.toString(16)}`,
      ),
    );
  const text = x86_64.printInstruction(instruction, fields, start);
  const memory = readOnly ? ' half of memory is read-only' : '';
  return `${Buffer.from(bytes).toString('hex')} ${instruction.name} (${mode}): ${text}: ${found.join('; ')} [${state.join(' ')} flags=${flags.toString(16)}${memory}]`;
}
