/** A vCPU as the machine sees it: registers by their names, a reset, and its state as a plain value. */
import { present } from '../../base/index.js';
import {
  cortexA57,
  registerFile,
  statePlace,
  systemRegisterNamed,
  systemRegisters,
} from '../../isa/index.js';
import type { Mode } from '../../isa/index.js';
import { at } from '../vcpu_block.js';
import { changeMode } from './exceptions.js';
import type { AccessType } from './mmu.js';
import type { CallContext } from './system_calls.js';
import type { Vcpu } from './vcpu.js';

/** Everything that a vCPU is, as a plain value. System registers by name, those that are 0 left out. */
export interface VcpuValue {
  /** X0 to X30. */
  readonly registers: readonly bigint[];
  readonly pc: bigint;
  readonly nzcv: number;
  readonly mode: Mode;
  readonly illegal: boolean;
  /** The low and the high half of V0 to V31. */
  readonly vectors: readonly (readonly [bigint, bigint])[];
  /** SP_EL0 and SP_EL1. */
  readonly stackPointers: readonly [bigint, bigint];
  readonly systemRegisters: Readonly<Record<string, bigint>>;
  readonly event: boolean;
}

const places = { spEl0: statePlace('SP_EL0'), spEl1: statePlace('SP_EL1') } as const;
const general = [...Array(31).keys()];
const kept = systemRegisters.filter(({ name, place }) => place !== null && name !== 'SP_EL0');

/** What registers are after a reset beside the identification registers; the others are 0. */
const resetValues: Readonly<Record<string, bigint>> = {
  ...cortexA57,
  CurrentEL: 4n,
  // The OS lock is open, and is implemented.
  OSLSR_EL1: 8n,
  // D, A, I and F are masked.
  DAIF: 0x3c0n,
};

/** The places of the registers that were asked for, by name. */
const registerPlaces = new Map<string, number>();

export class VcpuView {
  readonly #cpu: Vcpu;
  readonly #context: CallContext;

  constructor(cpu: Vcpu, context: CallContext) {
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

  /** Sets X0 to X30 to a whole number between -2^53 and 2^53; a negative one is two's complement. */
  setRegisterNumber(number: number, value: number): void {
    this.#cpu.block.setRegisterNumber(number, value);
  }

  /** The stack pointer in use. */
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

  /** N, Z, C and V as four bits, N highest. */
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

  /** Halves of V0 to V31, the low one first. */
  vector(number: number): readonly [bigint, bigint] {
    return this.#cpu.block.vector(number);
  }

  setVector(number: number, value: readonly [bigint, bigint]): void {
    this.#cpu.block.setVector(number, value);
  }

  /** A system register that the engine keeps. Throws InvariantError for one that it does not. */
  systemRegister(name: string): bigint {
    if (name === 'SP_EL0' || name === 'SP_EL1') return this.#stackPointer(name);
    return this.#cpu.block.state(this.#place(name));
  }

  /** Sets one, also a read-only one (MPIDR_EL1), with all that follows from it. */
  setSystemRegister(name: string, value: bigint): void {
    this.#cpu.block.setState(this.#place(name), BigInt.asUintN(64, value));
    this.#cpu.regimeChanged();
    this.#context.tlbs.forgetAll(this.#cpu.index);
  }

  #place(name: string): number {
    const known = registerPlaces.get(name);
    if (known !== undefined) return known;
    const place = present(systemRegisterNamed(name)?.place, `the engine's ${name}`);
    registerPlaces.set(name, place);
    return place;
  }

  #stackPointer(name: 'SP_EL0' | 'SP_EL1'): bigint {
    const { block, process } = this.#cpu;
    const inUse = process.mode === 'EL1h' ? 'SP_EL1' : 'SP_EL0';
    return name === inUse ? block.stackPointer : block.state(name === 'SP_EL0' ? places.spEl0 : places.spEl1);
  }

  /**
   * The physical address behind an address, as an access at EL0 or EL1 would find it by the tables as they are; null where
   * it would fault.
   */
  translate(address: bigint, access: AccessType = 'read', el: 0 | 1 = 1): bigint | null {
    const { regime } = this.#cpu;
    const [low, high] = [Number(address & 0xffffffffn), Number((address >> 32n) & 0xffffffffn)];
    const { fault, page } = this.#context.accesses.mmu.translate(regime, low, high, access, el === 0);
    return fault === null ? BigInt(page) + (address & 0xfffn) : null;
  }

  /** As after power-on: EL1h, interrupts masked, translation off, everything 0 that has no other value then. */
  reset(): void {
    const identity = this.#cpu.block.state(statePlace('MPIDR_EL1'));
    this.load({
      registers: general.map(() => 0n),
      pc: 0n,
      nzcv: 0,
      mode: 'EL1h',
      illegal: false,
      vectors: Array.from({ length: 32 }, () => [0n, 0n] as const),
      stackPointers: [0n, 0n],
      systemRegisters: { ...resetValues, MPIDR_EL1: identity },
      event: false,
    });
  }

  /** The vCPU as a plain value. The exclusive monitor is not in it: it is open whenever a run begins. */
  save(): VcpuValue {
    const { block, process } = this.#cpu;
    const values = kept.map(({ name, place }) => [name, block.state(place ?? 0)] as const);
    return {
      registers: general.map((number) => block.register(number)),
      pc: block.pc,
      nzcv: block.nzcv,
      mode: process.mode,
      illegal: process.illegal,
      vectors: Array.from({ length: 32 }, (_, number) => block.vector(number)),
      stackPointers: [this.#stackPointer('SP_EL0'), this.#stackPointer('SP_EL1')],
      systemRegisters: Object.fromEntries(values.filter(([, value]) => value !== 0n)),
      event: block.low(at.event) !== 0,
    };
  }

  /** Makes the vCPU what a value says. */
  load(value: VcpuValue): void {
    const { block, process } = this.#cpu;
    for (const number of general) block.setRegister(number, value.registers[number] ?? 0n);
    block.setRegister(registerFile.zero, 0n);
    block.pc = value.pc;
    block.nzcv = value.nzcv;
    for (const [number, vector] of value.vectors.entries()) block.setVector(number, vector);
    for (const { name, place } of kept) block.setState(place ?? 0, value.systemRegisters[name] ?? 0n);
    block.setLow(at.event, value.event ? 1 : 0);
    const [spEl0, spEl1] = value.stackPointers;
    const usesEl1 = value.mode === 'EL1h';
    block.stackPointer = usesEl1 ? spEl1 : spEl0;
    block.setState(usesEl1 ? places.spEl0 : places.spEl1, usesEl1 ? spEl0 : spEl1);
    process.mode = value.mode;
    process.illegal = value.illegal;
    this.#cpu.regimeChanged();
    this.#context.tlbs.forgetAll(this.#cpu.index);
  }
}
