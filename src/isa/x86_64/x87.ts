/**
 * x87: loads, stores, exchanges, arithmetic and comparisons (Intel SDM, volume 1, 8.3). The host keeps the registers and computes; it
 * ends an instruction early where an exception that is not masked lets nothing be written. Functions and environments are in
 * x87_functions.ts.
 */
import type { Semantics } from '../semantics.js';
import type { OperandSpec } from './encoding.js';
import { setFlagBits } from './flags.js';
import { beforeWrite, memory, writtenMemory } from './memory.js';
import type { Memory, Value } from './values.js';
import { derived, immediateRef } from './values.js';
import { field } from './parser.js';
import { x87, x87Changes, x87Flags, x87Formats, x87Operations } from './x87_common.js';
import type { X87Format } from './x87_common.js';

/** ST(i), of ModRM.rm. REX.B is ignored. */
export const other: OperandSpec<Value> = {
  operands: (key) => ({
    [key]: {
      ...derived(64, 8, (fields) => field(fields, 'rm') & 7),
      print: (fields) => `%st(${field(fields, 'rm') & 7})`,
      parse: (text) => {
        const [whole = '', number = '0'] = /^%st\((\d)\)/.exec(text) ?? [];
        return whole === '' ? null : { fields: { rm: Number(number) }, rest: text.slice(whole.length) };
      },
    },
  }),
  reference: (_, key) => ({ bits: 64, get: () => immediateRef(key, 64) }),
};

const number = (m: Semantics, value: number) => m.constant(64, value);
const formatNumber = (format: X87Format): number => x87Formats.indexOf(format);

/** The formats of 32, 64 and 16 bits with the letters that AT&T syntax has for them. */
const bitsOf = { float32: 32, float64: 64, int16: 16, int32: 32, int64: 64 } as const;
type ScalarFormat = keyof typeof bitsOf;

const loads = ([['D9 /0', 'float32', 'flds'], ['DD /0', 'float64', 'fldl']] as const).flatMap(([opcode, format, text]) =>
  x87({ name: `FLD_m${bitsOf[format]}`, opcode, only: 'm', operands: { s: memory(bitsOf[format]) }, text: `${text} {s}`, semantics: (m, { s }) => m.system('pushX87', [number(m, formatNumber(format)), m.resize(64, s.get())]) }),
); // prettier-ignore

const integerLoads = ([[16, 'DF /0', 'filds'], [32, 'DB /0', 'fildl'], [64, 'DF /5', 'fildll']] as const).flatMap(([bits, opcode, text]) =>
  x87({ name: `FILD_m${bits}`, opcode, only: 'm', operands: { s: memory(bits) }, text: `${text} {s}`, semantics: (m, { s }) => m.system('pushX87Integer', [bits === 64 ? s.get() : m.signExtend(m.resize(64, s.get()), bits)]) }),
); // prettier-ignore

/** 80 bits: numbers, and decimals of 18 digits with a sign. */
const extendedMoves = [
  ...([['FLD_m80', 'DB /5', 'fldt', 'pushX87Extended'], ['FBLD_m80', 'DF /4', 'fbld', 'pushX87Decimal']] as const).map(([name, opcode, text, call]) =>
    x87({
      name, opcode, only: 'm', operands: { s: memory(64) }, text: `${text} {s}`,
      semantics: (m, { s }) => {
        const at = s.linear(10);
        const low = m.load(8, at);
        m.system(call, [low, m.load(2, m.add(at, m.constant(64, 8)))]);
      },
    }),
  ),
  ...([['FSTP_m80', 'DB /7', 'fstpt', 'extended'], ['FBSTP_m80', 'DF /6', 'fbstp', 'decimal']] as const).map(([name, opcode, text, format]) =>
    x87({
      name, opcode, only: 'm', operands: { d: writtenMemory(64) }, text: `${text} {d}`,
      semantics: (m, { d }) => {
        const at = d.linear(10);
        const above = m.let(m.add(at, m.constant(64, 8)));
        // Both parts have to fault before either is written, and before exceptions are told of.
        m.load(8, at, beforeWrite);
        m.load(2, above, beforeWrite);
        m.system('convertX87', [number(m, formatNumber(format)), number(m, 0)]);
        m.store(8, at, m.ask('convertedX87', []));
        m.store(2, above, m.ask('convertedX87High', []));
        m.system('popX87');
      },
    }),
  ),
].flat(); // prettier-ignore

