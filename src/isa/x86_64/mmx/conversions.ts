/** Conversions between numbers of XMM registers or memory and integers of MMX registers (Intel SDM, volume 1, 10.4.3 and 11.4.1.6): CVTPI2PS and so on. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { fromLow, laneOf } from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { memory } from '../memory.js';
import { fromInteger, makeLanes, toInteger, withExceptions } from '../sse/floats.js';
import type { Format } from '../sse/floats.js';
import { sse, sse2 } from '../sse/definitions.js';
import { lowOrMemory, xmm, xmmOrMemory } from '../sse/operands.js';
import type { Xmm } from '../sse/operands.js';
import { enteringInstruction, mm, mmRm } from './operands.js';
import type { Mm } from './operands.js';

/** Two numbers as integers. An exception of the conversion finds the x87 registers valid (as on AMD's CPUs). */
function toIntegers(m: Semantics, d: Mm, format: Format, truncates: boolean, all: VectorExpr): void {
  const compute = (): VectorExpr =>
    m.letVector(makeLanes(m, 32, 2, (at) => toInteger(m, format, 32, truncates, laneOf(format, all, at))));
  m.system('enterMmx');
  withExceptions(m, compute, (result) => d.set(m.let(laneOf(64, result, 0))));
}

const toMmx = ([['cvttps2pi', '2C', true], ['cvtps2pi', '2D', false]] as const).flatMap(([mnemonic, byte, truncates]) => [
  ...enteringInstruction('mmx+sse', {
    name: `${mnemonic.toUpperCase()}_mm_xm`, opcode: `NP 0F ${byte} /r`, operands: { d: mm, s: lowOrMemory(64) }, text: `${mnemonic} {s},{d}`, vector: true,
    semantics: (m, { d, s }) => toIntegers(m, d, 32, truncates, m.letVector(fromLow(s.get()))),
  }),
  ...enteringInstruction('mmx+sse2', {
    name: `${mnemonic.replace('ps', 'pd').toUpperCase()}_mm_xm`, opcode: `66 0F ${byte} /r`, operands: { d: mm, s: xmmOrMemory() }, text: `${mnemonic.replace('ps', 'pd')} {s},{d}`, vector: true,
    semantics: (m, { d, s }) => toIntegers(m, d, 64, truncates, m.letVector(s.get())),
  }),
]); // prettier-ignore

function fromIntegers(m: Semantics, d: Xmm, format: Format, value: Expr): void {
  const all = m.letVector(fromLow(value));
  const compute = (): VectorExpr =>
    m.letVector(makeLanes(m, format, 2, (at) => fromInteger(m, format, 32, laneOf(32, all, at))));
  withExceptions(m, compute, (result) => {
    if (format === 64) d.set(result);
    else d.setLane(64, 0, laneOf(64, result, 0));
  });
}

/** With integers in memory they have nothing to do with MMX (as on AMD's CPUs), but for CR0.EM. */
const fromMmx = ([['CVTPI2PS', 'mmx+sse', 'NP', 32], ['CVTPI2PD', 'mmx+sse2', '66', 64]] as const).flatMap(([name, feature, prefix, format]) => [
  ...enteringInstruction(feature, {
    name: `${name}_x_mm`, opcode: `${prefix} 0F 2A /r`, only: 'r', operands: { d: xmm, s: mmRm }, text: `${name.toLowerCase()} {s},{d}`,
    semantics: (m, { d, s }) => {
      const value = s.get();
      m.system('enterMmx');
      fromIntegers(m, d, format, value);
    },
  }),
  ...instruction({
    ...(format === 32 ? sse : sse2), name: `${name}_x_m64`, opcode: `${prefix} 0F 2A /r`, only: 'm', operands: { d: xmm, s: memory(64) }, text: `${name.toLowerCase()} {s},{d}`,
    semantics: (m, { d, s }) => fromIntegers(m, d, format, s.get()),
  }),
]); // prettier-ignore

export const mmxConversions = [...toMmx, ...fromMmx];
