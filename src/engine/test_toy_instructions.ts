/**
 * The instructions of a toy CPU for the engine's tests. They have one to five bytes, so that some cross the end of a page. There are
 * four registers of 64 bits (the last is the stack pointer), and flags of every form.
 */
import { withMeaning } from '../isa/index.js';
import type {
  Expr,
  FieldValues,
  FlagSet,
  ImmediateOperand,
  Instruction,
  RegisterOperand,
  Semantics,
} from '../isa/index.js';

export const toyFlags = {
  n: 'sign',
  z: 'zero',
  c: 'bit',
  v: 'sign',
  p: 'evenParity',
  a: 'bit4',
} as const satisfies FlagSet;
/** By number of the condition. Conditions 6 and 7 are the inverse of 0 and 1. */
export const toyConditions = ['z', 'c', 'p', 'a', 'n', 'v'] as const;
export const stackPointer = 3;

const noText = { print: () => '', parse: () => null };

const register = (field: string): RegisterOperand => ({
  ...noText,
  kind: 'register',
  width: 64,
  place: (fields) => fields[field] ?? 0,
});
const immediate = (bits: 8 | 32 | 64, width: 32 | 64 = 64): ImmediateOperand => ({
  ...noText,
  kind: 'immediate',
  width,
  bits,
  value: ({ i = 0 }) => BigInt(i),
});
const distance = immediate(32);
const [d, s] = [register('d'), register('s')];
const sp: RegisterOperand = { ...register('sp'), place: () => stackPointer };

/** How an instruction is encoded: its bytes behind the opcode, and where its fields are. */
interface Encoding {
  readonly opcode: number;
  /** The low bits of the opcode that hold register d or a condition. */
  readonly inOpcode: 0 | 3 | 7;
  /** Whether a byte with registers d and s follows. */
  readonly registers: boolean;
  /** Bytes of the immediate. */
  readonly immediate: 0 | 1 | 2 | 4;
  readonly signed: boolean;
}

export type ToyInstruction = Instruction & Encoding;

function encoding(opcode: number, rest: Partial<Encoding> = {}): Encoding {
  return { opcode, inOpcode: 0, registers: false, immediate: 0, signed: false, ...rest };
}

export function lengthOf({ registers, immediate: bytes }: Encoding): number {
  return 1 + (registers ? 1 : 0) + bytes;
}

function setFlags(m: Semantics, result: Expr, v: Expr, a: Expr, c: Expr | null): void {
  const rest = { n: result, z: result, v, p: m.resize(32, result), a: m.resize(32, a) };
  m.setFlags(c === null ? rest : { ...rest, c });
}

