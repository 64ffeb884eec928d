/**
 * Code builder for WebAssembly floating-point code. A value is a function that pushes itself. The host's arithmetic
 * rounds to nearest as IEEE 754 requires (WebAssembly core specification 2.0, section 4.3.3), except that NaN bits are
 * not determined; generated code must never let them reach a guest.
 */
import { Code, i32, i64, opcodes, select } from '../wasm/code.js';
import type { ValueType } from '../wasm/code.js';

export const f32 = 0x7d;
export const f64 = 0x7c;
export type FloatType = typeof f32 | typeof f64;

/** Code that pushes a value. */
export type Value = (code: Code) => void;

const f32Codes = {
  eq: 0x5b, ne: 0x5c, lt: 0x5d, gt: 0x5e, le: 0x5f, ge: 0x60, abs: 0x8b, neg: 0x8c, ceil: 0x8d, floor: 0x8e, trunc: 0x8f,
  nearest: 0x90, sqrt: 0x91, add: 0x92, sub: 0x93, mul: 0x94, div: 0x95, min: 0x96, max: 0x97, copysign: 0x98,
} as const; // prettier-ignore
const f64Codes = {
  eq: 0x61, ne: 0x62, lt: 0x63, gt: 0x64, le: 0x65, ge: 0x66, abs: 0x99, neg: 0x9a, ceil: 0x9b, floor: 0x9c, trunc: 0x9d,
  nearest: 0x9e, sqrt: 0x9f, add: 0xa0, sub: 0xa1, mul: 0xa2, div: 0xa3, min: 0xa4, max: 0xa5, copysign: 0xa6,
} as const; // prettier-ignore
export type FloatOpcode = keyof typeof f64Codes;

/** i64.ctz. */
const countTrailingZeros = 0x7a;

export function op(opcode: number, ...inputs: readonly Value[]): Value {
  return (code) => {
    for (const input of inputs) input(code);
    code.byte(opcode);
  };
}

/** The arithmetic of one format. */
export class Format {
  readonly type: FloatType;
  readonly bits: 32 | 64;
  /** Number of fraction bits, and the smallest normal number. */
  readonly fractionBits: number;
  readonly smallestNormal: number;
  readonly #codes: Readonly<Record<FloatOpcode, number>>;

  constructor(bits: 32 | 64) {
    this.type = bits === 32 ? f32 : f64;
    this.bits = bits;
    this.fractionBits = bits === 32 ? 23 : 52;
    this.smallestNormal = 2 ** (bits === 32 ? -126 : -1022);
    this.#codes = bits === 32 ? f32Codes : f64Codes;
  }

