/** x87: functions of ST(0) and ST(1), constants, decimals and FCMOVcc (Intel SDM, volume 1, 8.3). */
import { invariant } from '../../base/index.js';
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Vcpu } from './vcpu.js';
import { extract, ofDecimal, remainder, scale, squareRoot, toIntegral } from './x87_exact.js';
import type { Remainder } from './x87_exact.js';
import { isNan, kindOf, one } from './x87_numbers.js';
import type { Extended, Modes, Result } from './x87_numbers.js';
import {
  arctangent,
  constant,
  cosine,
  logarithm,
  logarithmOfSum,
  powerMinusOne,
  reducible,
  sine,
  tangent,
} from './x87_transcendental.js';
import {
  begin,
  finish,
  modesOf,
  note,
  push,
  Registers,
  setConditions,
  stackFault,
  status,
} from './x87_registers.js';

const { x87Constants, x87Functions } = x86_64;

export function pushConstant(cpu: Vcpu, which: bigint): void {
  begin(cpu);
  const name = x87Constants[Number(which)];
  invariant(name !== undefined, `constant ${which} of x87`);
  push(cpu, name === 'zero' ? [0n, 0] : name === 'one' ? one : constant(name, modesOf(cpu)));
}

export function pushDecimal(cpu: Vcpu, low: bigint, high: bigint): void {
  begin(cpu);
  push(cpu, ofDecimal(BigInt.asUintN(64, low) | ((high & 0xffffn) << 64n)));
}

/** FCMOVcc. */
export function moveIf(cpu: Vcpu, condition: bigint, index: bigint): void {
  begin(cpu);
  const registers = new Registers(cpu);
  if (registers.isEmpty(0) || registers.isEmpty(Number(index))) finish(cpu, 0, stackFault);
  else if (condition !== 0n) registers.set(0, registers.raw(Number(index)));
}

type Unary = (a: Extended, modes: Modes) => Result<Extended>;
type Binary = (a: Extended, b: Extended, modes: Modes) => Result<Extended>;

/** Replaces ST(0) by a function of it. */
function replace(cpu: Vcpu, compute: Unary): void {
  const registers = new Registers(cpu);
  finish(cpu, 0, registers.isEmpty(0) ? stackFault : compute(registers.raw(0), modesOf(cpu)));
}

/** Replaces ST(0) by a function of it and ST(1). */
function replaceByBoth(cpu: Vcpu, compute: Binary): void {
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || registers.isEmpty(1);
  finish(cpu, 0, isFault ? stackFault : compute(registers.raw(0), registers.raw(1), modesOf(cpu)));
}

/** Replaces ST(1) by a function of ST(0) and ST(1), and pops ST(0). */
function consume(cpu: Vcpu, compute: Binary): void {
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || registers.isEmpty(1);
  const result = isFault ? stackFault : compute(registers.raw(0), registers.raw(1), modesOf(cpu));
  if (finish(cpu, 1, result)) registers.pop();
}

/** Replaces ST(0) by one result and pushes another. `isFull` says that there is no room for it. */
function replaceAndPush(
  cpu: Vcpu,
  compute: (a: Extended) => readonly [Result<Extended>, Result<Extended>],
): void {
  const registers = new Registers(cpu);
  const [isEmpty, isFull] = [registers.isEmpty(0), !registers.isEmpty(7)];
  const [first, second] = isEmpty || isFull ? [stackFault, stackFault] : compute(registers.raw(0));
  const c1 = isEmpty ? false : isFull || second.up;
  if (!note(cpu, first.raised | second.raised, c1)) return;
  registers.set(0, first.value);
  registers.top -= 1;
  registers.set(0, second.value);
}

function evaluateRemainder(cpu: Vcpu, isNearest: boolean): void {
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || registers.isEmpty(1);
  const { result, quotient }: Remainder = isFault
    ? { result: stackFault, quotient: 'none' }
    : remainder(registers.raw(0), registers.raw(1), modesOf(cpu), isNearest);
  const bit = (at: bigint): boolean => typeof quotient === 'bigint' && ((quotient >> at) & 1n) === 1n;
  const isDone = finish(cpu, 0, { ...result, up: bit(0n) });
  // Where there is no quotient, C0 and C3 stay.
  if (!isDone || quotient === 'none') cpu.system.float.status &= ~status.c2;
  else {
    const partial = quotient === 'partial' ? status.c2 : 0;
    setConditions(cpu, partial | (bit(2n) ? status.c0 : 0) | (bit(1n) ? status.c3 : 0));
  }
}

/** FSIN, FCOS, FSINCOS and FPTAN: where the operand is too large, they only set C2. Faults of the stack come first. */
function evaluateAngle(cpu: Vcpu, pushes: boolean, compute: () => void): void {
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || (pushes && !registers.isEmpty(7));
  const isReducible = isFault || reducible(registers.raw(0));
  const { float } = cpu.system;
  float.status = isReducible ? float.status & ~status.c2 : float.status | status.c2;
  if (isReducible) compute();
  else note(cpu, 0, false);
}

const evaluations: Readonly<Record<x86_64.X87Function, (cpu: Vcpu) => void>> = {
  sqrt: (cpu) => replace(cpu, squareRoot),
  round: (cpu) => replace(cpu, toIntegral),
  scale: (cpu) => replaceByBoth(cpu, scale),
  extract: (cpu) =>
    replaceAndPush(cpu, (a) => {
      const { exponent, significand } = extract(a);
      return [{ ...significand, value: exponent }, significand];
    }),
  remainder: (cpu) => evaluateRemainder(cpu, false),
  nearestRemainder: (cpu) => evaluateRemainder(cpu, true),
  powerMinusOne: (cpu) => replace(cpu, powerMinusOne),
  logarithm: (cpu) => consume(cpu, logarithm),
  logarithmOfSum: (cpu) => consume(cpu, logarithmOfSum),
  arctangent: (cpu) => consume(cpu, arctangent),
  sine: (cpu) => evaluateAngle(cpu, false, () => replace(cpu, sine)),
  cosine: (cpu) => evaluateAngle(cpu, false, () => replace(cpu, cosine)),
  sineAndCosine: (cpu) =>
    evaluateAngle(cpu, true, () =>
      replaceAndPush(cpu, (a) => [sine(a, modesOf(cpu)), cosine(a, modesOf(cpu))]),
    ),
  tangent: (cpu) =>
    evaluateAngle(cpu, true, () =>
      replaceAndPush(cpu, (a) => {
        const result = tangent(a, modesOf(cpu));
        return [
          result,
          { value: isNan(kindOf(result.value)) ? result.value : one, raised: 0, up: result.up },
        ];
      }),
    ),
};

export function evaluate(cpu: Vcpu, which: bigint): void {
  begin(cpu);
  const name = x87Functions[Number(which)];
  invariant(name !== undefined, `function ${which} of x87`);
  evaluations[name](cpu);
}
