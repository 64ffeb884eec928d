/**
 * An arm64 Xen guest on emulated CPUs: combines the engine, the devices and the hypervisor. The machine has one clock.
 * Each instruction of any vCPU takes 1 ns; when all vCPUs wait, the clock jumps to the next event. A vCPU's turn is
 * divided into slices that end where an event is due, so that interrupts arrive on time; the turn then continues.
 */
import {
  GUEST_GICV3_GICD_BASE,
  GUEST_GICV3_GICR0_BASE,
  GUEST_GICV3_GICR0_SIZE,
  GUEST_PL011_BASE,
} from '../abi/index.js';
import { frameBytes, present } from '../base/index.js';
import type { FrameRange } from '../base/index.js';
import {
  distributor,
  irqAsserted,
  isIccRegister,
  readIcc,
  receive,
  redistributors,
  sbsaUart,
  setCpuPower,
  writeIcc,
} from '../devices/index.js';
import type { MmioBytes } from '../devices/index.js';
import { arm64, Processor } from '../engine/index.js';
import type { Arm64Processor, EngineHost, StopReason, VcpuView } from '../engine/index.js';
import {
  acknowledgeUpcall,
  advanceTo,
  backendsAwaited,
  createDomain,
  feedConsole,
  haltVcpu,
  isRunnable,
  mfnOfGfn,
  nextDeadline,
  pendingUpcall,
  refreshAreas,
  serveBackends,
  takeStart,
  takeXenConsole,
  wakeVcpu,
} from '../hypervisor/index.js';
import type { CallerPort, Domain, DomainConfig, VcpuState } from '../hypervisor/index.js';
import { mpidrRegisterOfVcpu } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { Bus } from './bus.js';
import { isTimerRegister, readTimerRegister, writeTimerRegister } from './clock_registers.js';
import type { TimerAccess } from './clock_registers.js';
import { ConsoleInput } from './console_input.js';
import type { GuestConsole } from './console_input.js';
import { PlacedFrames } from './frames.js';
import { Interrupts } from './interrupts.js';
import { codeReader } from './guest_code.js';
import type { ReadCode } from './guest_code.js';
import { GuestCalls } from './guest_calls.js';
import type { MachineListener } from './guest_calls.js';
import { Standstill } from './standstill.js';
import { endTurn, newTurns, nextTurn } from './turns.js';
import type { Turns } from './turns.js';
import { diagnose } from './vcpu_diagnosis.js';
import type { VcpuDiagnosis } from './vcpu_diagnosis.js';

/** ID_AA64PFR0_EL1.GIC: the GIC's CPU interface is accessed by system registers (Arm DDI 0487, D17.2.64). */
const systemRegisterGic = 1n << 24n;

export interface MachineOptions {
  readonly config: DomainConfig;
  readonly seed: number;
  /** Guest physical address where `config.entryVcpu` starts, and the value of its X0. */
  readonly entry: bigint;
  readonly x0: bigint;
}

/** Why `run` returned. */
export type MachineStop = 'limit' | 'shutdown' | 'stuck';

/** PSTATE.I in DAIF. */
const irqMask = 0x80n;

/** The earlier of two times; null means never. */
function earlier(a: bigint | null, b: bigint | null): bigint | null {
  if (a === null || b === null) return a ?? b;
  return b < a ? b : a;
}

export class ArmMachine {
  readonly processor: Arm64Processor;
  readonly frames: PlacedFrames;
  readonly domain: Domain;
  readonly #interrupts: Interrupts;
  readonly #bus = new Bus();
  readonly #turns: Turns;
  readonly #input = new ConsoleInput();
  readonly #standstill: Standstill;
  readonly #readCode: ReadCode;
  readonly #listener: MachineListener;
  readonly #options: MachineOptions;
  readonly #caller: CallerPort;
  readonly #calls: GuestCalls;
  /** System time in ns at the start of the current slice, and the time at which it ends. */
  #sliceNs = 0n;
  #sliceEndNs = 0n;
  #instructions = 0;
  #stopped = false;
  #userSpaceNs: bigint | null = null;

