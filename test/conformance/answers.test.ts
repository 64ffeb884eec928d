/**
 * Compares the hypervisor's answers with the audit's own model of Xen's rules (audit/expected_answers.ts). The two were
 * written separately and share no code. Random guests call, start, stop and reset, and the audit must find that Xen
 * could give every answer.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../src/abi/index.js';
import { audit } from '../../src/audit/index.js';
import type { Platform, TraceEvent } from '../../src/audit/index.js';
import { frameBytes, present, SparseMemory } from '../../src/base/index.js';
import {
  createDomain,
  haltVcpu,
  hypercall,
  psciCall,
  sendInit,
  sendSipi,
  toolstackAfterShutdown,
} from '../../src/hypervisor/index.js';
import type { Domain } from '../../src/hypervisor/index.js';
import { apicId, linuxCpu, mpidr, xenVcpuId } from '../../src/identity/index.js';
import type { XenVcpuId } from '../../src/identity/index.js';

const vcpus = 34;
const ram = { start: 0, count: 512 };
const xenFrames = { start: 0x10000, count: 64 };
/** Two frames for arguments. The frames below are for the areas that guests register. */
const scratchFrame = 510;

/** The guest's next action. */
type Action =
  | {
      readonly do: 'call';
      readonly by: number;
      readonly op: string;
      readonly id: number;
      readonly value: Values;
    }
  | { readonly do: 'start'; readonly by: number; readonly target: number }
  | { readonly do: 'stop'; readonly vcpu: number }
  | { readonly do: 'reset' };

interface Values {
  readonly gfn: number;
  readonly offset: number;
  readonly port: number;
  readonly virq: number;
  readonly vector: number;
  readonly ns: bigint;
}

interface Encoded {
  readonly number: number;
  readonly command: number;
  readonly bytes: Uint8Array | null;
}

type Build = (id: number, value: Values) => Uint8Array | null;

const area: Build = (_id, { gfn, offset }) =>
  abi.vcpu_register_runstate_memory_area.encode({ addr: { v: BigInt(gfn * frameBytes + (offset & 0xff8)) } });
const nothing: Build = () => null;

const vcpuOps: Readonly<Record<string, Build>> = {
  VCPUOP_initialise: () => new Uint8Array(abi.vcpu_guest_context.x86_64.size),
  VCPUOP_up: nothing,
  VCPUOP_down: nothing,
  VCPUOP_is_up: nothing,
  VCPUOP_get_runstate_info: () => new Uint8Array(abi.vcpu_runstate_info.size),
  VCPUOP_register_runstate_memory_area: area,
  VCPUOP_register_vcpu_time_memory_area: area,
  VCPUOP_register_runstate_phys_area: area,
  VCPUOP_register_vcpu_time_phys_area: area,
  VCPUOP_set_periodic_timer: (_id, { ns }) => abi.vcpu_set_periodic_timer.encode({ period_ns: ns }),
  VCPUOP_stop_periodic_timer: nothing,
  VCPUOP_set_singleshot_timer: (_id, { ns }) =>
    abi.vcpu_set_singleshot_timer.encode({ timeout_abs_ns: ns, flags: 0 }),
  VCPUOP_stop_singleshot_timer: nothing,
  VCPUOP_register_vcpu_info: (_id, { gfn, offset }) =>
    abi.vcpu_register_vcpu_info.encode({ mfn: BigInt(gfn), offset, rsvd: 0 }),
  VCPUOP_send_nmi: nothing,
  VCPUOP_get_physid: () => new Uint8Array(abi.vcpu_get_physid.size),
};

const eventOps: Readonly<Record<string, Build>> = {
  EVTCHNOP_bind_ipi: (id) => abi.evtchn_bind_ipi.encode({ vcpu: id, port: 0 }),
  EVTCHNOP_bind_virq: (id, { virq }) => abi.evtchn_bind_virq.encode({ vcpu: id, virq, port: 0 }),
  EVTCHNOP_bind_vcpu: (id, { port }) => abi.evtchn_bind_vcpu.encode({ vcpu: id, port }),
  EVTCHNOP_init_control: (id, { gfn, offset }) =>
    abi.evtchn_init_control.encode({
      control_gfn: BigInt(gfn),
      offset,
      vcpu: id,
      link_bits: 0,
      _pad: [0, 0, 0, 0, 0, 0, 0],
    }),
  EVTCHNOP_alloc_unbound: () =>
    abi.evtchn_alloc_unbound.encode({ dom: abi.DOMID_SELF, remote_dom: 0, port: 0 }),
  EVTCHNOP_close: (_id, { port }) => abi.evtchn_close.encode({ port }),
  EVTCHNOP_reset: () => abi.evtchn_reset.encode({ dom: abi.DOMID_SELF }),
};

