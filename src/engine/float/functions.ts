/** Builds one WebAssembly function per floating-point operation: the fast path first, then a call to the host. */
import type { FloatOperation } from '../../isa/index.js';
import { cpuOffsets } from '../layout.js';
import { i32, i64, load32, opcodes } from '../wasm/code.js';
import type { FunctionType, WasmModule } from '../wasm/module.js';
import { exceptions } from './context.js';
import type { FloatRegisters } from './context.js';
import { usesSubnormals } from './calls.js';
import { fastPath } from './fast_path.js';
import { both, double, FloatCode, not, op, single } from './float_code.js';
import type { Value } from './float_code.js';

/** (vCPU's block, three inputs) -> the bits of the result. */
const floatType: FunctionType = { parameters: [i32, i64, i64, i64], results: [i64] };

/** Requires an input that is not subnormal. */
function requireNormal(w: FloatCode, operation: FloatOperation, bits: Value): void {
  const f = 'format' in operation && operation.format === 32 ? single : double;
  const value = f.fromBits(bits);
  const isSmall = f.do('lt', f.do('abs', value), f.constant(f.smallestNormal));
  w.require(not(both(isSmall, not(f.isZero(value)))));
}

export class FloatFunctions {
  /** The operations that the host must provide, by number. */
  readonly operations: FloatOperation[] = [];
  readonly #module: WasmModule;
  readonly #hostCall: number;
  readonly #registers: FloatRegisters;
  readonly #functions = new Map<string, number>();

  /** `hostCall` is the imported function: (block, number, three inputs) -> the bits of the result. */
  constructor(module: WasmModule, hostCall: number, registers: FloatRegisters) {
    this.#module = module;
    this.#hostCall = hostCall;
    this.#registers = registers;
  }

  /** The index of the function for an operation. */
  indexOf(operation: FloatOperation): number {
    const key = JSON.stringify(operation);
    const known = this.#functions.get(key);
    if (known !== undefined) return known;
    const number = this.operations.push(operation) - 1;
    const { locals, code } = this.#write(operation, number);
    const index = this.#module.addFunction(floatType, locals, code, null);
    this.#functions.set(key, index);
    return index;
  }

  #write(operation: FloatOperation, number: number): FloatCode {
    const w = new FloatCode(4);
    const path = fastPath(operation);
    const local =
      (index: number): Value =>
      (code) =>
        code.get(index);
    const register =
      (offset: number): Value =>
      (code) =>
        code.get(0).memory(load32.word, 2, offset);
    const masked = (value: Value, mask: number): Value =>
      op(opcodes[i32].and, value, (code) => code.constant(i32, mask));
    if (path !== null) {
      w.code.block();
      w.require(op(opcodes[i32].eqz, masked(register(cpuOffsets.floatControl), this.#registers.hostModes)));
      if (this.#registers.rules.inputDenormal === 'used' && usesSubnormals(operation)) {
        const isUnary = operation.kind === 'sqrt' || operation.kind === 'convert';
        const inputs = isUnary ? [1] : operation.kind === 'mulAdd' ? [1, 2, 3] : [1, 2];
        for (const input of inputs) requireNormal(w, operation, local(input));
      }
      path(w, {
        a: local(1),
        b: local(2),
        c: local(3),
        inexactRaised: op(
          opcodes[i32].ne,
          masked(register(cpuOffsets.floatStatus), this.#registers.statusOf(exceptions.inexact)),
          (code) => code.constant(i32, 0),
        ),
      });
      w.code.end();
    }
    w.code.get(0).constant(i32, number).get(1).get(2).get(3).call(this.#hostCall);
    return w;
  }
}
