/**
 * Runs cases on the engine, as a guest's user code: the kernel's side loads x87, SSE and flags and enters by IRET, and any exception
 * leads back to it. Each case runs twice, first with empty TLBs, so that every access is a miss, and then with full ones.
 */
import { invariant } from '../../src/base/index.js';
import { Processor } from '../../src/engine/index.js';
import { attribute, cr0, cr4, efer, x86_64 } from '../../src/engine/x86_64/index.js';
import type { Segment, X86Host, X86Processor, X86VcpuView } from '../../src/engine/x86_64/index.js';
import * as isa from '../../src/isa/x86_64/index.js';
import {
  changesOf,
  codeStart,
  directionFlag,
  gsBase,
  interruptFlag,
  memoryBytes,
  memoryStart,
  pattern,
  readOnlyFrom,
  start,
  vectors,
  withErrorCode,
} from './x86_layout.js';
import type { Case, Outcome, X87State } from './x86_layout.js';

/** Physical addresses. The first 2 MiB are mapped at `kernelStart` too, for the supervisor. */
const places = {
  globalTable: 0x1000, interruptTable: 0x2000, task: 0x3000, handlers: 0x4000, enter: 0x5000, save: 0x5100,
  // What IRET pops, and behind it the image for FXRSTOR, which has to be aligned.
  frame: 0x6008, stackTop: 0x8000, floats: 0x8000,
  code: 0x9000, memory: 0x10000, tables: 0x20000, ramBytes: 0x200000,
} as const; // prettier-ignore
const kernelStart = 0xffff_8000_0000_0000n;
const handlerBytes = 16;

/** Selectors as Linux has them: of the kernel's code and data, of user code of 32 bits, data, and user code of 64 bits. */
const selectors = { code: 0x10, data: 0x18, user32: 0x23, userData: 0x2b, user: 0x33, task: 0x40 } as const;
const descriptors: readonly bigint[] = [
  0n, 0n, 0x00af9b000000ffffn, 0x00cf93000000ffffn, 0x00cffb000000ffffn, 0x00cff3000000ffffn, 0x00affb000000ffffn,
]; // prettier-ignore

/** Bits of a page table entry: present, writable, for user code, a large page, and never executed. */
const entry = { table: 7n, user: 7n, readOnly: 5n, kernel: 0x83n, noExecute: 1n << 63n } as const;

/** Byte offsets in the image of FXSAVE. */
const image = {
  control: 0,
  status: 2,
  tags: 4,
  opcode: 6,
  instruction: 8,
  operand: 16,
  mxcsr: 24,
  mask: 28,
  x87: 32,
  vectors: 160,
  bytes: 512,
} as const;

/** How many instructions a case may run; one that jumps to itself runs that often. */
const budget = 1000;

const { present, ordinary, accessed, access, code, granular, long, big } = attribute;

function kernelSegment(selector: number, own: number): Segment {
  return {
    selector,
    base: 0n,
    limit: 0xffffffff,
    attributes: present | ordinary | accessed | access | granular | own,
  };
}

export class EngineMachine {
  readonly #processor: X86Processor;
  readonly #cpu: X86VcpuView;
  readonly #memory: DataView;
  readonly #own: Uint8Array;
  #isReadOnly = false;
  readonly #page = new Uint8Array(4096);

  constructor() {
    const { ramBytes } = places;
    this.#processor = new Processor(x86_64, this.#host(), { vcpus: 1, ramBytes, decodedPages: 64 });
    const [cpu] = this.#processor.vcpus;
    invariant(cpu !== undefined, 'a vCPU');
    this.#cpu = cpu;
    const { ram, ramStart } = this.#processor;
    this.#memory = new DataView(ram.buffer, ramStart, ramBytes);
    this.#own = ram.subarray(places.memory, places.memory + memoryBytes);
    this.#own.set(pattern);
    this.#fillTables();
    this.#fillPages();
    this.#writeKernel();
    this.#setSystem();
  }

  #host(): X86Host {
    const { ramBytes } = places;
    return {
      features: isa.cpuModels.v2,
      memory: {
        frame: (address) => (address < ramBytes ? this.#processor.ramStart + address : -1),
        read: () => null,
        write: () => false,
      },
      cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
      readModelSpecific: () => null,
      writeModelSpecific: () => false,
      readTaskPriority: () => 0,
      writeTaskPriority: () => undefined,
      readPort: () => 0,
      writePort: () => undefined,
      hypercall: () => {
        this.#processor.stop();
        return true;
      },
      timestamp: () => 0n,
      timestampLine: () => null,
      acknowledge: () => null,
      shutdown: () => undefined,
    };
  }

