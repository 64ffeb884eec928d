/** Vectors built from an 8-bit immediate (DDI 0487, C4.1.96, Advanced SIMD modified immediate; AdvSIMDExpandImm). */
import { instruction } from '../encoding.js';
import type { ImmediateOperand, VectorOperand } from '../../instruction.js';
import type { A64Instruction } from '../encoding.js';
import type { FieldValues } from '../../instruction.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { lowBits, splat, vandNot, vnot, vor } from '../../vector_expr.js';
import { floatImmediate, expandFloat } from '../float_immediate.js';
import { derived, hex } from '../operands.js';
import { arrangements, named } from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { scalarRegister, vector } from './operands.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

function imm8({ abc = 0, defgh = 0 }: FieldValues): number {
  return abc * 32 + defgh;
}

/** Repeats `value` in every lane, as 64 bits. */
function repeated(lane: number, value: bigint): bigint {
  let all = 0n;
  for (let at = 0; at < 64; at += lane) all |= BigInt.asUintN(lane, value) << BigInt(at);
  return all;
}

/** The text of the number and its shift. */
function byteText(spellings: readonly string[]): ImmediateOperand {
  return {
    kind: 'immediate',
    width: 64,
    bits: 8,
    value: (fields) => BigInt(imm8(fields)),
    print: (fields) => `#${hex(BigInt(imm8(fields)))}${spellings[fields['shift'] ?? 0] ?? ''}`,
    parse: (text) => {
      const found = /^#(0x[0-9a-f]+|\d+)(.*)$/.exec(text);
      const value = Number(found?.[1] ?? 256);
      const shift = spellings.indexOf(found?.[2] ?? '?');
      if (value > 255 || shift < 0) return null;
      return { fields: { abc: value >> 5, defgh: value & 31, shift }, rest: '' };
    },
  };
}

/** The operation, applied to the expanded immediate in all lanes. */
type Effect = 'movi' | 'mvni' | 'orr' | 'bic';

function effectOn(effect: Effect, old: VectorExpr, immediate: VectorExpr): VectorExpr {
  if (effect === 'orr') return vor(old, immediate);
  if (effect === 'bic') return vandNot(old, immediate);
  return effect === 'mvni' ? vnot(immediate) : immediate;
}

interface Form {
  readonly effect: Effect;
  readonly op: '0' | '1';
  /** May contain the field `shift`. */
  readonly cmode: string;
  readonly arrangements: readonly Arrangement[];
  /** The text after the number, by `shift`. */
  readonly spellings: readonly string[];
  /** The value of one lane, from the number and `shift`. */
  readonly expand: (value: bigint, shift: number) => bigint;
}

const words = named('2s 4s');
const halves = named('4h 8h');
const shiftLeft = ['', ', lsl #8', ', lsl #16', ', lsl #24'];
const shiftOnes = [', msl #8', ', msl #16'];
const shifted = (value: bigint, shift: number): bigint => value << BigInt(8 * shift);
const shiftedOnes = (value: bigint, shift: number): bigint => ((value + 1n) << BigInt(8 * shift + 8)) - 1n;

function shiftedForms(effect: Effect, op: '0' | '1', low: '0' | '1'): Form[] {
  return [
    { effect, op, cmode: `0 shift:2 ${low}`, arrangements: words, spellings: shiftLeft, expand: shifted },
    {
      effect,
      op,
      cmode: `10 shift:1 ${low}`,
      arrangements: halves,
      spellings: shiftLeft.slice(0, 2),
      expand: shifted,
    },
  ];
}

const forms: readonly Form[] = [
  ...shiftedForms('movi', '0', '0'),
  ...shiftedForms('mvni', '1', '0'),
  ...shiftedForms('orr', '0', '1'),
  ...shiftedForms('bic', '1', '1'),
  ...(['movi', 'mvni'] as const).map((effect, index): Form => {
    const op = index === 0 ? '0' : '1';
    return {
      effect,
      op,
      cmode: '110 shift:1',
      arrangements: words,
      spellings: shiftOnes,
      expand: shiftedOnes,
    };
  }),
  {
    effect: 'movi',
    op: '0',
    cmode: '1110',
    arrangements: named('8b 16b'),
    spellings: [''],
    expand: (value) => value,
  },
];

