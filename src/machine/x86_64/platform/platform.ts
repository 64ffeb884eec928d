/**
 * The platform of an x86 HVM guest of Xen's, besides CPUs and local APICs: the devices that Xen emulates, those of its device
 * model as far as a guest without emulated disks, network card and screen meets them, and how they interrupt.
 */
import {
  HPET_BASE_ADDRESS,
  HVM_PARAM_CALLBACK_IRQ,
  SHUTDOWN_poweroff,
  SHUTDOWN_reboot,
  vcpu_info,
  VIOAPIC_DEFAULT_BASE_ADDRESS,
} from '../../../abi/index.js';
import { cloneValue, earlier, present } from '../../../base/index.js';
import {
  acpiPmAsserted,
  acpiPmDueNs,
  apicPage,
  deliverMessage,
  driveIsa,
  drivePci,
  gpeAsserted,
  holdPin,
  hpetBytes,
  hpetFired,
  ioApicBytes,
  ioApicPins,
  lowerGsi,
  passAcpiPm,
  passRtc,
  pitFired,
  readHpet,
  readIoApic,
  rtcDueNs,
  rtcFired,
  writeHpet,
  writeIoApic,
} from '../../../devices/index.js';
import type { HpetPort, LocalApics, PciFunction, PitInterrupt, RtcPort } from '../../../devices/index.js';
import type { PortBytes } from '../../../engine/x86_64/index.js';
import { hvmParam, vcpuInfoView } from '../../../hypervisor/index.js';
import type { Domain } from '../../../hypervisor/index.js';
import { Routing } from './interrupts.js';
import type { EventChannels } from './interrupts.js';
import { pciFunctions } from './pci_functions.js';
import { finder, readPorts, writePorts } from './ports.js';
import type { FindDevice } from './ports.js';
import { deviceModelPorts, movablePorts, xenPorts } from './port_devices.js';
import { newPlatformState } from './state.js';
import type { PlatformState } from './state.js';
import { startTimer, stopTimer, timerOf } from './timers.js';

/** Where devices lie in memory. */
const at = {
  ioApic: VIOAPIC_DEFAULT_BASE_ADDRESS,
  hpet: HPET_BASE_ADDRESS,
  messages: Number(apicPage),
} as const;
const messageBytes = 0x10_0000;
/** The system control interrupt. */
const sci = 9;

/** What the platform acts on. */
export interface PlatformParts {
  readonly domain: () => Domain;
  readonly apics: () => LocalApics;
  readonly ramBytes: number;
  readonly vcpus: number;
  readonly startNs: bigint;
  readonly wallclockSec: number;
  readonly eventChannels: EventChannels;
  nowNs(): bigint;
  /** Ends any wait of a vCPU. */
  wake(vcpu: number): void;
  /** The device model ends the domain, for SHUTDOWN_poweroff or SHUTDOWN_reboot. */
  shutDown(reason: number): void;
  /** A byte for Xen's debug port. */
  print(byte: number): void;
  /** The guest asked for what is not modelled. */
  notModelled(what: string): void;
}

/** A device and a pin of PCI, or a global system interrupt, that a callback is. */
type CallbackWire =
  | { readonly kind: 'gsi'; readonly gsi: number }
  | { readonly kind: 'pci'; readonly device: number; readonly pin: number };

/** What HVM_PARAM_CALLBACK_IRQ names (public/hvm/params.h); null for a vector, or nothing. */
function callbackWire(via: bigint): CallbackWire | null {
  const type = via >> 56n;
  const low = Number(via & 0xffffn);
  if (type === 0n) {
    const gsi = low & 0xff;
    return gsi === 0 || gsi >= ioApicPins ? null : { kind: 'gsi', gsi };
  }
  return type === 1n ? { kind: 'pci', device: (low >> 11) & 31, pin: low & 3 } : null;
}

/** All bits of a load. */
const allOnes = (bytes: number): bigint => (1n << BigInt(8 * bytes)) - 1n;

export class Platform {
  readonly functions: readonly PciFunction[];
  readonly routing: Routing;
  readonly rtc: RtcPort;
  readonly #parts: PlatformParts;
  readonly #hpet: HpetPort;
  readonly #findFixed: FindDevice;
  readonly #find: FindDevice;
  #state: PlatformState;

