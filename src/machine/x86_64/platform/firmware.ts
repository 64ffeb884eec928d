/** What hvmloader and SeaBIOS leave in the machine before a kernel is entered, as on the reference guest. */
import {
  ioApicPins,
  newIoApic,
  newPics,
  newPit,
  setApicRegister,
  writePage,
  writePic,
  writePicLevel,
  writePit,
} from '../../../devices/index.js';
import type { IoApicState, LocalApics, PicsState, PitInterrupt, PitState } from '../../../devices/index.js';
import { PCI_MEM_START } from '../../../abi/index.js';
import { frameBytes, present } from '../../../base/index.js';
import type { FrameRange } from '../../../base/index.js';
import type { ModelSpecificState } from '../model_specific.js';

/** MTRRs: write-back memory, the legacy video range write-combining, and PCI's range of 0xf0000000 to 0xfbffffff uncachable. */
export const firmwareRegisters: ModelSpecificState = {
  0x200: 0xf000_0000n,
  0x201: 0xff_f800_0800n,
  0x202: 0xf800_0000n,
  0x203: 0xff_fc00_0800n,
  ...Object.fromEntries(
    [0x250, 0x258, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f].map((number) => [
      number,
      0x0606_0606_0606_0606n,
    ]),
  ),
  0x259: 0x0101_0101_0101_0101n,
  0x2ff: 0xc06n,
};

/** ISA interrupts that PCI's links use are level-triggered: 5, 10 and 11. */
const levelTriggered = [0x20, 0x0c] as const;

/** SeaBIOS's vectors; a kernel's start in real mode leaves all inputs masked but the slave's. */
export function firmwarePics(): PicsState {
  const pics = newPics();
  for (const [number, base, cascade, mask] of [
    [0, 0x08, 0x04, 0xfb],
    [1, 0x70, 0x02, 0xff],
  ] as const) {
    writePic(pics, number, false, 0x11);
    for (const word of [base, cascade, 0x01, mask]) writePic(pics, number, true, word);
    writePicLevel(pics, number, levelTriggered[number]);
  }
  return pics;
}

/** SeaBIOS lets channel 0 interrupt 18.2 times a second. */
export function firmwarePit(nowNs: bigint): {
  readonly pit: PitState;
  readonly interrupt: PitInterrupt | null;
} {
  const pit = newPit();
  writePit(pit, 3, 0x34, nowNs);
  writePit(pit, 0, 0, nowNs);
  return { pit, interrupt: writePit(pit, 0, 0, nowNs) };
}

/** The id that the tables tell; pin 0 passes on the interrupts of the 8259 pair to vCPU 0. */
export function firmwareIoApic(): IoApicState {
  const ioApic = newIoApic();
  ioApic.id = 1;
  ioApic.entries = Array.from({ length: ioApicPins }, (_, pin) => ({
    low: pin === 0 ? 0x700 : 0x1_0000,
    high: 0,
  }));
  return ioApic;
}

/** The guest frame at which PCI devices' memory begins. */
const pciWindowFrame = PCI_MEM_START / frameBytes;

/** The memory below PCI's window in bytes, with the hole of video memory, as a device model counts it. */
export function lowMemoryBytes(ram: readonly FrameRange[]): number {
  const ends = ram.map(({ start, count }) => start + count).filter((end) => end <= pciWindowFrame);
  return Math.max(0, ...ends) * frameBytes;
}

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

/** The CMOS memory: sizes of memory, a coprocessor, a PS/2 mouse, and the number of CPUs less one (QEMU hw/i386/pc.c, pc_cmos_init). */
export function firmwareCmos(ramBytes: number, vcpus: number): Readonly<Record<number, number>> {
  const extended = Math.min(Math.max(ramBytes - mebibyte, 0) / kibibyte, 0xffff);
  const above16 = Math.min(Math.floor(Math.max(ramBytes - 16 * mebibyte, 0) / (64 * kibibyte)), 0xffff);
  const [low, high] = [extended & 0xff, extended >> 8];
  return {
    0x14: 0x06,
    0x15: 0x80,
    0x16: 0x02,
    0x17: low,
    0x18: high,
    0x30: low,
    0x31: high,
    0x32: 0x20,
    0x34: above16 & 0xff,
    0x35: above16 >> 8,
    0x5f: (vcpus - 1) & 0xff,
  };
}

/** Registers of the xAPIC page that hvmloader writes on vCPU 0: enabled, LINT0 for the 8259 pair but masked, and LINT1 for NMIs. */
const apicWrites = [
  [0xf0, 0x1ffn],
  [0x350, 0x1_0700n],
  [0x360, 0x400n],
] as const;
/** The last that it writes: an INIT, which finds the last vCPU waiting for a SIPI as it has ended it before. */
const command = { low: 0x300, high: 0x310, init: 0x500 } as const;

/** Leaves the local APIC of the first vCPU as hvmloader does. */
export function setFirmwareApic(apics: LocalApics, vcpu: number, nowNs: bigint): void {
  for (const [offset, value] of apicWrites) writePage(apics, vcpu, offset, 4, value, nowNs);
  if (apics.apicIds.length === 1) return;
  // It was sent long ago: only what the register shows is left of it.
  const apic = present(apics.state.cpus[vcpu], 'a local APIC');
  setApicRegister(apic, command.high, (apics.apicIds.at(-1) ?? 0) << 24);
  setApicRegister(apic, command.low, command.init);
}
