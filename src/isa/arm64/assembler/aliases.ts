/**
 * Aliases of A64 instructions, and some pseudo-instructions for several instructions (DDI 0487, C6, "alias"). A
 * definition knows only the architectural name of its instruction; this module translates the usual names.
 */
import { InvariantError } from '../../../base/index.js';

type Expand = (operands: readonly string[], line: string) => string[];

function zeroLike(register: string): string {
  return register.startsWith('w') ? 'wzr' : 'xzr';
}

function widthOf(register: string): 32 | 64 {
  return register.startsWith('w') ? 32 : 64;
}

function numberIn(operand: string): bigint | null {
  const found = /^#(-?)(0x[0-9a-f]+|\d+)$/i.exec(operand);
  if (found === null) return null;
  const value = BigInt(found[2] ?? '0');
  return found[1] === '-' ? -value : value;
}

function needNumber(operand: string, line: string): number {
  const value = numberIn(operand);
  if (value === null) throw new InvariantError(`${line}: ${operand} is no number`);
  return Number(value);
}

/** Loads a number in steps of 16 bits. The first step sets all other bits to 0, or to 1 if that needs fewer steps. */
function moveNumber(register: string, value: bigint): string[] {
  const width = widthOf(register);
  const bits = BigInt.asUintN(width, value);
  const halves = Array.from({ length: width / 16 }, (_, i) => ({
    shift: 16 * i,
    half: Number((bits >> BigInt(16 * i)) & 0xffffn),
  }));
  const ones = halves.filter(({ half }) => half === 0xffff).length;
  const zeros = halves.filter(({ half }) => half === 0).length;
  const inverted = ones > zeros;
  const idle = inverted ? 0xffff : 0;
  const [first, ...others] = halves.filter(({ half }) => half !== idle);
  const text = (mnemonic: string, half: number, shift: number): string =>
    `${mnemonic} ${register}, #${half}${shift === 0 ? '' : `, lsl #${shift}`}`;
  const start = first ?? { shift: 0, half: idle };
  return [
    inverted ? text('movn', start.half ^ 0xffff, start.shift) : text('movz', start.half, start.shift),
    ...others.map(({ half, shift }) => text('movk', half, shift)),
  ];
}

const move: Expand = ([to = '', from = ''], line) => {
  const value = numberIn(from);
  if (value !== null) return moveNumber(to, value);
  if (from.startsWith('#')) throw new InvariantError(`${line}: only a plain number can be moved`);
  if (to === 'sp' || from === 'sp') return [`add ${to}, ${from}, #0`];
  return [`orr ${to}, ${zeroLike(to)}, ${from}`];
};

/** Shifts: by a register, or by a number, which is a bit-field instruction. */
function shift(byRegister: string, byNumber: (by: number, width: number) => string): Expand {
  return ([to = '', from = '', by = ''], line) => {
    if (!by.startsWith('#')) return [`${byRegister} ${to}, ${from}, ${by}`];
    const [operation, fields = ''] = byNumber(needNumber(by, line), widthOf(to)).split(' ', 2);
    const [low = '', high = ''] = fields.split(',', 2);
    return [`${operation} ${to}, ${from}, #${low}, #${high}`];
  };
}

/** UBFX and BFI: their two numbers are the lowest bit and the number of bits. */
function bitField(operation: string, fields: (low: number, bits: number, width: number) => number[]): Expand {
  return ([to = '', from = '', low = '', bits = ''], line) => {
    const [rotate = 0, top = 0] = fields(needNumber(low, line), needNumber(bits, line), widthOf(to));
    return [`${operation} ${to}, ${from}, #${rotate}, #${top}`];
  };
}

const inverse: Readonly<Record<string, string>> = {
  eq: 'ne', ne: 'eq', cs: 'cc', cc: 'cs', mi: 'pl', pl: 'mi', vs: 'vc', vc: 'vs',
  hi: 'ls', ls: 'hi', ge: 'lt', lt: 'ge', gt: 'le', le: 'gt',
}; // prettier-ignore
const otherConditionNames: Readonly<Record<string, string>> = { hs: 'cs', lo: 'cc' };

function conditionName(written: string): string {
  return otherConditionNames[written] ?? written;
}

/** An operation that only sets the flags. */
function flagsOnly(operation: string): Expand {
  return ([from = '', ...rest]) => [`${operation} ${zeroLike(from)}, ${from}, ${rest.join(', ')}`];
}

const aliases: Readonly<Record<string, Expand>> = {
  mov: move,
  cmp: flagsOnly('subs'),
  cmn: flagsOnly('adds'),
  tst: flagsOnly('ands'),
  neg: ([to = '', ...rest]) => [`sub ${to}, ${zeroLike(to)}, ${rest.join(', ')}`],
  mvn: ([to = '', ...rest]) => [`orn ${to}, ${zeroLike(to)}, ${rest.join(', ')}`],
  mul: ([to = '', a = '', b = '']) => [`madd ${to}, ${a}, ${b}, ${zeroLike(to)}`],
  lsl: shift('lsl', (by, width) => `ubfm ${(width - by) % width},${width - 1 - by}`),
  lsr: shift('lsr', (by, width) => `ubfm ${by},${width - 1}`),
  asr: shift('asr', (by, width) => `sbfm ${by},${width - 1}`),
  ubfx: bitField('ubfm', (low, bits) => [low, low + bits - 1]),
  bfi: bitField('bfm', (low, bits, width) => [(width - low) % width, bits - 1]),
  cset: ([to = '', condition = '']) => [
    `csinc ${to}, ${zeroLike(to)}, ${zeroLike(to)}, ${inverse[conditionName(condition)] ?? condition}`,
  ],
  'b.hs': ([to = '']) => [`b.cs ${to}`],
  'b.lo': ([to = '']) => [`b.cc ${to}`],
  // Not in the manual: loads an address within 4 GiB, in two instructions.
  adrl: ([to = '', label = '']) => [`adrp ${to}, :page:${label}`, `add ${to}, ${to}, #:lo12:${label}`],
};

/** The instructions that `line` expands to, by their architectural names. */
export function expandAlias(line: string): string[] {
  const [, mnemonic = '', rest = ''] = /^(\S+) ?(.*)$/.exec(line) ?? [];
  const expand = aliases[mnemonic];
  return expand === undefined ? [line] : expand(rest === '' ? [] : rest.split(', '), line);
}
