/**
 * Conversions between floating-point registers and general registers (DDI 0487, C4.1.96): integers and fixed-point
 * numbers.
 */
import { instruction } from './encoding.js';
import type { ImmediateOperand } from '../instruction.js';
import type { A64Instruction } from './encoding.js';
import type { FloatRounding } from '../float_micro_ops.js';
import type { Width } from '../micro_ops.js';
import { fromLow } from '../vector_expr.js';
import { floatTypes } from './float_moves.js';
import { bothWidths, destination, immediate, source } from './operands.js';
import { scalarRegister } from './simd/operands.js';

const shared = { feature: 'FEAT_FP', cold: true } as const;

type FloatType = (typeof floatTypes)[number];
type GeneralWidth = (typeof bothWidths)[number];

/** Rounding modes of FCVTxS and FCVTxU, by the letter x. */
const roundings: readonly { letter: string; rmode: string; opcode: string; rounding: FloatRounding }[] = [
  { letter: 'n', rmode: '00', opcode: '00', rounding: 'nearestEven' },
  { letter: 'p', rmode: '01', opcode: '00', rounding: 'up' },
  { letter: 'm', rmode: '10', opcode: '00', rounding: 'down' },
  { letter: 'z', rmode: '11', opcode: '00', rounding: 'zero' },
  { letter: 'a', rmode: '00', opcode: '10', rounding: 'nearestAway' },
];

const signs = [
  { sign: 's', U: '0', signed: true },
  { sign: 'u', U: '1', signed: false },
] as const;

function toInteger(
  { letter, width: format, ftype }: FloatType,
  { width: bits, sf }: GeneralWidth,
): A64Instruction[] {
  return roundings.flatMap(({ letter: mode, rmode, opcode, rounding }) =>
    signs.map(({ sign, U, signed }) =>
      instruction({
        ...shared,
        name: `FCVT${mode}${sign}_${bits}${letter}_float2int`.toUpperCase(),
        pattern: `${sf} 0 0 11110 ${ftype} 1 ${rmode} ${opcode}${U} 000000 Rn:5 Rd:5`,
        operands: { d: destination('Rd', bits), n: scalarRegister('Rn', letter) },
        text: `fcvt${mode}${sign} {d}, {n}`,
        semantics: (m, o) => {
          const operation = { kind: 'toFixed', format, bits, signed, rounding } as const;
          const result = m.float(operation, m.readElement(o.n, format, 0), m.constant(64, 0));
          m.write(o.d, m.resize(bits, result));
        },
      }),
    ),
  );
}

function fromInteger(
  { letter, width: format, ftype }: FloatType,
  { width: bits, sf }: GeneralWidth,
): A64Instruction[] {
  return signs.map(({ sign, U, signed }) =>
    instruction({
      ...shared,
      name: `${sign}CVTF_${letter}${bits}_float2int`.toUpperCase(),
      pattern: `${sf} 0 0 11110 ${ftype} 1 00 01${U} 000000 Rn:5 Rd:5`,
      operands: { d: scalarRegister('Rd', letter), n: source('Rn', bits) },
      text: `${sign}cvtf {d}, {n}`,
      semantics: (m, o) => {
        const operation = { kind: 'fromFixed', format, bits, signed } as const;
        m.writeVector(o.d, fromLow(m.float(operation, m.read(o.n), m.constant(64, 0))));
      },
    }),
  );
}

/** The number of fraction bits, 1 to the width. The field `scale` encodes 64 minus this number. */
function fractionBits(width: Width): ImmediateOperand {
  return immediate({
    width: 64,
    bits: 8,
    value: ({ scale = 0 }) => BigInt(64 - scale),
    encode: (value) => (value > 0n && value <= BigInt(width) ? { scale: 64 - Number(value) } : null),
  });
}

function fixedPoint(
  { letter, width: format, ftype }: FloatType,
  { width: bits, sf }: GeneralWidth,
): A64Instruction[] {
  const fraction = fractionBits(bits);
  const allocated = ({ scale = 0 }): boolean => 64 - scale <= bits;
  return signs.flatMap(({ sign, U, signed }) => [
    instruction({
      ...shared,
      name: `FCVTZ${sign}_${bits}${letter}_float2fix`.toUpperCase(),
      pattern: `${sf} 0 0 11110 ${ftype} 0 11 00${U} scale:6 Rn:5 Rd:5`,
      allocated,
      operands: { d: destination('Rd', bits), n: scalarRegister('Rn', letter), fraction },
      text: `fcvtz${sign} {d}, {n}, {fraction}`,
      semantics: (m, o) => {
        const operation = { kind: 'toFixed', format, bits, signed, rounding: 'zero' } as const;
        m.write(o.d, m.resize(bits, m.float(operation, m.readElement(o.n, format, 0), o.fraction)));
      },
    }),
    instruction({
      ...shared,
      name: `${sign}CVTF_${letter}${bits}_float2fix`.toUpperCase(),
      pattern: `${sf} 0 0 11110 ${ftype} 0 00 01${U} scale:6 Rn:5 Rd:5`,
      allocated,
      operands: { d: scalarRegister('Rd', letter), n: source('Rn', bits), fraction },
      text: `${sign}cvtf {d}, {n}, {fraction}`,
      semantics: (m, o) => {
        const operation = { kind: 'fromFixed', format, bits, signed } as const;
        m.writeVector(o.d, fromLow(m.float(operation, m.read(o.n), o.fraction)));
      },
    }),
  ]);
}

export const floatConversions = (): readonly A64Instruction[] =>
  floatTypes.flatMap((type) =>
    bothWidths.flatMap((general) => [
      ...toInteger(type, general),
      ...fromInteger(type, general),
      ...fixedPoint(type, general),
    ]),
  );
