/**
 * How interrupts get from an HVM guest's devices to its vCPUs: by the I/O APIC to local APICs, and by the 8259 pair to the one vCPU
 * that takes its interrupts (Xen 4.17 arch/x86/hvm/irq.c, vlapic.c and vioapic.c).
 */
import {
  acceptsExternal,
  acknowledgePic,
  deliverMessage,
  driveIsa,
  drivePic,
  endIoApicInterrupt,
  gsiOfIsa,
  ioApicMessage,
  ioApicVector,
  isApicOn,
  isGsiHigh,
  isIoApicMasked,
  isPicMasked,
  isRequested,
  picAsserted,
  picVector,
  raiseGsi,
  raiseIoApicPin,
} from '../../../devices/index.js';
import type {
  IoApicPort,
  LinesPort,
  LocalApics,
  LocalApicState,
  PlatformTimerState,
} from '../../../devices/index.js';
import { present } from '../../../base/index.js';
import type { PlatformState } from './state.js';
import { assertTimers, resumeTimers, tickTimers, timerOf, timersDue, timerTaken } from './timers.js';
import type { InterruptSource, TimersPort } from './timers.js';

/** An ExtINT entry's delivery mode. */
const externalMode = 7;

/** Registers of a local APIC that decide what it lets in, by offset. */
const apicRegister = { spuriousVector: 0xf0, lint0: 0x350 } as const;

/** Event channels that stand for global system interrupts (XENFEAT_hvm_pirqs). */
export interface EventChannels {
  /** Whether one stands for it. */
  isBound(gsi: number): boolean;
  /** The interrupt is asserted. True if an event was sent; else it is the I/O APIC's. */
  assert(gsi: number): boolean;
  /** It is not asserted any more. */
  deassert(gsi: number): void;
}

/** What the interrupts of the platform act on. */
export interface RoutingParts {
  readonly state: () => PlatformState;
  readonly apics: () => LocalApics;
  nowNs(): bigint;
  /** Whether a vCPU is up, whether or not it waits. */
  isUp(vcpu: number): boolean;
  /** Ends any wait of a vCPU. */
  wake(vcpu: number): void;
  readonly eventChannels: EventChannels;
  /** A platform timer's interrupt was taken. */
  timerTaken(place: number): void;
}

export class Routing {
  readonly #parts: RoutingParts;
  readonly lines: LinesPort;
  readonly ioApic: IoApicPort;
  readonly #timers: TimersPort;
  /** Whether an event was sent since {@link takeEventSent}. */
  #hasSentEvent = false;