  #put(address: number, ...values: readonly bigint[]): void {
    for (const [index, value] of values.entries())
      this.#memory.setBigUint64(address + 8 * index, value, true);
  }

  #fillTables(): void {
    this.#put(places.globalTable, ...descriptors);
    for (let vector = 0; vector < 256; vector += 1) {
      const handler = kernelStart + BigInt(places.handlers + handlerBytes * vector);
      // Linux lets user code raise #BP and #OF.
      const level = vector === vectors.breakpoint || vector === 4 ? 3 : 0;
      const low =
        (handler & 0xffffn) |
        (BigInt(selectors.code) << 16n) |
        (BigInt(0x8e | (level << 5)) << 40n) |
        (((handler >> 16n) & 0xffffn) << 48n);
      this.#put(places.interruptTable + 16 * vector, low, handler >> 32n);
    }
    // RSP0.
    this.#put(places.task + 4, kernelStart + BigInt(places.stackTop));
    // User code may use no port: the bitmap would be beyond the segment.
    this.#memory.setUint16(places.task + 0x66, 0x8000, true);
  }

  #fillPages(): void {
    const at = (number: number): number => places.tables + 4096 * number;
    const table = (number: number): bigint => BigInt(at(number)) | entry.table;
    this.#put(at(0), table(1));
    this.#put(at(1), table(2));
    this.#put(at(2) + 8 * Number(codeStart >> 21n), table(3));
    this.#put(at(3), BigInt(places.code) | entry.user);
    this.#put(at(2) + 8 * Number(memoryStart >> 21n), table(4));
    this.#protect(false);
    this.#put(at(0) + 8 * 256, table(5));
    this.#put(at(5), table(6));
    this.#put(at(6), entry.kernel);
  }

  #protect(readOnly: boolean): void {
    for (let offset = 0; offset < memoryBytes; offset += 4096) {
      const bits = readOnly && offset >= readOnlyFrom ? entry.readOnly : entry.user;
      const place = places.tables + 4 * 4096 + 8 * (offset / 4096);
      this.#put(place, BigInt(places.memory + offset) | bits | entry.noExecute);
    }
    this.#isReadOnly = readOnly;
  }

  #writeKernel(): void {
    const { ram } = this.#processor;
    const write = (address: number, text: string): void => {
      ram.set(isa.assemble(isa.x86, text, address, 64).bytes, address);
    };
    for (let vector = 0; vector < 256; vector += 1) write(places.handlers + handlerBytes * vector, 'vmmcall');
    write(places.enter, 'fxrstor64 0x28(%rsp)\niretq');
    write(places.save, 'fxsave64 (%rsp)\nvmmcall');
  }

  #setSystem(): void {
    const { globalTable, interruptTable, task, tables } = places;
    const nothing: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };
    const segments = [
      nothing,
      kernelSegment(selectors.code, code | long),
      kernelSegment(selectors.data, big),
      nothing,
      nothing,
      { ...nothing, base: gsBase },
    ];
    this.#cpu.setSystem({
      cr0: cr0.protected | cr0.extension | cr0.numericError | cr0.monitor | cr0.writeProtect | cr0.paging,
      cr3: BigInt(tables),
      cr4: cr4.physicalExtension | cr4.globalPages | cr4.extendedState | 0x600,
      efer: efer.syscall | efer.longEnable | efer.longActive | efer.noExecute,
      globalTable: { base: kernelStart + BigInt(globalTable), limit: 8 * descriptors.length - 1 },
      interruptTable: { base: kernelStart + BigInt(interruptTable), limit: 0xfff },
      task: { selector: selectors.task, base: kernelStart + BigInt(task), limit: 0x67, attributes: 0x8b },
      segments,
    });
    this.#cpu.setSegment(isa.segments.gs, { ...nothing, base: gsBase });
  }

  /** Runs the kernel's code at a physical address with a stack pointer. Returns whether it came to a hypercall. */
  #kernel(address: number, stack: bigint): boolean {
    this.#enterKernelMode();
    this.#cpu.pc = kernelStart + BigInt(address);
    this.#cpu.setRegister(isa.registerNumber('rsp'), stack);
    const { reason } = this.#processor.run(0, budget);
    if (reason === 'budget') return false;
    invariant(reason === 'stopped', `the run ends with ${reason}`);
    return true;
  }

  /** Goes back to the kernel's level where a case that never ends left the CPU in user mode. */
  #enterKernelMode(): void {
    if (this.#cpu.privilege === 0) return;
    this.#cpu.setSegment(isa.segments.cs, kernelSegment(selectors.code, code | long));
    this.#cpu.setSegment(isa.segments.ss, kernelSegment(selectors.data, big));
    this.#cpu.load({ ...this.#cpu.save(), privilege: 0 });
  }

  #setCode({ bytes }: Case): void {
    const { ram, ramStart } = this.#processor;
    const page = ram.subarray(places.code, places.code + 4096);
    this.#page.fill(0xcc);
    this.#page.set(bytes, Number(start - codeStart));
    if (Buffer.compare(page, this.#page) === 0) return;
    page.set(this.#page);
    this.#processor.wrote(ramStart + places.code, 4096);
  }

  /** What a case leads to with empty TLBs, and with full ones. */
  run(each: Case): readonly [missed: Outcome, found: Outcome] {
    if (each.readOnly !== this.#isReadOnly) this.#protect(each.readOnly);
    this.#processor.flushTranslations();
    return [this.#runOnce(each), this.#runOnce(each)];
  }

  #runOnce(each: Case): Outcome {
    this.#setCode(each);
    this.#own.set(pattern);
    const stack = places.frame;
    const { userData, user, user32 } = selectors;
    const isLong = each.mode === 64;
    this.#put(
      stack,
      start,
      BigInt(isLong ? user : user32),
      each.flags | interruptFlag | 2n,
      each.registers[4]!,
      BigInt(userData),
    );
    this.#writeFloats(stack + 0x28, each);
    for (const [number, value] of each.registers.entries()) this.#cpu.setRegister(number, value);
    for (const number of [isa.segments.ds, isa.segments.es]) this.#dataSegment(number, isLong);
    const isDone = this.#kernel(places.enter, kernelStart + BigInt(stack));
    return this.#outcome(isDone);
  }

  /** 32-bit code needs segments for its data. */
  #dataSegment(number: number, isLong: boolean): void {
    const wanted = isLong ? 0 : selectors.userData;
    if (this.#cpu.system.segments[number]?.selector === wanted) return;
    const data = { ...kernelSegment(selectors.userData, big), attributes: 0xcf3 };
    this.#cpu.setSegment(number, isLong ? { ...data, selector: 0, attributes: 0 } : data);
  }

  #writeFloats(address: number, { x87, mxcsr, vectors: all }: Case): void {
    const view = this.#memory;
    view.setUint16(address + image.control, x87.control, true);
    view.setUint16(address + image.status, x87.status, true);
    view.setUint16(address + image.tags, x87.tags, true);
    view.setUint16(address + image.opcode, x87.opcode, true);
    this.#put(address + image.instruction, x87.instruction, x87.operand);
    view.setUint32(address + image.mxcsr, mxcsr, true);
    for (const [index, [mantissa, exponent]] of x87.registers.entries())
      this.#put(address + image.x87 + 16 * index, mantissa, BigInt(exponent));
    for (const [index, value] of all.entries())
      this.#put(address + image.vectors + 16 * index, BigInt.asUintN(64, value), value >> 64n);
  }

  #outcome(isDone: boolean): Outcome {
    const cpu = this.#cpu;
    const vector = Number(cpu.pc - kernelStart - BigInt(places.handlers)) >> 4;
    const frame = isDone ? Number(cpu.stackPointer - kernelStart) : 0;
    const hasCode = withErrorCode.has(vector);
    const pushed = (index: number): bigint =>
      this.#memory.getBigUint64(frame + (hasCode ? 8 : 0) + 8 * index, true);
    const pc = isDone ? pushed(0) : cpu.pc;
    const flags = isDone ? pushed(2) : BigInt(cpu.rflags);
    const stack = isDone ? pushed(3) : cpu.stackPointer;
    const address = vector === vectors.page ? cpu.system.cr2 : null;
    const errorCode = hasCode ? Number(this.#memory.getBigUint64(frame, true)) : null;
    const isBreakpoint = vector === vectors.breakpoint;
    const registers = Array.from({ length: 16 }, (_, number) =>
      number === 4 ? stack : cpu.register(number),
    );
    const changed = changesOf(this.#own);
    return {
      fault: !isDone || isBreakpoint ? null : { vector, errorCode, address },
      registers,
      flags: flags & (0x8d5n | directionFlag),
      pc: isDone && isBreakpoint ? pc - 1n : pc,
      ...changed,
      ...this.#floats(),
      endless: !isDone,
    };
  }

  /** The state of x87 and SSE, by an FXSAVE of the kernel. */
  #floats(): Pick<Outcome, 'vectors' | 'mxcsr' | 'x87'> {
    const address = places.floats;
    const isSaved = this.#cpu.privilege === 0 && this.#kernel(places.save, kernelStart + BigInt(address));
    if (!isSaved) return { vectors: [], mxcsr: 0, x87: null };
    const view = this.#memory;
    const number = (offset: number): bigint => view.getBigUint64(address + offset, true);
    const x87: X87State = {
      registers: Array.from({ length: 8 }, (_, index) => [
        number(image.x87 + 16 * index),
        view.getUint16(address + image.x87 + 16 * index + 8, true),
      ]),
      control: view.getUint16(address + image.control, true),
      status: view.getUint16(address + image.status, true),
      tags: view.getUint8(address + image.tags),
      opcode: view.getUint16(address + image.opcode, true),
      instruction: number(image.instruction),
      operand: number(image.operand),
    };
    return {
      x87,
      mxcsr: view.getUint32(address + image.mxcsr, true),
      vectors: Array.from({ length: 16 }, (_, index) => {
        const place = image.vectors + 16 * index;
        return number(place) | (number(place + 8) << 64n);
      }),
    };
  }
}
