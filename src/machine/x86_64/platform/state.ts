/** The state of an HVM guest's platform: its devices, and the wires between them. */
import {
  newAcpiPm,
  newDma,
  newHpet,
  newI8042,
  newInterruptLines,
  newPci,
  newRtc,
  newXenPlatform,
} from '../../../devices/index.js';
import type {
  AcpiPmState,
  DmaState,
  HpetState,
  I8042State,
  InterruptLinesState,
  IoApicState,
  PciFunction,
  PciState,
  PicsState,
  PitState,
  RtcState,
  XenPlatformState,
} from '../../../devices/index.js';
import { firmwareCmos, firmwareIoApic, firmwarePics, firmwarePit } from './firmware.js';
import { linkRoutes, pciFunction } from './pci_functions.js';
import { newTimers, startTimer, timerOf } from './timers.js';
import type { TimersState } from './timers.js';

/** A line that Xen drives for event channels: what HVM_PARAM_CALLBACK_IRQ names, and whether it is high. */
export interface CallbackState {
  /** The parameter whose line is driven; 0 for none. */
  via: bigint;
  isHigh: boolean;
}

/** The registers that transfer between disks and memory, of two channels. No disk is there. */
export interface DiskChannelState {
  command: number;
  status: number;
  /** Four bytes. */
  table: number[];
}

/** A plain value. */
export interface PlatformState {
  pics: PicsState;
  pit: PitState;
  ioApic: IoApicState;
  rtc: RtcState;
  hpet: HpetState;
  pm: AcpiPmState;
  i8042: I8042State;
  /** The controllers of channels 0 to 3 and 4 to 7. */
  dma: [DmaState, DmaState];
  pci: PciState;
  disks: DiskChannelState[];
  xen: XenPlatformState;
  lines: InterruptLinesState;
  timers: TimersState;
  /** The vCPU that takes the interrupts of the 8259 pair, and for which timers tick. */
  target: number;
  /** Port 0x92, and 0xcf9. */
  systemControl: number;
  resetControl: number;
  callback: CallbackState;
}

/** What a new platform depends on. */
export interface PlatformShape {
  readonly ramBytes: number;
  readonly vcpus: number;
  /** UTC at system time 0, in seconds since 1970. */
  readonly wallclockSec: number;
  readonly functions: readonly PciFunction[];
}

/** The platform as firmware leaves it to a kernel at system time `nowNs`. */
export function newPlatformState(shape: PlatformShape, nowNs: bigint): PlatformState {
  const { ramBytes, vcpus, wallclockSec, functions } = shape;
  const { pit, interrupt } = firmwarePit(nowNs);
  const lines = newInterruptLines();
  const routes = functions[pciFunction.isaBridge]?.configuration.subarray(linkRoutes, linkRoutes + 4);
  lines.routes = [...(routes ?? [])];
  const timers = newTimers();
  if (interrupt?.kind === 'periodic') {
    const { ns } = interrupt;
    startTimer(timers, timerOf.pit, { source: 'isa', irq: 0, afterNs: ns, periodNs: ns }, nowNs);
  }
  return {
    pics: firmwarePics(),
    pit,
    ioApic: firmwareIoApic(),
    rtc: newRtc(wallclockSec, firmwareCmos(ramBytes, vcpus), nowNs),
    hpet: newHpet(),
    pm: newAcpiPm(nowNs),
    i8042: newI8042(),
    dma: [newDma(), newDma()],
    pci: newPci(functions),
    disks: [0, 1].map(() => ({ command: 0, status: 0, table: [0, 0, 0, 0] })),
    xen: newXenPlatform(),
    lines,
    timers,
    target: 0,
    systemControl: 2,
    resetControl: 0,
    callback: { via: 0n, isHigh: false },
  };
}
