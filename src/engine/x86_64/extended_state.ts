/**
 * The components of state that XSAVE saves by XCR0 (Intel SDM, volume 1, chapter 13): x87 and SSE. There is no compacted form, and no
 * component beyond these.
 */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { exception, generalProtection, invalidOpcode, raise, vectors as exceptions } from './events.js';
import { mxcsr } from './float_registers.js';
import {
  getMxcsr,
  getVectors,
  getX87,
  newFloat,
  putMxcsr,
  putVectors,
  putX87,
  readMxcsr,
  setX87,
  writeMxcsr,
} from './float_state.js';
import type { GetNumber, PutNumber } from './float_state.js';
import { cr0, cr4 } from './regime.js';
import type { FloatSystem, Vcpu } from './vcpu.js';
import { allEmpty } from './x87_registers.js';

const { registerNumber } = x86_64;
const [rax, rcx, rdx] = [registerNumber('rax'), registerNumber('rcx'), registerNumber('rdx')];

/** The bits of XCR0, and of what a header says. */
const component = { x87: 1, vectors: 2, all: 3 } as const;

/** Byte offsets of the header's words: which components are there, the form, and zeros. */
const header = { present: 512, form: 520, zero: 528 } as const;
const areaBytes = 576;
const areaAlignment = 64n;

/** What `saveExtended` is told beside the operand size: XSAVEOPT. */
const optimised = 256;

export function requireExtendedState({ system }: Vcpu): void {
  if ((system.cr4 & cr4.extendedState) === 0) raise(invalidOpcode());
  if ((system.cr0 & cr0.taskSwitched) !== 0) raise(exception(exceptions.deviceNotAvailable));
}

/** XGETBV: there is XCR0 alone. */
export function readExtendedControl({ block, system }: Vcpu): void {
  if ((system.cr4 & cr4.extendedState) === 0) raise(invalidOpcode());
  if (block.registerLow(rcx) !== 0) raise(generalProtection());
  block.setRegister(rax, BigInt(system.xcr0));
  block.setRegister(rdx, 0n);
}

/** XSETBV. The state of x87 is always among the components. */
export function writeExtendedControl(cpu: Vcpu): void {
  const { block, system } = cpu;
  if ((system.cr4 & cr4.extendedState) === 0) raise(invalidOpcode());
  const value = block.registerLow(rax);
  const isPossible = (value & ~component.all) === 0 && (value & component.x87) !== 0;
  const isRight = block.registerLow(rcx) === 0 && block.registerLow(rdx) === 0 && isPossible;
  if (cpu.privilege !== 0 || !isRight) raise(generalProtection());
  system.xcr0 = value;
}

/** The components that EDX:EAX asks for and XCR0 has. */
const askedFor = ({ block, system }: Vcpu): number => block.registerLow(rax) & system.xcr0;

const vectorsIn = (cpu: Vcpu): number => (cpu.mode === 64 ? 16 : 8);

/** x87 as FNINIT leaves it, with registers of 0 (SDM, volume 1, 13.6). */
function initialX87(): FloatSystem {
  return { ...newFloat(), control: 0x37f, tags: allEmpty };
}

function isInitialX87({ system: { float } }: Vcpu): boolean {
  const initial = initialX87();
  const isZero = float.registers.every(([mantissa, exponent]) => mantissa === 0n && exponent === 0);
  return isZero && float.control === initial.control && float.status === 0 && float.tags === initial.tags;
}

/** The components that differ from their initial state; of SSE only the registers count. */
function inUse(cpu: Vcpu): number {
  const all = Array.from({ length: vectorsIn(cpu) }, (_, number) => cpu.block.vector(number));
  const hasVectors = all.some(([low, high]) => low !== 0n || high !== 0n);
  return (isInitialX87(cpu) ? 0 : component.x87) | (hasVectors ? component.vectors : 0);
}

/** Raises #GP where an area is not aligned; then its last byte's page, like its first one's, faults before anything is changed. */
function partsOf(address: bigint): readonly bigint[] {
  if (address % areaAlignment !== 0n) raise(generalProtection());
  return [address, address + BigInt(areaBytes - 1)];
}

/**
 * XSAVE and XSAVEOPT, which leaves out components that are in their initial state. `how` is the operand size, plus 256 for XSAVEOPT.
 */
export function saveExtended(accesses: Accesses, cpu: Vcpu, how: number, address: bigint): void {
  for (const part of partsOf(address)) accesses.probe(cpu, part, 1, cpu.isUser);
  const put: PutNumber = (offset, bytes, value) =>
    accesses.write(cpu, address + BigInt(offset), bytes, BigInt(value), cpu.isUser);
  const asked = askedFor(cpu);
  const used = inUse(cpu) | (readMxcsr(cpu) === mxcsr.reset ? 0 : component.vectors);
  const saved = (how & optimised) === 0 ? asked : asked & used;
  if ((saved & component.x87) !== 0) putX87(cpu, how & ~optimised, put);
  if ((asked & component.vectors) !== 0) putMxcsr(cpu, put);
  if ((saved & component.vectors) !== 0) putVectors(cpu, vectorsIn(cpu), put);
  const before = accesses.read(cpu, address + BigInt(header.present), 8, cpu.isUser);
  put(header.present, 8, (before & ~BigInt(asked)) | BigInt(asked & used));
}

/** XRSTOR: components that the area does not have get their initial state. MXCSR is loaded wherever SSE is asked for. */
export function restoreExtended(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  for (const part of partsOf(address)) accesses.read(cpu, part, 1, cpu.isUser);
  const get: GetNumber = (offset, bytes) => accesses.read(cpu, address + BigInt(offset), bytes, cpu.isUser);
  const present = get(header.present, 8);
  const isUnknown = (present & ~BigInt(cpu.system.xcr0)) !== 0n;
  if (isUnknown || get(header.form, 8) !== 0n || get(header.zero, 8) !== 0n) raise(generalProtection());
  const asked = askedFor(cpu);
  const found = asked & Number(present);
  const count = vectorsIn(cpu);
  const state = (found & component.x87) === 0 ? initialX87() : getX87(bits, get);
  const vectors =
    (found & component.vectors) === 0
      ? Array.from({ length: count }, () => [0n, 0n] as const)
      : getVectors(count, get);
  if ((asked & component.vectors) !== 0) {
    writeMxcsr(cpu, getMxcsr(get));
    for (const [number, vector] of vectors.entries()) cpu.block.setVector(number, vector);
  }
  if ((asked & component.x87) !== 0) setX87(cpu, state);
}