const hvmOps: Readonly<Record<string, Build>> = {
  HVMOP_set_evtchn_upcall_vector: (id, { vector }) =>
    abi.xen_hvm_evtchn_upcall_vector.encode({ vcpu: id, vector }),
};

const families: readonly (readonly [number, abi.Names, Readonly<Record<string, Build>>])[] = [
  [abi.__HYPERVISOR_vcpu_op, abi.VCPUOP_names, vcpuOps],
  [abi.__HYPERVISOR_event_channel_op, abi.EVTCHNOP_names, eventOps],
  [abi.__HYPERVISOR_hvm_op, abi.HVMOP_names, hvmOps],
];

const allOps = families.flatMap(([, , builds]) => Object.keys(builds));

function encode(op: string, id: number, value: Values): Encoded {
  const [number, names, builds] = present(
    families.find(([, , known]) => op in known),
    op,
  );
  const [command] = present(
    Object.entries(names).find(([, name]) => name === op),
    op,
  );
  return { number, command: Number(command), bytes: present(builds[op], op)(id, value) };
}

function poke(domain: Domain, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += frameBytes) {
    const frame = present(domain.memory.writable(scratchFrame + at / frameBytes), 'the scratch frame');
    frame.set(bytes.subarray(at, at + frameBytes));
  }
}

/** A guest that performs actions, and its trace. */
class Guest {
  readonly domain: Domain;
  readonly platform: Platform;
  readonly events: TraceEvent[] = [];

  constructor(platform: Platform) {
    this.platform = platform;
    const config = {
      ...platform,
      domid: 1,
      ram: [ram],
      xenFrames,
      maxGrantFrames: 4,
      entryVcpu: xenVcpuId(0),
    };
    this.domain = createDomain(config, new SparseMemory([ram, xenFrames]));
    const possible = platform.hardwareIds.map((hardwareId, cpu) => ({ linuxCpu: linuxCpu(cpu), hardwareId }));
    this.emit({
      kind: 'kernel',
      kernel: 0,
      name: '',
      entryVcpu: xenVcpuId(0),
      possible,
      leftOut: [],
      records: 'none',
    });
  }

  emit(event: object): void {
    this.events.push({ ...event, step: this.events.length, timeNs: 0n } as TraceEvent);
  }

  isUp(vcpu: number): boolean {
    return this.domain.state.vcpus[vcpu]?.up === true;
  }

  call(by: XenVcpuId, op: string, id: number, value: Values): void {
    const { number, command, bytes } = encode(op, id, value);
    if (bytes !== null) poke(this.domain, bytes);
    const address = bytes === null ? 0n : BigInt(scratchFrame * frameBytes);
    const isVcpuOp = number === abi.__HYPERVISOR_vcpu_op;
    const args = [BigInt(command), ...(isVcpuOp ? [BigInt(id)] : []), address];
    const call = hypercall(this.domain, by, number, args, { translate: (_vcpu, at) => at });
    this.emit({ kind: 'hypercall', kernel: 0, vcpu: by, linuxCpu: linuxCpu(by), call, phase: null });
  }

  start(by: XenVcpuId, target: XenVcpuId): void {
    const { kind, hardwareIds } = this.platform;
    const asked = { kind: 'start', kernel: 0, by, linuxCpu: linuxCpu(by), meant: linuxCpu(target) };
    const hardwareId = present(hardwareIds[target], 'a hardware id');
    if (kind === 'arm') {
      const args = [BigInt(hardwareId), 0n, 0n];
      const { target: named, returned } = psciCall(this.domain, by, abi.PSCI_0_2_FN64_CPU_ON, args);
      this.emit({ ...asked, how: 'psci', target: named, returned });
    } else if (kind !== 'pv') {
      sendInit(this.domain, by, apicId(hardwareId));
      const { target: named } = sendSipi(this.domain, by, apicId(hardwareId), 0x90);
      this.emit({ ...asked, how: 'sipi', target: named, returned: 0 });
    }
  }

  stop(vcpu: XenVcpuId): void {
    const { kind, hardwareIds } = this.platform;
    const others = hardwareIds.filter((_, other) => other !== vcpu && this.isUp(other));
    if (kind === 'pv' || others.length === 0) return;
    if (kind === 'arm') psciCall(this.domain, vcpu, abi.PSCI_0_2_FN_CPU_OFF, []);
    else haltVcpu(this.domain, vcpu, false);
    this.emit({ kind: 'offline', kernel: 0, vcpu, linuxCpu: linuxCpu(vcpu) });
  }

