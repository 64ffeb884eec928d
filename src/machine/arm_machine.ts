/**
 * An arm64 Xen guest on emulated CPUs: engine, devices and hypervisor put together. Time is one clock for the machine: each
 * instruction that any vCPU executes takes 1 ns, and when all wait the clock jumps to the next event.
 */
import {
  GUEST_EVTCHN_PPI,
  GUEST_GICV3_GICD_BASE,
  GUEST_GICV3_GICR0_BASE,
  GUEST_GICV3_GICR0_SIZE,
  GUEST_PL011_BASE,
  GUEST_VPL011_SPI,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_memory_op,
} from '../abi/index.js';
import { frameBytes, present } from '../base/index.js';
import type { FrameRange } from '../base/index.js';
import type { GenericTimerState, Gic } from '../devices/index.js';
import {
  counterAt,
  distributor,
  irqAsserted,
  latchPrivate,
  isIccRegister,
  newGenericTimer,
  newGic,
  newUart,
  nextTimerNs,
  physicalTimerIntid,
  readIcc,
  redistributors,
  sbsaUart,
  setCpuPower,
  setLine,
  timerAsserted,
  uartAsserted,
  virtualTimerIntid,
  writeIcc,
} from '../devices/index.js';
import type { UartState } from '../devices/index.js';
import { Processor } from '../engine/index.js';
import type { EngineHost, StopReason } from '../engine/index.js';
import {
  acknowledgeUpcall,
  advanceTo,
  backendsAwaited,
  createDomain,
  hypercall,
  isRunnable,
  mfnOfGfn,
  nextDeadline,
  pendingUpcall,
  psciCall,
  serveBackends,
  takeStart,
} from '../hypervisor/index.js';
import type { CallRecord, Domain, DomainConfig, PsciRecord } from '../hypervisor/index.js';
import { mpidrRegisterOfVcpu, vcpuOfTarget, vcpusOfSgi } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { a64 } from '../isa/index.js';
import { Bus } from './bus.js';
import {
  counterFrequency,
  isTimerRegister,
  readTimerRegister,
  writeTimerRegister,
} from './clock_registers.js';
import { PlacedFrames } from './frames.js';
import { architectureCall } from './smccc.js';
import { newTurns, nextTurn } from './turns.js';
import type { Turns } from './turns.js';

/** HVC's immediate by which a guest calls Xen (public/arch-arm.h, XEN_HYPERCALL_TAG). */
const hypercallTag = 0xea1;

/** ID_AA64PFR0_EL1.GIC: the GIC's CPU interface is in system registers (Arm DDI 0487, D17.2.64). */
const systemRegisterGic = 1n << 24n;

/** What those outside hear of a run. */
export interface MachineListener {
  /** A byte that the guest sent to its UART. */
  uart(byte: number): void;
  /** Bytes that the guest wrote to its PV console. */
  pvConsole?(bytes: Uint8Array): void;
  /** A hypercall is about to be made. */
  calling?(vcpu: number): void;
  /** A hypercall, when it has been answered; the vCPU's registers do not hold the answer yet. */
  hypercall?(vcpu: number, record: CallRecord): void;
  /** A power call, when it has been answered; `affinity` is its first argument. */
  power?(vcpu: number, record: PsciRecord, affinity: bigint): void;
  /** A vCPU enters the guest. */
  started?(vcpu: number): void;
  /** A vCPU was seen at EL0, at the end of its turn, for the first time. */
  userSpace?(): void;
}

export interface MachineOptions {
  readonly config: DomainConfig;
  readonly seed: number;
  /** Guest physical address at which `config.entryVcpu` enters, and its X0. */
  readonly entry: bigint;
  readonly x0: bigint;
}

/** Why `run` came back. */
export type MachineStop = 'limit' | 'shutdown' | 'stuck';

