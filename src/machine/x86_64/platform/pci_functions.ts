/**
 * The PCI functions of an HVM guest of Xen's: host bridge, PIIX3 bridge with its disk controller and its power management, and the
 * Xen platform device. Their configurations are as hvmloader left them on the reference guest before its kernel changed them.
 */
import type { PciFunction } from '../../../devices/index.js';

/** Bytes of a configuration, by offset. */
type Bytes = Readonly<Record<number, readonly number[]>>;

function configuration(bytes: Bytes): Uint8Array {
  const all = new Uint8Array(0x100);
  for (const [offset, values] of Object.entries(bytes)) all.set(values, Number(offset));
  return all;
}

/** Subsystem of QEMU's own devices. */
const subsystem = [0xf4, 0x1a, 0x00, 0x11] as const;

/** The indices of the functions in the list. */
export const pciFunction = { hostBridge: 0, isaBridge: 1, disks: 2, power: 3, platform: 4 } as const;

/** The offset of the routes of the four links in the configuration of the ISA bridge. */
export const linkRoutes = 0x60;
/** The disk controller's ports for transfers to memory, and the platform device's ports and memory, which has grant frames at most. */
export const disksBase = { index: 4, bytes: 16, kind: 'ports' } as const;
export const platformPortsBase = { index: 0, bytes: 0x100, kind: 'ports' } as const;
const platformMemoryBase = {
  index: 1,
  bytes: 0x100_0000,
  kind: 'memory',
} as const;

/** Device number, function number, base address registers and configuration. */
type Row = readonly [device: number, number: number, bases: PciFunction['bases'], bytes: Bytes];

/** The functions besides the host bridge. */
const fixedRows: readonly Row[] = [
  [
    1,
    0,
    [],
    {
      0: [0x86, 0x80, 0x00, 0x70, 0x04, 0, 0, 2, 0, 0, 1, 6, 0, 0, 0x80],
      0x2c: subsystem,
      0x4c: [0x4d, 0, 3],
      [linkRoutes]: [5, 10, 11, 5],
      0x69: [2],
      0x70: [0x80],
      0x76: [0xc, 0xc, 2],
      0xa0: [8],
      0xa8: [0xf],
    },
  ],
  [
    1,
    1,
    [disksBase],
    {
      0: [0x86, 0x80, 0x10, 0x70, 0x05, 0, 0x80, 2, 0, 0x80, 1, 1],
      0x20: [0x01, 0xc1],
      0x2c: subsystem,
      0x40: [0, 0x80, 0, 0x80],
    },
  ],
  [
    1,
    3,
    [],
    {
      0: [0x86, 0x80, 0x13, 0x71, 0x04, 0, 0x80, 2, 3, 0, 0x80, 6],
      0x2c: subsystem,
      0x3c: [0xa, 1],
      0x40: [0x01, 0xb0],
      0x5b: [2, 0, 0, 0, 0x10],
      0x63: [0x60],
      0x80: [1],
      0x90: [0x01, 0xb1],
    },
  ],
  [
    2,
    0,
    [platformPortsBase, platformMemoryBase],
    {
      0: [0x53, 0x58, 0x01, 0x00, 0x07, 0, 0, 0, 1, 0, 0x80, 0xff],
      0x10: [0x01, 0xc0, 0, 0, 0x08, 0, 0, 0xf0],
      0x2c: [0x53, 0x58, 0x01, 0x00],
      0x3c: [0xb, 1],
    },
  ],
];

/** `ramBytes`: the guest's memory, which the host bridge tells in units of 8 MiB. */
export function pciFunctions(ramBytes: number): readonly PciFunction[] {
  const ramUnits = Math.min(Math.floor(ramBytes / 0x80_0000), 0xff);
  const hostBridge: Row = [
    0,
    0,
    [],
    {
      0: [0x86, 0x80, 0x37, 0x12, 0x04, 0, 0, 0, 2, 0, 0, 6],
      0x2c: subsystem,
      0x57: [ramUnits],
      0x72: [2],
    },
  ];
  return [hostBridge, ...fixedRows].map(([device, number, bases, bytes]) => ({
    device,
    number,
    bases,
    configuration: configuration(bytes),
  }));
}

/** What the disk controller's configuration has after a reset, as unplugging its disks leaves it. */
export function resetDisks(bytes: Uint8Array): void {
  bytes.set([0, 0, 0x80, 2], 4);
  bytes.set([1, 0, 0, 0], 0x20);
}
