/** Integer arithmetic and logic on XMM registers (Intel SDM, volume 1, 11.4.2, and 10.4.4 of SSE): PADDB, PMADDWD, PCMPEQB, ANDPS and so on. */
import type { Semantics } from '../../semantics.js';
import {
  binary,
  evenLanes,
  laneConstant,
  oddLanes,
  shiftLanesBy,
  unary,
  vand,
  vandNot,
  vor,
  vxor,
} from '../../vector_expr.js';
import type { LaneBits, VectorBinaryKind, VectorExpr } from '../../vector_micro_ops.js';
import { onVectors } from './definitions.js';
import type { Computation } from './definitions.js';

type Operation = readonly [mnemonic: string, byte: string, kind: VectorBinaryKind, lane: LaneBits];

/** What is done lane by lane: mnemonic, opcode, operation and lane. MMX has all of these too. */
export const laneWiseOperations = [
  ['paddb', 'FC', 'add', 8], ['paddw', 'FD', 'add', 16], ['paddd', 'FE', 'add', 32], ['paddq', 'D4', 'add', 64],
  ['psubb', 'F8', 'sub', 8], ['psubw', 'F9', 'sub', 16], ['psubd', 'FA', 'sub', 32], ['psubq', 'FB', 'sub', 64],
  ['paddsb', 'EC', 'addSaturateSigned', 8], ['paddsw', 'ED', 'addSaturateSigned', 16],
  ['paddusb', 'DC', 'addSaturateUnsigned', 8], ['paddusw', 'DD', 'addSaturateUnsigned', 16],
  ['psubsb', 'E8', 'subSaturateSigned', 8], ['psubsw', 'E9', 'subSaturateSigned', 16],
  ['psubusb', 'D8', 'subSaturateUnsigned', 8], ['psubusw', 'D9', 'subSaturateUnsigned', 16],
  ['pmullw', 'D5', 'mul', 16],
  ['pavgb', 'E0', 'averageUnsigned', 8], ['pavgw', 'E3', 'averageUnsigned', 16],
  ['pminub', 'DA', 'minUnsigned', 8], ['pmaxub', 'DE', 'maxUnsigned', 8],
  ['pminsw', 'EA', 'minSigned', 16], ['pmaxsw', 'EE', 'maxSigned', 16],
  ['pcmpeqb', '74', 'eq', 8], ['pcmpeqw', '75', 'eq', 16], ['pcmpeqd', '76', 'eq', 32],
  ['pcmpgtb', '64', 'gtSigned', 8], ['pcmpgtw', '65', 'gtSigned', 16], ['pcmpgtd', '66', 'gtSigned', 32],
] as const satisfies readonly Operation[]; // prettier-ignore

/** Lanes of both operands, narrowed. */
export const narrowings = [
  ['packsswb', '63', 'narrowSigned', 8], ['packssdw', '6B', 'narrowSigned', 16], ['packuswb', '67', 'narrowUnsigned', 8],
] as const satisfies readonly Operation[]; // prettier-ignore

const laneWise = [...laneWiseOperations, ...narrowings].flatMap(([mnemonic, opcode, kind, lane]) =>
  onVectors(mnemonic, `66 0F ${opcode}`, (_, a, b) => binary(kind, lane, a, b)),
);

/** The products of all words, as double words: those of the low and of the high half. */
export function wordProducts(
  m: Semantics,
  signed: boolean,
  first: VectorExpr,
  second: VectorExpr,
): [VectorExpr, VectorExpr] {
  const [a, b] = [m.letVector(first), m.letVector(second)];
  const sign = signed ? 'Signed' : 'Unsigned';
  return [m.letVector(binary(`mulLow${sign}`, 32, a, b)), m.letVector(binary(`mulHigh${sign}`, 32, a, b))];
}

/** The high halves of the products of words. */
const highProducts =
  (signed: boolean): Computation =>
  (m, a, b) =>
    oddLanes(16, ...wordProducts(m, signed, a, b));

/** Products of words, and sums of adjacent ones. They wrap for four words of -32768 alone. */
function multiplyAndAdd(m: Semantics, a: VectorExpr, b: VectorExpr): VectorExpr {
  const products = wordProducts(m, true, a, b);
  return binary('add', 32, evenLanes(32, ...products), oddLanes(32, ...products));
}

/** The products of the even double words. */
function multiplyDoubleWords(m: Semantics, first: VectorExpr, second: VectorExpr): VectorExpr {
  const [a, b] = [m.letVector(first), m.letVector(second)];
  return binary('mulLowUnsigned', 64, evenLanes(32, a, a), evenLanes(32, b, b));
}

/** The sums of absolute differences of bytes, of the low and of the high half. */
function sumDifferences(m: Semantics, first: VectorExpr, second: VectorExpr): VectorExpr {
  const [a, b] = [m.letVector(first), m.letVector(second)];
  const differences = binary('sub', 8, binary('maxUnsigned', 8, a, b), binary('minUnsigned', 8, a, b));
  const fours = m.letVector(unary('addPairsUnsigned', 32, unary('addPairsUnsigned', 16, differences)));
  return binary(
    'add',
    64,
    vand(fours, laneConstant(64, 0xffffffff)),
    shiftLanesBy('shrUnsigned', 64, fours, 32),
  );
}

/** Products: mnemonic, opcode, and what is computed. Of the low halves of vectors they make the low half. */
export const productOperations: readonly (readonly [string, string, Computation])[] = [
  ['pmulhw', 'E5', highProducts(true)],
  ['pmulhuw', 'E4', highProducts(false)],
  ['pmuludq', 'F4', multiplyDoubleWords],
  ['pmaddwd', 'F5', multiplyAndAdd],
  ['psadbw', 'F6', sumDifferences],
];

const products = productOperations.flatMap(([mnemonic, byte, compute]) =>
  onVectors(mnemonic, `66 0F ${byte}`, compute),
);

/** Logic: mnemonic, opcodes of integers and of numbers, and what is computed. */
export const integerLogic: readonly (readonly [string, string, Computation, string])[] = [
  ['and', 'DB', (_, a, b) => vand(a, b), '54'], ['andn', 'DF', (_, a, b) => vandNot(b, a), '55'],
  ['or', 'EB', (_, a, b) => vor(a, b), '56'], ['xor', 'EF', (_, a, b) => vxor(a, b), '57'],
]; // prettier-ignore

const logic = integerLogic.flatMap(([mnemonic, integer, compute, float]) => [
  ...onVectors(`p${mnemonic}`, `66 0F ${integer}`, compute),
  ...onVectors(`${mnemonic}ps`, `NP 0F ${float}`, compute),
  ...onVectors(`${mnemonic}pd`, `66 0F ${float}`, compute),
]);

export const sseIntegers = [...laneWise, ...products, ...logic];
