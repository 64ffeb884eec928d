/**
 * Shows what happens if this kernel's records are filled in another way. `as-posted` and `as-tested`: as the patch of 2016 filled them
 * on Arm. At the first init_control, which CPU 0 makes for itself, the records of the other CPUs get the values that they had at that
 * point in 2016, and the kernel continues. `before-the-patch`, `apic-id` and `apic-id-half`: every record is the number of its CPU, its
 * APIC id or half of that, from the kernel's first call on, whatever the kernel writes there. So a kernel without records that passes
 * CPU numbers can be seen.
 */
import { viewOf } from '../abi/index.js';
import { equalValues } from '../base/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { Guest, KernelCpu } from './guest.js';
import { physicalOf, writeGuest } from './guest_memory.js';
import type { KernelView } from './kernel_view.js';
import type { WhatIf } from './options.js';

/** The value of a record before its CPU set it: as posted, all ones; as tested on 4.8-rc4, zero. */
const unsetRecord = { 'as-posted': 0xffff_ffff, 'as-tested': 0 } as const;

/** The value that a record keeps. */
const keptValues: Readonly<Record<Exclude<WhatIf, keyof typeof unsetRecord>, (cpu: KernelCpu) => number>> = {
  'before-the-patch': ({ linuxCpu }) => linuxCpu,
  'apic-id': ({ hardwareId }) => Number(hardwareId),
  'apic-id-half': ({ hardwareId }) => Number(hardwareId) >> 1,
};

/** A record that keeps its value, and its guest physical address. */
interface KeptRecord {
  readonly at: number;
  readonly value: number;
}

/** A plain value. */
export interface WhatIfState {
  /** Whether a call was made at which records are set. */
  sawCall: boolean;
  /** Whether the records were set. */
  areSet: boolean;
  kept: readonly KeptRecord[];
  /** Whether the places of the records change no more. */
  areFinal: boolean;
}

/** Changes the kernel's records, if that was requested. */
export class WhatIfRecords {
  readonly #guest: Guest;
  readonly #kernel: KernelView;
  readonly #whatIf: WhatIf | null;
  #state: WhatIfState = { sawCall: false, areSet: false, kept: [], areFinal: false };

  /** `whatIf`: null to leave the records as they are. */
  constructor(guest: Guest, kernel: KernelView, whatIf: WhatIf | null) {
    this.#guest = guest;
    this.#kernel = kernel;
    this.#whatIf = whatIf;
  }

  save(): WhatIfState {
    return { ...this.#state };
  }

  /** The machine must have been restored before. */
  load(state: WhatIfState): void {
    this.#state = { ...state };
    if (state.kept.length > 0) this.#guest.keepWords?.(state.kept, true);
  }

  /** The kernel has been left: its memory is another one's. */
  end(): void {
    if (this.#state.kept.length === 0) return;
    this.#guest.keepWords?.([]);
    this.#state = { ...this.#state, kept: [], areFinal: true };
  }

  /** `vcpu` has made a call, and has not gone on yet. */
  called(vcpu: XenVcpuId, { op }: CallRecord): void {
    const state = this.#state;
    const whatIf = this.#whatIf;
    if (whatIf === null) return;
    if (whatIf !== 'as-posted' && whatIf !== 'as-tested') {
      state.sawCall = true;
      if (!state.areFinal) this.#keepValues(vcpu, keptValues[whatIf]);
      return;
    }
    if (op !== 'EVTCHNOP_init_control' || state.sawCall) return;
    state.sawCall = true;
    state.areSet = this.#unset(vcpu, unsetRecord[whatIf]);
  }

  /** Why the records were not set as requested; null if they were, or if this was not requested. */
  get notAsAsked(): string | null {
    if (this.#whatIf === null || this.#state.areSet) return null;
    const call = this.#whatIf in unsetRecord ? 'EVTCHNOP_init_control' : 'hypercall';
    const why = this.#state.sawCall ? 'it has none that can be written' : `it made no ${call}`;
    return `its records were never set ${this.#whatIf}: ${why}`;
  }

  /** Sets the records of all CPUs but CPU 0; false if the kernel has none that can be written (some may have been set). */
  #unset(vcpu: XenVcpuId, record: number): boolean {
    const value = new Uint8Array(4);
    viewOf(value).setUint32(0, record, true);
    return this.#guest.cpus.slice(1).every(({ linuxCpu }) => {
      const address = this.#recordAddress(vcpu, linuxCpu);
      return address !== null && writeGuest(this.#guest.machine, vcpu, address, value);
    });
  }

  #recordAddress(vcpu: XenVcpuId, cpu: LinuxCpu): bigint | null {
    const records = this.#kernel.recordsFrom(vcpu);
    const offset = records?.perCpuOffset(cpu) ?? null;
    return records === null || offset === null ? null : records.recordAddress(offset);
  }

  /**
   * Has each record keep the value of its CPU. Before the kernel has set up an area for each CPU, only CPU 0 uses a record: that of
   * the image, which is copied to the areas and may be given free after that.
   */
  #keepValues(vcpu: XenVcpuId, valueOf: (cpu: KernelCpu) => number): void {
    const own = this.#kernel.ownAreas(vcpu);
    const cpus = own.length > 0 ? own : this.#guest.cpus.slice(0, 1).map(({ linuxCpu }) => linuxCpu);
    const addresses = cpus.map((cpu) => this.#recordAddress(vcpu, cpu));
    const kept = addresses.flatMap((address, index) => {
      const at = address === null ? null : physicalOf(this.#guest.machine, vcpu, address);
      const cpu = this.#guest.cpus.find(({ linuxCpu }) => linuxCpu === cpus[index]);
      return at === null || cpu === undefined ? [] : [{ at: Number(at), value: valueOf(cpu) }];
    });
    if (kept.length === 0 || kept.length < cpus.length) return;
    const isOwn = addresses.every((address) => address !== null && !this.#kernel.isInImage(address));
    this.#state.areFinal = isOwn && own.length === (this.#kernel.possibleFrom(vcpu)?.size ?? -1);
    if (equalValues(kept, this.#state.kept)) return;
    this.#state.kept = kept;
    this.#guest.keepWords?.(kept);
    this.#state.areSet = this.#guest.keepWords !== null;
  }
}
