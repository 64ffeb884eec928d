/**
 * Shows what happens if this kernel's records are filled as the patch of 2016 filled them on Arm. At the first init_control,
 * which CPU 0 makes for itself, the records of the other CPUs get the values that they had at that point in 2016. Then the
 * kernel continues.
 */
import { viewOf } from '../abi/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Guest } from './guest.js';
import { writeGuest } from './guest_memory.js';
import type { KernelView } from './kernel_view.js';
import type { WhatIf } from './options.js';

/** The value of a record before its CPU set it: as posted, all ones; as tested on 4.8-rc4, zero. */
const unsetRecord: Readonly<Record<WhatIf, number>> = { 'as-posted': 0xffff_ffff, 'as-tested': 0 };

/** A plain value. */
export interface WhatIfState {
  sawInitControl: boolean;
  /** Whether the records were set. */
  areSet: boolean;
}

/** Changes the kernel's records once, if that was requested. */
export class WhatIfRecords {
  readonly #guest: Guest;
  readonly #kernel: KernelView;
  readonly #whatIf: WhatIf | null;
  /** Replaced to restore a state. */
  state: WhatIfState = { sawInitControl: false, areSet: false };

  /** `whatIf`: null to leave the records as they are. */
  constructor(guest: Guest, kernel: KernelView, whatIf: WhatIf | null) {
    this.#guest = guest;
    this.#kernel = kernel;
    this.#whatIf = whatIf;
  }

  /** `vcpu` has made a call. At the first init_control this sets the records. */
  called(vcpu: XenVcpuId, { op }: CallRecord): void {
    if (op !== 'EVTCHNOP_init_control' || this.state.sawInitControl) return;
    this.state.sawInitControl = true;
    if (this.#whatIf !== null) this.state.areSet = this.#unset(vcpu, unsetRecord[this.#whatIf]);
  }

  /** Why the records were not set as requested; null if they were, or if this was not requested. */
  get notAsAsked(): string | null {
    if (this.#whatIf === null || this.state.areSet) return null;
    const why = this.state.sawInitControl
      ? 'it has none that can be written'
      : 'it made no EVTCHNOP_init_control';
    return `its records were never set ${this.#whatIf}: ${why}`;
  }

  /** Sets the records of all CPUs but CPU 0; false if the kernel has none that can be written (some may have been set). */
  #unset(vcpu: XenVcpuId, record: number): boolean {
    const records = this.#kernel.recordsFrom(vcpu);
    const value = new Uint8Array(4);
    viewOf(value).setUint32(0, record, true);
    return this.#guest.cpus.slice(1).every(({ linuxCpu }) => {
      const offset = records?.perCpuOffset(linuxCpu) ?? null;
      if (records === null || offset === null) return false;
      return writeGuest(this.#guest.machine, vcpu, records.recordAddress(offset), value);
    });
  }
}
