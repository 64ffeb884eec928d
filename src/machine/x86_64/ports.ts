/**
 * The ports of a guest, whose accesses are counted. At those of a PVH guest nothing answers, also not in PCI's configuration space
 * behind 0xcf8 and 0xcfc, so that reads give all ones, as observed on the reference guest; only Xen's debug port takes what is
 * written. An HVM guest has devices there.
 */
import { XEN_HVM_DEBUGCONS_IOPORT } from '../../abi/index.js';
import type { PortBytes } from '../../engine/x86_64/index.js';

/** How often a port was accessed in one way. */
export interface PortCount {
  readonly port: number;
  readonly direction: 'in' | 'out';
  readonly bytes: PortBytes;
  readonly count: number;
}

/** Devices that answer at all ports. */
export interface PortDevices {
  readPort(port: number, bytes: PortBytes): number;
  writePort(port: number, bytes: PortBytes, value: number): void;
}

/** What an access reads where nothing answers. */
export const allOnes = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const;

/** Xen's debug port alone. `print` is called for each byte that the guest writes there. */
export function debugPortAlone(print: (byte: number) => void): PortDevices {
  return {
    readPort: (_, bytes) => allOnes[bytes],
    writePort: (port, bytes, value) => {
      if (port === XEN_HVM_DEBUGCONS_IOPORT && bytes === 1) print(value & 0xff);
    },
  };
}

export class Ports {
  /** By port, direction and size, in one number. */
  readonly #counts = new Map<number, number>();
  readonly #devices: PortDevices;

  constructor(devices: PortDevices) {
    this.#devices = devices;
  }

  read(port: number, bytes: PortBytes): number {
    this.#count(port, bytes, 0);
    return this.#devices.readPort(port, bytes);
  }

  write(port: number, bytes: PortBytes, value: number): void {
    this.#count(port, bytes, 1);
    this.#devices.writePort(port, bytes, value);
  }

  #count(port: number, bytes: PortBytes, direction: 0 | 1): void {
    const key = port * 16 + direction * 8 + bytes;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** All ports that were accessed, in ascending order. */
  get counts(): readonly PortCount[] {
    return [...this.#counts]
      .sort(([a], [b]) => a - b)
      .map(([key, count]) => ({
        port: key >> 4,
        direction: (key & 8) === 0 ? 'in' : 'out',
        bytes: (key & 7) as PortBytes,
        count,
      }));
  }

  save(): readonly PortCount[] {
    return this.counts;
  }

  load(counts: readonly PortCount[]): void {
    this.#counts.clear();
    for (const { port, direction, bytes, count } of counts) {
      this.#counts.set(port * 16 + (direction === 'in' ? 0 : 8) + bytes, count);
    }
  }
}
