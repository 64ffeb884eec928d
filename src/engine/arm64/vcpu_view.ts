/** The machine's view of a vCPU: registers by name, reset, and the whole state as a plain value. */
import { present } from '../../base/index.js';
import {
  cortexA57,
  registerFile,
  statePlace,
  systemRegisterNamed,
  systemRegisters,
} from '../../isa/index.js';
import type { Mode } from '../../isa/index.js';
import { stateSlots } from './block.js';
import { changeMode } from './exceptions.js';
import type { AccessType } from './mmu.js';
import type { CpuContext } from './system_calls.js';
import type { Vcpu } from './vcpu.js';

/**
 * The complete state of a vCPU as a plain value. System registers are listed by name; registers with the value 0 are
 * omitted.
 */
export interface VcpuValue {
  /** X0 to X30. */
  readonly registers: readonly bigint[];
  readonly pc: bigint;
  readonly nzcv: number;
  readonly mode: Mode;
  readonly illegal: boolean;
  /** V0 to V31, each as low and high half. */
  readonly vectors: readonly (readonly [bigint, bigint])[];
  /** SP_EL0 and SP_EL1. */
  readonly stackPointers: readonly [bigint, bigint];
  readonly systemRegisters: Readonly<Record<string, bigint>>;
  readonly event: boolean;
}

/** See {@link VcpuView.openException}. */
export interface OpenExceptionValue {
  /** The address of the instruction that made it; of a fetch that failed, where nothing could be fetched. */
  readonly pc: bigint;
  /** ESR_EL1.EC and ISS; null for an exception return. */
  readonly syndrome: { readonly exceptionClass: number; readonly iss: number } | null;
  /** What FAR_EL1 became; null where the exception has no address. */
  readonly address: bigint | null;
  /** SPSR_EL1 of an exception return to a state that this CPU has not; null for an exception. */
  readonly illegalSpsr: number | null;
  /** The instruction as it stood there; null for an abort, and where it could not be read. */
  readonly word: number | null;
}

const slots = { spEl0: statePlace('SP_EL0'), spEl1: statePlace('SP_EL1') } as const;
const general = [...Array(31).keys()];
const vectorCount = 32;
const kept = systemRegisters.filter(({ name, place }) => place !== null && name !== 'SP_EL0');

/** Reset values of registers other than the identification registers. All others reset to 0. */
const resetValues: Readonly<Record<string, bigint>> = {
  ...cortexA57,
  CurrentEL: 4n,
  // The OS lock is implemented and unlocked.
  OSLSR_EL1: 8n,
  // D, A, I and F are masked.
  DAIF: 0x3c0n,
};

/** Cache of state indexes by register name. */
const registerSlots = new Map<string, number>();

