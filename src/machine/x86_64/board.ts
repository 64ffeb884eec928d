/** The board of an x86-64 PVH guest under Xen: CPUs, their local APICs, and ports at which nothing answers. */
import { XEN_ENOSYS, XEN_EPERM } from '../../abi/index.js';
import { frameBytes, present } from '../../base/index.js';
import {
  answersInPage,
  apicPage,
  deadline,
  readApicBase,
  readMsr,
  readPage,
  writeApicBase,
  writeDeadline,
  writeMsr,
  writePage,
} from '../../devices/index.js';
import type { LocalApicsState } from '../../devices/index.js';
import { Processor } from '../../engine/index.js';
import type { ProcessorValue, RunResult } from '../../engine/index.js';
import { x86_64 } from '../../engine/x86_64/index.js';
import type { X86Host, X86Processor, X86VcpuView } from '../../engine/x86_64/index.js';
import {
  isRunnable,
  latchesApicErrors,
  mfnOfGfn,
  takeNmi,
  tripleFault,
  writeXenConsole,
} from '../../hypervisor/index.js';
import type { CallerPort, StartContext } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Board, BoardPort, MachineListener, MachineOptions } from '../board.js';
import { Hypercalls } from '../hypercalls.js';
import { Machine } from '../machine.js';
import { guestTsc } from './clock.js';
import type { MachineTsc } from './clock.js';
import { codeReader } from './code.js';
import type { ReadCode } from './code.js';
import { cpuid } from './cpuid.js';
import { diagnose } from './diagnosis.js';
import type { X86VcpuDiagnosis } from './diagnosis.js';
import { enterAtStartup, enterInitialised, enterPvh } from './entry.js';
import type { FaultSuspectsState } from '../fault_suspects.js';
import { FaultLoops } from './fault_loop.js';
import { X86HypercallAbi } from './hypercall_abi.js';
import { hypercallPage, hypercallPageRegister } from './hypercall_page.js';
import { Interrupts, taskPriority } from './interrupts.js';
import { KeptWords } from './kept_words.js';
import type { KeptWord } from './kept_words.js';
import { ModelSpecificRegisters } from './model_specific.js';
import type { ModelSpecificState } from './model_specific.js';
import { Ports } from './ports.js';
import type { PortCount } from './ports.js';
import { PowerCalls } from './power_calls.js';

/** Model-specific registers that the board itself has. */
const register = {
  timestamp: 0x10,
  apicBase: 0x1b,
  timestampAdjust: 0x3b,
  deadline: 0x6e0,
  apicFirst: 0x800,
  apicCommand: 0x830,
  apicLast: 0x8ff,
} as const;
/** Offsets in the xAPIC page of the interrupt command register's halves. */
const apicCommand = { low: 0x300, high: 0x310 } as const;
/** IA32_APIC_BASE.E and .EXTD */
const apicFlags = { enabled: 0x800n, x2apic: 0x400n } as const;

/** A triple fault, which ends the domain. */
export interface TripleFault {
  readonly vcpu: XenVcpuId;
  /** The offset in the code segment of the instruction whose exception could not be delivered. */
  readonly pc: bigint;
}

/** A plain value. */
export interface X86BoardState {
  readonly processor: ProcessorValue;
  readonly apics: LocalApicsState;
  /** By vCPU. */
  readonly modelSpecific: readonly ModelSpecificState[];
  readonly ports: readonly PortCount[];
  readonly notModelled: readonly (readonly [string, number])[];
  readonly tripleFault: TripleFault | null;
  readonly faultLoops: FaultSuspectsState;
}

/** The board of one guest. Its processor's vCPUs have the indices of the domain's vCPU ids. */
export class X86Board implements Board {
  readonly processor: X86Processor;
  readonly caller: CallerPort;
  readonly #port: BoardPort;
  readonly #abi: X86HypercallAbi;
  readonly #hypercalls: Hypercalls;
  readonly #interrupts: Interrupts;
  readonly #powerCalls: PowerCalls;
  readonly #tsc: MachineTsc;
  readonly #modelSpecific: readonly ModelSpecificRegisters[];
  readonly #ports: Ports;
  /** How often the guest asked for what is not modelled. */
  readonly #notModelled = new Map<string, number>();
  readonly #readCode: ReadCode;
  readonly #faultLoops: FaultLoops;
  readonly #kept = new KeptWords();
  #tripleFault: TripleFault | null = null;