  constructor(parts: PlatformParts) {
    const { ramBytes, vcpus, startNs, wallclockSec, eventChannels } = parts;
    this.#parts = parts;
    this.functions = pciFunctions(ramBytes);
    this.#state = newPlatformState({ ramBytes, vcpus, wallclockSec, functions: this.functions }, startNs);
    this.routing = new Routing({
      state: () => this.#state,
      apics: parts.apics,
      nowNs: () => parts.nowNs(),
      isUp: (vcpu) => parts.domain().state.vcpus[vcpu]?.up === true,
      wake: (vcpu) => parts.wake(vcpu),
      eventChannels,
      timerTaken: (place) => this.#timerTaken(place),
    });
    this.rtc = this.#rtcPort();
    this.#hpet = this.#hpetPort();
    this.#findFixed = finder([...deviceModelPorts(this), ...xenPorts(this)]);
    this.#find = (port) => this.#findFixed(port) ?? movablePorts(this, port);
  }

  get state(): PlatformState {
    return this.#state;
  }

  get parts(): PlatformParts {
    return this.#parts;
  }

  readPort(port: number, bytes: PortBytes): number {
    return readPorts(this.#find, port, bytes);
  }

  writePort(port: number, bytes: PortBytes, value: number): void {
    writePorts(this.#find, port, bytes, value);
  }

  /** A load from memory where no RAM is. QEMU reads 0 where it has no device, and all ones from the local APIC's page. */
  readMemory(address: number, bytes: number): bigint {
    const nowNs = this.#parts.nowNs();
    const ioApic = address - at.ioApic;
    if (ioApic >= 0 && ioApic < ioApicBytes) {
      return BigInt.asUintN(8 * bytes, BigInt(readIoApic(this.#state.ioApic, ioApic)));
    }
    const hpet = address - at.hpet;
    if (hpet >= 0 && hpet < hpetBytes) return readHpet(this.#state.hpet, hpet, bytes, nowNs);
    const message = address - at.messages;
    return message >= 0 && message < messageBytes ? allOnes(bytes) : 0n;
  }

  /** A store to memory where no RAM is. */
  writeMemory(address: number, bytes: number, value: bigint): void {
    const { ioApic, hpet } = this.#state;
    const low = Number(value & 0xffff_ffffn);
    const ioApicOffset = address - at.ioApic;
    const hpetOffset = address - at.hpet;
    const message = address - at.messages;
    if (ioApicOffset >= 0 && ioApicOffset < ioApicBytes) {
      writeIoApic(ioApic, this.routing.ioApic, ioApicOffset, low);
    } else if (hpetOffset >= 0 && hpetOffset < hpetBytes) {
      writeHpet(hpet, this.#hpet, hpetOffset, bytes, value, this.#parts.nowNs());
    } else if (message >= 0 && message < messageBytes && bytes === 4) {
      this.#sendMessage(message, low);
    }
  }

  /** A message-signalled interrupt (Xen 4.17 arch/x86/hvm/irq.c, hvm_inject_msi). */
  #sendMessage(address: number, data: number): void {
    const [vector, mode] = [data & 0xff, (data >> 8) & 7];
    if (vector === 0) this.#parts.notModelled('message-signalled interrupt without a vector');
    else if (mode <= 1) {
      deliverMessage(this.#parts.apics(), {
        vector,
        mode,
        isLogical: (address & 4) !== 0,
        isLevel: (data & 0x8000) !== 0,
        destination: (address >> 12) & 0xff,
      });
    }
  }

  get dueNs(): bigint | null {
    const { rtc, pm } = this.#state;
    return earlier(this.routing.dueNs, earlier(rtcDueNs(rtc), acpiPmDueNs(pm)));
  }

  passTo(nowNs: bigint): void {
    this.routing.passTo(nowNs);
    passRtc(this.#state.rtc, this.rtc, nowNs);
    if (acpiPmDueNs(this.#state.pm) !== null) this.passPower();
  }

  /** Notes the PM timer's event, and drives the system control interrupt. */
  passPower(): void {
    const { pm, lines } = this.#state;
    passAcpiPm(pm, this.#parts.nowNs());
    driveIsa(lines, this.routing.lines, sci, acpiPmAsserted(pm) || gpeAsserted(pm));
  }

  /** Channel 0 of the 8254 was programmed. */
  setPit(interrupt: PitInterrupt): void {
    const { timers } = this.#state;
    if (interrupt.kind === 'stopped') stopTimer(timers, timerOf.pit);
    else {
      const { ns, kind } = interrupt;
      const periodNs = kind === 'periodic' ? ns : null;
      startTimer(timers, timerOf.pit, { source: 'isa', irq: 0, afterNs: ns, periodNs }, this.#parts.nowNs());
    }
  }

  #rtcPort(): RtcPort {
    const drive = (isHigh: boolean): void => driveIsa(this.#state.lines, this.routing.lines, 8, isHigh);
    return {
      raise: () => {
        drive(false);
        drive(true);
      },
      lower: () => drive(false),
      timeSet: () => this.#parts.notModelled("shared_info's wall clock after the guest set the RTC"),
      setPeriodic: (timer) => {
        const { timers } = this.#state;
        if (timer === null) stopTimer(timers, timerOf.rtc);
        else startTimer(timers, timerOf.rtc, { source: 'isa', irq: 8, ...timer }, this.#parts.nowNs());
      },
    };
  }

  #hpetPort(): HpetPort {
    return {
      start: (index, interrupt) =>
        startTimer(this.#state.timers, timerOf.hpet + index, interrupt, this.#parts.nowNs()),
      stop: (index) => stopTimer(this.#state.timers, timerOf.hpet + index),
      replacesPit: () => stopTimer(this.#state.timers, timerOf.pit),
      lowerPin: (pin) => lowerGsi(this.#state.lines, this.routing.lines, pin),
    };
  }

  #timerTaken(place: number): void {
    const { pit, rtc, hpet, timers } = this.#state;
    if (place === timerOf.pit) pitFired(pit, this.#parts.nowNs());
    else if (place === timerOf.rtc) rtcFired(rtc);
    else if (timers[place] === null) this.#hpetTaken(hpet, place - timerOf.hpet);
  }

  /** A single tick of an HPET timer; if it is level-triggered, its status says so. */
  #hpetTaken(hpet: PlatformState['hpet'], index: number): void {
    const isLevel = ((hpet.timers[index]?.configuration ?? 0n) & 2n) !== 0n;
    if (isLevel) hpetFired(hpet, index);
  }

  /**
   * Drives the line by which Xen tells vCPU 0 of events where the guest chose a global system interrupt or a PCI pin for that
   * (Xen 4.17 arch/x86/hvm/irq.c, hvm_set_callback_irq_level).
   */
  driveCallback(): void {
    const { callback, lines } = this.#state;
    const domain = this.#parts.domain();
    const via = domain.state.callbackVector === null ? hvmParam(domain, HVM_PARAM_CALLBACK_IRQ) : 0n;
    if (via === 0n && callback.via === 0n) return;
    const drive = (of: bigint, isHigh: boolean): void => {
      const wire = callbackWire(of);
      if (wire?.kind === 'gsi') holdPin(lines, this.routing.lines, wire.gsi, isHigh);
      if (wire?.kind === 'pci') drivePci(lines, this.routing.lines, wire.device, wire.pin, isHigh);
    };
    if (via !== callback.via) {
      if (callback.isHigh) drive(callback.via, false);
      callback.via = via;
      callback.isHigh = false;
    }
    const vcpu = present(domain.state.vcpus[0], 'vCPU 0');
    const view = vcpu.upcallVector === 0 ? vcpuInfoView(domain, vcpu, false) : null;
    const isHigh = view !== null && view.getUint8(vcpu_info.x86_64.offsets.evtchn_upcall_pending) !== 0;
    if (isHigh === callback.isHigh) return;
    callback.isHigh = isHigh;
    drive(via, isHigh);
  }

  powerOff(): void {
    this.#parts.shutDown(SHUTDOWN_poweroff);
  }

  reset(): void {
    this.#parts.shutDown(SHUTDOWN_reboot);
  }

  save(): PlatformState {
    return cloneValue(this.#state);
  }

  /** Takes over a state that nobody else will change. */
  load(state: PlatformState): void {
    this.#state = state;
  }
}
