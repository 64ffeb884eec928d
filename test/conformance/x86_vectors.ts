/** Evaluates micro-operations on 128-bit values as plainly as they are described. A value is an unsigned number of 128 bits. */
import type { Expr, LaneExpr, VectorExpr } from '../../src/isa/index.js';

/** What a vector's value depends on. */
export interface VectorSource {
  scalar(expr: Expr): bigint;
  /** The register of an operand. */
  register(operand: string): bigint;
  local(index: number): bigint;
}

/** The lanes of a value, unsigned, lowest first. */
export function lanesOf(value: bigint, lane: number): bigint[] {
  return Array.from({ length: 128 / lane }, (_, at) => BigInt.asUintN(lane, value >> BigInt(at * lane)));
}

/** A value of lanes, which are cut to their width. */
export function fromLanes(lanes: readonly bigint[], lane: number): bigint {
  return lanes.reduce((all, each, at) => all | (BigInt.asUintN(lane, each) << BigInt(at * lane)), 0n);
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const larger = (a: bigint, b: bigint): bigint => (a < b ? b : a);
const truth = (holds: boolean): bigint => (holds ? -1n : 0n);

const signedRange = (lane: number, value: bigint): bigint =>
  larger(-(1n << BigInt(lane - 1)), smaller((1n << BigInt(lane - 1)) - 1n, value));
const unsignedRange = (lane: number, value: bigint): bigint =>
  larger(0n, smaller((1n << BigInt(lane)) - 1n, value));

type Binary = Extract<VectorExpr, { op: 'vectorBinary' }>;

/** What a lane becomes, by kind without its signedness. Operands are signed or not as the kind says. */
const laneKinds: Readonly<Record<string, (a: bigint, b: bigint, lane: number, isSigned: boolean) => bigint>> =
  {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    eq: (a, b) => truth(a === b),
    gt: (a, b) => truth(a > b),
    ge: (a, b) => truth(a >= b),
    min: smaller,
    max: larger,
    addSaturate: (a, b, lane, isSigned) => (isSigned ? signedRange : unsignedRange)(lane, a + b),
    subSaturate: (a, b, lane, isSigned) => (isSigned ? signedRange : unsignedRange)(lane, a - b),
    average: (a, b) => (a + b + 1n) / 2n,
  };

function half(value: bigint, high: boolean): bigint {
  return BigInt.asUintN(64, high ? value >> 64n : value);
}

function binary({ kind, lane }: Binary, first: bigint, second: bigint): bigint {
  const isSigned = kind.endsWith('Signed');
  const name = kind.replace(/(Uns|S)igned$/, '');
  const read = (value: bigint, bits: number): bigint[] =>
    lanesOf(value, bits).map((each) => (isSigned ? BigInt.asIntN(bits, each) : each));
  if (name === 'narrow') {
    const wide = [first, second].flatMap((value) =>
      lanesOf(value, 2 * lane).map((each) => BigInt.asIntN(2 * lane, each)),
    );
    return fromLanes(wide.map((each) => (isSigned ? signedRange : unsignedRange)(lane, each)), lane); // prettier-ignore
  }
  if (name === 'mulLow' || name === 'mulHigh') {
    const [a, b] = [first, second].map((value) => read(half(value, name === 'mulHigh'), lane / 2)) as [
      bigint[],
      bigint[],
    ];
    return fromLanes(a.slice(0, 128 / lane).map((each, at) => each * (b[at] ?? 0n)), lane); // prettier-ignore
  }
  const operation = laneKinds[name];
  if (operation === undefined) throw new Error(`${kind} cannot be evaluated`);
  const [a, b] = [read(first, lane), read(second, lane)];
  return fromLanes(a.map((each, at) => operation(each, b[at] ?? 0n, lane, isSigned)), lane); // prettier-ignore
}

function unary({ kind, lane }: Extract<VectorExpr, { op: 'vectorUnary' }>, value: bigint): bigint {
  if (kind === 'abs') {
    const signed = lanesOf(value, lane).map((each) => BigInt.asIntN(lane, each));
    return fromLanes(signed.map((each) => (each < 0n ? -each : each)), lane); // prettier-ignore
  }
  const extended = /^extend(Low|High)(Uns|S)igned$/.exec(kind);
  if (extended !== null) {
    const narrow = lanesOf(half(value, extended[1] === 'High'), lane / 2).slice(0, 128 / lane);
    return fromLanes(narrow.map((each) => (extended[2] === 'S' ? BigInt.asIntN(lane / 2, each) : each)), lane); // prettier-ignore
  }
  if (kind !== 'addPairsUnsigned') throw new Error(`${kind} cannot be evaluated`);
  const narrow = lanesOf(value, lane / 2);
  return fromLanes(lanesOf(value, lane).map((_, at) => narrow[2 * at]! + narrow[2 * at + 1]!), lane); // prettier-ignore
}

function shift(
  { kind, lane }: Extract<VectorExpr, { op: 'vectorShift' }>,
  value: bigint,
  amount: bigint,
): bigint {
  const by = amount % BigInt(lane);
  const shifted = lanesOf(value, lane).map((each) =>
    kind === 'shl' ? each << by : kind === 'shrUnsigned' ? each >> by : BigInt.asIntN(lane, each) >> by,
  );
  return fromLanes(shifted, lane);
}

/** The value of a vector. */
// eslint-disable-next-line complexity -- one case per kind of expression
export function vectorValue(expr: VectorExpr, source: VectorSource): bigint {
  const of = (inner: VectorExpr): bigint => vectorValue(inner, source);
  switch (expr.op) {
    case 'vectorConst':
      return expr.value;
    case 'vectorRegister':
      return source.register(expr.operand);
    case 'vectorLocal':
      return source.local(expr.index);
    case 'splat':
      return fromLanes(Array.from({ length: 128 / expr.lane }, () => source.scalar(expr.a)), expr.lane); // prettier-ignore
    case 'fromLow':
      return source.scalar(expr.a);
    case 'replaceLane':
      return fromLanes(lanesOf(of(expr.a), expr.lane).with(expr.index, source.scalar(expr.value)), expr.lane);
    case 'vectorUnary':
      return unary(expr, of(expr.a));
    case 'vectorBinary':
      return binary(expr, of(expr.a), of(expr.b));
    case 'vectorBits': {
      const [a, b] = [of(expr.a), of(expr.b)];
      if (expr.kind === 'and') return a & b;
      if (expr.kind === 'or') return a | b;
      return expr.kind === 'xor' ? a ^ b : a & ~b;
    }
    case 'vectorShift':
      return shift(expr, of(expr.a), source.scalar(expr.amount));
    case 'shuffle': {
      const bytes = [...lanesOf(of(expr.a), 8), ...lanesOf(of(expr.b), 8)];
      return fromLanes(expr.bytes.map((index) => bytes[index]!), 8); // prettier-ignore
    }
    case 'swizzle': {
      const bytes = lanesOf(of(expr.a), 8);
      return fromLanes(lanesOf(of(expr.indexes), 8).map((index) => bytes[Number(index)] ?? 0n), 8); // prettier-ignore
    }
    case 'bitSelect': {
      const mask = of(expr.mask);
      return (of(expr.a) & mask) | (of(expr.b) & ~mask);
    }
  }
}

/** A number that is taken from a vector, which is unsigned within its width. */
export function laneValue(expr: Expr & LaneExpr, source: VectorSource): bigint {
  switch (expr.op) {
    case 'lane': {
      const value = lanesOf(vectorValue(expr.a, source), expr.lane)[expr.index]!;
      return expr.signed ? BigInt.asIntN(expr.lane, value) : value;
    }
    case 'element':
      return lanesOf(source.register(expr.operand), expr.lane)[Number(source.scalar(expr.index))]!;
    case 'anyTrue':
      return vectorValue(expr.a, source) === 0n ? 0n : 1n;
    case 'signBits':
      return lanesOf(vectorValue(expr.a, source), expr.lane).reduce(
        (all, each, at) => all | ((each >> BigInt(expr.lane - 1)) << BigInt(at)),
        0n,
      );
  }
}
