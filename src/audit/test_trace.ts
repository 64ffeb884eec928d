/**
 * Small hand-made traces for the tests of this module: what a correct kernel does on each platform, in as few
 * events as possible, so that a test can replace any of them.
 */
import { XEN_EINVAL } from '../abi/index.js';
import { apicId, linuxCpu, mpidr, xenVcpuId } from '../identity/index.js';
import type { Run } from './finding.js';
import type { KernelEvent, Outcome, Platform, TraceEvent, TracedCall } from './trace.js';

type Without<E> = E extends TraceEvent ? Omit<E, 'step' | 'timeNs'> : never;
export type Draft = Without<TraceEvent>;

/** A platform with `vcpus` vCPUs and Xen's own hardware ids. */
export function testPlatform(kind: Platform['kind'], vcpus: number, more: Partial<Platform> = {}): Platform {
  const hardwareIds = Array.from({ length: vcpus }, (_, vcpu) =>
    kind === 'arm' ? mpidr(((vcpu >> 4) << 8) | (vcpu & 15)) : apicId(2 * vcpu),
  );
  const softReset = kind === 'pvhvm' || kind === 'pvh';
  return { kind, release: '4.17', hardwareIds, fifo: true, softReset, ...more };
}

/** `drafts` as a run, each at a step of its own. */
export function runOf(platform: Platform, drafts: readonly Draft[]): Run {
  const events = drafts.map((draft, step) => ({ ...draft, step, timeNs: BigInt(step) }));
  return { platform, events };
}

/** The vCPU of each of a kernel's CPUs (default: the CPU's own number). */
export type Numbering = readonly number[];

/** Makes drafts of one kernel's events. CPUs and vCPUs are plain numbers here. */
export class Teller {
  readonly platform: Platform;
  readonly kernel: number;
  readonly vcpuOf: Numbering;
  /** What the observer can see of the kernel's map. */
  readonly map: KernelEvent['records'];

  constructor(
    platform: Platform,
    kernel = 0,
    vcpuOf: Numbering = platform.hardwareIds.map((_, i) => i),
    map: KernelEvent['records'] = 'readable',
  ) {
    this.platform = platform;
    this.kernel = kernel;
    this.vcpuOf = vcpuOf;
    this.map = map;
  }

  vcpu(cpu: number): number {
    return this.vcpuOf[cpu] ?? cpu;
  }

  enters(leftOut: readonly number[] = []): Draft {
    const possible = this.vcpuOf.map((vcpu, cpu) => ({
      linuxCpu: linuxCpu(cpu),
      hardwareId: this.platform.kind === 'pv' ? null : (this.platform.hardwareIds[vcpu] ?? null),
    }));
    return {
      kind: 'kernel',
      kernel: this.kernel,
      name: `kernel ${this.kernel}`,
      entryVcpu: xenVcpuId(this.vcpu(0)),
      possible,
      leftOut: leftOut.map((vcpu) => ({ vcpu: xenVcpuId(vcpu), why: 'nr_cpus' })),
      records: this.map,
    };
  }

  /** CPU `cpu` makes a call. */
  calls(
    cpu: number,
    op: string,
    vcpuId: number | null,
    returned = 0,
    detail: TracedCall['detail'] = {},
  ): Draft {
    const hypercall = op.startsWith('VCPUOP')
      ? 'vcpu_op'
      : op.startsWith('EVTCHN')
        ? 'event_channel_op'
        : 'hvm_op';
    return {
      kind: 'hypercall',
      kernel: this.kernel,
      vcpu: xenVcpuId(this.vcpu(cpu)),
      linuxCpu: linuxCpu(cpu),
      call: { hypercall, op, vcpuId, detail, returned },
      phase: null,
    };
  }

  /** The kernel's table names CPU `cpu` for a port, after a call of CPU `by`. */
  bound(by: number, cpu: number, port: number): Draft {
    return {
      kind: 'affinity',
      kernel: this.kernel,
      vcpu: xenVcpuId(this.vcpu(by)),
      linuxCpu: linuxCpu(cpu),
      port,
    };
  }

  /** CPU `by` binds a port for CPU `cpu`, with that CPU's id or another. */
  binds(by: number, op: string, cpu: number, detail: { port: number; virq?: number }, id?: number): Draft[] {
    return [this.calls(by, op, id ?? this.vcpu(cpu), 0, detail), this.bound(by, cpu, detail.port)];
  }

  refused(cpu: number, op: string, vcpuId: number, error = XEN_EINVAL): Draft {
    return this.calls(cpu, op, vcpuId, -error);
  }

  /** CPU `by` starts CPU `cpu`, or another vCPU in its place. */
  starts(by: number, cpu: number, target: number | null = this.vcpu(cpu), returned = 0): Draft {
    const { kind } = this.platform;
    return {
      kind: 'start',
      kernel: this.kernel,
      by: xenVcpuId(this.vcpu(by)),
      linuxCpu: linuxCpu(by),
      how: kind === 'arm' ? 'psci' : kind === 'pv' ? 'VCPUOP_up' : 'sipi',
      meant: linuxCpu(cpu),
      target: target === null ? null : xenVcpuId(target),
      returned,
    };
  }

  is(kind: 'running' | 'online' | 'offline', cpu: number, vcpu = this.vcpu(cpu)): Draft {
    return { kind, kernel: this.kernel, vcpu: xenVcpuId(vcpu), linuxCpu: linuxCpu(cpu) };
  }