/** Stores of ST(0), after which it may be popped. */
const stores = ([
  ['FST', 'D9 /2', 'float32', 'fsts', false], ['FSTP', 'D9 /3', 'float32', 'fstps', true],
  ['FST', 'DD /2', 'float64', 'fstl', false], ['FSTP', 'DD /3', 'float64', 'fstpl', true],
  ['FIST', 'DF /2', 'int16', 'fists', false], ['FISTP', 'DF /3', 'int16', 'fistps', true],
  ['FIST', 'DB /2', 'int32', 'fistl', false], ['FISTP', 'DB /3', 'int32', 'fistpl', true], ['FISTP', 'DF /7', 'int64', 'fistpll', true],
] as const).flatMap(([name, opcode, format, text, pops]) =>
  x87({
    name: `${name}_m${bitsOf[format]}`, opcode, only: 'm', operands: { d: writtenMemory(bitsOf[format]) }, text: `${text} {d}`,
    semantics: (m, { d }) => storeTop(m, d, format, pops),
  }),
); // prettier-ignore

/** Integers without the fraction, whatever the rounding control says. */
const truncatingStores = ([['DF', 'int16', 's'], ['DB', 'int32', 'l'], ['DD', 'int64', 'll']] as const).flatMap(([byte, format, suffix]) =>
  x87({
    name: `FISTTP_m${bitsOf[format]}`, opcode: `${byte} /1`, feature: 'fpu+sse3', only: 'm', operands: { d: writtenMemory(bitsOf[format]) }, text: `fisttp${suffix} {d}`,
    semantics: (m, { d }) => storeTop(m, d, format, true, true),
  }),
); // prettier-ignore

function storeTop(m: Semantics, d: Memory, format: ScalarFormat, pops: boolean, truncates = false): void {
  // The memory has to fault before exceptions are told of.
  d.get();
  m.system('convertX87', [number(m, formatNumber(format)), number(m, truncates ? 1 : 0)]);
  const value = m.ask('convertedX87', []);
  d.set(bitsOf[format] === 64 ? value : m.resize(32, value));
  if (pops) m.system('popX87');
}

/** Moves and exchanges between registers, and what only changes the stack. */
const registerMoves = ([
  ['FLD', 'D9 /0', 'fld', 'pushX87Register'], ['FXCH', 'D9 /1', 'fxch', 'exchangeX87'], ['FST', 'DD /2', 'fst', 'storeX87'],
  ['FSTP', 'DD /3', 'fstp', 'storeX87'], ['FFREE', 'DD /0', 'ffree', 'freeX87'],
] as const).flatMap(([name, opcode, text, call]) =>
  x87({
    name: `${name}_st`, opcode, only: 'r', operands: { s: other }, text: `${text} {s}`,
    semantics: (m, { s }) => {
      m.system(call, [s.get()]);
      if (name === 'FSTP') m.system('popX87');
    },
  }),
); // prettier-ignore

const constants = (['fld1', 'fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2', 'fldz'] as const).flatMap((text, which) =>
  x87({ name: text.toUpperCase(), opcode: `D9 ${(0xe8 + which).toString(16).toUpperCase()}`, operands: {}, text, semantics: (m) => m.system('pushX87Constant', [number(m, which)]) }),
); // prettier-ignore

const changes = ([['fchs', 'D9 E0', 'chs'], ['fabs', 'D9 E1', 'abs'], ['ftst', 'D9 E4', 'test'], ['fxam', 'D9 E5', 'examine']] as const).flatMap(([text, opcode, change]) =>
  x87({ name: text.toUpperCase(), opcode, operands: {}, text, semantics: (m) => m.system('changeX87', [number(m, x87Changes.indexOf(change))]) }),
); // prettier-ignore

/**
 * Arithmetic by /digit. Where the result goes to ST(i), AT&T syntax has the names of the two orders the other way round, as
 * assemblers always had.
 */
const digits = [['add', 0], ['mul', 1], ['sub', 4], ['subr', 5], ['div', 6], ['divr', 7]] as const; // prettier-ignore
const swapped = { add: 'add', mul: 'mul', sub: 'subr', subr: 'sub', div: 'divr', divr: 'div' } as const;