  constructor(port: BoardPort) {
    const { options, listener, ranges, vcpus, domain } = port;
    const { hardwareIds, release } = options.config;
    const ramBytes = ranges.reduce((sum, { count }) => sum + count, 0) * frameBytes;
    this.#port = port;
    const processor: X86Processor = new Processor(x86_64, this.#host(), { vcpus: vcpus.length, ramBytes });
    this.processor = processor;
    this.#powerCalls = new PowerCalls({
      domain,
      vcpus,
      listener,
      apics: () => this.#interrupts.apics,
      catchUp: () => port.catchUp(),
    });
    this.#interrupts = new Interrupts({
      domain,
      vcpus,
      apicIds: hardwareIds,
      latchesErrors: latchesApicErrors(release),
      port: this.#powerCalls.port,
      drive: (vcpu, asserted) => processor.setInterruptLine(vcpu, 'interrupt', asserted),
      interrupted: (vcpu) => port.interrupted(vcpu),
    });
    this.#tsc = guestTsc(domain);
    this.#modelSpecific = vcpus.map(() => new ModelSpecificRegisters((what) => this.#countNotModelled(what)));
    this.#ports = new Ports((byte) => writeXenConsole(domain(), Uint8Array.of(byte)));
    this.#readCode = codeReader(port.domain, port.frames);
    this.#faultLoops = new FaultLoops(processor, this.#readCode);
    const abi = new X86HypercallAbi(processor);
    this.#abi = abi;
    this.caller = {
      translate: (vcpu, address, write) => this.#view(vcpu).translate(address, write ? 'write' : 'read'),
      interruptsOn: (vcpu) => abi.takesInterrupts(vcpu),
    };
    this.#hypercalls = new Hypercalls({
      domain,
      abi,
      caller: this.caller,
      listener,
      isInterrupted: (vcpu) => this.#interrupts.pending(vcpu) !== null,
      memoryMapChanged: () => processor.flushTranslations(),
    });
  }

  /** The triple fault that ended the domain; null if none did. */
  get tripleFault(): TripleFault | null {
    return this.#tripleFault;
  }

  /** The ports that the guest accessed, and how often. */
  get ports(): readonly PortCount[] {
    return this.#ports.counts;
  }

  /**
   * How often the guest asked for what is not implemented or not modelled, by what it is: instructions, which were undefined, and
   * effects that did not come about.
   */
  get unimplemented(): ReadonlyMap<string, number> {
    const all = new Map(this.#notModelled);
    for (const { unimplemented } of this.processor.vcpus) {
      for (const [what, count] of unimplemented) all.set(what, (all.get(what) ?? 0) + count);
    }
    return all;
  }

  /** Why a vCPU may come to no end; null for one that is down, or has not entered the guest yet. */
  diagnose(vcpu: XenVcpuId): X86VcpuDiagnosis | null {
    const { up, start } = present(this.#port.domain().state.vcpus[vcpu], 'a vCPU');
    if (!up || start !== null) return null;
    return diagnose(this.#view(vcpu), this.#readCode, this.#faultLoops.loopOf(vcpu));
  }

  /**
   * Gives words of guest memory values that they keep from now on, whatever vCPUs store there; no others do. Not a part of what
   * {@link save} returns: whoever restores a board says it again (`isRestored`), and what was restored stays as it is.
   */
  keepWords(words: readonly KeptWord[], isRestored = false): void {
    this.#kept.set(words);
    if (isRestored) return;
    // From now on stores to these frames must come here.
    this.processor.flushTranslations();
    for (const gfn of this.#kept.frames) this.#restoreKept(gfn);
  }

  #restoreKept(gfn: number): void {
    const mfn = mfnOfGfn(this.#port.domain(), gfn);
    const frame = mfn === null ? undefined : this.#port.frames().writable(mfn);
    if (frame !== undefined) this.#kept.restore(gfn, frame);
  }

  /** A store of 1, 2, 4 or 8 bytes within a frame that has words which keep their value. */
  #storeBesideKept(address: number, bytes: number, value: bigint): boolean {
    const [gfn, offset] = [Math.floor(address / frameBytes), address % frameBytes];
    const mfn = mfnOfGfn(this.#port.domain(), gfn);
    const frame = mfn === null ? undefined : this.#port.frames().writable(mfn, offset, bytes);
    if (frame === undefined) return false;
    for (let done = 0; done < bytes; done += 1) {
      frame[offset + done] = Number((value >> BigInt(8 * done)) & 0xffn);
    }
    this.#kept.restore(gfn, frame);
    return true;
  }

  /** IA32_APIC_BASE of a vCPU. */
  apicBase(vcpu: XenVcpuId): bigint {
    return readApicBase(this.#interrupts.apics, vcpu);
  }

  enter(vcpu: XenVcpuId, start: StartContext): void {
    const { entry, bootInformation } = this.#port.options;
    const view = this.#view(vcpu);
    if (start.how === 'built') enterPvh(view, entry, bootInformation);
    else if (start.registers !== undefined) enterInitialised(view, start.registers);
    else enterAtStartup(view, start.entry);
    this.#interrupts.apics.stale.add(vcpu);
    this.#interrupts.driveLines();
  }

  run(vcpu: XenVcpuId, budget: number): RunResult {
    this.#takeNmi(vcpu);
    return this.#faultLoops.run(vcpu, budget);
  }

  isUser(vcpu: XenVcpuId): boolean {
    return this.#view(vcpu).privilege === 3;
  }

  halt(vcpu: XenVcpuId): boolean {
    if (this.#isGone(vcpu)) return true;
    const interruptsOn = this.#view(vcpu).interruptsEnabled;
    if (interruptsOn && this.#interrupts.pending(vcpu) !== null) return false;
    this.#powerCalls.halt(vcpu, interruptsOn);
    return true;
  }

  get dueNs(): bigint | null {
    return this.#interrupts.dueNs;
  }

  passTo(ns: bigint): void {
    this.#interrupts.passTo(ns);
  }

  deliver(vcpu: XenVcpuId): void {
    this.#interrupts.upcall(vcpu);
  }

  driveLines(): void {
    this.#interrupts.driveLines();
  }

  /** There is no UART: what arrives is lost. */
  receive(bytes: Uint8Array): number {
    return bytes.length;
  }

  save(): X86BoardState {
    return {
      processor: this.processor.save(),
      apics: this.#interrupts.save(),
      modelSpecific: this.#modelSpecific.map((registers) => registers.save()),
      ports: this.#ports.save(),
      notModelled: [...this.#notModelled].sort(([a], [b]) => (a < b ? -1 : 1)),
      tripleFault: this.#tripleFault,
      faultLoops: this.#faultLoops.save(),
    };
  }

  load(state: X86BoardState): void {
    this.processor.load(state.processor);
    this.#interrupts.load(state.apics);
    for (const [index, registers] of this.#modelSpecific.entries()) {
      registers.load(present(state.modelSpecific[index], 'the registers of a vCPU'));
    }
    this.#ports.load(state.ports);
    this.#notModelled.clear();
    for (const [what, count] of state.notModelled) this.#notModelled.set(what, count);
    this.#tripleFault = state.tripleFault;
    this.#faultLoops.load(state.faultLoops);
  }

  #vcpu(index: number): XenVcpuId {
    return present(this.#port.vcpus[index], 'a vCPU');
  }

  #view(vcpu: XenVcpuId): X86VcpuView {
    return present(this.processor.vcpus[vcpu], 'a vCPU');
  }

  #countNotModelled(what: string): void {
    this.#notModelled.set(what, (this.#notModelled.get(what) ?? 0) + 1);
  }

  /** Hands an NMI that waits at Xen to the CPU. */
  #takeNmi(vcpu: XenVcpuId): void {
    if (takeNmi(this.#port.domain(), vcpu)) this.processor.setInterruptLine(vcpu, 'nmi', true);
  }

  /** Whether a vCPU that just went down runs on to the end of its slice. What it asks for there is not done. */
  #isGone(vcpu: XenVcpuId): boolean {
    return !isRunnable(this.#port.domain(), vcpu);
  }

  #host(): X86Host {
    return {
      memory: {
        frame: (address, write) => {
          const gfn = Math.floor(address / frameBytes);
          if (write && this.#kept.isIn(gfn)) return -1;
          const mfn = mfnOfGfn(this.#port.domain(), gfn);
          return mfn === null ? -1 : (this.#port.frames().placeOf(mfn) ?? -1);
        },
        read: (index, address, bytes) => this.#readMemory(this.#vcpu(index), address, bytes),
        write: (index, address, bytes, value) => this.#writeMemory(this.#vcpu(index), address, bytes, value),
      },
      cpuid: (index, leaf, subleaf) => {
        const vcpu = this.#vcpu(index);
        const isEnabled = (this.apicBase(vcpu) & apicFlags.enabled) !== 0n;
        return cpuid(this.#port.domain(), vcpu, leaf, subleaf, isEnabled);
      },
      readModelSpecific: (index, number) => this.#readModelSpecific(this.#vcpu(index), number),
      writeModelSpecific: (index, number, value) =>
        this.#isGone(this.#vcpu(index)) || this.#writeModelSpecific(this.#vcpu(index), number, value),
      readTaskPriority: (index) =>
        Number(readPage(this.#interrupts.apics, index, taskPriority, 4, this.#port.nowNs()) >> 4n) & 0xf,
      writeTaskPriority: (index, value) => {
        const { apics } = this.#interrupts;
        writePage(apics, index, taskPriority, 4, BigInt(value << 4), this.#port.nowNs());
        this.#interrupts.driveLines();
      },
      readPort: (_index, port, bytes) => this.#ports.read(port, bytes),
      writePort: (index, port, bytes, value) => {
        if (!this.#isGone(this.#vcpu(index))) this.#ports.write(port, bytes, value);
      },
      hypercall: (index) => this.#call(this.#vcpu(index)),
      timestamp: () => this.#tsc.at(this.#port.nowNs()),
      timestampLine: () => this.#tsc.lineFrom(this.#port.nowNs()),
      acknowledge: (index) => this.#interrupts.acknowledge(this.#vcpu(index)),
      shutdown: (index) => this.#shutDown(this.#vcpu(index)),
    };
  }

  #apicOffset(vcpu: XenVcpuId, address: number): number | null {
    const offset = address - Number(apicPage);
    const isInPage = offset >= 0 && offset < frameBytes;
    return isInPage && answersInPage(this.#interrupts.apics, vcpu) ? offset : null;
  }

  #readMemory(vcpu: XenVcpuId, address: number, bytes: number): bigint | null {
    const offset = this.#apicOffset(vcpu, address);
    return offset === null ? null : readPage(this.#interrupts.apics, vcpu, offset, bytes, this.#port.nowNs());
  }

  #writeMemory(vcpu: XenVcpuId, address: number, bytes: number, value: bigint): boolean {
    if (this.#kept.isIn(Math.floor(address / frameBytes)))
      return this.#storeBesideKept(address, bytes, value);
    const offset = this.#apicOffset(vcpu, address);
    if (offset === null || this.#isGone(vcpu)) return false;
    const { apics } = this.#interrupts;
    const nowNs = this.#port.nowNs();
    writePage(apics, vcpu, offset, bytes, value, nowNs);
    if ((offset & ~0xf) === apicCommand.low) {
      const high = readPage(apics, vcpu, apicCommand.high, 4, nowNs);
      this.#powerCalls.sent(
        vcpu,
        Number(readPage(apics, vcpu, apicCommand.low, 4, nowNs)),
        Number(high >> 24n),
      );
    }
    this.#apicWritten(vcpu);
    return true;
  }

  #readModelSpecific(vcpu: XenVcpuId, number: number): bigint | null {
    const { apics } = this.#interrupts;
    if (number >= register.apicFirst && number <= register.apicLast) {
      return readMsr(apics, vcpu, number, this.#port.nowNs());
    }
    switch (number) {
      case register.timestamp:
        return this.#tsc.at(this.#port.nowNs());
      case register.timestampAdjust:
      case hypercallPageRegister:
        return 0n;
      case register.apicBase:
        return readApicBase(apics, vcpu);
      case register.deadline:
        return deadline(present(apics.state.cpus[vcpu], 'a local APIC'));
      default:
        return present(this.#modelSpecific[vcpu], 'a vCPU').read(number);
    }
  }

  #writeModelSpecific(vcpu: XenVcpuId, number: number, value: bigint): boolean {
    const { apics } = this.#interrupts;
    const nowNs = this.#port.nowNs();
    if (number >= register.apicFirst && number <= register.apicLast) {
      const done = writeMsr(apics, vcpu, number, value, nowNs);
      if (done && number === register.apicCommand) {
        this.#powerCalls.sent(vcpu, Number(value & 0xffff_ffffn), Number(value >> 32n));
      }
      this.#apicWritten(vcpu);
      return done;
    }
    switch (number) {
      case register.timestamp:
      case register.timestampAdjust:
        // All vCPUs have the machine's time, which pvclock tells the guest too.
        this.#countNotModelled('WRMSR of the time-stamp counter');
        return true;
      case hypercallPageRegister:
        return this.#writeHypercallPage(value);
      case register.apicBase: {
        const done = writeApicBase(apics, vcpu, value);
        this.#apicWritten(vcpu);
        return done;
      }
      case register.deadline:
        writeDeadline(present(apics.state.cpus[vcpu], 'a local APIC'), value, this.#tsc, nowNs);
        this.#apicWritten(vcpu);
        return true;
      default:
        return present(this.#modelSpecific[vcpu], 'a vCPU').write(number, value);
    }
  }

  /** Follows what a write to a local APIC brought about, for that vCPU and for others. */
  #apicWritten(vcpu: XenVcpuId): void {
    if (this.#powerCalls.takeAsked()) {
      this.#takeNmi(vcpu);
      this.#port.called(vcpu);
      return;
    }
    this.#interrupts.driveLines();
    this.#port.cutSlice();
  }

  /** Writes the hypercall page to the guest frame that the value names. Its low bits are an index, of which Xen knows 0 only. */
  #writeHypercallPage(value: bigint): boolean {
    const mfn = mfnOfGfn(this.#port.domain(), Number(value / BigInt(frameBytes)));
    const frame =
      mfn === null || value % BigInt(frameBytes) !== 0n ? undefined : this.#port.frames().writable(mfn);
    frame?.set(hypercallPage());
    return frame !== undefined;
  }

  /** Handles a vCPU's VMCALL or VMMCALL. */
  #call(vcpu: XenVcpuId): boolean {
    if (this.#isGone(vcpu)) return true;
    if (!this.#abi.mayCall(vcpu)) {
      this.#abi.answer(vcpu, -XEN_EPERM);
      return true;
    }
    if (!this.#abi.hasKnownLayout(vcpu)) {
      const { number } = this.#abi.read(vcpu);
      this.#countNotModelled(`hypercall ${number} of code that is not 64-bit`);
      this.#abi.answer(vcpu, -XEN_ENOSYS);
      return true;
    }
    this.#port.catchUp();
    this.#hypercalls.make(vcpu);
    this.#takeNmi(vcpu);
    this.#port.called(vcpu);
    return true;
  }

  #shutDown(vcpu: XenVcpuId): void {
    this.#port.catchUp();
    this.#tripleFault ??= { vcpu, pc: this.#view(vcpu).pc };
    tripleFault(this.#port.domain(), vcpu);
    this.#port.called(vcpu);
  }
}

/** A machine with that board: a guest that the builder has yet to load, and that starts at `options.entry`. */
export type X86Machine = Machine<X86Board>;

export function x86Machine(options: MachineOptions, listener: MachineListener): X86Machine {
  return new Machine(options, listener, (port) => new X86Board(port));
}