  /** CPU `cpu` turns its vCPU off. */
  stops(cpu: number, vcpu = this.vcpu(cpu)): Draft {
    const { kind } = this.platform;
    const how = kind === 'arm' ? 'psci' : kind === 'pv' ? 'VCPUOP_down' : 'hlt';
    return { kind: 'stop', kernel: this.kernel, vcpu: xenVcpuId(vcpu), linuxCpu: linuxCpu(cpu), how };
  }

  records(cpu: number, value: number = this.vcpu(cpu)): Draft {
    return { kind: 'record', kernel: this.kernel, linuxCpu: linuxCpu(cpu), value, source: 'direct' };
  }

  reads(by: number, cpu: number, value: number, recorded = true): Draft {
    return { kind: 'use', kernel: this.kernel, by: linuxCpu(by), linuxCpu: linuxCpu(cpu), value, recorded };
  }

  handles(cpu: number, port: number, boundFor: number | null, vcpu = this.vcpu(cpu)): Draft {
    return {
      kind: 'event',
      kernel: this.kernel,
      vcpu: xenVcpuId(vcpu),
      linuxCpu: linuxCpu(cpu),
      port,
      boundFor: boundFor === null ? null : linuxCpu(boundFor),
      purpose: 'ipi',
    };
  }

  ends(outcome: Outcome = 'userspace'): Draft {
    const online = this.vcpuOf.map((_, cpu) => linuxCpu(cpu));
    return { kind: 'end', kernel: this.kernel, outcome, online, why: '' };
  }
}

export const reset: Draft = { kind: 'reset' };

function armPrepare(tell: Teller, cpu: number, by: number): Draft[] {
  return [
    tell.calls(by, 'EVTCHNOP_init_control', tell.vcpu(cpu)),
    tell.starts(by, cpu),
    tell.is('running', cpu),
  ];
}

function x86Prepare(tell: Teller, cpu: number, by: number): Draft[] {
  const id = tell.vcpu(cpu);
  return [
    tell.records(cpu),
    tell.calls(by, 'VCPUOP_register_vcpu_info', id),
    tell.calls(by, 'HVMOP_set_evtchn_upcall_vector', id, 0, { vector: 0xf3 }),
    ...tell.binds(by, 'EVTCHNOP_bind_virq', cpu, { virq: 0, port: 100 + cpu }),
    ...tell.binds(by, 'EVTCHNOP_bind_ipi', cpu, { port: 200 + cpu }),
    tell.calls(by, 'EVTCHNOP_init_control', id),
    tell.starts(by, cpu),
    tell.is('running', cpu),
  ];
}

function pvPrepare(tell: Teller, cpu: number, by: number): Draft[] {
  const id = tell.vcpu(cpu);
  return [
    ...tell.binds(by, 'EVTCHNOP_bind_ipi', cpu, { port: 200 + cpu }),
    tell.calls(by, 'EVTCHNOP_init_control', id),
    tell.calls(by, 'VCPUOP_register_runstate_memory_area', id),
    tell.calls(by, 'VCPUOP_initialise', id),
    tell.calls(by, 'VCPUOP_up', id),
    tell.starts(by, cpu),
    tell.is('running', cpu),
  ];
}

/** What the first CPU does before it starts others. */
export function boots(tell: Teller): Draft[] {
  const id = tell.vcpu(0);
  const { kind } = tell.platform;
  const all = tell.vcpuOf.map((_, cpu) => cpu);
  const known = kind === 'pv' || kind === 'arm' ? all : [0];
  const placed = kind === 'pv' ? all : [0];
  const common = [
    tell.is('running', 0),
    ...known.map((cpu) => tell.records(cpu)),
    ...placed.map((cpu) => tell.calls(0, 'VCPUOP_register_vcpu_info', tell.vcpu(cpu))),
    tell.calls(0, 'EVTCHNOP_init_control', id),
    tell.calls(0, 'VCPUOP_register_runstate_memory_area', id),
  ];
  if (kind === 'arm') return common;
  const x86 = [
    ...tell.binds(0, 'EVTCHNOP_bind_ipi', 0, { port: 200 }),
    tell.calls(0, 'VCPUOP_set_singleshot_timer', id),
  ];
  if (kind === 'pv') return [...common, ...x86];
  return [
    ...common,
    ...x86,
    tell.calls(0, 'HVMOP_set_evtchn_upcall_vector', id, 0, { vector: 0xf3 }),
    ...tell.binds(0, 'EVTCHNOP_bind_virq', 0, { virq: 0, port: 100 }),
  ];
}

/** CPU `by` brings CPU `cpu` up. */
export function bringsUp(tell: Teller, cpu: number, by = 0): Draft[] {
  const { kind } = tell.platform;
  const own = tell.vcpu(cpu);
  if (kind === 'arm') {
    const starting = [
      tell.calls(cpu, 'VCPUOP_register_vcpu_info', own),
      tell.calls(cpu, 'VCPUOP_register_runstate_memory_area', own),
    ];
    return [...armPrepare(tell, cpu, by), ...starting, tell.is('online', cpu)];
  }
  const starting = [
    ...(kind === 'pv' ? [] : [tell.calls(cpu, 'VCPUOP_register_runstate_memory_area', own)]),
    tell.calls(cpu, 'VCPUOP_set_singleshot_timer', own),
  ];
  const prepare = kind === 'pv' ? pvPrepare(tell, cpu, by) : x86Prepare(tell, cpu, by);
  return [...prepare, ...starting, tell.is('online', cpu)];
}

/** A kernel that boots correctly, up to its end or the next kernel. */
export function healthy(tell: Teller): Draft[] {
  const others = tell.vcpuOf.map((_, cpu) => cpu).slice(1);
  return [tell.enters(), ...boots(tell), ...others.flatMap((cpu) => bringsUp(tell, cpu))];
}