  do(kind: FloatOpcode, ...inputs: readonly Value[]): Value {
    return op(this.#codes[kind], ...inputs);
  }

  constant(value: number): Value {
    const bytes = new DataView(new ArrayBuffer(8));
    if (this.bits === 32) bytes.setFloat32(0, value, true);
    else bytes.setFloat64(0, value, true);
    return (code) =>
      code.byte(this.bits === 32 ? 0x43 : 0x44).append(new Uint8Array(bytes.buffer, 0, this.bits / 8));
  }

  /** The number whose bits are the low bits of an i64. */
  fromBits(bits: Value): Value {
    return this.bits === 32 ? op(0xbe, op(0xa7, bits)) : op(0xbf, bits);
  }

  /** The number's bits as an i64, zero-extended. */
  toBits(value: Value): Value {
    return this.bits === 32 ? op(0xad, op(0xbc, value)) : op(0xbd, value);
  }

  /** The same number as a double. */
  toDouble(value: Value): Value {
    return this.bits === 32 ? op(0xbb, value) : value;
  }

  /** A double, rounded to this format. */
  fromDouble(value: Value): Value {
    return this.bits === 32 ? op(0xb6, value) : value;
  }

  /** Converts an i64, with rounding. */
  fromInteger(value: Value, signed: boolean): Value {
    const codes = this.bits === 32 ? [0xb5, 0xb4] : [0xba, 0xb9];
    return op(codes[signed ? 1 : 0] ?? 0, value);
  }

  /** Converts to an i64, truncating the fraction. Saturates where it does not fit. */
  toInteger(value: Value, signed: boolean): Value {
    const number = (this.bits === 32 ? 4 : 6) + (signed ? 0 : 1);
    return (code) => {
      value(code);
      code.byte(0xfc).unsigned(number);
    };
  }

  isFinite(value: Value): Value {
    return this.do('lt', this.do('abs', value), this.constant(Infinity));
  }

  /** Whether the number is finite and above the smallest normal number, and so was not tiny before rounding. */
  isOrdinary(value: Value): Value {
    const isLarge = this.do('gt', this.do('abs', value), this.constant(this.smallestNormal));
    return both(isLarge, this.isFinite(value));
  }

  isZero(value: Value): Value {
    return this.do('eq', value, this.constant(0));
  }

  isNumber(value: Value): Value {
    return this.do('eq', value, value);
  }
}

export const single = new Format(32);
export const double = new Format(64);

export function both(a: Value, b: Value): Value {
  return op(opcodes[i32].and, a, b);
}

export function either(a: Value, b: Value): Value {
  return op(opcodes[i32].or, a, b);
}

export function not(a: Value): Value {
  return op(opcodes[i32].eqz, a);
}

export function integer(value: bigint | number): Value {
  return (code) => code.constant(i64, value);
}

export function choose(condition: Value, a: Value, b: Value): Value {
  return (code) => {
    a(code);
    b(code);
    condition(code);
    code.byte(select);
  };
}

export const wide = {
  and: (a: Value, b: Value): Value => op(opcodes[i64].and, a, b),
  or: (a: Value, b: Value): Value => op(opcodes[i64].or, a, b),
  add: (a: Value, b: Value): Value => op(opcodes[i64].add, a, b),
  sub: (a: Value, b: Value): Value => op(opcodes[i64].sub, a, b),
  shl: (a: Value, b: Value): Value => op(opcodes[i64].shl, a, b),
  shrUnsigned: (a: Value, b: Value): Value => op(opcodes[i64].shrUnsigned, a, b),
  isZero: (a: Value): Value => op(opcodes[i64].eqz, a),
  ne: (a: Value, b: Value): Value => op(opcodes[i64].ne, a, b),
  eq: (a: Value, b: Value): Value => op(opcodes[i64].eq, a, b),
  isBelow: (a: Value, b: Value): Value => op(opcodes[i64].ltUnsigned, a, b),
  isBelowSigned: (a: Value, b: Value): Value => op(opcodes[i64].ltSigned, a, b),
  trailingZeros: (a: Value): Value => op(countTrailingZeros, a),
  fromTruth: (a: Value): Value => op(0xad, a),
} as const;

/** A function body in which every failed condition branches to the slow path. */
export class FloatCode {
  readonly code = new Code();
  readonly locals: ValueType[] = [];
  readonly #firstLocal: number;
  /** Number of blocks between here and the block that leads to the slow path. */
  #depth = 0;

  /** For a function with `parameters` parameters. */
  constructor(parameters: number) {
    this.#firstLocal = parameters;
  }

  /** Computes a value here, once, and stores it in a local. */
  let(type: ValueType | FloatType, value: Value): Value {
    const number = this.#firstLocal + this.locals.length;
    this.locals.push(type as ValueType);
    value(this.code);
    this.code.set(number);
    return (code) => code.get(number);
  }

  /** Branches to the slow path if the condition is 0. */
  require(condition: Value): void {
    condition(this.code);
    this.code.byte(opcodes[i32].eqz).branchIf(this.#depth);
  }

  when(condition: Value, then: () => void): void {
    condition(this.code);
    this.code.if();
    this.#depth += 1;
    then();
    this.#depth -= 1;
    this.code.end();
  }

  answer(bits: Value): void {
    bits(this.code);
    this.code.return();
  }
}
