/** The x86-64 instruction set: all defined instructions, by group (Intel SDM, volume 2). */
import type { X86Instruction } from './encoding.js';
import { arithmeticInstructions } from './arithmetic.js';
import { bitInstructions } from './bits.js';
import { branchInstructions } from './branches.js';
import { exchangeInstructions } from './exchanges.js';
import { mmxInstructions } from './mmx/index.js';
import { moveInstructions } from './moves.js';
import { multiplyDivideInstructions } from './multiply_divide.js';
import { shiftInstructions } from './shifts.js';
import { sseInstructions } from './sse/index.js';
import { stackInstructions } from './stack.js';
import { stringInstructions } from './strings.js';
import { systemInstructions } from './system.js';
import { x87Instructions } from './x87.js';
import { x87FunctionInstructions } from './x87_functions.js';

export const x86: readonly X86Instruction[] = [
  ...moveInstructions,
  ...arithmeticInstructions,
  ...shiftInstructions,
  ...multiplyDivideInstructions,
  ...bitInstructions,
  ...exchangeInstructions,
  ...stackInstructions,
  ...branchInstructions,
  ...stringInstructions,
  ...systemInstructions,
  ...x87Instructions,
  ...x87FunctionInstructions,
  ...mmxInstructions,
  ...sseInstructions,
];

export { assemble } from './assembler/assembler.js';
export { cpuFeatures, cpuModelNames, cpuModels, featureBits, hasFeatures } from './cpu_models.js';
export type { CpuFeature, CpuModel } from './cpu_models.js';
export { makeDecoder } from './decoder.js';
export type { Decoded, Decoder } from './decoder.js';
export { printInstruction } from './encoding.js';
export type { Encoding, Form, OperandSize, X86Instruction } from './encoding.js';
export { x86Flags } from './flags.js';
export { longest, parse } from './parser.js';
export type { Fields, Parsed } from './parser.js';
export { reachOf } from './reach.js';
export type { Reach } from './reach.js';
export * from './registers.js';
export { x86SystemCalls } from './system_calls.js';
export {
  x87Changes,
  x87Constants,
  x87Flags,
  x87Formats,
  x87Functions,
  x87Opcode,
  x87Operations,
} from './x87_common.js';
export type { X87Constant, X87Function } from './x87_common.js';
export type { X86SystemCall } from './system_calls.js';