export class ArmMachine {
  readonly processor: Processor;
  readonly frames: PlacedFrames;
  readonly domain: Domain;
  readonly #gic: Gic;
  readonly #timers: readonly GenericTimerState[];
  readonly #uart: UartState;
  readonly #bus = new Bus();
  readonly #turns: Turns;
  readonly #listener: MachineListener;
  readonly #options: MachineOptions;
  readonly #waiting: boolean[];
  /** System time at the start of the present turn, ns. */
  #turnNs = 0n;
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
    this.processor = new Processor(a64, this.#host(), { vcpus, ramBytes: frames * frameBytes });
    const { ram } = this.processor;
    this.frames = new PlacedFrames(ram.buffer, this.processor.ramStart, ranges);
    this.domain = createDomain(config, this.frames);
    this.#gic = {
      state: newGic(vcpus),
      affinities: config.hardwareIds,
      cpuOfAffinity: vcpuOfTarget,
      cpusOfSgi: vcpusOfSgi,
    };
    this.#timers = config.hardwareIds.map(newGenericTimer);
    this.#uart = newUart();
    this.#turns = newTurns(seed, vcpus);
    this.#waiting = config.hardwareIds.map(() => false);
    this.#attachDevices();
    for (const vcpu of config.hardwareIds.keys()) this.#identify(vcpu);
  }

  /** System time, ns. */
  get nowNs(): bigint {
    return this.#turnNs + BigInt(this.processor.executed);
  }

  /** When a vCPU was first seen at EL0, at the end of a turn, ns; null as long as none was. */
  get userSpaceNs(): bigint | null {
    return this.#userSpaceNs;
  }

  /** Instructions executed so far, of all vCPUs. */
  get instructions(): number {
    return this.#instructions;
  }

  /** Puts `bytes` into guest RAM from guest physical address `address` on, before the guest runs. */
  load(address: bigint, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = Number(address) + done;
      const frame = present(this.frames.writable(Math.floor(at / frameBytes)), `guest memory at ${at}`);
      const count = Math.min(frameBytes - (at % frameBytes), bytes.length - done);
      frame.set(bytes.subarray(done, done + count), at % frameBytes);
      done += count;
    }
  }

  /** Runs the guest for about `instructions` more instructions, to system time `untilNs`, or until it can go on no more. */
  run(instructions: number, untilNs: bigint): MachineStop {
    const end = this.#instructions + instructions;
    this.#stopped = false;
    while (this.#instructions < end && this.#turnNs < untilNs && !this.#isStopped()) {
      if (this.domain.state.shutdown !== null) return 'shutdown';
      const turn = nextTurn(this.#turns, this.#waiting.length, (vcpu) => this.#canRun(vcpu));
      if (turn === null) {
        if (!this.#passTime()) return 'stuck';
        continue;
      }
      this.#takeTurn(turn.vcpu, turn.instructions);
    }
    return 'limit';
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  /** Ends the present `run` after the turn that is being taken. */
  stop(): void {
    this.#stopped = true;
    this.processor.stop();
  }

  #canRun(vcpu: number): boolean {
    return !present(this.#waiting[vcpu], 'a vCPU') && isRunnable(this.domain, vcpu as XenVcpuId);
  }

  #takeTurn(vcpu: number, instructions: number): void {
    this.#enterIfStarted(vcpu);
    const { reason, executed } = this.processor.run(vcpu, instructions);
    this.#instructions += executed;
    this.#turnNs += BigInt(executed);
    if (this.#userSpaceNs === null && this.processor.vcpus[vcpu]?.mode === 'EL0t') {
      this.#userSpaceNs = this.#turnNs;
      this.#listener.userSpace?.();
    }
    advanceTo(this.domain, this.#turnNs);
    if (backendsAwaited(this.domain)) this.#listener.pvConsole?.(serveBackends(this.domain).console);
    this.#waiting[vcpu] = this.#waits(reason);
    this.#updateLines();
  }

  #waits(reason: StopReason): boolean {
    return reason === 'waitForInterrupt';
  }

  /** What a vCPU's identification registers say that is this machine's and not the CPU's own. */
  #identify(vcpu: number): void {
    const view = present(this.processor.vcpus[vcpu], 'a vCPU');
    view.setSystemRegister('MPIDR_EL1', mpidrRegisterOfVcpu(vcpu as XenVcpuId));
    view.setSystemRegister('ID_AA64PFR0_EL1', view.systemRegister('ID_AA64PFR0_EL1') | systemRegisterGic);
  }

  /** A vCPU that was started loads what it was started with. */
  #enterIfStarted(vcpu: number): void {
    const start = takeStart(this.domain, vcpu as XenVcpuId);
    if (start === null) return;
    const view = present(this.processor.vcpus[vcpu], 'a vCPU');
    view.reset();
    this.#identify(vcpu);
    view.pc = start.how === 'built' ? this.#options.entry : start.entry;
    view.setRegister(0, start.how === 'built' ? this.#options.x0 : start.contextId);
    setCpuPower(this.#gic, vcpu, true);
    this.#waiting[vcpu] = false;
    this.#listener.started?.(vcpu);
  }

  /** All wait: the clock jumps to the next event. False when there is none. */
  #passTime(): boolean {
    const due = [
      nextDeadline(this.domain),
      ...this.#timers.map((timers) => nextTimerNs(timers, this.#turnNs, counterFrequency)),
    ].filter((ns) => ns !== null);
    const next = due.reduce<bigint | null>((least, ns) => (least === null || ns < least ? ns : least), null);
    if (next === null) return this.#waiting.some((waits, vcpu) => !waits && this.#canRun(vcpu));
    if (next > this.#turnNs) this.#turnNs = next;
    advanceTo(this.domain, this.#turnNs);
    this.#updateLines();
    return true;
  }

  /** Drives every interrupt line to where it should be now, and wakes the vCPUs that have one to take. */
  #updateLines(): void {
    const counter = counterAt(this.nowNs, counterFrequency);
    setLine(this.#gic, 0, GUEST_VPL011_SPI, uartAsserted(this.#uart));
    for (const [vcpu, timers] of this.#timers.entries()) {
      setLine(this.#gic, vcpu, physicalTimerIntid, timerAsserted(timers.physical, counter));
      setLine(this.#gic, vcpu, virtualTimerIntid, timerAsserted(timers.virtual, counter));
      this.#injectUpcall(vcpu as XenVcpuId);
    }
    for (const vcpu of this.#timers.keys()) {
      const asserted = irqAsserted(this.#gic, vcpu);
      this.processor.setInterruptLine(vcpu, 'irq', asserted);
      if (asserted) this.#waiting[vcpu] = false;
    }
  }

  /** Xen injects its interrupt once for each time that events become pending; from then on it is the GIC's. */
  #injectUpcall(vcpu: XenVcpuId): void {
    if (pendingUpcall(this.domain, vcpu) === null) return;
    acknowledgeUpcall(this.domain, vcpu);
    latchPrivate(this.#gic, vcpu, 1 << GUEST_EVTCHN_PPI);
  }

  #attachDevices(): void {
    this.#bus.attach(Number(GUEST_GICV3_GICD_BASE), distributor(this.#gic));
    this.#bus.attach(
      Number(GUEST_GICV3_GICR0_BASE),
      redistributors(this.#gic, Number(GUEST_GICV3_GICR0_SIZE)),
    );
    const uart = sbsaUart(this.#uart, (byte) => this.#listener.uart(byte));
    this.#bus.attach(Number(GUEST_PL011_BASE), uart);
  }

  #host(): EngineHost {
    return {
      memory: {
        frame: (address) => {
          const mfn = mfnOfGfn(this.domain, Math.floor(address / frameBytes));
          return mfn === null ? -1 : (this.frames.placeOf(mfn) ?? -1);
        },
        read: (_vcpu, address, bytes) => {
          const value = this.#bus.read(address, bytes as 1 | 2 | 4 | 8);
          this.#updateLines();
          return value;
        },
        write: (_vcpu, address, bytes, value) => {
          const done = this.#bus.write(address, bytes as 1 | 2 | 4 | 8, value);
          this.#updateLines();
          return done;
        },
      },
      registers: {
        read: (vcpu, encoding, el) => this.#readRegister(vcpu, encoding, el),
        write: (vcpu, encoding, value, el) => this.#writeRegister(vcpu, encoding, value, el),
      },
      call: (vcpu, kind, immediate) => kind === 'hvc' && this.#call(vcpu, immediate),
    };
  }

  #readRegister(vcpu: number, encoding: number, el: 0 | 1): bigint | 'undefined' | 'trapped' {
    if (isTimerRegister(encoding)) return readTimerRegister(encoding, this.#timerAccess(vcpu), el);
    if (el === 0 || !isIccRegister(encoding)) return 'undefined';
    const value = readIcc(this.#gic, vcpu, encoding);
    this.#updateLines();
    return value ?? 'undefined';
  }

  #writeRegister(vcpu: number, encoding: number, value: bigint, el: 0 | 1): 'done' | 'undefined' | 'trapped' {
    if (isTimerRegister(encoding)) {
      const done = writeTimerRegister(encoding, this.#timerAccess(vcpu), value, el);
      this.#updateLines();
      return done;
    }
    if (el === 0 || !writeIcc(this.#gic, vcpu, encoding, value)) return 'undefined';
    this.#updateLines();
    return 'done';
  }

  #timerAccess(vcpu: number): { timers: GenericTimerState; nowNs: bigint } {
    return { timers: present(this.#timers[vcpu], 'a vCPU'), nowNs: this.nowNs };
  }

  #call(vcpu: number, immediate: number): boolean {
    if (immediate === hypercallTag) this.#hypercall(vcpu);
    else if (immediate === 0) this.#smccc(vcpu);
    else return false;
    this.#updateLines();
    if (!isRunnable(this.domain, vcpu as XenVcpuId)) this.processor.stop();
    return true;
  }

  #hypercall(vcpu: number): void {
    const view = present(this.processor.vcpus[vcpu], 'a vCPU');
    const number = Number(BigInt.asUintN(32, view.register(16)));
    const args = [0, 1, 2, 3, 4].map((register) => view.register(register));
    advanceTo(this.domain, this.nowNs);
    this.#listener.calling?.(vcpu);
    const record = hypercall(this.domain, vcpu as XenVcpuId, number, args, {
      translate: (_, address, write) => view.translate(address, write ? 'write' : 'read'),
    });
    view.setRegister(0, BigInt.asUintN(64, BigInt(record.returned)));
    if (number === __HYPERVISOR_memory_op || number === __HYPERVISOR_grant_table_op) {
      this.processor.forgetTranslations();
    }
    this.#listener.hypercall?.(vcpu, record);
  }

  #smccc(vcpu: number): void {
    const view = present(this.processor.vcpus[vcpu], 'a vCPU');
    const functionId = Number(BigInt.asUintN(32, view.register(0)));
    const args = [1, 2, 3].map((register) => view.register(register));
    const known = architectureCall(functionId, Number(BigInt.asUintN(32, args[0] ?? 0n)));
    view.setRegister(0, BigInt.asUintN(64, BigInt(known ?? this.#power(vcpu, functionId, args))));
  }

  #power(vcpu: number, functionId: number, args: readonly bigint[]): number {
    const record = psciCall(this.domain, vcpu as XenVcpuId, functionId, args);
    this.#listener.power?.(vcpu, record, args[0] ?? 0n);
    return record.returned;
  }
}