const arithmetic = digits.flatMap(([name, digit]) => {
  const upper = name.toUpperCase();
  const operation = x87Operations.indexOf(name);
  // ST(i) as the destination: with /4 and /6 ST(0) minus or by ST(i), which is the reverse order of the destination.
  const reversed = x87Operations.indexOf(swapped[name]);
  const inMemory = ([['D8', 'float32', 's', ''], ['DC', 'float64', 'l', ''], ['DE', 'int16', 's', 'I'], ['DA', 'int32', 'l', 'I']] as const).flatMap(([byte, format, suffix, integer]) =>
    x87({
      name: `F${integer}${upper}_m${bitsOf[format]}`, opcode: `${byte} /${digit}`, only: 'm', operands: { s: memory(bitsOf[format]) },
      text: `f${integer.toLowerCase()}${name}${suffix} {s}`,
      semantics: (m, { s }) => m.system('computeX87Memory', [number(m, operation + 256 * formatNumber(format)), m.resize(64, s.get())]),
    }),
  );
  const toOther = ([['DC', '', x87Flags.toOther], ['DE', 'P', x87Flags.toOther | x87Flags.pops]] as const).flatMap(([byte, suffix, flags]) =>
    x87({
      name: `F${upper}${suffix}_st_st0`, opcode: `${byte} /${digit}`, only: 'r', operands: { d: other }, text: `f${name}${suffix.toLowerCase()} %st,{d}`,
      semantics: (m, { d }) => m.system('computeX87', [number(m, reversed | flags), d.get()]),
    }),
  );
  return [
    ...inMemory,
    ...toOther,
    ...x87({ name: `F${upper}_st0_st`, opcode: `D8 /${digit}`, only: 'r', operands: { s: other }, text: `f${name} {s},%st`, semantics: (m, { s }) => m.system('computeX87', [number(m, operation), s.get()]) }),
  ];
}); // prettier-ignore

/** Comparisons that set C3, C2 and C0. */
const comparisons = [
  ...([['fcom', 'D8 /2', 0], ['fcomp', 'D8 /3', x87Flags.pops], ['fucom', 'DD /4', x87Flags.quiet], ['fucomp', 'DD /5', x87Flags.quiet | x87Flags.pops]] as const).map(([text, opcode, flags]) =>
    x87({ name: `${text.toUpperCase()}_st`, opcode, only: 'r', operands: { s: other }, text: `${text} {s}`, semantics: (m, { s }) => m.system('compareX87', [number(m, flags), s.get()]) }),
  ),
  ...([['fcompp', 'DE D9', x87Flags.popsTwice], ['fucompp', 'DA E9', x87Flags.popsTwice | x87Flags.quiet]] as const).map(([text, opcode, flags]) =>
    x87({ name: text.toUpperCase(), opcode, operands: {}, text, semantics: (m) => m.system('compareX87', [number(m, flags), number(m, 1)]) }),
  ),
  ...([['', 'D8', 'float32', 's'], ['', 'DC', 'float64', 'l'], ['i', 'DE', 'int16', 's'], ['i', 'DA', 'int32', 'l']] as const).flatMap(([integer, byte, format, suffix]) =>
    ([['com', 2, 0], ['comp', 3, x87Flags.pops]] as const).map(([verb, digit, flags]) =>
      x87({
        name: `F${integer.toUpperCase()}${verb.toUpperCase()}_m${bitsOf[format]}`, opcode: `${byte} /${digit}`, only: 'm', operands: { s: memory(bitsOf[format]) },
        text: `f${integer}${verb}${suffix} {s}`,
        semantics: (m, { s }) => m.system('compareX87Memory', [number(m, flags + 256 * formatNumber(format)), m.resize(64, s.get())]),
      }),
    ),
  ),
].flat(); // prettier-ignore

/** Comparisons that set ZF, PF and CF. */
const flagComparisons = ([
  ['fcomi', 'DB /6', 0], ['fcomip', 'DF /6', x87Flags.pops], ['fucomi', 'DB /5', x87Flags.quiet], ['fucomip', 'DF /5', x87Flags.quiet | x87Flags.pops],
] as const).flatMap(([text, opcode, flags]) =>
  x87({
    name: `${text.toUpperCase()}_st0_st`, opcode, only: 'r', operands: { s: other }, text: `${text} {s},%st`,
    semantics: (m, { s }) => setFlagBits(m, ['c', 'p', 'a', 'z', 's', 'o'], m.ask('compareX87Flags', [number(m, flags), s.get()])),
  }),
); // prettier-ignore

const stackMoves = ([['fdecstp', 'D9 F6', -1], ['fincstp', 'D9 F7', 1]] as const).flatMap(([text, opcode, by]) =>
  x87({ name: text.toUpperCase(), opcode, operands: {}, text, semantics: (m) => m.system('rotateX87', [number(m, by)]) }),
); // prettier-ignore

const nothing = x87({ name: 'FNOP', opcode: 'D9 D0', operands: {}, text: 'fnop', semantics: (m) => m.system('noteX87') }); // prettier-ignore

export const x87Instructions = [
  ...loads,
  ...integerLoads,
  ...extendedMoves,
  ...stores,
  ...truncatingStores,
  ...registerMoves,
  ...constants,
  ...changes,
  ...arithmetic,
  ...comparisons,
  ...flagComparisons,
  ...stackMoves,
  ...nothing,
];
