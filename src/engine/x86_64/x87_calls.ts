/** What x87 instructions ask of the host (isa/x86_64/system_calls.ts). */
import type * as x86_64 from '../../isa/x86_64/index.js';
import type { CpuContext } from './system_calls.js';
import type { Vcpu } from './vcpu.js';
import * as x87 from './x87.js';
import * as environment from './x87_environment.js';
import * as functions from './x87_functions.js';
import { begin, waitX87 } from './x87_registers.js';

type Handler = (context: CpuContext, cpu: Vcpu, a: bigint, b: bigint) => unknown;

export const x87Handlers = {
  initialiseX87: (_context, cpu) => environment.initialise(cpu),
  clearX87Exceptions: (_context, cpu) => environment.clearExceptions(cpu),
  waitX87: (_context, cpu) => waitX87(cpu),
  noteX87: (_context, cpu) => begin(cpu),
  readX87Control: (_context, cpu) => BigInt(cpu.system.float.control),
  writeX87Control: (_context, cpu, value) => x87.writeControl(cpu, value),
  readX87Status: (_context, cpu) => BigInt(cpu.system.float.status),
  pushX87Integer: (_context, cpu, value) => x87.pushInteger(cpu, value),
  pushX87Extended: (_context, cpu, mantissa, exponent) => x87.pushExtended(cpu, mantissa, exponent),
  pushX87Decimal: (_context, cpu, low, high) => functions.pushDecimal(cpu, low, high),
  pushX87Constant: (_context, cpu, which) => functions.pushConstant(cpu, which),
  pushX87: (_context, cpu, format, bits) => x87.pushValue(cpu, format, bits),
  pushX87Register: (_context, cpu, index) => x87.pushCopy(cpu, index),
  moveX87If: (_context, cpu, condition, index) => functions.moveIf(cpu, condition, index),
  exchangeX87: (_context, cpu, index) => x87.exchange(cpu, index),
  storeX87: (_context, cpu, index) => x87.store(cpu, index),
  freeX87: (_context, cpu, index) => x87.free(cpu, index),
  rotateX87: (_context, cpu, by) => x87.rotate(cpu, by),
  popX87: (_context, cpu) => x87.pop(cpu),
  changeX87: (_context, cpu, which) => x87.change(cpu, which),
  evaluateX87: (_context, cpu, which) => functions.evaluate(cpu, which),
  computeX87: (_context, cpu, call, index) => x87.computeRegisters(cpu, call, index),
  computeX87Memory: (_context, cpu, call, bits) => x87.computeMemory(cpu, call, bits),
  compareX87: (_context, cpu, call, index) => x87.compareRegisters(cpu, call, index),
  compareX87Memory: (_context, cpu, call, bits) => x87.compareMemory(cpu, call, bits),
  compareX87Flags: (_context, cpu, call, index) => x87.compareFlags(cpu, call, index),
  convertX87: (_context, cpu, format, truncates) => x87.convert(cpu, format, truncates === 1n),
  convertedX87: (_context, cpu) => cpu.converted[0],
  convertedX87High: (_context, cpu) => BigInt(cpu.converted[1]),
  storeX87Environment: ({ accesses }, cpu, bits, address) =>
    environment.storeEnvironment(accesses, cpu, Number(bits), address),
  loadX87Environment: ({ accesses }, cpu, bits, address) =>
    environment.loadEnvironment(accesses, cpu, Number(bits), address),
  saveX87: ({ accesses }, cpu, bits, address) => environment.save(accesses, cpu, Number(bits), address),
  restoreX87: ({ accesses }, cpu, bits, address) => environment.restore(accesses, cpu, Number(bits), address),
} satisfies Partial<Record<x86_64.X86SystemCall, Handler>>;