  reset(): void {
    if (!this.platform.softReset) return;
    const by = present(
      this.domain.state.vcpus.find(({ up }) => up),
      'a vCPU that is up',
    ).id;
    poke(this.domain, abi.sched_shutdown.encode({ reason: abi.SHUTDOWN_soft_reset }));
    const args = [BigInt(abi.SCHEDOP_shutdown), BigInt(scratchFrame * frameBytes)];
    hypercall(this.domain, by, abi.__HYPERVISOR_sched_op, args, { translate: (_vcpu, at) => at });
    assert.equal(toolstackAfterShutdown(this.domain), 'soft-reset');
    this.emit({ kind: 'reset' });
  }

  /** False if the domain has ended. */
  act(action: Action): boolean {
    if (action.do === 'reset') this.reset();
    else if (action.do === 'stop') {
      if (this.isUp(action.vcpu)) this.stop(xenVcpuId(action.vcpu));
    } else if (this.isUp(action.by)) {
      const by = xenVcpuId(action.by);
      if (action.do === 'start') this.start(by, xenVcpuId(action.target));
      else this.call(by, action.op, action.id, action.value);
    }
    return this.domain.state.shutdown === null;
  }
}

const vcpu = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(0, 31, 32, 33));
const id = fc.oneof({ weight: 6, arbitrary: vcpu }, fc.constantFrom(34, 127, 0xffff_ffff));
const value: fc.Arbitrary<Values> = fc.record({
  gfn: fc.integer({ min: 1, max: 400 }),
  offset: fc.oneof(
    { weight: 5, arbitrary: fc.constant(64) },
    fc.constantFrom(0, 4, 4024, 4032, 4040, 4048, 4056, 4095, 4096, 0xffff_fff8),
  ),
  port: fc.integer({ min: 0, max: 12 }),
  virq: fc.oneof(fc.integer({ min: 0, max: 25 }), fc.constantFrom(0, 1)),
  vector: fc.constantFrom(0, 0xf, 0x10, 0xf3, 0xff),
  ns: fc.constantFrom(0n, 1n, 999_999n, 1_000_000n, 2n ** 62n - 1n, 2n ** 63n, 2n ** 64n - 1n),
});

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({ do: fc.constant('call'), by: vcpu, op: fc.constantFrom(...allOps), id, value }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('start'), by: vcpu, target: vcpu }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stop'), vcpu }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset') }) },
);

const kinds = ['pv', 'pvhvm', 'pvh', 'arm'] as const;

function platformOf(kind: Platform['kind'], release: Platform['release'], fifo: boolean): Platform {
  const hardwareIds = Array.from({ length: vcpus }, (_, i) =>
    kind === 'arm' ? mpidr(((i >> 4) << 8) | (i & 15)) : apicId(2 * i),
  );
  return { kind, release, hardwareIds, fifo, softReset: kind === 'pvhvm' || kind === 'pvh' };
}

describe('the hypervisor answers as the audit expects of Xen', () => {
  for (const kind of kinds) {
    for (const release of ['4.17', '4.18'] as const) {
      it(`on ${kind}, Xen ${release}`, () => {
        const answered = new Set<string>();
        fc.assert(
          fc.property(
            fc.boolean(),
            fc.array(action, { minLength: 1, maxLength: 120, size: 'max' }),
            (fifo, actions) => {
              const guest = new Guest(platformOf(kind, release, fifo));
              actions.every((next) => guest.act(next));
              const run = { platform: guest.platform, events: guest.events };
              const wrong = audit(run).filter(({ rule }) => rule === 'answer-as-xen');
              assert.deepEqual(
                wrong.map(({ step, why }) => `${step}: ${why}`),
                [],
              );
              for (const event of guest.events) {
                if (event.kind === 'hypercall')
                  answered.add(`${event.call.op} ${event.call.returned >= 0 ? 'granted' : 'refused'}`);
              }
            },
          ),
          { numRuns: 300 },
        );
        // The guests must have used every operation; otherwise nothing was compared.
        for (const op of allOps) {
          assert.ok(answered.has(`${op} granted`) || answered.has(`${op} refused`), op);
        }
        assert.ok(answered.has('VCPUOP_register_vcpu_info granted'));
        assert.ok(answered.has('VCPUOP_register_vcpu_info refused'));
        assert.ok(answered.has('EVTCHNOP_bind_vcpu refused'));
      });
    }
  }
});
