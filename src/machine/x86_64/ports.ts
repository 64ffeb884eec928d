/**
 * The ports of a PVH guest. Nothing answers there, also not in PCI's configuration space behind 0xcf8 and 0xcfc, so that reads
 * give all ones, as observed on the reference guest. Only Xen's debug port takes what is written. The accesses are counted.
 */
import type { PortBytes } from '../../engine/x86_64/index.js';

/** Xen's debug port, by which a guest writes to Xen's console (public/hvm/e820.h and arch/x86/hvm/hvm.c, hvm_print_line). */
const debugPort = 0xe9;

/** How often a port was accessed in one way. */
export interface PortCount {
  readonly port: number;
  readonly direction: 'in' | 'out';
  readonly bytes: PortBytes;
  readonly count: number;
}

const allOnes = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const;

export class Ports {
  /** By port, direction and size, in one number. */
  readonly #counts = new Map<number, number>();
  readonly #print: (byte: number) => void;

  /** `print` is called for each byte that the guest writes to the debug port. */
  constructor(print: (byte: number) => void) {
    this.#print = print;
  }

  read(port: number, bytes: PortBytes): number {
    this.#count(port, bytes, 0);
    return allOnes[bytes];
  }

  write(port: number, bytes: PortBytes, value: number): void {
    this.#count(port, bytes, 1);
    if (port === debugPort && bytes === 1) this.#print(value & 0xff);
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
