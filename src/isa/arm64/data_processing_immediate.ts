/**
 * Data processing with an immediate (DDI 0487, C4.1.92): add and subtract, logical, move, bit field, extract,
 * PC-relative address.
 */
import { instruction } from './encoding.js';
import type { ImmediateOperand } from '../instruction.js';
import type { A64Instruction } from './encoding.js';
import type { Expr, Width } from '../micro_ops.js';
import type { FieldValues } from '../instruction.js';
import type { Semantics } from '../semantics.js';
import { decodeBitMask, encodeBitMask } from './bit_mask.js';
import { addSettingFlags, setLogicalFlags, subtractSettingFlags } from './flags.js';
import {
  bothWidths,
  derived,
  destination,
  hex,
  immediate,
  label,
  optionalNumber,
  orStackPointer,
  signed,
  source,
  unsigned,
} from './operands.js';

/** A 12-bit number, optionally shifted left by 12 bits. */
function shiftedImmediate(width: Width): ImmediateOperand {
  const value = ({ imm12 = 0, sh = 0 }: FieldValues): bigint => BigInt(imm12) << (sh === 1 ? 12n : 0n);
  return {
    kind: 'immediate',
    width,
    bits: 32,
    value,
    print: ({ imm12 = 0, sh = 0 }) => `#${hex(BigInt(imm12))}${sh === 1 ? ', lsl #12' : ''}`,
    parse: (text) => {
      const found = /^#(0x[0-9a-f]+|\d+)(, lsl #12)?/.exec(text);
      const imm12 = Number(found?.[1] ?? 4096);
      if (found === null || imm12 > 4095) return null;
      return { fields: { imm12, sh: found[2] === undefined ? 0 : 1 }, rest: text.slice(found[0].length) };
    },
  };
}

function addSubtract(): A64Instruction[] {
  return bothWidths.flatMap(({ width, sf }) => {
    const imm = shiftedImmediate(width);
    const [d, n] = [orStackPointer('Rd', width), orStackPointer('Rn', width)];
    const toRegister = destination('Rd', width);
    const pattern = (operation: string): string => `${sf} ${operation} 100010 sh:1 imm12:12 Rn:5 Rd:5`;
    return [
      instruction({
        name: `ADD_${width}_addsub_imm`,
        pattern: pattern('00'),
        operands: { d, n, imm },
        text: 'add {d}, {n}, {imm}',
        semantics: (m, o) => m.write(o.d, m.add(m.read(o.n), o.imm)),
      }),
      instruction({
        name: `ADDS_${width}_addsub_imm`,
        pattern: pattern('01'),
        operands: { d: toRegister, n, imm },
        text: 'adds {d}, {n}, {imm}',
        semantics: (m, o) => m.write(o.d, addSettingFlags(m, m.let(m.read(o.n)), o.imm)),
      }),
      instruction({
        name: `SUB_${width}_addsub_imm`,
        pattern: pattern('10'),
        operands: { d, n, imm },
        text: 'sub {d}, {n}, {imm}',
        semantics: (m, o) => m.write(o.d, m.sub(m.read(o.n), o.imm)),
      }),
      instruction({
        name: `SUBS_${width}_addsub_imm`,
        pattern: pattern('11'),
        operands: { d: toRegister, n, imm },
        text: 'subs {d}, {n}, {imm}',
        semantics: (m, o) => m.write(o.d, subtractSettingFlags(m, m.let(m.read(o.n)), o.imm)),
      }),
    ];
  });
}

function bitMask(width: Width): ImmediateOperand {
  return immediate({
    width,
    bits: 64,
    value: ({ N = 0, immr = 0, imms = 0 }) => decodeBitMask({ N, immr, imms }, width) ?? 0n,
    encode: (value) => {
      const fields = encodeBitMask(value, width);
      return fields === null ? null : { ...fields };
    },
    format: hex,
  });
}

const logicalOperations = [
  { mnemonic: 'and', combine: (m: Semantics, a: Expr, b: Expr) => m.and(a, b) },
  { mnemonic: 'orr', combine: (m: Semantics, a: Expr, b: Expr) => m.or(a, b) },
  { mnemonic: 'eor', combine: (m: Semantics, a: Expr, b: Expr) => m.xor(a, b) },
] as const;

