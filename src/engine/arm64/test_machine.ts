/**
 * A small machine for the engine's tests: memory from address 0, one device behind it, and programs in assembler text.
 */
import { invariant, present } from '../../base/index.js';
import { a64, parseInstruction } from '../../isa/index.js';
import { arm64 } from './architecture.js';
import type { Arm64Processor } from './architecture.js';
import type { VcpuView } from './vcpu_view.js';
import type { Arm64Host } from './host.js';
import type { RunResult } from '../ports.js';
import { Processor } from '../processor.js';
import type { EngineOptions } from '../processor.js';

/** Address of the device. */
export const deviceAddress = 0x1000_0000;

/** The immediate of an HVC that does not end the run. */
export const passingCall = 0xffff;

/** A call or access that the machine received. */
export interface Heard {
  readonly kind: 'read' | 'write' | 'readRegister' | 'writeRegister' | 'hvc' | 'smc';
  readonly vcpu: number;
  /** Offset in the device, encoding of a register, or immediate. */
  readonly at: number;
  readonly bytes?: number;
  readonly value?: bigint;
  /** Number of instructions of the current run before this one. */
  readonly executed: number;
}

export interface TestMachine {
  readonly processor: Arm64Processor;
  readonly heard: Heard[];
  /** Called after each call or access. */
  reaction: (heard: Heard) => void;
  /** The value that reads of the device and its registers return. */
  answer: bigint | null;
  /** Writes a program to an address. Returns its end. */
  program(address: number, text: string): number;
  /** Runs until an HVC, up to a limit of instructions. Each run gets `budget`. */
  runToCall(vcpu?: number, budget?: number): RunResult;
  /** Writes 64 bits of memory. Must not be used for code. */
  setWord(address: number, value: bigint): void;
}

/**
 * The word of a line of assembler text at `pc`. A number stands for itself. Throws InvariantError for any other text.
 */
export function assemble(line: string, pc: number): number {
  if (/^0x[0-9a-f]+$/.test(line)) return Number(line);
  for (const definition of a64()) {
    const word = parseInstruction(definition, line, BigInt(pc));
    if (word !== null) return word;
  }
  invariant(false, `not an instruction: ${line}`);
}

const ramBytes = 1 << 20;

const isDevice = (address: number): boolean => address >= deviceAddress && address < deviceAddress + 0x1000;

/** The engine host of a machine. Records everything in the machine's list. */
function hostOf(machine: () => TestMachine, unanswered: number | undefined): Arm64Host {
  const hear = (entry: Omit<Heard, 'executed'>): void => {
    const { processor, heard, reaction } = machine();
    const full = { ...entry, executed: processor.executed };
    heard.push(full);
    reaction(full);
  };
  return {
    memory: {
      frame: (address) => (address < ramBytes ? machine().processor.ramStart + address : -1),
      read: (vcpu, address, bytes) => {
        if (!isDevice(address)) return null;
        hear({ kind: 'read', vcpu, at: address - deviceAddress, bytes });
        return machine().answer;
      },
      write: (vcpu, address, bytes, value) => {
        if (!isDevice(address)) return false;
        hear({ kind: 'write', vcpu, at: address - deviceAddress, bytes, value });
        return true;
      },
    },
    registers: {
      read: (vcpu, encoding) => {
        hear({ kind: 'readRegister', vcpu, at: encoding });
        return machine().answer ?? 'undefined';
      },
      write: (vcpu, encoding, value) => {
        hear({ kind: 'writeRegister', vcpu, at: encoding, value });
        return 'done';
      },
    },
    call: (vcpu, kind, immediate) => {
      hear({ kind, vcpu, at: immediate });
      if (kind === 'hvc' && immediate !== passingCall) machine().processor.stop();
      return kind === 'hvc';
    },
    ...(unanswered === undefined ? {} : { unansweredIss: () => unanswered }),
  };
}

export function testMachine(
  options: {
    readonly vcpus?: number;
    readonly decodedPages?: number;
    readonly unanswered?: number;
    /** The kind of CPU (default: that of arm64). */
    readonly architecture?: typeof arm64;
    readonly engine?: EngineOptions;
  } = {},
): TestMachine {
  const { vcpus = 1, decodedPages = 64, unanswered, architecture = arm64, engine = {} } = options;
  const host = hostOf(() => machine, unanswered);
  const processor = new Processor(architecture, host, { vcpus, ramBytes, decodedPages }, engine);
  // Do not trap floating point and SIMD.
  for (const vcpu of processor.vcpus) vcpu.setSystemRegister('CPACR_EL1', 3n << 20n);
  const view = new DataView(processor.ram.buffer, processor.ramStart);
  const machine: TestMachine = {
    processor,
    heard: [],
    reaction: () => undefined,
    answer: 0n,
    program: (address, text) => {
      const lines = text.split('\n').map((line) => line.trim());
      let at = address;
      for (const line of lines.filter((each) => each !== '')) {
        view.setUint32(at, assemble(line, at), true);
        at += 4;
      }
      processor.wrote(processor.ramStart + address, at - address);
      return at;
    },
    runToCall: (vcpu = 0, budget = 1000) => {
      let executed = 0;
      for (let turn = 0; turn < 10_000; turn += 1) {
        const result = processor.run(vcpu, budget);
        executed += result.executed;
        if (result.reason !== 'budget') return { ...result, executed };
      }
      invariant(false, 'the program makes no call');
    },
    setWord: (address, value) => view.setBigUint64(address, value, true),
  };
  return machine;
}

/** A vCPU of the machine (default: the first). */
export function vcpuOf({ processor }: TestMachine, index = 0): VcpuView {
  return present(processor.vcpus[index], `vCPU ${index}`);
}
