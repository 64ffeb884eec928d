/** Integer reductions over all lanes (DDI 0487, C4.1.96, Advanced SIMD across lanes). */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { binary, joinLow, shiftLanesBy, shuffleLanes, unary } from '../../vector_expr.js';
import {
  arrangements,
  encodingName,
  leadingBits,
  named,
  readActive,
  widened,
  writeActive,
} from './arrangements.js';
import type { Arrangement, ScalarName } from './arrangements.js';
import { vector } from './operands.js';

const scalarOf: Readonly<Record<LaneBits, ScalarName>> = { 8: 'b', 16: 'h', 32: 's', 64: 'd' };
const folded = named('8b 16b 4h 8h 4s');

/** Combines all lanes of width `lane` into lane 0, by repeatedly folding the upper half onto the lower half. */
function fold(
  m: Semantics,
  lane: LaneBits,
  value: VectorExpr,
  combine: (a: VectorExpr, b: VectorExpr) => VectorExpr,
): VectorExpr {
  let rest = m.letVector(value);
  for (let count = 128 / lane; count > 1; count /= 2) {
    const order = Array.from({ length: 128 / lane }, (_, index) => (index + count / 2) % (128 / lane));
    rest = m.letVector(combine(rest, shuffleLanes(lane, order, rest, rest)));
  }
  return rest;
}

interface Row {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  /** The arrangement of the result. */
  readonly to: (from: Arrangement) => Arrangement;
  readonly result: (m: Semantics, a: VectorExpr, arrangement: Arrangement) => VectorExpr;
}

function same({ lane }: Arrangement): Arrangement {
  return arrangements[scalarOf[lane]];
}

function sum(m: Semantics, lane: LaneBits, value: VectorExpr): VectorExpr {
  return fold(m, lane, value, (a, b) => binary('add', lane, a, b));
}

const signs = [
  { letter: 's', sign: 'Signed', U: 0 },
  { letter: 'u', sign: 'Unsigned', U: 1 },
] as const;

/** Sums all lanes at twice their width. */
function longSum(sign: 'Signed' | 'Unsigned'): Row['result'] {
  const shift = sign === 'Signed' ? 'shrSigned' : 'shrUnsigned';
  return (m, a, { lane }) => {
    if (lane < 32) return sum(m, (2 * lane) as 16 | 32, unary(`addPairs${sign}`, (2 * lane) as 16 | 32, a));
    const low = shiftLanesBy(shift, 64, shiftLanesBy('shl', 64, a, 32), 32);
    return sum(m, 64, binary('add', 64, low, shiftLanesBy(shift, 64, a, 32)));
  };
}

function extreme(kind: 'max' | 'min', sign: 'Signed' | 'Unsigned'): Row['result'] {
  return (m, a, { lane, bits }) => {
    // Replace the unused half by a copy of the used half, which does not change the result.
    const meant = bits === 128 ? a : joinLow(a, a);
    return fold(m, lane, meant, (x, y) => binary(`${kind}${sign}`, lane, x, y));
  };
}

const rows: readonly Row[] = [
  ...signs.flatMap(({ letter, sign, U }): Row[] => [
    {
      mnemonic: `${letter}addlv`,
      U,
      opcode: '00011',
      to: (from) => arrangements[scalarOf[widened(from).lane]],
      result: longSum(sign),
    },
    { mnemonic: `${letter}maxv`, U, opcode: '01010', to: same, result: extreme('max', sign) },
    { mnemonic: `${letter}minv`, U, opcode: '11010', to: same, result: extreme('min', sign) },
  ]),
  { mnemonic: 'addv', U: 0, opcode: '11011', to: same, result: (m, a, { lane }) => sum(m, lane, a) },
];

export const acrossLanes = (): readonly A64Instruction[] =>
  rows.flatMap(({ mnemonic, U, opcode, to, result }) =>
    folded.map((arrangement) => {
      const made = to(arrangement);
      return instruction({
        name: encodingName(mnemonic, arrangement, 'across_lanes'),
        pattern: `${leadingBits(arrangement, U)} ${arrangement.size} 11000 ${opcode} 10 Rn:5 Rd:5`,
        feature: 'FEAT_AdvSIMD',
        cold: true,
        operands: { d: vector('Rd', made), n: vector('Rn', arrangement) },
        text: `${mnemonic} {d}, {n}`,
        semantics: (m, o) => {
          const a = m.letVector(readActive(m, arrangement, o.n));
          writeActive(m, made, o.d, result(m, a, arrangement));
        },
      });
    }),
  );
