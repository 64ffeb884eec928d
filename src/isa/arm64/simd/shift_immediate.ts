/**
 * Shifts of all lanes by an immediate (DDI 0487, C4.1.96, Advanced SIMD shift by immediate and scalar shift by
 * immediate).
 */
import { instruction } from '../encoding.js';
import type { ImmediateOperand } from '../../instruction.js';
import type { A64Instruction } from '../encoding.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr, VectorShiftKind } from '../../vector_micro_ops.js';
import {
  binary,
  laneConstant,
  shiftLanes,
  shiftLanesBy,
  vand,
  vandNot,
  vnot,
  vor,
  vxor,
} from '../../vector_expr.js';
import { immediate } from '../operands.js';
import {
  arrangements,
  encodingName,
  integerVectors,
  leadingBits,
  named,
  narrowVectors,
  readActive,
  scalars,
  widened,
  writeActive,
} from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { vector } from './operands.js';
import { clampToHalf, largest, saturate, signs } from './saturation.js';
import type { Narrowing } from './saturation.js';
import { extendHalf, halfMnemonic, halfOf } from './three_different.js';
import type { Signedness } from './three_different.js';
import { writeNarrowed } from './two_registers.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

/** `immh:immb` by lane width: leading bits that give the width, then the amount. */
const amountBits: Readonly<Record<LaneBits, string>> = {
  8: '0001 imm:3',
  16: '001 imm:4',
  32: '01 imm:5',
  64: '1 imm:6',
};

/** The pattern of a shift, up to the amount. `lane` is the lane width of the narrower registers. */
export function shiftPattern(arrangement: Arrangement, U: string | number, opcode: string): string {
  return leadingBits(arrangement, U).replace(
    /0$/,
    `10 ${amountBits[arrangement.lane]} ${opcode} 1 Rn:5 Rd:5`,
  );
}

/** A left shift by 0 to the lane width minus one. */
function leftAmount(lane: LaneBits): ImmediateOperand {
  return immediate({
    width: 32,
    bits: 8,
    value: ({ imm = 0 }) => BigInt(imm),
    encode: (value) => (value >= 0n && value < BigInt(lane) ? { imm: Number(value) } : null),
  });
}

/** A right shift by 1 to the lane width. */
export function rightAmount(lane: LaneBits): ImmediateOperand {
  return immediate({
    width: 32,
    bits: 8,
    value: ({ imm = 0 }) => BigInt(lane - imm),
    encode: (value) => (value > 0n && value <= BigInt(lane) ? { imm: lane - Number(value) } : null),
  });
}

/** Shifts right by 1 to the lane width: by one less, which every shift operation supports, then by one. */
function shiftRight(
  m: Semantics,
  lane: LaneBits,
  kind: Exclude<VectorShiftKind, 'shl'>,
  rounding: boolean,
  a: VectorExpr,
  amount: Expr,
): VectorExpr {
  const before = shiftLanes(kind, lane, a, m.sub(amount, m.constant(32, 1)));
  if (!rounding) return shiftLanesBy(kind, lane, before, 1);
  const once = m.letVector(before);
  return binary('add', lane, shiftLanesBy(kind, lane, once, 1), vand(once, laneConstant(lane, 1)));
}

type Result = (
  m: Semantics,
  a: VectorExpr,
  amount: Expr,
  arrangement: Arrangement,
  old: () => VectorExpr,
) => VectorExpr;

interface Row {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly arrangements: readonly Arrangement[];
  readonly direction: 'left' | 'right';
  readonly result: Result;
}

function define({ mnemonic, U, opcode, arrangements: seen, direction, result }: Row): A64Instruction[] {
  return seen.map((arrangement) =>
    instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, 'shift'),
      pattern: shiftPattern(arrangement, U, opcode),
      operands: {
        d: vector('Rd', arrangement),
        n: vector('Rn', arrangement),
        amount: (direction === 'left' ? leftAmount : rightAmount)(arrangement.lane),
      },
      text: `${mnemonic} {d}, {n}, {amount}`,
      semantics: (m, o) => {
        const a = m.letVector(readActive(m, arrangement, o.n));
        const old = (): VectorExpr => readActive(m, arrangement, o.d);
        writeActive(m, arrangement, o.d, result(m, a, o.amount, arrangement, old));
      },
    }),
  );
}

const all = [...integerVectors, ...scalars];
const withDouble = [...integerVectors, arrangements.d];
const bothSigns = [
  { letter: 's', sign: 'Signed', U: 0 },
  { letter: 'u', sign: 'Unsigned', U: 1 },
] as const;

/** SSHR, SSRA, SRSHR, SRSRA and the unsigned forms: optional rounding, optional accumulation. */
const rightRows: readonly Row[] = bothSigns.flatMap(({ letter, sign, U }) =>
  (
    [
      ['shr', '00000', false, false],
      ['sra', '00010', false, true],
      ['rshr', '00100', true, false],
      ['rsra', '00110', true, true],
    ] as const
  ).map(([stem, opcode, rounding, adding]): Row => ({
    mnemonic: `${letter}${stem}`,
    U,
    opcode,
    arrangements: withDouble,
    direction: 'right',
    result: (m, a, amount, { lane }, old) => {
      const shifted = shiftRight(m, lane, `shr${sign}`, rounding, a, amount);
      return adding ? binary('add', lane, old(), shifted) : shifted;
    },
  })),
);

const ones = (lane: LaneBits): VectorExpr => laneConstant(lane, -1);

