/** The board of an arm64 guest under Xen: A64 CPUs, GICv3, generic timers and the SBSA UART, on a bus. */
import {
  GUEST_GICV3_GICD_BASE,
  GUEST_GICV3_GICR0_BASE,
  GUEST_GICV3_GICR0_SIZE,
  GUEST_PL011_BASE,
} from '../../abi/index.js';
import { frameBytes, present } from '../../base/index.js';
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
} from '../../devices/index.js';
import type { MmioBytes } from '../../devices/index.js';
import { arm64, Processor } from '../../engine/index.js';
import type { Arm64Processor, Arm64Host, ProcessorValue, RunResult, VcpuView } from '../../engine/index.js';
import { haltVcpu, mfnOfGfn } from '../../hypervisor/index.js';
import type { CallerPort, StartContext } from '../../hypervisor/index.js';
import { mpidrRegisterOfVcpu } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Board, BoardPort, MachineListener, MachineOptions } from '../board.js';
import { Bus } from '../bus.js';
import { Hypercalls } from '../hypercalls.js';
import { Machine } from '../machine.js';
import { isTimerRegister, readTimerRegister, writeTimerRegister } from './clock.js';
import type { TimerAccess } from './clock.js';
import { codeReader } from './code.js';
import type { ReadCode } from './code.js';
import { diagnose } from './diagnosis.js';
import type { VcpuDiagnosis } from './diagnosis.js';
import { FaultLoops } from './fault_loop.js';
import type { FaultLoopsState } from './fault_loop.js';
import { Arm64HypercallAbi, hypercallTag } from './hypercall_abi.js';
import { Interrupts } from './interrupts.js';
import type { InterruptsState } from './interrupts.js';
import { PowerCalls } from './power_calls.js';

/** ID_AA64PFR0_EL1.GIC: the GIC's CPU interface is accessed by system registers (Arm DDI 0487, D17.2.64). */
const systemRegisterGic = 1n << 24n;

/** A plain value. */
export interface Arm64BoardState {
  readonly processor: ProcessorValue;
  readonly interrupts: InterruptsState;
  readonly unknownCalls: ReturnType<PowerCalls['save']>;
  readonly faultLoops: FaultLoopsState;
}

/** The board of one guest. Its processor's vCPUs have the indices of the domain's vCPU ids. */
export class Arm64Board implements Board {
  readonly processor: Arm64Processor;
  readonly caller: CallerPort;
  readonly #port: BoardPort;
  readonly #interrupts: Interrupts;
  readonly #bus = new Bus();
  readonly #faultLoops: FaultLoops;
  readonly #readCode: ReadCode;
  readonly #hypercalls: Hypercalls;
  readonly #powerCalls: PowerCalls;

