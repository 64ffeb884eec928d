/** The board of an x86-64 guest under Xen: CPUs, their local APICs, and for an HVM guest its platform; a PVH guest has none. */
import { XEN_ENOSYS, XEN_EPERM } from '../../abi/index.js';
import { earlier, frameBytes, present } from '../../base/index.js';
import { answersInPage, apicPage, readApicBase, readPage, writePage } from '../../devices/index.js';
import type { LocalApicsState } from '../../devices/index.js';
import { Processor } from '../../engine/index.js';
import type { ProcessorValue, RunResult } from '../../engine/index.js';
import { x86_64 } from '../../engine/x86_64/index.js';
import type { PortBytes, X86Host, X86Processor, X86VcpuView } from '../../engine/x86_64/index.js';
import {
  assertGsi,
  deassertGsi,
  defaultClock,
  domainShutdown,
  isGsiEvent,
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
import { cpuid, featuresOf } from './cpuid.js';
import { diagnose } from './diagnosis.js';
import type { X86VcpuDiagnosis } from './diagnosis.js';
import { enterAtStartup, enterInitialised, enterLongMode, enterPvh } from './entry.js';
import type { FaultSuspectsState } from '../fault_suspects.js';
import { FaultLoops } from './fault_loop.js';
import { X86HypercallAbi } from './hypercall_abi.js';
import { Interrupts, taskPriority } from './interrupts.js';
import { KeptWords } from './kept_words.js';
import type { KeptWord } from './kept_words.js';
import type { ModelSpecificState } from './model_specific.js';
import { firmwareRegisters, lowMemoryBytes, setFirmwareApic } from './platform/firmware.js';
import { Platform } from './platform/platform.js';
import type { PlatformState } from './platform/state.js';
import { debugPortAlone, Ports } from './ports.js';
import { Registers } from './registers.js';
import type { PortCount } from './ports.js';
import { PowerCalls } from './power_calls.js';

/** Offsets in the xAPIC page of the interrupt command register's halves. */
const apicCommand = { low: 0x300, high: 0x310 } as const;

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
  /** Of an HVM guest. */
  readonly platform?: PlatformState;
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
  readonly #registers: Registers;
  /** Null for a PVH guest. */
  readonly #platform: Platform | null;
  readonly #ports: Ports;
  /** How often the guest asked for what is not modelled. */
  readonly #notModelled = new Map<string, number>();
  readonly #readCode: ReadCode;
  readonly #faultLoops: FaultLoops;
  readonly #kept = new KeptWords();
  #tripleFault: TripleFault | null = null;
  /** The vCPU that accesses a device. */
  #acting: XenVcpuId;

  constructor(port: BoardPort) {
    const { options, listener, ranges, vcpus, domain } = port;
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
    this.#interrupts = this.#newInterrupts();
    this.#tsc = guestTsc(domain);
    const isHvm = options.config.kind === 'pvhvm';
    this.#acting = options.config.entryVcpu;
    this.#platform = isHvm ? this.#newPlatform() : null;
    this.#registers = new Registers({
      port,
      tsc: this.#tsc,
      apics: this.#interrupts.apics,
      initial: isHvm ? firmwareRegisters : {},
      notModelled: (what) => this.#countNotModelled(what),
      apicWritten: (vcpu, offset) => this.#apicWritten(vcpu, offset),
      commandWritten: (vcpu, command) =>
        this.#powerCalls.sent(vcpu, Number(command & 0xffff_ffffn), Number(command >> 32n)),
    });
    this.#ports = new Ports(this.#platform ?? debugPortAlone((byte) => this.#print(byte)));
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
      isInterrupted: (vcpu) => this.#interrupts.isPending(vcpu),
      memoryMapChanged: () => processor.flushTranslations(),
    });
  }

  #newInterrupts(): Interrupts {
    const { options, vcpus, domain } = this.#port;
    const { hardwareIds, release } = options.config;
    return new Interrupts({
      domain,
      vcpus,
      apicIds: hardwareIds,
      latchesErrors: latchesApicErrors(release),
      port: {
        ...this.#powerCalls.port,
        levelEnded: (vector) => this.#platform?.routing.levelEnded(vector),
      },
      external: () => this.#platform?.routing ?? null,
      drive: (vcpu, asserted) => this.processor.setInterruptLine(vcpu, 'interrupt', asserted),
      interrupted: (vcpu) => this.#port.interrupted(vcpu),
    });
  }

  #newPlatform(): Platform {
    const { options, domain, vcpus } = this.#port;
    const { config, startNs = 0n } = options;
    return new Platform({
      domain,
      apics: () => this.#interrupts.apics,
      ramBytes: lowMemoryBytes(config.ram),
      vcpus: vcpus.length,
      startNs,
      wallclockSec: (config.clock ?? defaultClock).wallclockSec,
      eventChannels: {
        isBound: (gsi) => isGsiEvent(domain(), gsi),
        assert: (gsi) => assertGsi(domain(), gsi),
        deassert: (gsi) => deassertGsi(domain(), gsi),
      },
      nowNs: () => this.#port.nowNs(),
      wake: (vcpu) => this.#port.interrupted(this.#vcpu(vcpu)),
      shutDown: (reason) => {
        this.#port.catchUp();
        domainShutdown(domain(), reason, this.#acting);
      },
      print: (byte) => this.#print(byte),
      notModelled: (what) => this.#countNotModelled(what),
    });
  }

  /** A byte for Xen's debug port. */
  #print(byte: number): void {
    writeXenConsole(this.#port.domain(), Uint8Array.of(byte));
  }

  /** The platform of an HVM guest; null for a PVH guest. */
  get platform(): Platform | null {
    return this.#platform;
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
    const { entry, bootInformation, longMode } = this.#port.options;
    const view = this.#view(vcpu);
    if (start.how === 'built') {
      if (this.#platform !== null) this.#setFirmwareApic(vcpu);
      if (longMode !== undefined) enterLongMode(view, entry, bootInformation, longMode);
      else enterPvh(view, entry, bootInformation);
    } else if (start.registers !== undefined) enterInitialised(view, start.registers);
    else enterAtStartup(view, start.entry);
    this.#interrupts.apics.stale.add(vcpu);
    this.#interrupts.driveLines();
  }

  #setFirmwareApic(vcpu: XenVcpuId): void {
    const { apics } = this.#interrupts;
    setFirmwareApic(apics, vcpu, this.#port.nowNs());
    this.#powerCalls.takeAsked();
    this.#platform?.routing.chooseTarget();
  }

  run(vcpu: XenVcpuId, budget: number): RunResult {
    this.#takeNmi(vcpu);
    if (this.#platform !== null) {
      this.#platform.routing.entering(vcpu);
      if (this.#platform.routing.takeEventSent()) this.#port.called(vcpu);
      this.driveLines();
    }
    return this.#faultLoops.run(vcpu, budget);
  }

  isUser(vcpu: XenVcpuId): boolean {
    return this.#view(vcpu).privilege === 3;
  }

  halt(vcpu: XenVcpuId): boolean {
    if (this.#isGone(vcpu)) return true;
    const interruptsOn = this.#view(vcpu).interruptsEnabled;
    if (interruptsOn && this.#interrupts.isPending(vcpu)) return false;
    this.#powerCalls.halt(vcpu, interruptsOn);
    return true;
  }

  get dueNs(): bigint | null {
    return earlier(this.#interrupts.dueNs, this.#platform?.dueNs ?? null);
  }

  passTo(ns: bigint): void {
    this.#interrupts.passTo(ns);
    this.#platform?.passTo(ns);
    // The machine tells vCPUs of events after this.
    this.#platform?.routing.takeEventSent();
  }

  deliver(vcpu: XenVcpuId): void {
    this.#interrupts.upcall(vcpu);
  }

  driveLines(): void {
    this.#platform?.driveCallback();
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
      modelSpecific: this.#registers.save(),
      ports: this.#ports.save(),
      notModelled: [...this.#notModelled].sort(([a], [b]) => (a < b ? -1 : 1)),
      tripleFault: this.#tripleFault,
      faultLoops: this.#faultLoops.save(),
      ...(this.#platform === null ? {} : { platform: this.#platform.save() }),
    };
  }

  load(state: X86BoardState): void {
    this.processor.load(state.processor);
    this.#interrupts.load(state.apics);
    this.#registers.load(state.modelSpecific);
    this.#ports.load(state.ports);
    this.#notModelled.clear();
    for (const [what, count] of state.notModelled) this.#notModelled.set(what, count);
    this.#tripleFault = state.tripleFault;
    this.#faultLoops.load(state.faultLoops);
    if (state.platform !== undefined) this.#platform?.load(state.platform);
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
    const features = featuresOf(this.#port.options);
    return {
      features,
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
        const apicBase = this.apicBase(vcpu);
        return cpuid(this.#port.domain(), { id: vcpu, features, apicBase }, leaf, subleaf);
      },
      readModelSpecific: (index, number) => this.#registers.read(this.#vcpu(index), number),
      writeModelSpecific: (index, number, value) =>
        this.#isGone(this.#vcpu(index)) || this.#writeRegister(this.#vcpu(index), number, value),
      readTaskPriority: (index) =>
        Number(readPage(this.#interrupts.apics, index, taskPriority, 4, this.#port.nowNs()) >> 4n) & 0xf,
      writeTaskPriority: (index, value) => {
        const { apics } = this.#interrupts;
        writePage(apics, index, taskPriority, 4, BigInt(value << 4), this.#port.nowNs());
        this.#interrupts.driveLines();
      },
      readPort: (index, port, bytes) => this.#readPort(this.#vcpu(index), port, bytes),
      writePort: (index, port, bytes, value) => this.#writePort(this.#vcpu(index), port, bytes, value),
      hypercall: (index) => this.#call(this.#vcpu(index)),
      timestamp: () => this.#tsc.at(this.#port.nowNs()),
      timestampLine: () => this.#tsc.lineFrom(this.#port.nowNs()),
      acknowledge: (index) => this.#interrupts.acknowledge(this.#vcpu(index)),
      shutdown: (index) => this.#shutDown(this.#vcpu(index)),
    };
  }

  #writeRegister(vcpu: XenVcpuId, number: number, value: bigint): boolean {
    this.#platform?.driveCallback();
    return this.#registers.write(vcpu, number, value);
  }

  #readPort(vcpu: XenVcpuId, port: number, bytes: PortBytes): number {
    this.#acting = vcpu;
    const value = this.#ports.read(port, bytes);
    if (this.#platform?.routing.takeEventSent() === true) this.#port.called(vcpu);
    else this.#interrupts.driveLines();
    return value;
  }

  #writePort(vcpu: XenVcpuId, port: number, bytes: PortBytes, value: number): void {
    if (this.#isGone(vcpu)) return;
    this.#platform?.driveCallback();
    this.#acting = vcpu;
    this.#ports.write(port, bytes, value);
    if (this.#platform !== null) this.#deviceWritten(vcpu);
  }

  #apicOffset(vcpu: XenVcpuId, address: number): number | null {
    const offset = address - Number(apicPage);
    const isInPage = offset >= 0 && offset < frameBytes;
    return isInPage && answersInPage(this.#interrupts.apics, vcpu) ? offset : null;
  }

  #readMemory(vcpu: XenVcpuId, address: number, bytes: number): bigint | null {
    const offset = this.#apicOffset(vcpu, address);
    if (offset === null) return this.#platform?.readMemory(address, bytes) ?? null;
    return readPage(this.#interrupts.apics, vcpu, offset, bytes, this.#port.nowNs());
  }

  #writeMemory(vcpu: XenVcpuId, address: number, bytes: number, value: bigint): boolean {
    this.#platform?.driveCallback();
    if (this.#kept.isIn(Math.floor(address / frameBytes)))
      return this.#storeBesideKept(address, bytes, value);
    const offset = this.#apicOffset(vcpu, address);
    if (this.#isGone(vcpu)) return false;
    if (offset === null) return this.#writeDevice(vcpu, address, bytes, value);
    const { apics } = this.#interrupts;
    const nowNs = this.#port.nowNs();
    writePage(apics, vcpu, offset, bytes, value, nowNs);
    if ((offset & ~0xf) === apicCommand.low) {
      const [high, low] = [apicCommand.high, apicCommand.low].map((at) =>
        readPage(apics, vcpu, at, 4, nowNs),
      );
      this.#powerCalls.sent(vcpu, Number(low), Number((high ?? 0n) >> 24n));
    }
    this.#apicWritten(vcpu, offset & ~0xf);
    return true;
  }

  #writeDevice(vcpu: XenVcpuId, address: number, bytes: number, value: bigint): boolean {
    if (this.#platform === null) return false;
    this.#acting = vcpu;
    this.#platform.writeMemory(address, bytes, value);
    this.#deviceWritten(vcpu);
    return true;
  }

  /** Follows what a write to a local APIC brought about, at an offset of its page or elsewhere, for that vCPU and for others. */
  #apicWritten(vcpu: XenVcpuId, offset: number | null): void {
    this.#platform?.routing.apicWritten(offset);
    this.#followUp(vcpu);
  }

  /** Follows what a local APIC or a device did to vCPUs. */
  #followUp(vcpu: XenVcpuId): void {
    this.#platform?.routing.entering(vcpu);
    if (this.#powerCalls.takeAsked() || this.#platform?.routing.takeEventSent() === true) {
      this.#takeNmi(vcpu);
      this.#port.called(vcpu);
      return;
    }
    this.#interrupts.driveLines();
    this.#port.cutSlice();
  }

  /** Follows what a write to a device brought about; it may have ended the domain. */
  #deviceWritten(vcpu: XenVcpuId): void {
    if (this.#isGone(vcpu)) this.#port.called(vcpu);
    else this.#followUp(vcpu);
  }

  /** Handles a vCPU's VMCALL or VMMCALL. */
  #call(vcpu: XenVcpuId): boolean {
    if (this.#isGone(vcpu)) return true;
    if (!this.#abi.mayCall(vcpu)) {
      this.#abi.answer(vcpu, -XEN_EPERM);
      return true;
    }
    if (!this.#abi.hasKnownLayout(vcpu)) {
      // One name for all: the guest chooses the number.
      this.#countNotModelled('a hypercall of code that is not 64-bit');
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
