/**
 * A kernel's own records of its CPUs, read from its memory: which vCPU each Linux CPU believes it is (`xen_vcpu_id`,
 * per CPU), and which Linux CPU a vCPU runs (`__per_cpu_offset` against the CPU's per-CPU base).
 */
import type { ReadKernel } from './layouts.js';

/** What is needed to find the records: offsets from `_text`. */
export interface RecordOffsets {
  readonly xenVcpuId: number;
  readonly perCpuOffset: number;
}

/** The records of a running kernel whose `_text` is at kernel virtual address `text`. */
export class KernelRecords {
  readonly #offsets: RecordOffsets;
  readonly #text: bigint;
  readonly #read: ReadKernel;

  constructor(offsets: RecordOffsets, text: bigint, read: ReadKernel) {
    this.#offsets = offsets;
    this.#text = text;
    this.#read = read;
  }

  /** `__per_cpu_offset[linuxCpu]`; null while it cannot be read. */
  perCpuOffset(linuxCpu: number): bigint | null {
    return this.#word64(this.#offsetAddress(linuxCpu));
  }

  /** The vCPU id that the kernel has recorded for `linuxCpu`, unsigned 32-bit; null while it cannot be read. */
  recordedVcpuId(linuxCpu: number): number | null {
    const offset = this.perCpuOffset(linuxCpu);
    if (offset === null) return null;
    const bytes = this.#read(this.recordAddress(offset), 4);
    return bytes === null ? null : Number(littleEndian(bytes));
  }

  /** The address of the record of the CPU with that per-CPU offset. The sum wraps. */
  recordAddress(perCpuOffset: bigint): bigint {
    return BigInt.asUintN(64, this.#text + BigInt(this.#offsets.xenVcpuId) + perCpuOffset);
  }

  /**
   * The Linux CPU, of the first `cpus`, that runs on a vCPU with that per-CPU base; null if none has that
   * offset (before the areas are set up, CPU 0 and all others have 0).
   */
  linuxCpuOf(perCpuBase: bigint, cpus: number): number | null {
    // This runs at every call, so it reads all offsets at once if possible.
    const offsets = this.#read(BigInt.asUintN(64, this.#offsetAddress(0)), 8 * cpus);
    const view = offsets === null ? null : new DataView(offsets.buffer, offsets.byteOffset);
    const offset = (cpu: number): bigint | null =>
      view === null ? this.perCpuOffset(cpu) : view.getBigUint64(8 * cpu, true);
    for (let linuxCpu = 0; linuxCpu < cpus; linuxCpu += 1) {
      if (offset(linuxCpu) === perCpuBase) return linuxCpu;
    }
    return null;
  }

  #offsetAddress(linuxCpu: number): bigint {
    return this.#text + BigInt(this.#offsets.perCpuOffset) + 8n * BigInt(linuxCpu);
  }

  #word64(address: bigint): bigint | null {
    const bytes = this.#read(BigInt.asUintN(64, address), 8);
    return bytes === null ? null : littleEndian(bytes);
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at -= 1) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  return value;
}