function logical(): A64Instruction[] {
  return bothWidths.flatMap(({ width, sf }) => {
    const [n, d, imm] = [source('Rn', width), orStackPointer('Rd', width), bitMask(width)];
    const allocated = ({ N = 0, immr = 0, imms = 0 }: FieldValues): boolean =>
      decodeBitMask({ N, immr, imms }, width) !== null;
    const pattern = (operation: string): string => `${sf} ${operation} 100100 N:1 immr:6 imms:6 Rn:5 Rd:5`;
    const plain = logicalOperations.map(({ mnemonic, combine }, index) =>
      instruction({
        name: `${mnemonic.toUpperCase()}_${width}_log_imm`,
        pattern: pattern(index.toString(2).padStart(2, '0')),
        allocated,
        operands: { d, n, imm },
        text: `${mnemonic} {d}, {n}, {imm}`,
        semantics: (m, o) => {
          m.write(o.d, combine(m, m.read(o.n), o.imm));
        },
      }),
    );
    const ands = instruction({
      name: `ANDS_${width}_log_imm`,
      pattern: pattern('11'),
      allocated,
      operands: { d: destination('Rd', width), n, imm },
      text: 'ands {d}, {n}, {imm}',
      semantics: (m, o) => {
        const result = m.let(m.and(m.read(o.n), o.imm));
        setLogicalFlags(m, result);
        m.write(o.d, result);
      },
    });
    return [...plain, ands];
  });
}

function moveWide(): A64Instruction[] {
  return bothWidths.flatMap(({ width, sf }) => {
    const allocated = ({ hw = 0 }: FieldValues): boolean => hw * 16 < width;
    const pattern = (operation: string): string => `${sf} ${operation} 100101 hw:2 imm16:16 Rd:5`;
    const d = destination('Rd', width);
    const text = '{d}, {imm16}{hw}';
    const imm16 = immediate({ ...unsigned('imm16', 16, width), format: hex });
    const hw = optionalNumber(', lsl ', unsigned('hw', 2, width, 16), 0n);
    return [
      instruction({
        name: `MOVN_${width}_movewide`,
        pattern: pattern('00'),
        allocated,
        operands: { d, imm16, hw },
        text: `movn ${text}`,
        semantics: (m, o) => m.write(o.d, m.not(m.shift('shl', o.imm16, o.hw))),
      }),
      instruction({
        name: `MOVZ_${width}_movewide`,
        pattern: pattern('10'),
        allocated,
        operands: { d, imm16, hw },
        text: `movz ${text}`,
        semantics: (m, o) => m.write(o.d, m.shift('shl', o.imm16, o.hw)),
      }),
      instruction({
        name: `MOVK_${width}_movewide`,
        pattern: pattern('11'),
        allocated,
        operands: { d, old: source('Rd', width), imm16, hw },
        text: `movk ${text}`,
        semantics: (m, o) => {
          const kept = m.not(m.shift('shl', m.constant(width, 0xffff), o.hw));
          m.write(o.d, m.or(m.and(m.read(o.old), kept), m.shift('shl', o.imm16, o.hw)));
        },
      }),
    ];
  });
}

/** The destination bits that BFM replaces: those that the field covers at its destination. */
function replacedBits({ immr = 0, imms = 0 }: FieldValues, width: Width): bigint {
  const onesBelow = (bit: number): bigint => (1n << BigInt(bit)) - 1n;
  return imms >= immr
    ? onesBelow(imms - immr + 1)
    : onesBelow(width - immr + imms + 1) & ~onesBelow(width - immr);
}

/**
 * SBFM and UBFM shift the field left until its top bit is the top bit of the register, then right to its destination,
 * arithmetically or logically. The amount of the right shift depends on whether the field moves to the low or the high
 * end.
 */
