/**
 * The Xen platform device: ports 0x10 to 0x1f, by which a guest unplugs emulated disks and network cards, and the port range of the
 * PCI device 5853:0001 (QEMU hw/i386/xen/xen_platform.c; Xen docs/misc/hvm-emulated-unplug.pandoc). Its memory range reads as 0.
 */

/** Number of ports at 0x10. */
export const fixedPorts = 16;

/** The word by which a guest knows that it may unplug. */
const magic = 0x49d2;
const protocolVersion = 1;
/** The flag that makes the memory of the ROMs read-only. */
const lockRom = 1;
/** What a word written to port 0x10 unplugs: disks, network cards, and all disks but the first. */
const unplug = { disks: 1, cards: 2, auxiliaryDisks: 4 } as const;

export interface XenPlatformState {
  flags: number;
  /** What was unplugged, as the bits of port 0x10. */
  unplugged: number;
}

export function newXenPlatform(): XenPlatformState {
  return { flags: 0, unplugged: 0 };
}

/** Reads port 0x10 + `offset`. */
export function readFixedPort({ flags }: XenPlatformState, offset: number, bytes: 1 | 2 | 4): number {
  if (bytes === 2 && offset === 0) return magic;
  if (bytes === 1 && offset === 0) return flags;
  if (bytes === 1 && offset === 2) return protocolVersion;
  return 0xffff_ffff >>> (32 - 8 * bytes);
}

/** Writes port 0x10 + `offset`. Returns what it unplugs, as bits. A guest's number and version, 4 and 2 bytes, are not kept. */
export function writeFixedPort(
  state: XenPlatformState,
  offset: number,
  bytes: 1 | 2 | 4,
  value: number,
): number {
  if (bytes === 1 && offset === 0) state.flags = value & lockRom;
  if (bytes !== 2 || offset !== 0) return 0;
  const asked = value & (unplug.disks | unplug.cards | unplug.auxiliaryDisks);
  state.unplugged |= asked;
  return asked;
}

/** Reads a byte of the PCI device's port range. */
export function readPlatformPort({ flags }: XenPlatformState, offset: number): number {
  return offset === 0 ? flags : 0xff;
}

/** Writes it. Returns what it unplugs, as bits: an older kernel asks here. */
export function writePlatformPort(state: XenPlatformState, offset: number, value: number): number {
  if (offset === 0) state.flags = value & lockRom;
  let asked = 0;
  if (offset === 4 && value === 1) asked = unplug.disks | unplug.cards;
  if (offset === 8 && value === 1) asked = unplug.disks;
  if (offset === 8 && value === 2) asked = unplug.cards;
  state.unplugged |= asked;
  return asked;
}
