/**
 * Accesses by physical address on the slow path: entries of translation tables, accesses that lie in two pages, and accesses
 * outside memory. Values pass through a place in the engine's memory (a vCPU's scratch area).
 */
import type { CodeCache } from './code_cache.js';
import type { EngineMemory } from './memory.js';
import type { PhysicalMemory } from './ports.js';
import { TableFrames } from './table_frames.js';

/** Where an access lies that goes on in another page: physical addresses, and numbers of bytes. */
export interface TwoPages {
  readonly first: number;
  readonly bytes: number;
  /** The part in the first page; the rest starts at `second`. */
  readonly here: number;
  readonly second: number;
}

/** A number of bytes at a physical address. */
export interface PhysicalPlace {
  readonly address: number;
  readonly bytes: number;
}

export class PhysicalAccesses {
  /** The table entry that was read last. */
  low = 0;
  high = 0;
  readonly #memory: EngineMemory;
  readonly #code: CodeCache;
  readonly #host: PhysicalMemory;
  readonly #absent: bigint | null;
  readonly #frames: TableFrames;

  /** Where nothing answers, a read gives `absent` and a write is ignored; if `absent` is null, such accesses fail. */
  constructor(memory: EngineMemory, code: CodeCache, host: PhysicalMemory, absent: bigint | null) {
    this.#memory = memory;
    this.#code = code;
    this.#host = host;
    this.#absent = absent;
    this.#frames = new TableFrames(host);
  }

  /** Invalidates all cached answers of `PhysicalMemory.frame`. */
  forgetFrames(): void {
    this.#frames.forget();
  }

  /** Reads an entry of `bytes` bytes of a translation table into `low` and `high`; false where there is no memory. */
  readEntry(address: number, bytes: 4 | 8): boolean {
    const offset = address % 4096;
    const frame = this.#frames.place(address - offset);
    if (frame < 0) return false;
    this.low = this.#memory.word(frame + offset);
    this.high = bytes === 4 ? 0 : this.#memory.word(frame + offset + 4);
    return true;
  }

  /** Sets bits in the low half of an entry; does nothing where there is no writable memory. */
  setBits(address: number, bits: number): void {
    const offset = address % 4096;
    const frame = this.#host.frame(address - offset, true);
    if (frame < 0) return;
    this.#code.stored(frame + offset, 4);
    this.#memory.setWord(frame + offset, this.#memory.word(frame + offset) | bits);
  }

  /** Reads what lies in two pages to the byte offset `to`. False if a byte's read fails; those before it are done. */
  loadAcross(vcpu: number, place: TwoPages, to: number): boolean {
    for (let index = 0; index < place.bytes; index += 1) {
      const value = this.#readByte(vcpu, addressOf(place, index));
      if (value === null) return false;
      this.#memory.bytes[to + index] = value;
    }
    return true;
  }

  /** Writes from the byte offset `from` to two pages. False if a byte's write fails; those before it are done. */
  storeAcross(vcpu: number, place: TwoPages, from: number): boolean {
    for (let index = 0; index < place.bytes; index += 1) {
      const value = this.#memory.bytes[from + index] ?? 0;
      if (!this.#writeByte(vcpu, addressOf(place, index), value)) return false;
    }
    return true;
  }

  /** Reads a device to the byte offset `to`. A read of 16 bytes is two reads of 8. */
  readDevice(vcpu: number, { address, bytes }: PhysicalPlace, to: number): boolean {
    const each = Math.min(bytes, 8);
    for (let done = 0; done < bytes; done += each) {
      const value = this.#read(vcpu, address + done, each);
      if (value === null) return false;
      this.#memory.view.setBigUint64(to + done, BigInt.asUintN(64, value), true);
    }
    return true;
  }

  /** Writes to a device from the byte offset `from`. */
  writeDevice(vcpu: number, { address, bytes }: PhysicalPlace, from: number): boolean {
    const each = Math.min(bytes, 8);
    for (let done = 0; done < bytes; done += each) {
      const value = BigInt.asUintN(8 * each, this.#memory.view.getBigUint64(from + done, true));
      if (!this.#write(vcpu, address + done, each, value)) return false;
    }
    return true;
  }

  #readByte(vcpu: number, address: number): number | null {
    const frame = this.#host.frame(address - (address % 4096), false);
    if (frame >= 0) return this.#memory.bytes[frame + (address % 4096)] ?? 0;
    const value = this.#read(vcpu, address, 1);
    return value === null ? null : Number(value & 0xffn);
  }

  #writeByte(vcpu: number, address: number, value: number): boolean {
    const frame = this.#host.frame(address - (address % 4096), true);
    if (frame < 0) return this.#write(vcpu, address, 1, BigInt(value));
    const place = frame + (address % 4096);
    this.#code.stored(place, 1);
    this.#memory.bytes[place] = value;
    return true;
  }

  #read(vcpu: number, address: number, bytes: number): bigint | null {
    return this.#host.read(vcpu, address, bytes) ?? this.#absent;
  }

  #write(vcpu: number, address: number, bytes: number, value: bigint): boolean {
    return this.#host.write(vcpu, address, bytes, value) || this.#absent !== null;
  }
}

function addressOf({ first, here, second }: TwoPages, index: number): number {
  return index < here ? first + index : second + index - here;
}
