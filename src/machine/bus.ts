/** Which device answers at a guest physical address. */
import type { MmioBytes, MmioDevice } from '../devices/index.js';

interface Attached {
  readonly start: number;
  readonly device: MmioDevice;
}

export class Bus {
  readonly #devices: Attached[] = [];

  /** Lets `device` answer from guest physical address `start` on. */
  attach(start: number, device: MmioDevice): void {
    this.#devices.push({ start, device });
  }

  /** The value at `address`; null when nobody answers, or the device refuses. */
  read(address: number, bytes: MmioBytes): bigint | null {
    const found = this.#find(address);
    return found === undefined ? null : found.device.read(address - found.start, bytes);
  }

  /** Whether a device took the write. */
  write(address: number, bytes: MmioBytes, value: bigint): boolean {
    const found = this.#find(address);
    return found?.device.write(address - found.start, bytes, value) ?? false;
  }

  #find(address: number): Attached | undefined {
    return this.#devices.find(({ start, device }) => address >= start && address < start + device.size);
  }
}
