/** Maps guest physical addresses to devices. */
import type { MmioBytes, MmioDevice } from '../devices/index.js';

interface Attached {
  readonly start: number;
  readonly device: MmioDevice;
}

function isWithin({ start, device }: Attached, address: number): boolean {
  return address >= start && address < start + device.size;
}

export class Bus {
  readonly #devices: Attached[] = [];
  /** The last device used. The next access is likely to use it again. */
  #last: Attached | undefined = undefined;

  /** Maps `device` at guest physical address `start`. */
  attach(start: number, device: MmioDevice): void {
    this.#devices.push({ start, device });
  }

  /** The value at `address`; null if there is no device or it refuses the access. */
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
    const last = this.#last;
    if (last !== undefined && isWithin(last, address)) return last;
    const found = this.#devices.find((attached) => isWithin(attached, address));
    if (found !== undefined) this.#last = found;
    return found;
  }
}
