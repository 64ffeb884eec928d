/** A small machine for the engine's tests: memory from address 0, and programs in assembler text. */
import { invariant, present } from '../../base/index.js';
import * as isa from '../../isa/x86_64/index.js';
import type { RunResult } from '../ports.js';
import { Processor } from '../processor.js';
import { x86_64 } from './architecture.js';
import type { X86Processor } from './architecture.js';
import type { CpuidAnswer, X86Host } from './host.js';
import { cr0, cr4, efer } from './regime.js';
import { attribute } from './segments.js';
import type { Segment } from './segments.js';
import type { X86VcpuView } from './vcpu_view.js';

const ramBytes = 1 << 22;

/** What the machine was asked for. */
export interface Heard {
  readonly kind: 'hypercall' | 'in' | 'out' | 'rdmsr' | 'wrmsr' | 'shutdown' | 'acknowledge';
  readonly vcpu: number;
  /** The port or register; RAX of a hypercall. */
  readonly at: number;
  readonly value?: bigint;
}

export interface TestMachine {
  readonly processor: X86Processor;
  readonly cpu: X86VcpuView;
  readonly heard: Heard[];
  readonly memory: DataView;
  /** Called at each hypercall, after which the run ends if this returns true (default: always). */
  reaction: (heard: Heard) => boolean;
  /** Vectors of interrupts, the next one first. */
  readonly interrupts: number[];
  /** Instructions that earlier runs executed, from some start: the time when a run begins. */
  elapsed: bigint;
  /** How many times RDTSC asked the host. */
  timestampsAsked: number;
  /** Writes a program to an address, by default of 64-bit code. Returns the addresses of its labels. */
  program(address: number, text: string, mode?: 16 | 32 | 64): (label: string) => bigint;
  /** Runs a vCPU until a hypercall that ends the run, or a stop. Each run gets `budget`. */
  run(vcpu?: number, budget?: number): RunResult;
}

const { present: presentBit, ordinary, accessed, access, code, granular } = attribute;
const plain = presentBit | ordinary | accessed | access | granular;

/** A flat segment of `bits`-bit code, or of data. */
export function flatSegment(selector: number, kind: 'code64' | 'code32' | 'data', level = 0): Segment {
  const own = kind === 'data' ? attribute.big : code | (kind === 'code64' ? attribute.long : attribute.big);
  return {
    selector,
    base: 0n,
    limit: 0xffffffff,
    attributes: plain | own | (level << attribute.privilegeAt),
  };
}

/** Millionths of a tick of the time-stamp counter for each instruction. */
const timestampRate = 2_445_406n;

function hostOf(machine: () => TestMachine, asksTime: boolean, features: X86Host['features']): X86Host {
  const millionths = (): bigint => (machine().elapsed + BigInt(machine().processor.executed)) * timestampRate;
  const hear = (heard: Heard): void => {
    machine().heard.push(heard);
  };
  const noLeaf: CpuidAnswer = { eax: 0x11, ebx: 0x22, ecx: 0x33, edx: 0x44 };
  return {
    features,
    memory: {
      frame: (address) => (address < ramBytes ? machine().processor.ramStart + address : -1),
      read: () => null,
      write: () => false,
    },
    cpuid: (_, leaf, subleaf) => ({ ...noLeaf, eax: leaf, ecx: subleaf }),
    readModelSpecific: (vcpu, register) => {
      hear({ kind: 'rdmsr', vcpu, at: register });
      return register === 0x1b ? 0xfee00900n : null;
    },
    writeModelSpecific: (vcpu, register, value) => {
      hear({ kind: 'wrmsr', vcpu, at: register, value });
      return register === 0x1b;
    },
    readTaskPriority: () => 0,
    writeTaskPriority: () => undefined,
    readPort: (vcpu, port) => {
      hear({ kind: 'in', vcpu, at: port });
      return 0xffffffff;
    },
    writePort: (vcpu, port, _bytes, value) => hear({ kind: 'out', vcpu, at: port, value: BigInt(value) }),
    hypercall: (vcpu) => {
      const { processor } = machine();
      const heard = {
        kind: 'hypercall',
        vcpu,
        at: Number(present(processor.vcpus[vcpu], 'a vCPU').register(0) & 0xffffffffn),
      } as const;
      hear(heard);
      if (machine().reaction(heard)) processor.stop();
      return true;
    },
    timestamp: () => {
      machine().timestampsAsked += 1;
      return millionths() / 1_000_000n;
    },
    timestampLine: () => {
      const [ticks, part] = [millionths() / 1_000_000n, millionths() % 1_000_000n];
      return asksTime ? null : { ticks, part, rate: timestampRate };
    },
    acknowledge: (vcpu) => {
      const vector = machine().interrupts.shift() ?? null;
      if (machine().interrupts.length === 0) machine().processor.setInterruptLine(vcpu, 'interrupt', false);
      if (vector !== null) hear({ kind: 'acknowledge', vcpu, at: vector });
      return vector;
    },
    shutdown: (vcpu) => hear({ kind: 'shutdown', vcpu, at: 0 }),
  };
}

