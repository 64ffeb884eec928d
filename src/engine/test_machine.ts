/** A small machine for the engine's tests: memory from 0 on, a device behind it, and programs written as assembler text. */
import { invariant, present } from '../base/index.js';
import { a64, parseInstruction } from '../isa/index.js';
import type { EngineHost, RunResult } from './ports.js';
import { Processor } from './processor.js';

/** Where the device is. */
export const deviceAddress = 0x1000_0000;

/** The immediate of an HVC that ends nothing. */
export const passingCall = 0xffff;

/** What the machine was asked, in order. */
export interface Heard {
  readonly kind: 'read' | 'write' | 'readRegister' | 'writeRegister' | 'hvc' | 'smc';
  readonly vcpu: number;
  /** Offset into the device, a register's encoding, or an immediate. */
  readonly at: number;
  readonly bytes?: number;
  readonly value?: bigint;
  /** Instructions of the present run before this one. */
  readonly executed: number;
}

export interface TestMachine {
  readonly processor: Processor;
  readonly heard: Heard[];
  /** Called after each of them. */
  reaction: (heard: Heard) => void;
  /** What a read of the device or of its registers gives. */
  answer: bigint | null;
  /** Puts a program at an address; its end. */
  program(address: number, text: string): number;
  /** Runs until an HVC, at most so many instructions; each run gets `budget`. */
  runToCall(vcpu?: number, budget?: number): RunResult;
  /** Writes 64 bits of memory, which is not code. */
  setWord(address: number, value: bigint): void;
}

/** The word of a line of assembler text at `pc`. A number stands for itself. Throws InvariantError when it is nothing. */
export function assemble(line: string, pc: number): number {
  if (/^0x[0-9a-f]+$/.test(line)) return Number(line);
  for (const definition of a64) {
    const word = parseInstruction(definition, line, BigInt(pc));
    if (word !== null) return word;
  }
  invariant(false, `not an instruction: ${line}`);
}

const ramBytes = 1 << 20;

const isDevice = (address: number): boolean => address >= deviceAddress && address < deviceAddress + 0x1000;

/** The host of a machine that tells it all that it hears. */
function hostOf(machine: () => TestMachine, unanswered: number | undefined): EngineHost {
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
  options: { readonly vcpus?: number; readonly decodedPages?: number; readonly unanswered?: number } = {},
): TestMachine {
  const { vcpus = 1, decodedPages = 64, unanswered } = options;
  const host = hostOf(() => machine, unanswered);
  const processor = new Processor(a64, host, { vcpus, ramBytes, decodedPages });
  // Floating point and SIMD are not trapped.
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

/** The first vCPU, or another. */
export function vcpuOf({ processor }: TestMachine, index = 0): Processor['vcpus'][number] {
  return present(processor.vcpus[index], `vCPU ${index}`);
}