function extractingBitFields(width: Width, sf: string): A64Instruction[] {
  const operands = {
    d: destination('Rd', width),
    n: source('Rn', width),
    immr: immediate(unsigned('immr', 6, width)),
    imms: immediate(unsigned('imms', 6, width)),
    up: derived(width, 8, ({ imms = 0 }) => width - 1 - imms),
    down: derived(width, 8, ({ immr = 0, imms = 0 }) =>
      imms >= immr ? width - 1 - imms + immr : immr - imms - 1,
    ),
  };
  return (
    [
      ['sbfm', '00', 'shrSigned'],
      ['ubfm', '10', 'shrUnsigned'],
    ] as const
  ).map(([mnemonic, opc, shift]) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_${width}_bitfield`,
      pattern: `${sf} ${opc} 100110 ${sf} immr:6 imms:6 Rn:5 Rd:5`,
      allocated: ({ immr = 0, imms = 0 }) => immr < width && imms < width,
      operands,
      text: `${mnemonic} {d}, {n}, {immr}, {imms}`,
      semantics: (m, o) => m.write(o.d, m.shift(shift, m.shift('shl', m.read(o.n), o.up), o.down)),
    }),
  );
}

function insertingBitField(width: Width, sf: string): A64Instruction {
  return instruction({
    name: `BFM_${width}_bitfield`,
    pattern: `${sf} 01 100110 ${sf} immr:6 imms:6 Rn:5 Rd:5`,
    allocated: ({ immr = 0, imms = 0 }) => immr < width && imms < width,
    operands: {
      d: destination('Rd', width),
      old: source('Rd', width),
      n: source('Rn', width),
      immr: immediate(unsigned('immr', 6, width)),
      imms: immediate(unsigned('imms', 6, width)),
      replaced: derived(width, 64, (fields) => replacedBits(fields, width)),
    },
    text: 'bfm {d}, {n}, {immr}, {imms}',
    semantics: (m, o) => {
      const moved = m.and(m.shift('rotr', m.read(o.n), o.immr), o.replaced);
      m.write(o.d, m.or(m.and(m.read(o.old), m.not(o.replaced)), moved));
    },
  });
}

function extract(width: Width, sf: string): A64Instruction {
  return instruction({
    name: `EXTR_${width}_extract`,
    pattern: `${sf} 00 100111 ${sf} 0 Rm:5 imms:6 Rn:5 Rd:5`,
    allocated: ({ imms = 0 }) => imms < width,
    operands: {
      d: destination('Rd', width),
      n: source('Rn', width),
      m: source('Rm', width),
      lsb: immediate(unsigned('imms', 6, width)),
    },
    text: 'extr {d}, {n}, {m}, {lsb}',
    semantics: (m, o) => {
      const low = m.shift('shrUnsigned', m.read(o.m), o.lsb);
      // A shift by the whole width would be a shift by 0. So the upper half is shifted by one first, then by the rest.
      const rest = m.xor(o.lsb, m.constant(width, width - 1));
      const high = m.shift('shl', m.shiftBy('shl', m.read(o.n), 1), rest);
      m.write(o.d, m.or(high, low));
    },
  });
}

/** A signed 21-bit offset, split over two fields. */
const distance = signed('imm', 21);
const adrLabel = (pageBits: 0n | 12n): ImmediateOperand => {
  const value = ({ immhi = 0, immlo = 0 }: FieldValues): bigint =>
    distance.value({ imm: immhi * 4 + immlo }) << pageBits;
  const encode = (offset: bigint): FieldValues | null => {
    const { imm } = distance.encode(offset >> pageBits) ?? {};
    return imm === undefined ? null : { immhi: imm >> 2, immlo: imm & 3 };
  };
  const plain = label(value, encode);
  if (pageBits === 0n) return plain;
  // ADRP counts pages from the page of the instruction.
  const page = (pc: bigint): bigint => pc & ~0xfffn;
  return {
    ...plain,
    print: (fields, pc) => plain.print(fields, page(pc)),
    parse: (text, pc) => plain.parse(text, page(pc)),
  };
};

const addresses: readonly A64Instruction[] = [
  instruction({
    name: 'ADR_only_pcreladdr',
    pattern: '0 immlo:2 10000 immhi:19 Rd:5',
    operands: { d: destination('Rd', 64), to: adrLabel(0n) },
    text: 'adr {d}, {to}',
    semantics: (m, o) => m.write(o.d, m.add(m.pc(), o.to)),
  }),
  instruction({
    name: 'ADRP_only_pcreladdr',
    pattern: '1 immlo:2 10000 immhi:19 Rd:5',
    operands: { d: destination('Rd', 64), to: adrLabel(12n) },
    text: 'adrp {d}, {to}',
    semantics: (m, o) => m.write(o.d, m.add(m.and(m.pc(), m.constant(64, ~0xfffn)), o.to)),
  }),
];

/** All instructions of the group. */
export const dataProcessingImmediate: readonly A64Instruction[] = [
  ...addresses,
  ...addSubtract(),
  ...logical(),
  ...moveWide(),
  ...bothWidths.flatMap(({ width, sf }) => [
    ...extractingBitFields(width, sf),
    insertingBitField(width, sf),
    extract(width, sf),
  ]),
];