function pattern(q: string, op: string, cmode: string): string {
  return `0 ${q} ${op} 0111100000 abc:3 ${cmode} 0 1 defgh:5 Rd:5`;
}

function integerForm({ effect, op, cmode, arrangements: seen, spellings, expand }: Form): A64Instruction[] {
  return seen.map((arrangement) => {
    const { name, lane, q, bits } = arrangement;
    return instruction({
      ...shared,
      name: `${effect.toUpperCase()}_${name.toUpperCase()}_asimdimm_${cmode.replace(/\W/g, '')}`,
      pattern: pattern(q, op, cmode),
      operands: {
        d: vector('Rd', arrangement),
        byte: byteText(spellings),
        value: derived(64, 64, (fields) =>
          BigInt.asIntN(64, repeated(lane, expand(BigInt(imm8(fields)), fields['shift'] ?? 0))),
        ),
      },
      text: `${effect} {d}, {byte}`,
      semantics: (m, o) => {
        const result = effectOn(effect, m.readVector(o.d), splat(64, o.value));
        m.writeVector(o.d, lowBits(bits, result));
      },
    });
  });
}

/** Repeats every bit of the number eight times. */
function spreadBits(value: number): bigint {
  let all = 0n;
  for (let bit = 0n; bit < 8n; bit += 1n) if ((value & (1 << Number(bit))) !== 0) all |= 0xffn << (8n * bit);
  return all;
}

const bytesText: ImmediateOperand = {
  kind: 'immediate',
  width: 64,
  bits: 64,
  value: (fields) => BigInt.asIntN(64, spreadBits(imm8(fields))),
  print: (fields) => `#${hex(spreadBits(imm8(fields)))}`,
  parse: (text) => {
    const found = /^#(0x[0-9a-f]+|\d+)/.exec(text);
    const value = BigInt(found?.[1] ?? 1);
    const byte = Array.from({ length: 8 }, (_, bit) => Number((value >> BigInt(8 * bit)) & 1n) << bit).reduce(
      (a, b) => a | b,
    );
    if (found === null || spreadBits(byte) !== value) return null;
    return { fields: { abc: byte >> 5, defgh: byte & 31 }, rest: text.slice(found[0].length) };
  },
};

function byteMask(q: '0' | '1', d: VectorOperand): A64Instruction {
  return instruction({
    ...shared,
    name: `MOVI_${q === '1' ? '2D' : 'D'}_asimdimm`,
    pattern: pattern(q, '1', '1110'),
    operands: { d, value: bytesText },
    text: 'movi {d}, {value}',
    semantics: (m, o) => m.writeVector(o.d, lowBits(q === '1' ? 128 : 64, splat(64, o.value))),
  });
}

const floatForms = [
  { arrangement: arrangements['2s'], op: '0', format: 32 },
  { arrangement: arrangements['4s'], op: '0', format: 32 },
  { arrangement: arrangements['2d'], op: '1', format: 64 },
] as const;

function float({ arrangement, op, format }: (typeof floatForms)[number]): A64Instruction {
  return instruction({
    ...shared,
    name: `FMOV_${arrangement.name.toUpperCase()}_asimdimm`,
    pattern: pattern(arrangement.q, op, '1111'),
    operands: {
      d: vector('Rd', arrangement),
      number: floatImmediate(imm8, (byte) => ({ abc: byte >> 5, defgh: byte & 31 })),
      value: derived(64, 64, (fields) =>
        BigInt.asIntN(64, repeated(format, expandFloat(imm8(fields), format))),
      ),
    },
    text: 'fmov {d}, {number}',
    semantics: (m, o) => m.writeVector(o.d, lowBits(arrangement.bits, splat(64, o.value))),
  });
}

export const modifiedImmediates = (): readonly A64Instruction[] => [
  ...forms.flatMap(integerForm),
  byteMask('0', scalarRegister('Rd', 'd')),
  byteMask('1', vector('Rd', arrangements['2d'])),
  ...floatForms.map(float),
];