/** `asksTime`: each RDTSC asks the host. */
export function testMachine({
  vcpus = 1,
  asksTime = false,
  cpu = 'v2',
}: {
  readonly vcpus?: number;
  readonly asksTime?: boolean;
  readonly cpu?: isa.CpuModel;
} = {}): TestMachine {
  const processor: X86Processor = new Processor(
    x86_64,
    hostOf(() => machine, asksTime, isa.cpuModels[cpu]),
    {
      vcpus,
      ramBytes,
      decodedPages: 64,
    },
  );
  const { buffer } = processor.ram;
  const machine: TestMachine = {
    processor,
    cpu: present(processor.vcpus[0], 'a vCPU'),
    heard: [],
    memory: new DataView(buffer, processor.ramStart, ramBytes),
    reaction: () => true,
    interrupts: [],
    elapsed: 123_456_789_012n,
    timestampsAsked: 0,
    program: (address, text, mode = 64) => {
      const { bytes, symbols } = isa.assemble(isa.x86, text, address, mode);
      processor.ram.set(bytes, address);
      processor.wrote(processor.ramStart + address, bytes.length);
      return (label) => BigInt(present(symbols.get(label), label));
    },
    run: (vcpu = 0, budget = 1000) => {
      let executed = 0;
      for (let turn = 0; turn < 10_000; turn += 1) {
        const result = processor.run(vcpu, budget);
        executed += result.executed;
        machine.elapsed += BigInt(result.executed);
        if (result.reason !== 'budget') return { ...result, executed };
      }
      invariant(false, 'the program makes no hypercall');
    },
  };
  return machine;
}

/** Where `enterLongMode` puts tables: the page tables, the GDT, the IDT and the TSS. */
export const places = {
  tables: 0x10_0000,
  globalTable: 0x11_0000,
  interruptTable: 0x11_1000,
  task: 0x11_2000,
} as const;

/** Selectors of the GDT of `enterLongMode`. The order of the last three is what SYSRET wants. */
export const selectors = {
  code: 8,
  data: 0x10,
  user32: 0x18,
  userData: 0x20,
  user: 0x28,
  task: 0x30,
} as const;

/** Identity-maps the first 4 MiB with pages of 4 KiB. `bits` are those of each entry. */
export function mapIdentity({ memory }: TestMachine, bits = 7n): void {
  const { tables } = places;
  const put = (at: number, value: number | bigint): void => memory.setBigUint64(at, BigInt(value), true);
  put(tables, (tables + 0x1000) | 7);
  put(tables + 0x1000, (tables + 0x2000) | 7);
  for (let table = 0; table < 2; table += 1) {
    put(tables + 0x2000 + 8 * table, (tables + 0x3000 + 0x1000 * table) | 7);
    for (let page = 0; page < 512; page += 1) {
      put(tables + 0x3000 + 0x1000 * table + 8 * page, BigInt((512 * table + page) * 4096) | bits);
    }
  }
}

/** The entry of the page table for an address below 4 MiB. */
export const pageEntry = (address: number): number => places.tables + 0x3000 + 8 * (address >> 12);

/** Puts a vCPU into 64-bit mode with paging, flat segments, a GDT, an empty IDT and a TSS. */
export function enterLongMode(machine: TestMachine, vcpu = 0): X86VcpuView {
  const { memory, processor } = machine;
  mapIdentity(machine);
  const descriptors = [
    0n,
    0x00af9b000000ffffn,
    0x00cf93000000ffffn,
    0x00cffb000000ffffn,
    0x00cff3000000ffffn,
    0x00affb000000ffffn,
  ];
  for (const [index, descriptor] of descriptors.entries()) {
    memory.setBigUint64(places.globalTable + 8 * index, descriptor, true);
  }
  const view = present(processor.vcpus[vcpu], 'a vCPU');
  view.setSystem({
    cr0: cr0.protected | cr0.extension | cr0.writeProtect | cr0.paging,
    cr3: BigInt(places.tables),
    cr4: cr4.physicalExtension | cr4.globalPages,
    efer: efer.syscall | efer.longEnable | efer.longActive | efer.noExecute,
    globalTable: { base: BigInt(places.globalTable), limit: 0x3f },
    interruptTable: { base: BigInt(places.interruptTable), limit: 0xfff },
    task: { selector: selectors.task, base: BigInt(places.task), limit: 0x67, attributes: 0x8b },
    segments: (['data', 'code64', 'data', 'data', 'data', 'data'] as const).map((kind) =>
      flatSegment(kind === 'code64' ? selectors.code : selectors.data, kind),
    ),
  });
  return view;
}

/** Sets a gate of the IDT: an interrupt gate (default) or a trap gate, for a level, with a stack of the TSS. */
export function setGate(
  { memory }: TestMachine,
  vector: number,
  handler: bigint,
  {
    type = 0xe,
    level = 0,
    stack = 0,
  }: { readonly type?: number; readonly level?: number; readonly stack?: number } = {},
): void {
  const low =
    (handler & 0xffffn) |
    (BigInt(selectors.code) << 16n) |
    (BigInt(stack) << 32n) |
    (BigInt(0x80 | (level << 5) | type) << 40n) |
    (((handler >> 16n) & 0xffffn) << 48n);
  memory.setBigUint64(places.interruptTable + 16 * vector, low, true);
  memory.setBigUint64(places.interruptTable + 16 * vector + 8, handler >> 32n, true);
}
