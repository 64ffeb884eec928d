/**
 * How vCPUs start and stop each other and themselves: INIT, SIPI and NMI by their local APICs, and HLT with interrupts disabled.
 * The rules are the hypervisor's; this module tells them to the CPUs and to the listener.
 */
import { present } from '../../base/index.js';
import type { LocalApics } from '../../devices/index.js';
import { initialiseApic } from '../../devices/index.js';
import {
  crashDomain,
  haltVcpu,
  localApicEnabled,
  sendInit,
  sendNmi,
  sendSipi,
} from '../../hypervisor/index.js';
import type { Domain, VcpuState } from '../../hypervisor/index.js';
import { destinationApicId } from '../../identity/index.js';
import type { ApicId, XenVcpuId } from '../../identity/index.js';
import type { MachineListener } from '../board.js';

/** The parts of the machine that these acts concern. */
export interface PowerParts {
  readonly domain: () => Domain;
  readonly vcpus: readonly XenVcpuId[];
  readonly listener: MachineListener;
  readonly apics: () => LocalApics;
  /** Called before a vCPU asks Xen for something: brings the domain's time up to now. */
  catchUp(): void;
}

/** Fields of the interrupt command register (Intel SDM, volume 3, "Interrupt Command Register"). */
const command = { deliveryMode: 0x700, startup: 0x600, logicalOrShorthand: 0xc_0800 } as const;

export class PowerCalls {
  readonly #parts: PowerParts;
  /** Whether something was asked of Xen since {@link takeAsked}. */
  #asked = false;
  /** Whether a SIPI reached a vCPU since {@link sent}. */
  #reached = false;

  constructor(parts: PowerParts) {
    this.#parts = parts;
  }

  /** What local APICs ask of Xen. A CPU is the index of its vCPU. */
  get port(): LocalApics['port'] {
    const by = (act: (domain: Domain, from: XenVcpuId, to: XenVcpuId, vector: number) => void) => {
      return (from: number, to: number, vector = 0): void => {
        this.#parts.catchUp();
        this.#asked = true;
        act(this.#parts.domain(), this.#vcpu(from), this.#vcpu(to), vector);
      };
    };
    return {
      init: by((domain, from, to) => this.#init(domain, from, to)),
      startup: by((domain, from, to, vector) => this.#startup(domain, from, to, vector)),
      nmi: by((domain, _from, to) => void sendNmi(domain, this.#apicId(to))),
      enabled: (cpu) => {
        this.#asked = true;
        localApicEnabled(this.#parts.domain(), this.#vcpu(cpu));
      },
      unsupported: (from) => by((domain, vcpu) => crashDomain(domain, vcpu))(from, from),
    };
  }

  /** Whether a local APIC asked something of Xen since the last call. */
  takeAsked(): boolean {
    const asked = this.#asked;
    this.#asked = false;
    return asked;
  }

  /** A vCPU executes HLT, and no interrupt is there that it would take. */
  halt(vcpu: XenVcpuId, interruptsOn: boolean): void {
    const { domain, listener } = this.#parts;
    haltVcpu(domain(), vcpu, interruptsOn);
    if (!this.#state(vcpu).up) listener.power?.(vcpu, { kind: 'stop', how: 'hlt' });
  }

  #vcpu(index: number): XenVcpuId {
    return present(this.#parts.vcpus[index], 'a vCPU');
  }

  #state(vcpu: XenVcpuId): VcpuState {
    return present(this.#parts.domain().state.vcpus[vcpu], 'a vCPU');
  }

  #apicId(vcpu: XenVcpuId): ApicId {
    const { hardwareIds } = this.#parts.domain().state.config;
    return destinationApicId(present(hardwareIds[vcpu], 'an APIC id'));
  }

  /** INIT resets the local APIC too, unless the vCPU waits for a SIPI already (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_init_sipi_one). */
  #init(domain: Domain, from: XenVcpuId, to: XenVcpuId): void {
    const apics = this.#parts.apics();
    const { initialised } = this.#state(to);
    sendInit(domain, from, this.#apicId(to));
    if (!initialised) return;
    initialiseApic(present(apics.state.cpus[to], 'a local APIC'));
    apics.stale.add(to);
  }

  #startup(domain: Domain, from: XenVcpuId, to: XenVcpuId, vector: number): void {
    const { initialised } = this.#state(to);
    const id = this.#apicId(to);
    const { target } = sendSipi(domain, from, id, vector);
    this.#reached = true;
    const start = { kind: 'start', how: 'sipi', hardwareId: BigInt(id), target, returned: 0 } as const;
    this.#parts.listener.power?.(from, initialised ? { kind: 'other' } : start);
  }

  /**
   * A vCPU wrote its interrupt command register, whose low half is `low`; `destination` is the APIC id in its high half. Tells the
   * listener of a SIPI for an APIC id that no vCPU has.
   */
  sent(from: XenVcpuId, low: number, destination: number): void {
    const reached = this.#reached;
    this.#reached = false;
    const isStartup = (low & command.deliveryMode) === command.startup;
    if (!isStartup || reached || (low & command.logicalOrShorthand) !== 0) return;
    const start = { kind: 'start', how: 'sipi', target: null, returned: 0 } as const;
    this.#parts.listener.power?.(from, { ...start, hardwareId: BigInt(destination >>> 0) });
  }
}