/** SHL, and the two instructions that keep the destination bits that the shift does not fill. */
const leftRows: readonly Row[] = [
  {
    mnemonic: 'shl',
    U: 0,
    opcode: '01010',
    arrangements: withDouble,
    direction: 'left',
    result: (_, a, amount, { lane }) => shiftLanes('shl', lane, a, amount),
  },
  {
    mnemonic: 'sli',
    U: 1,
    opcode: '01010',
    arrangements: withDouble,
    direction: 'left',
    result: (_, a, amount, { lane }, old) =>
      vor(shiftLanes('shl', lane, a, amount), vandNot(old(), shiftLanes('shl', lane, ones(lane), amount))),
  },
  {
    mnemonic: 'sri',
    U: 1,
    opcode: '01000',
    arrangements: withDouble,
    direction: 'right',
    result: (m, a, amount, { lane }, old) => {
      const moved = (value: VectorExpr): VectorExpr =>
        shiftRight(m, lane, 'shrUnsigned', false, value, amount);
      return vor(moved(a), vandNot(old(), moved(ones(lane))));
    },
  },
];

/** Left shift, saturated where bits are lost. */
function saturatingLeft(sign: Signedness): Result {
  return (m, a, amount, { lane }) => {
    const moved = m.letVector(shiftLanes('shl', lane, a, amount));
    const kept = binary('eq', lane, shiftLanes(`shr${sign}`, lane, moved, amount), a);
    const limit = sign === 'Signed' ? vxor(signs(lane, a), largest(lane)) : ones(lane);
    return saturate(m, vnot(kept), limit, moved);
  };
}

const saturatingRows: readonly Row[] = [
  ...bothSigns.map(({ letter, sign, U }): Row => ({
    mnemonic: `${letter}qshl`,
    U,
    opcode: '01110',
    arrangements: all,
    direction: 'left',
    result: saturatingLeft(sign),
  })),
  {
    mnemonic: 'sqshlu',
    U: 1,
    opcode: '01100',
    arrangements: all,
    direction: 'left',
    result: (m, a, amount, { lane }) => {
      const negative = m.letVector(signs(lane, a));
      const moved = m.letVector(shiftLanes('shl', lane, a, amount));
      const kept = binary('eq', lane, shiftLanes('shrUnsigned', lane, moved, amount), a);
      return saturate(m, vor(negative, vnot(kept)), vnot(negative), moved);
    },
  },
];

const narrowings: readonly {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly rounding: boolean;
  readonly kind: Narrowing | null;
}[] = [
  { mnemonic: 'shrn', U: 0, opcode: '10000', rounding: false, kind: null },
  { mnemonic: 'rshrn', U: 0, opcode: '10001', rounding: true, kind: null },
  { mnemonic: 'sqshrun', U: 1, opcode: '10000', rounding: false, kind: 'signedToUnsigned' },
  { mnemonic: 'sqrshrun', U: 1, opcode: '10001', rounding: true, kind: 'signedToUnsigned' },
  { mnemonic: 'sqshrn', U: 0, opcode: '10010', rounding: false, kind: 'signed' },
  { mnemonic: 'sqrshrn', U: 0, opcode: '10011', rounding: true, kind: 'signed' },
  { mnemonic: 'uqshrn', U: 1, opcode: '10010', rounding: false, kind: 'unsigned' },
  { mnemonic: 'uqrshrn', U: 1, opcode: '10011', rounding: true, kind: 'unsigned' },
];

/** Right shifts into lanes of half the width. */
function defineNarrowings(): A64Instruction[] {
  return narrowings.flatMap(({ mnemonic, U, opcode, rounding, kind }) =>
    [...narrowVectors, ...(kind === null ? [] : named('b h s'))].map((narrow) => {
      const wide = widened(narrow);
      const shift = kind === 'unsigned' || kind === null ? 'shrUnsigned' : 'shrSigned';
      return instruction({
        ...shared,
        name: encodingName(mnemonic, narrow, 'shift'),
        pattern: shiftPattern(narrow, U, opcode),
        operands: {
          d: vector('Rd', narrow),
          n: vector('Rn', wide),
          amount: rightAmount(narrow.lane),
        },
        text: `${halfMnemonic(mnemonic, narrow)} {d}, {n}, {amount}`,
        semantics: (m, o) => {
          const value = readActive(m, wide, o.n);
          const shifted = shiftRight(m, wide.lane, shift, rounding, value, o.amount);
          const made = kind === null ? shifted : clampToHalf(m, wide.lane, kind, shifted);
          writeNarrowed(m, narrow, o.d, made);
        },
      });
    }),
  );
}

/** Widening to lanes of twice the width, then a left shift. */
function defineLong(): A64Instruction[] {
  return bothSigns.flatMap(({ letter, sign, U }) =>
    narrowVectors.map((source) => {
      const wide = widened(source);
      return instruction({
        ...shared,
        name: encodingName(`${letter}shll`, source, 'shift'),
        pattern: shiftPattern(source, U, '10100'),
        operands: { d: vector('Rd', wide), n: vector('Rn', source), amount: leftAmount(source.lane) },
        text: `${halfMnemonic(`${letter}shll`, source)} {d}, {n}, {amount}`,
        semantics: (m, o) => {
          const value = extendHalf(halfOf(source), sign, wide.lane, m.readVector(o.n));
          m.writeVector(o.d, shiftLanes('shl', wide.lane, value, o.amount));
        },
      });
    }),
  );
}

export const immediateShifts = (): readonly A64Instruction[] => [
  ...[...rightRows, ...leftRows, ...saturatingRows].flatMap(define),
  ...defineNarrowings(),
  ...defineLong(),
];
