/**
 * Which device answers at which port of an HVM guest. Xen's own devices take accesses that lie wholly within their ports, of any
 * size; the device model's take each byte of an access, but for the few that need to see its size. Elsewhere reads give all ones.
 */
import type { PortBytes } from '../../../engine/x86_64/index.js';
import { allOnes } from '../ports.js';

/** A device at some ports. Offsets count from the first. */
export interface PortDevice {
  readonly first: number;
  readonly count: number;
  /** Whether it sees accesses of 2 and 4 bytes as a whole, if they lie within its ports. */
  readonly isWhole: boolean;
  read(offset: number, bytes: PortBytes): number;
  write(offset: number, bytes: PortBytes, value: number): void;
}

/** A device that only knows bytes: of a wider access it sees each byte. */
export function byteDevice(
  first: number,
  count: number,
  read: (offset: number) => number,
  write: (offset: number, value: number) => void,
): PortDevice {
  return { first, count, isWhole: false, read, write: (offset, _bytes, value) => write(offset, value) };
}

/** The same device, to which a wider access is none. */
export function onlyBytes(device: PortDevice): PortDevice {
  return {
    ...device,
    isWhole: true,
    read: (offset, bytes) => (bytes === 1 ? device.read(offset, 1) : allOnes[bytes]),
    write: (offset, bytes, value) => {
      if (bytes === 1) device.write(offset, 1, value);
    },
  };
}

/** The device at a port, if there is one. */
export type FindDevice = (port: number) => PortDevice | undefined;

/** Finds devices of a list whose places do not change. */
export function finder(devices: readonly PortDevice[]): FindDevice {
  const known = new Map<number, PortDevice>();
  for (const device of devices) {
    for (let offset = 0; offset < device.count; offset += 1) known.set(device.first + offset, device);
  }
  return (port) => known.get(port);
}

function isWithin({ first, count, isWhole }: PortDevice, port: number, bytes: PortBytes): boolean {
  return isWhole && port + bytes <= first + count;
}

/** Reads 1, 2 or 4 bytes from a port; those behind port 0xffff are all ones. */
export function readPorts(find: FindDevice, port: number, bytes: PortBytes): number {
  const device = find(port);
  if (device !== undefined && isWithin(device, port, bytes))
    return device.read(port - device.first, bytes) >>> 0;
  let value = 0;
  for (let index = 0; index < bytes; index += 1) {
    const at = find(port + index);
    const byte = at === undefined ? 0xff : at.read(port + index - at.first, 1) & 0xff;
    value |= byte << (8 * index);
  }
  return value >>> 0;
}

/** Writes 1, 2 or 4 bytes to a port. */
export function writePorts(find: FindDevice, port: number, bytes: PortBytes, value: number): void {
  const device = find(port);
  if (device !== undefined && isWithin(device, port, bytes)) {
    device.write(port - device.first, bytes, value);
    return;
  }
  for (let index = 0; index < bytes; index += 1) {
    const at = find(port + index);
    at?.write(port + index - at.first, 1, (value >>> (8 * index)) & 0xff);
  }
}