  constructor(parts: RoutingParts) {
    const { eventChannels } = parts;
    this.#parts = parts;
    this.ioApic = {
      isHigh: (pin) => isGsiHigh(this.#state.lines, pin),
      deliver: (pin, message) => {
        // Xen keeps the 8254's interrupt on vCPU 0 where it may.
        const isPit = pin === gsiOfIsa(0) && this.#state.timers[timerOf.pit] !== null;
        deliverMessage(parts.apics(), message, isPit ? 0 : null);
      },
      changed: (pin) => {
        if (pin === 0) this.chooseTarget();
        this.mayUnmask();
      },
    };
    this.lines = {
      raise: (gsi) => {
        if (eventChannels.assert(gsi)) this.#hasSentEvent = true;
        else this.lines.raisePin(gsi);
      },
      raisePin: (gsi) => raiseIoApicPin(this.#state.ioApic, this.ioApic, gsi),
      lower: (gsi) => eventChannels.deassert(gsi),
      drivePic: (irq, isHigh) => {
        drivePic(this.#state.pics, irq, isHigh);
        this.picChanged();
      },
      isEventChannel: (gsi) => eventChannels.isBound(gsi),
    };
    this.#timers = {
      isTargetUp: () => parts.isUp(this.#state.target),
      wakeTarget: () => {
        if (parts.isUp(this.#state.target)) parts.wake(this.#state.target);
      },
      isMasked: (timer) => this.#isMasked(timer),
      assert: (timer) => this.#assert(timer),
      isRequested: ({ irq }) =>
        isRequested(parts.apics(), this.#state.target, ioApicVector(this.#state.ioApic, irq)),
      vectorOf: (timer, source) => this.#vectorOf(timer, source),
      taken: (place) => parts.timerTaken(place),
    };
  }

  get #state(): PlatformState {
    return this.#parts.state();
  }

  /** Whether a device's interrupt became an event since the last call: Xen is to tell the vCPU of it. */
  takeEventSent(): boolean {
    const isSent = this.#hasSentEvent;
    this.#hasSentEvent = false;
    return isSent;
  }

  /** When the next platform timer ticks; null if none will. */
  get dueNs(): bigint | null {
    return timersDue(this.#state.timers);
  }

  passTo(nowNs: bigint): void {
    tickTimers(this.#state.timers, this.#timers, nowNs);
  }

  /** A vCPU is about to run. */
  entering(vcpu: number): void {
    if (vcpu === this.#state.target) assertTimers(this.#state.timers, this.#timers, this.#parts.nowNs());
  }

  /** An interrupt controller may let in what it held back. */
  mayUnmask(): void {
    resumeTimers(this.#state.timers, this.#timers, this.#parts.nowNs());
  }

  /** The line from the 8259 pair may have changed. */
  picChanged(): void {
    this.#parts.apics().stale.add(this.#state.target);
  }

  /** Whether the 8259 pair asks that vCPU for an interrupt that it takes. */
  isPicPending(vcpu: number): boolean {
    const { target, pics } = this.#state;
    return vcpu === target && picAsserted(pics) && this.#takesExternal(vcpu);
  }

  /** That vCPU takes the interrupt of the 8259 pair: its vector; null if there is none any more. */
  acknowledgePic(vcpu: number): number | null {
    const { pics } = this.#state;
    const irq = this.isPicPending(vcpu) ? acknowledgePic(pics) : null;
    this.picChanged();
    return irq === null ? null : picVector(pics, irq);
  }

  /** A vCPU took a vector that a controller passed on. */
  taken(vcpu: number, vector: number, source: InterruptSource): void {
    const { target, timers } = this.#state;
    if (vcpu === target) timerTaken(timers, this.#timers, vector, source, this.#parts.nowNs());
  }

  /** A local APIC ended a level-triggered interrupt. */
  levelEnded(vector: number): void {
    endIoApicInterrupt(this.#state.ioApic, this.ioApic, vector);
  }

  /** A local APIC's register was written: that at an offset of its page, or for null IA32_APIC_BASE or the deadline. */
  apicWritten(offset: number | null): void {
    if (offset === apicRegister.lint0) this.chooseTarget();
    if (offset === null || offset === apicRegister.lint0 || offset === apicRegister.spuriousVector)
      this.mayUnmask();
  }

  /** The first vCPU that is open for the 8259 pair's interrupts takes them; vCPU 0 if none is. */
  chooseTarget(): void {
    const { state } = this.#parts.apics();
    const found = state.cpus.findIndex((apic) => acceptsExternal(apic, this.#externalPin));
    const target = Math.max(found, 0);
    if (target === this.#state.target) return;
    this.picChanged();
    this.#state.target = target;
    this.picChanged();
  }

  /** The destination of pin 0, if it passes on the 8259 pair's interrupts. */
  get #externalPin(): number | null {
    const entry = present(this.#state.ioApic.entries[0], 'pin 0');
    const { mode, destination } = ioApicMessage(entry);
    return mode === externalMode && !isIoApicMasked(this.#state.ioApic, 0) ? destination : null;
  }

  #apic(vcpu: number): LocalApicState {
    return present(this.#parts.apics().state.cpus[vcpu], 'a local APIC');
  }

  #takesExternal(vcpu: number): boolean {
    const apic = this.#apic(vcpu);
    return isApicOn(apic) && acceptsExternal(apic, this.#externalPin);
  }

  #isMasked({ source, irq }: PlatformTimerState): boolean {
    const { pics, ioApic, target } = this.#state;
    if (source === 'ioApic') return isIoApicMasked(ioApic, irq);
    if (!isPicMasked(pics, irq) && this.#takesExternal(target)) return false;
    return isIoApicMasked(ioApic, gsiOfIsa(irq));
  }

  #assert({ source, irq, isLevel }: PlatformTimerState): void {
    const { lines } = this.#state;
    if (source === 'ioApic') {
      raiseGsi(lines, this.lines, irq, isLevel);
      return;
    }
    driveIsa(lines, this.lines, irq, false);
    driveIsa(lines, this.lines, irq, true);
  }

  #vectorOf({ source, irq }: PlatformTimerState, from: InterruptSource): number | null {
    const { pics, ioApic } = this.#state;
    if (from === 'localApic') return ioApicVector(ioApic, source === 'isa' ? gsiOfIsa(irq) : irq);
    return source === 'isa' ? picVector(pics, irq) : null;
  }
}