function wide(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

export class VcpuView {
  readonly #cpu: Vcpu;
  readonly #context: CpuContext;

  constructor(cpu: Vcpu, context: CpuContext) {
    this.#cpu = cpu;
    this.#context = context;
  }

  /** X0 to X30. */
  register(number: number): bigint {
    return this.#cpu.block.register(number);
  }

  setRegister(number: number, value: bigint): void {
    this.#cpu.block.setRegister(number, value);
  }

  /** W0 to W30, unsigned. */
  registerLow(number: number): number {
    return this.#cpu.block.registerLow(number);
  }

  /** Sets X0 to X30 to an integer between -2^53 and 2^53, as two's complement. */
  setRegisterNumber(number: number, value: number): void {
    this.#cpu.block.setRegisterNumber(number, value);
  }

  /** The current stack pointer. */
  get stackPointer(): bigint {
    return this.#cpu.block.stackPointer;
  }

  set stackPointer(value: bigint) {
    this.#cpu.block.stackPointer = value;
  }

  get pc(): bigint {
    return this.#cpu.block.pc;
  }

  set pc(value: bigint) {
    this.#cpu.block.pc = value;
  }

  /** N, Z, C and V as four bits; N is the highest. */
  get nzcv(): number {
    return this.#cpu.block.nzcv;
  }

  set nzcv(value: number) {
    this.#cpu.block.nzcv = value;
  }

  get mode(): Mode {
    return this.#cpu.process.mode;
  }

  set mode(mode: Mode) {
    changeMode(this.#cpu.block, this.#cpu.process, mode);
  }

  /** V0 to V31 as two halves, the low half first. */
  vector(number: number): readonly [bigint, bigint] {
    return this.#cpu.block.vector(number);
  }

  setVector(number: number, value: readonly [bigint, bigint]): void {
    this.#cpu.block.setVector(number, value);
  }

  /** Reads a system register that the engine keeps. Throws InvariantError for any other. */
  systemRegister(name: string): bigint {
    if (name === 'SP_EL0' || name === 'SP_EL1') return this.#stackPointer(name);
    return this.#cpu.block.state(this.#slot(name));
  }

  /** Sets a system register, including read-only ones (MPIDR_EL1), and applies all side effects. */
  setSystemRegister(name: string, value: bigint): void {
    this.#cpu.block.setState(this.#slot(name), BigInt.asUintN(64, value));
    this.#cpu.regimeChanged();
    this.#context.tlbs.flushAll(this.#cpu.index);
  }

  #slot(name: string): number {
    const known = registerSlots.get(name);
    if (known !== undefined) return known;
    const slot = present(systemRegisterNamed(name)?.place, `the engine's ${name}`);
    registerSlots.set(name, slot);
    return slot;
  }

  #stackPointer(name: 'SP_EL0' | 'SP_EL1'): bigint {
    const { block, process } = this.#cpu;
    const inUse = process.mode === 'EL1h' ? 'SP_EL1' : 'SP_EL0';
    return name === inUse ? block.stackPointer : block.state(name === 'SP_EL0' ? slots.spEl0 : slots.spEl1);
  }

  /**
   * The first exception that the vCPU took at EL1 since it last returned from one, or started; or the exception return that set
   * PSTATE.IL. Null where it has returned from all. `save` and `load` do not carry it.
   */
  get openException(): OpenExceptionValue | null {
    const open = this.#cpu.openException;
    if (open === null) return null;
    const { syndrome, illegalSpsr, word } = open;
    const address = syndrome?.address ?? null;
    return {
      pc: wide(open.pcLow, open.pcHigh),
      syndrome,
      address: address === null ? null : wide(address.low, address.high),
      illegalSpsr,
      word,
    };
  }

  /** Synchronous exceptions that the vCPU has taken since it was made, from any level. */
  get exceptionsTaken(): number {
    return this.#cpu.exceptionsTaken;
  }

  /**
   * The physical address that an access at EL0 or EL1 would use, by the current translation tables; null where it would
   * fault.
   */
  translate(address: bigint, access: AccessType = 'read', el: 0 | 1 = 1): bigint | null {
    const { regime } = this.#cpu;
    const [low, high] = [Number(address & 0xffffffffn), Number((address >> 32n) & 0xffffffffn)];
    const { fault, page } = this.#context.accesses.mmu.translate(regime, low, high, access, el === 0);
    return fault === null ? BigInt(page) + (address & 0xfffn) : null;
  }

  /**
   * Resets the vCPU to its power-on state: EL1h, interrupts masked, translation off, all other registers at their reset
   * value.
   */
  reset(): void {
    const identity = this.#cpu.block.state(statePlace('MPIDR_EL1'));
    this.load({
      registers: general.map(() => 0n),
      pc: 0n,
      nzcv: 0,
      mode: 'EL1h',
      illegal: false,
      vectors: Array.from({ length: vectorCount }, () => [0n, 0n] as const),
      stackPointers: [0n, 0n],
      systemRegisters: { ...resetValues, MPIDR_EL1: identity },
      event: false,
    });
  }

  /**
   * The state of the vCPU as a plain value. It leaves out the exclusive monitor, which every run clears at its start.
   */
  save(): VcpuValue {
    const { block, process } = this.#cpu;
    const values = kept.map(({ name, place }) => [name, block.state(place ?? 0)] as const);
    return {
      registers: general.map((number) => block.register(number)),
      pc: block.pc,
      nzcv: block.nzcv,
      mode: process.mode,
      illegal: process.illegal,
      vectors: Array.from({ length: vectorCount }, (_, number) => block.vector(number)),
      stackPointers: [this.#stackPointer('SP_EL0'), this.#stackPointer('SP_EL1')],
      systemRegisters: Object.fromEntries(values.filter(([, value]) => value !== 0n)),
      event: block.low(stateSlots.event) !== 0,
    };
  }

  /** Restores the state from a value. */
  load(value: VcpuValue): void {
    const { block, process } = this.#cpu;
    for (const number of general) block.setRegister(number, value.registers[number] ?? 0n);
    block.setRegister(registerFile.zero, 0n);
    block.pc = value.pc;
    block.nzcv = value.nzcv;
    block.loadVectors(value.vectors, vectorCount);
    for (const { name, place } of kept) block.setState(place ?? 0, value.systemRegisters[name] ?? 0n);
    block.setLow(stateSlots.event, value.event ? 1 : 0);
    const [spEl0, spEl1] = value.stackPointers;
    const usesEl1 = value.mode === 'EL1h';
    block.stackPointer = usesEl1 ? spEl1 : spEl0;
    block.setState(usesEl1 ? slots.spEl0 : slots.spEl1, usesEl1 ? spEl0 : spEl1);
    process.mode = value.mode;
    process.illegal = value.illegal;
    this.#cpu.openException = null;
    this.#cpu.regimeChanged();
    this.#context.tlbs.flushAll(this.#cpu.index);
  }
}