export const toyInstructions: readonly ToyInstruction[] = [
  withMeaning({ name: 'NOP', operands: {}, text: 'nop', semantics: () => undefined }, encoding(0x01)),
  withMeaning(
    { name: 'MOVE8', operands: { d, i: immediate(8) }, text: '', semantics: (m, o) => m.write(o.d, o.i) },
    encoding(0x10, { inOpcode: 3, immediate: 1 }),
  ),
  withMeaning(
    { name: 'MOVE32', operands: { d, i: immediate(32) }, text: '', semantics: (m, o) => m.write(o.d, o.i) },
    encoding(0x14, { inOpcode: 3, immediate: 4, signed: true }),
  ),
  withMeaning(
    { name: 'MOVE', operands: { d, s }, text: '', semantics: (m, o) => m.write(o.d, m.read(o.s)) },
    encoding(0x20, { registers: true }),
  ),
  withMeaning(
    {
      name: 'ADD',
      operands: { d, s },
      text: '',
      semantics: (m, o) => {
        const [a, b] = [m.let(m.read(o.d)), m.let(m.read(o.s))];
        const sum = m.let(m.add(a, b));
        const overflow = m.and(m.xor(a, sum), m.xor(b, sum));
        setFlags(m, sum, overflow, m.xor(m.xor(a, b), sum), m.less(false, sum, a));
        m.write(o.d, sum);
      },
    },
    encoding(0x21, { registers: true }),
  ),
  withMeaning(
    {
      name: 'COMPARE',
      operands: { d, s },
      text: '',
      semantics: (m, o) => {
        const [a, b] = [m.let(m.read(o.d)), m.let(m.read(o.s))];
        const difference = m.let(m.sub(a, b));
        const overflow = m.and(m.xor(a, b), m.xor(a, difference));
        setFlags(m, difference, overflow, m.xor(m.xor(a, b), difference), m.less(false, a, b));
      },
    },
    encoding(0x22, { registers: true }),
  ),
  withMeaning(
    {
      // Keeps the carry.
      name: 'INCREMENT',
      operands: { d },
      text: '',
      semantics: (m, o) => {
        const a = m.let(m.read(o.d));
        const sum = m.let(m.add(a, m.constant(64, 1)));
        setFlags(m, sum, m.and(m.xor(a, sum), sum), m.xor(m.xor(a, m.constant(64, 1)), sum), null);
        m.write(o.d, sum);
      },
    },
    encoding(0x24, { inOpcode: 3 }),
  ),
  withMeaning(
    { name: 'WHERE', operands: { d }, text: '', semantics: (m, o) => m.write(o.d, m.pc()) },
    encoding(0x28, { inOpcode: 3 }),
  ),
  withMeaning(
    {
      name: 'LOAD',
      operands: { d, s, i: immediate(32) },
      text: '',
      semantics: (m, o) => m.write(o.d, m.load(8, m.add(m.read(o.s), o.i))),
    },
    encoding(0x30, { registers: true, immediate: 1, signed: true }),
  ),
  withMeaning(
    {
      name: 'STORE',
      operands: { d, s, i: immediate(32) },
      text: '',
      semantics: (m, o) => m.store(8, m.add(m.read(o.s), o.i), m.read(o.d)),
    },
    encoding(0x31, { registers: true, immediate: 2, signed: true }),
  ),
  withMeaning(
    {
      name: 'STORE_BYTE',
      operands: { d, s },
      text: '',
      semantics: (m, o) => {
        // The base register is written behind the store, which may drop this instruction's record.
        m.store(1, m.read(o.s), m.read(o.d));
        m.write(o.s, m.add(m.read(o.s), m.constant(64, 1)));
      },
    },
    encoding(0x32, { registers: true }),
  ),
  ...([1, 4] as const).map((bytes) =>
    withMeaning(
      {
        name: `JUMP${8 * bytes}`,
        // One of them keeps its distance in 64 bits.
        operands: { i: immediate(bytes === 1 ? 32 : 64) },
        text: '',
        semantics: (m, o) => m.jumpNear(o.i),
      },
      encoding(bytes === 1 ? 0x40 : 0x41, { immediate: bytes, signed: true }),
    ),
  ),
  withMeaning(
    {
      name: 'CALL',
      operands: { sp, i: immediate(64) },
      text: '',
      semantics: (m, o) => {
        const top = m.let(m.sub(m.read(o.sp), m.constant(64, 8)));
        m.store(8, top, m.add(m.pc(), m.constant(64, 3)));
        m.write(o.sp, top);
        m.jumpNear(o.i);
      },
    },
    encoding(0x42, { immediate: 2, signed: true }),
  ),
  withMeaning(
    {
      name: 'RETURN',
      operands: { sp },
      text: '',
      semantics: (m, o) => {
        const top = m.let(m.read(o.sp));
        const to = m.load(8, top);
        m.write(o.sp, m.add(top, m.constant(64, 8)));
        m.jump(to);
      },
    },
    encoding(0x43),
  ),
  withMeaning(
    { name: 'JUMP_TO', operands: { d }, text: '', semantics: (m, o) => m.jump(m.read(o.d)) },
    encoding(0x48, { inOpcode: 3 }),
  ),
  withMeaning(
    {
      name: 'JUMP_IF',
      operands: { cc: { ...immediate(8, 32), value: ({ d: cc = 0 }) => BigInt(cc) }, i: distance },
      text: '',
      semantics: (m, o) => m.when(m.condition(o.cc), () => m.jumpNear(o.i)),
    },
    encoding(0x50, { inOpcode: 7, immediate: 1, signed: true }),
  ),
  withMeaning(
    {
      name: 'SYSTEM',
      cold: true,
      operands: { i: immediate(8) },
      text: '',
      semantics: (m, o) => m.system('call', [o.i]),
    },
    encoding(0x60, { immediate: 1 }),
  ),
  withMeaning({ name: 'FENCE', operands: {}, text: '', semantics: (m) => m.refetch(1) }, encoding(0x61)),
];

const byOpcode = new Map<number, ToyInstruction>(
  toyInstructions.flatMap((instruction) =>
    Array.from({ length: instruction.inOpcode + 1 }, (_, low): [number, ToyInstruction] => [
      instruction.opcode | low,
      instruction,
    ]),
  ),
);

/** The instruction at `at` and its fields; null for an undefined one, 'incomplete' if it does not end before `end`. */
export function decodeToy(
  bytes: ArrayLike<number>,
  at: number,
  end: number,
): { readonly instruction: ToyInstruction; readonly fields: FieldValues } | null | 'incomplete' {
  const opcode = bytes[at] ?? 0;
  const instruction = byOpcode.get(opcode);
  if (instruction === undefined) return null;
  if (at + lengthOf(instruction) > end) return 'incomplete';
  let next = at + 1;
  let fields: FieldValues = { d: opcode & instruction.inOpcode };
  if (instruction.registers) {
    const both = bytes[next] ?? 0;
    fields = { d: (both >> 4) & 3, s: both & 3 };
    next += 1;
  }
  let value = 0;
  for (let index = 0; index < instruction.immediate; index += 1) {
    value += (bytes[next + index] ?? 0) * 2 ** (8 * index);
  }
  const bits = 8 * instruction.immediate;
  if (instruction.signed && value >= 2 ** (bits - 1)) value -= 2 ** bits;
  return { instruction, fields: { ...fields, i: value } };
}