  constructor(options: MachineOptions, listener: MachineListener) {
    const { config, seed } = options;
    const vcpus = config.hardwareIds.length;
    this.#options = options;
    this.#listener = listener;
    const ranges: readonly FrameRange[] = [...config.ram, config.xenFrames];
    const frames = ranges.reduce((sum, { count }) => sum + count, 0);
    this.processor = new Processor(arm64, this.#host(), { vcpus, ramBytes: frames * frameBytes });
    const { ram, ramStart } = this.processor;
    this.frames = new PlacedFrames(ram.buffer, ramStart, ranges, (place, bytes) =>
      this.processor.wrote(place, bytes),
    );
    this.domain = createDomain(config, this.frames);
    this.#interrupts = new Interrupts(config.hardwareIds, (vcpu, asserted) => this.#drive(vcpu, asserted));
    this.#turns = newTurns(seed, vcpus);
    this.#caller = {
      translate: (vcpu, address, write) => this.#view(vcpu).translate(address, write ? 'write' : 'read'),
      interruptsOn: (vcpu) => (this.#view(vcpu).systemRegister('DAIF') & irqMask) === 0n,
    };
    const { domain, processor } = this;
    this.#calls = new GuestCalls({
      domain,
      processor,
      gic: this.#interrupts.gic,
      caller: this.#caller,
      listener,
    });
    this.#readCode = codeReader(domain, this.frames);
    this.#standstill = new Standstill(processor, this.#readCode);
    this.#attachDevices();
    for (const vcpu of config.hardwareIds.keys()) this.#identify(vcpu);
  }

  /** System time, ns. */
  get nowNs(): bigint {
    return this.#sliceNs + BigInt(this.processor.executed);
  }

  /** System time in ns at which a vCPU was first seen at EL0 at the end of a slice; null if none was. */
  get userSpaceNs(): bigint | null {
    return this.#userSpaceNs;
  }

  /** Number of instructions executed so far by all vCPUs. */
  get instructions(): number {
    return this.#instructions;
  }

  /** Copies `bytes` into guest RAM at guest physical address `address`. Call it before the guest runs. */
  load(address: bigint, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = Number(address) + done;
      const frame = present(this.frames.writable(Math.floor(at / frameBytes)), `guest memory at ${at}`);
      const count = Math.min(frameBytes - (at % frameBytes), bytes.length - done);
      frame.set(bytes.subarray(done, done + count), at % frameBytes);
      done += count;
    }
  }

  /**
   * Types `bytes` at one of the guest's consoles. They become available at system time `atNs` (default: now). The guest
   * receives them at the end of the turn at that time, as far as its buffer has space. A run is determined by the bytes
   * and `atNs`.
   */
  input(console: GuestConsole, bytes: Uint8Array, atNs: bigint = this.nowNs): void {
    this.#input.add(console, bytes, atNs);
  }

  /**
   * Runs the guest for about `instructions` more instructions, until system time `untilNs`, or until it cannot
   * continue. Dividing a run into several calls does not change its result.
   */
  run(instructions: number, untilNs: bigint): MachineStop {
    const end = this.#instructions + instructions;
    this.#stopped = false;
    while (this.#instructions < end && this.#sliceNs < untilNs && !this.#isStopped()) {
      if (this.domain.state.shutdown !== null) return 'shutdown';
      const next = nextTurn(this.#turns, (vcpu) => isRunnable(this.domain, vcpu as XenVcpuId));
      if (next.kind === 'turn') this.#takeTurn(next.vcpu, next.instructions);
      else if (next.kind === 'idle') this.#idle(next.ns);
      else if (!this.#waitForEvent(untilNs)) return 'stuck';
    }
    return 'limit';
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  /** Why a vCPU may come to no end; null for one that is down, or has not entered the guest yet. */
  diagnose(vcpu: number): VcpuDiagnosis | null {
    const { up, start } = this.#vcpuState(vcpu);
    if (!up || start !== null) return null;
    return diagnose(this.#view(vcpu), this.#readCode, {
      faultsAt: this.#standstill.loopOf(vcpu),
      unknownCall: this.#calls.unknownCallOf(vcpu),
    });
  }

  /** Ends the current `run` after the current slice. */
  stop(): void {
    this.#stopped = true;
    this.processor.stop();
  }

  #view(vcpu: number): VcpuView {
    return present(this.processor.vcpus[vcpu], 'a vCPU');
  }

  #vcpuState(vcpu: number): VcpuState {
    return present(this.domain.state.vcpus[vcpu], 'a vCPU');
  }

  #takeTurn(vcpu: number, instructions: number): void {
    this.#enterIfStarted(vcpu);
    this.#refreshAreas(vcpu);
    let left = instructions;
    for (;;) {
      const { reason, executed } = this.#runSlice(vcpu, left);
      left -= executed;
      const goesOn = reason === 'budget' || reason === 'stopped';
      if (left > 0 && goesOn && this.#mayGoOn(vcpu)) continue;
      endTurn(this.#turns, vcpu, this.#gaveUp(vcpu, reason));
      return;
    }
  }

  #mayGoOn(vcpu: number): boolean {
    return !this.#stopped && isRunnable(this.domain, vcpu as XenVcpuId);
  }

  /** Runs the vCPU until an event is due, and handles the event. */
  #runSlice(vcpu: number, left: number): { readonly reason: StopReason; readonly executed: number } {
    const dueNs = this.#dueNs();
    const toDue = dueNs === null ? left : Number(dueNs - this.#sliceNs);
    const budget = Math.max(Math.min(left, toDue), 1);
    this.#sliceEndNs = this.#sliceNs + BigInt(budget);
    const result = this.#standstill.run(vcpu, budget);
    this.#instructions += result.executed;
    this.#passTo(this.#sliceNs + BigInt(result.executed));
    this.#listener.sliceEnded?.(vcpu);
    if (this.#userSpaceNs === null && this.#view(vcpu).mode === 'EL0t') {
      this.#userSpaceNs = this.#sliceNs;
      this.#listener.userSpace?.();
    }
    return result;
  }

  /** Whether the vCPU ended its turn early although it is runnable. In Xen, WFE yields and WFI blocks. */
  #gaveUp(vcpu: number, reason: StopReason): boolean {
    if (reason !== 'waitForInterrupt') return reason === 'waitForEvent' || reason === 'yield';
    if (irqAsserted(this.#interrupts.gic, vcpu)) return false;
    haltVcpu(this.domain, vcpu as XenVcpuId, true);
    this.#refreshAreas(vcpu);
    return isRunnable(this.domain, vcpu as XenVcpuId);
  }

  /**
   * Updates the areas that a vCPU registered by virtual address. Xen does this when it switches to the vCPU and away
   * from it.
   */
  #refreshAreas(vcpu: number): void {
    refreshAreas(this.domain, vcpu as XenVcpuId, this.#caller);
  }

  /** Sets the identification registers that depend on the machine, not on the CPU model. */
  #identify(vcpu: number): void {
    const view = this.#view(vcpu);
    view.setSystemRegister('MPIDR_EL1', mpidrRegisterOfVcpu(vcpu as XenVcpuId));
    view.setSystemRegister('ID_AA64PFR0_EL1', view.systemRegister('ID_AA64PFR0_EL1') | systemRegisterGic);
  }

  /** Loads the entry state of a vCPU that was just started. */
  #enterIfStarted(vcpu: number): void {
    const start = takeStart(this.domain, vcpu as XenVcpuId);
    if (start === null) return;
    const view = this.#view(vcpu);
    view.reset();
    this.#identify(vcpu);
    view.pc = start.how === 'built' ? this.#options.entry : start.entry;
    view.setRegister(0, start.how === 'built' ? this.#options.x0 : start.contextId);
    setCpuPower(this.#interrupts.gic, vcpu, true);
    this.#interrupts.settle();
    this.#listener.started?.(vcpu);
  }

  /** System time in ns of the next event; null if there is none. */
  #dueNs(): bigint | null {
    return earlier(nextDeadline(this.domain), earlier(this.#interrupts.dueNs, this.#input.dueNs));
  }

  /** Advances system time to `ns` and handles all events that are due. */
  #passTo(ns: bigint): void {
    this.#sliceNs = ns;
    advanceTo(this.domain, ns);
    this.#interrupts.passTo(ns);
    this.#input.passTo(ns, (console, bytes) => this.#takeInput(console, bytes));
    this.#serveGuest();
    this.#injectUpcalls();
    this.#interrupts.settle();
  }

  /**
   * Serves the guest's xenstore and PV console, and takes its output to Xen's console. Does so even without a listener.
   */
  #serveGuest(): void {
    if (backendsAwaited(this.domain)) {
      const { console } = serveBackends(this.domain);
      this.#listener.pvConsole?.(console);
    }
    if (this.domain.state.xenConsole.lines.length === 0) return;
    const lines = takeXenConsole(this.domain);
    for (const line of lines) this.#listener.xenConsole?.(line);
  }

  /** All runnable vCPUs have yielded: advances time, but at most to the next event. */
  #idle(ns: number): void {
    const dueNs = this.#dueNs();
    const to = this.#sliceNs + BigInt(ns);
    const cut = dueNs !== null && dueNs < to ? dueNs : to;
    // An overdue event had its chance in the last turn. Advance time in any case, so that idling makes progress.
    this.#passTo(cut > this.#sliceNs ? cut : to);
  }

  /** All vCPUs wait: jumps to the next event, or to `untilNs` if that is earlier. False if there is no event. */
  #waitForEvent(untilNs: bigint): boolean {
    const dueNs = this.#dueNs();
    if (dueNs === null) return false;
    const to = dueNs < untilNs ? dueNs : untilNs;
    this.#passTo(to > this.#sliceNs ? to : this.#sliceNs);
    return true;
  }

  /** Passes typed bytes to a console. Returns how many it accepted. */
  #takeInput(console: GuestConsole, bytes: Uint8Array): number {
    if (console === 'pvConsole') return feedConsole(this.domain, bytes);
    const refused = bytes.findIndex((byte) => !receive(this.#interrupts.uart, byte));
    this.#interrupts.uartChanged();
    return refused < 0 ? bytes.length : refused;
  }

  #injectUpcalls(): void {
    for (const { id } of this.domain.state.vcpus) {
      if (pendingUpcall(this.domain, id) === null) continue;
      acknowledgeUpcall(this.domain, id);
      this.#interrupts.upcall(id);
    }
  }

  /** Called when a vCPU's IRQ line may have changed. An interrupt ends any wait of the vCPU. */
  #drive(vcpu: number, asserted: boolean): void {
    this.processor.setInterruptLine(vcpu, 'irq', asserted);
    if (!asserted || this.#vcpuState(vcpu).blocked === null) return;
    advanceTo(this.domain, this.nowNs);
    wakeVcpu(this.domain, vcpu as XenVcpuId);
  }

  #attachDevices(): void {
    const { gic, uart } = this.#interrupts;
    this.#bus.attach(Number(GUEST_GICV3_GICD_BASE), distributor(gic));
    this.#bus.attach(Number(GUEST_GICV3_GICR0_BASE), redistributors(gic, Number(GUEST_GICV3_GICR0_SIZE)));
    this.#bus.attach(
      Number(GUEST_PL011_BASE),
      sbsaUart(uart, (byte) => this.#listener.uart(byte)),
    );
  }

  #host(): EngineHost {
    return {
      memory: {
        frame: (address) => {
          const mfn = mfnOfGfn(this.domain, Math.floor(address / frameBytes));
          return mfn === null ? -1 : (this.frames.placeOf(mfn) ?? -1);
        },
        read: (_vcpu, address, bytes) => {
          const value = this.#bus.read(address, bytes as MmioBytes);
          this.#devicesUsed();
          return value;
        },
        write: (_vcpu, address, bytes, value) => {
          const done = this.#bus.write(address, bytes as MmioBytes, value);
          this.#devicesUsed();
          return done;
        },
      },
      registers: {
        read: (vcpu, encoding, el) => this.#readRegister(vcpu, encoding, el),
        write: (vcpu, encoding, value, el) => this.#writeRegister(vcpu, encoding, value, el),
      },
      call: (vcpu, kind, immediate) => this.#call(vcpu, kind, immediate),
      // The syndrome of an abort that Xen injects contains only its class (arch/arm/traps.c, inject_abt64_exception).
      unansweredIss: () => 0,
    };
  }

  #devicesUsed(): void {
    this.#interrupts.uartChanged();
    this.#interrupts.settle();
  }

  #readRegister(vcpu: number, encoding: number, el: 0 | 1): bigint | 'undefined' | 'trapped' {
    if (isTimerRegister(encoding)) return readTimerRegister(encoding, this.#timerAccess(vcpu), el);
    if (el === 0 || !isIccRegister(encoding)) return 'undefined';
    const value = readIcc(this.#interrupts.gic, vcpu, encoding);
    this.#interrupts.settle();
    return value ?? 'undefined';
  }

  #writeRegister(vcpu: number, encoding: number, value: bigint, el: 0 | 1): 'done' | 'undefined' | 'trapped' {
    if (isTimerRegister(encoding)) return this.#writeTimer(vcpu, encoding, value, el);
    if (el === 0 || !writeIcc(this.#interrupts.gic, vcpu, encoding, value)) return 'undefined';
    this.#interrupts.settle();
    return 'done';
  }

  #writeTimer(vcpu: number, encoding: number, value: bigint, el: 0 | 1): 'done' | 'undefined' | 'trapped' {
    const access = this.#timerAccess(vcpu);
    const done = writeTimerRegister(encoding, access, value, el);
    this.#interrupts.timersWritten(vcpu, access.nowNs);
    this.#interrupts.settle();
    this.#cutSlice();
    return done;
  }

  #timerAccess(vcpu: number): TimerAccess {
    return { timers: present(this.#interrupts.timers[vcpu], 'a vCPU'), nowNs: this.nowNs };
  }

  /** Shortens the current slice if an event is due before its end. */
  #cutSlice(): void {
    const dueNs = this.#dueNs();
    if (dueNs !== null && dueNs < this.#sliceEndNs) this.processor.stop();
  }

  /** Handles a vCPU's HVC or SMC. False if the instruction is Undefined. */
  #call(vcpu: number, kind: 'hvc' | 'smc', immediate: number): boolean {
    advanceTo(this.domain, this.nowNs);
    if (!this.#calls.make(vcpu, kind, immediate)) return false;
    this.#injectUpcalls();
    this.#interrupts.settle();
    if (isRunnable(this.domain, vcpu as XenVcpuId)) this.#cutSlice();
    else this.processor.stop();
    return true;
  }
}
