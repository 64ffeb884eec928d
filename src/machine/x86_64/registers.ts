/** The model-specific registers of the vCPUs: those of time, local APIC and hypercalls, and the others by their table. */
import { frameBytes, present } from '../../base/index.js';
import {
  deadline,
  readApicBase,
  readMsr,
  writeApicBase,
  writeDeadline,
  writeMsr,
} from '../../devices/index.js';
import type { LocalApics } from '../../devices/index.js';
import { mfnOfGfn } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { BoardPort } from '../board.js';
import type { MachineTsc } from './clock.js';
import { featuresOf } from './cpuid.js';
import { hypercallPage, hypercallPageRegister } from './hypercall_page.js';
import { ModelSpecificRegisters } from './model_specific.js';
import type { ModelSpecificState } from './model_specific.js';

const register = {
  timestamp: 0x10,
  apicBase: 0x1b,
  timestampAdjust: 0x3b,
  deadline: 0x6e0,
  apicFirst: 0x800,
  apicCommand: 0x830,
  apicLast: 0x8ff,
} as const;

/** What the registers act on. */
export interface RegisterParts {
  readonly port: BoardPort;
  readonly tsc: MachineTsc;
  readonly apics: LocalApics;
  /** What was written to the registers of the table before the guest runs, on each vCPU. */
  readonly initial: ModelSpecificState;
  notModelled(what: string): void;
  /** A register of a local APIC was written: the offset of one in its page, null for another. */
  apicWritten(vcpu: XenVcpuId, offset: number | null): void;
  /** A vCPU wrote its interrupt command register. */
  commandWritten(vcpu: XenVcpuId, command: bigint): void;
}

export class Registers {
  readonly #parts: RegisterParts;
  readonly #others: readonly ModelSpecificRegisters[];

  constructor(parts: RegisterParts) {
    this.#parts = parts;
    const features = featuresOf(parts.port.options);
    const notModelled = (what: string): void => parts.notModelled(what);
    this.#others = parts.port.vcpus.map(() => new ModelSpecificRegisters(features, notModelled));
    for (const others of this.#others) others.load(parts.initial);
  }

  /** Null for #GP. */
  read(vcpu: XenVcpuId, number: number): bigint | null {
    const { apics, port, tsc } = this.#parts;
    if (number >= register.apicFirst && number <= register.apicLast) {
      return readMsr(apics, vcpu, number, port.nowNs());
    }
    switch (number) {
      case register.timestamp:
        return tsc.at(port.nowNs());
      case register.timestampAdjust:
      case hypercallPageRegister:
        return 0n;
      case register.apicBase:
        return readApicBase(apics, vcpu);
      case register.deadline:
        return deadline(present(apics.state.cpus[vcpu], 'a local APIC'));
      default:
        return this.#table(vcpu).read(number);
    }
  }

  /** False for #GP. */
  write(vcpu: XenVcpuId, number: number, value: bigint): boolean {
    const { apics, port, tsc } = this.#parts;
    if (number >= register.apicFirst && number <= register.apicLast) {
      return this.#writeApic(vcpu, number, value);
    }
    switch (number) {
      case register.timestamp:
      case register.timestampAdjust:
        // All vCPUs have the machine's time, which pvclock tells the guest too.
        this.#parts.notModelled('WRMSR of the time-stamp counter');
        return true;
      case hypercallPageRegister:
        return this.#writeHypercallPage(value);
      case register.apicBase: {
        const done = writeApicBase(apics, vcpu, value);
        this.#parts.apicWritten(vcpu, null);
        return done;
      }
      case register.deadline:
        writeDeadline(present(apics.state.cpus[vcpu], 'a local APIC'), value, tsc, port.nowNs());
        this.#parts.apicWritten(vcpu, null);
        return true;
      default:
        return this.#table(vcpu).write(number, value);
    }
  }

  #table(vcpu: XenVcpuId): ModelSpecificRegisters {
    return present(this.#others[vcpu], 'a vCPU');
  }

  #writeApic(vcpu: XenVcpuId, number: number, value: bigint): boolean {
    const { apics, port } = this.#parts;
    const done = writeMsr(apics, vcpu, number, value, port.nowNs());
    if (done && number === register.apicCommand) this.#parts.commandWritten(vcpu, value);
    this.#parts.apicWritten(vcpu, (number - register.apicFirst) << 4);
    return done;
  }

  /** Writes the hypercall page to the guest frame that the value names. Its low bits are an index, of which Xen knows 0 only. */
  #writeHypercallPage(value: bigint): boolean {
    const { port } = this.#parts;
    const mfn = mfnOfGfn(port.domain(), Number(value / BigInt(frameBytes)));
    const frame = mfn === null || value % BigInt(frameBytes) !== 0n ? undefined : port.frames().writable(mfn);
    frame?.set(hypercallPage());
    return frame !== undefined;
  }

  /** By vCPU. */
  save(): readonly ModelSpecificState[] {
    return this.#others.map((others) => others.save());
  }

  /** Takes over a state that nobody else will change. */
  load(state: readonly ModelSpecificState[]): void {
    for (const [index, others] of this.#others.entries()) {
      others.load(present(state[index], 'the registers of a vCPU'));
    }
  }
}