  constructor(port: BoardPort) {
    const { options, listener, ranges } = port;
    const { hardwareIds } = options.config;
    const ramBytes = ranges.reduce((sum, { count }) => sum + count, 0) * frameBytes;
    this.#port = port;
    const sizes = { vcpus: hardwareIds.length, ramBytes };
    const processor = new Processor(arm64, this.#host(), sizes, listener.engine);
    this.processor = processor;
    this.#interrupts = new Interrupts(port.vcpus, hardwareIds, (vcpu, asserted) =>
      this.#drive(vcpu, asserted),
    );
    const abi = new Arm64HypercallAbi(processor);
    this.caller = {
      translate: (vcpu, address, write) => this.#view(vcpu).translate(address, write ? 'write' : 'read'),
      interruptsOn: (vcpu) => abi.takesInterrupts(vcpu),
    };
    const { caller } = this;
    const { domain } = port;
    this.#hypercalls = new Hypercalls({
      domain,
      abi,
      caller,
      listener,
      isInterrupted: (vcpu) => this.#isInterrupted(vcpu),
      memoryMapChanged: () => processor.flushTranslations(),
    });
    this.#powerCalls = new PowerCalls({
      domain,
      processor,
      gic: this.#interrupts.gic,
      listener,
      wakeIfInterrupted: (vcpu) => this.#hypercalls.wakeIfInterrupted(vcpu),
    });
    this.#readCode = codeReader(port.domain, port.frames);
    this.#faultLoops = new FaultLoops(processor, this.#readCode);
    this.#attachDevices();
    for (const vcpu of port.vcpus) this.#identify(vcpu);
  }

  /** Why a vCPU may come to no end; null for one that is down, or has not entered the guest yet. */
  diagnose(vcpu: XenVcpuId): VcpuDiagnosis | null {
    const { up, start } = present(this.#port.domain().state.vcpus[vcpu], 'a vCPU');
    if (!up || start !== null) return null;
    return diagnose(this.#view(vcpu), this.#readCode, {
      faultsAt: this.#faultLoops.loopOf(vcpu),
      unknownCall: this.#powerCalls.unknownCallOf(vcpu),
    });
  }

  enter(vcpu: XenVcpuId, start: StartContext): void {
    const { entry, bootInformation } = this.#port.options;
    const view = this.#view(vcpu);
    view.reset();
    this.#identify(vcpu);
    view.pc = start.how === 'built' ? entry : start.entry;
    view.setRegister(0, start.how === 'built' ? bootInformation : start.contextId);
    setCpuPower(this.#interrupts.gic, vcpu, true);
    this.#interrupts.driveLines();
  }

  run(vcpu: XenVcpuId, budget: number): RunResult {
    return this.#faultLoops.run(vcpu, budget);
  }

  isUser(vcpu: XenVcpuId): boolean {
    return this.#view(vcpu).mode === 'EL0t';
  }

  halt(vcpu: XenVcpuId): boolean {
    if (this.#isInterrupted(vcpu)) return false;
    haltVcpu(this.#port.domain(), vcpu, true);
    return true;
  }

  /** System time at which the guest's counters began: Xen lets them begin when it creates the domain (arch/arm/vtimer.c, domain_vtimer_init). */
  get #counterStartNs(): bigint {
    return this.#port.options.startNs ?? 0n;
  }

  get dueNs(): bigint | null {
    const { dueNs } = this.#interrupts;
    return dueNs === null ? null : dueNs + this.#counterStartNs;
  }

  passTo(ns: bigint): void {
    this.#interrupts.passTo(ns - this.#counterStartNs);
  }

  deliver(vcpu: XenVcpuId): void {
    this.#interrupts.upcall(vcpu);
  }

  driveLines(): void {
    this.#interrupts.driveLines();
  }

  receive(bytes: Uint8Array): number {
    const refused = bytes.findIndex((byte) => !receive(this.#interrupts.uart, byte));
    this.#interrupts.uartChanged();
    return refused < 0 ? bytes.length : refused;
  }

  /** Whether an interrupt is asserted for the vCPU, masked or not. */
  #isInterrupted(vcpu: XenVcpuId): boolean {
    return irqAsserted(this.#interrupts.gic, vcpu);
  }

  /** The id of the engine's vCPU of that index. */
  #vcpu(index: number): XenVcpuId {
    return present(this.#port.vcpus[index], 'a vCPU');
  }

  save(): Arm64BoardState {
    return {
      processor: this.processor.save(),
      interrupts: this.#interrupts.save(),
      unknownCalls: this.#powerCalls.save(),
      faultLoops: this.#faultLoops.save(),
    };
  }

  load({ processor, interrupts, unknownCalls, faultLoops }: Arm64BoardState): void {
    this.processor.load(processor);
    this.#interrupts.load(interrupts);
    this.#powerCalls.load(unknownCalls);
    this.#faultLoops.load(faultLoops);
  }

  #view(vcpu: XenVcpuId): VcpuView {
    return present(this.processor.vcpus[vcpu], 'a vCPU');
  }

  /** Sets the identification registers that depend on the machine, not on the CPU model. */
  #identify(vcpu: XenVcpuId): void {
    const view = this.#view(vcpu);
    view.setSystemRegister('MPIDR_EL1', mpidrRegisterOfVcpu(vcpu));
    view.setSystemRegister('ID_AA64PFR0_EL1', view.systemRegister('ID_AA64PFR0_EL1') | systemRegisterGic);
  }

  /** Called when a vCPU's IRQ line may have changed. */
  #drive(vcpu: XenVcpuId, asserted: boolean): void {
    this.processor.setInterruptLine(vcpu, 'irq', asserted);
    if (asserted) this.#port.interrupted(vcpu);
  }

  #attachDevices(): void {
    const { gic, uart } = this.#interrupts;
    this.#bus.attach(Number(GUEST_GICV3_GICD_BASE), distributor(gic));
    this.#bus.attach(Number(GUEST_GICV3_GICR0_BASE), redistributors(gic, Number(GUEST_GICV3_GICR0_SIZE)));
    this.#bus.attach(
      Number(GUEST_PL011_BASE),
      sbsaUart(uart, (byte) => this.#port.listener.uart(byte)),
    );
  }

  #host(): Arm64Host {
    return {
      memory: {
        frame: (address) => {
          const mfn = mfnOfGfn(this.#port.domain(), Math.floor(address / frameBytes));
          return mfn === null ? -1 : (this.#port.frames().placeOf(mfn) ?? -1);
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
        read: (index, encoding, el) => this.#readRegister(this.#vcpu(index), encoding, el),
        write: (index, encoding, value, el) => this.#writeRegister(this.#vcpu(index), encoding, value, el),
      },
      call: (index, kind, immediate) => this.#call(this.#vcpu(index), kind, immediate),
      translationSwitched: (index, on) => this.#port.listener.translationSwitched?.(this.#vcpu(index), on),
      // The syndrome of an abort that Xen injects contains only its class (arch/arm/traps.c, inject_abt64_exception).
      unansweredIss: () => 0,
    };
  }

  #devicesUsed(): void {
    this.#interrupts.uartChanged();
    this.#interrupts.driveLines();
  }

  #readRegister(vcpu: XenVcpuId, encoding: number, el: 0 | 1): bigint | 'undefined' | 'trapped' {
    if (isTimerRegister(encoding)) return readTimerRegister(encoding, this.#timerAccess(vcpu), el);
    if (el === 0 || !isIccRegister(encoding)) return 'undefined';
    const value = readIcc(this.#interrupts.gic, vcpu, encoding);
    this.#interrupts.driveLines();
    return value ?? 'undefined';
  }

  #writeRegister(
    vcpu: XenVcpuId,
    encoding: number,
    value: bigint,
    el: 0 | 1,
  ): 'done' | 'undefined' | 'trapped' {
    if (isTimerRegister(encoding)) return this.#writeTimer(vcpu, encoding, value, el);
    if (el === 0 || !writeIcc(this.#interrupts.gic, vcpu, encoding, value)) return 'undefined';
    this.#interrupts.driveLines();
    return 'done';
  }

  #writeTimer(vcpu: XenVcpuId, encoding: number, value: bigint, el: 0 | 1): 'done' | 'undefined' | 'trapped' {
    const access = this.#timerAccess(vcpu);
    const done = writeTimerRegister(encoding, access, value, el);
    this.#interrupts.timersWritten(vcpu, access.nowNs);
    this.#interrupts.driveLines();
    this.#port.cutSlice();
    return done;
  }

  #timerAccess(vcpu: XenVcpuId): TimerAccess {
    const nowNs = this.#port.nowNs() - this.#counterStartNs;
    return { timers: present(this.#interrupts.timers[vcpu], 'a vCPU'), nowNs };
  }

  /** Handles a vCPU's HVC or SMC. False if the instruction is Undefined. */
  #call(vcpu: XenVcpuId, kind: 'hvc' | 'smc', immediate: number): boolean {
    const isHypercall = kind === 'hvc' && immediate === hypercallTag;
    this.#port.catchUp();
    this.#powerCalls.forgetUnknown(vcpu);
    if (isHypercall) this.#hypercalls.make(vcpu);
    else if (immediate === 0) this.#powerCalls.make(vcpu, kind);
    else return false;
    this.#port.called(vcpu);
    return true;
  }
}

/** A machine with that board: a guest that the builder has yet to load, and that starts at `options.entry`. */
export type Arm64Machine = Machine<Arm64Board>;

export function arm64Machine(options: MachineOptions, listener: MachineListener): Arm64Machine {
  return new Machine(options, listener, (port) => new Arm64Board(port));
}
