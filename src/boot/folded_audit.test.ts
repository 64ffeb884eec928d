/** Tests that the bounded form of a trace is judged as the whole trace is: what is left out hides no error and makes none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { audit, judgeCalls } from '../audit/index.js';
import type { Platform, Run, TraceEvent } from '../audit/index.js';
import { apicIdOfVcpu, linuxCpu, mpidrOfVcpu, xenVcpuId } from '../identity/index.js';
import { traceBounds, TraceStore } from './trace_store.js';

const vcpus = 3;
/** Operations of each intention (audit/operations.ts) that may be refused again and again. */
const operations = [
  'VCPUOP_register_vcpu_info',
  'VCPUOP_register_runstate_memory_area',
  'VCPUOP_register_vcpu_time_memory_area',
  'HVMOP_set_evtchn_upcall_vector',
  'VCPUOP_set_singleshot_timer',
  'VCPUOP_get_runstate_info',
  'VCPUOP_is_up',
  'VCPUOP_initialise',
  'VCPUOP_up',
  'VCPUOP_send_nmi',
  'EVTCHNOP_init_control',
  'EVTCHNOP_bind_ipi',
] as const;

type NewEvent = (step: number) => TraceEvent;

const vcpu = fc.nat(vcpus - 1);
const call = fc
  .record({
    op: fc.constantFrom(...operations),
    vcpuId: vcpu,
    by: vcpu,
    returned: fc.constantFrom(0, -22, -22),
  })
  .map(({ op, vcpuId, by, returned }): NewEvent => (step) => ({
    kind: 'hypercall',
    step,
    timeNs: BigInt(step),
    kernel: 0,
    vcpu: xenVcpuId(by),
    linuxCpu: linuxCpu(by),
    call: { hypercall: 'vcpu_op', op, vcpuId, detail: {}, returned },
    phase: null,
  }));
const start = fc
  .record({ by: vcpu, target: vcpu, returned: fc.constantFrom(0, -4) })
  .map(({ by, target, returned }): NewEvent => (step) => ({
    kind: 'start',
    step,
    timeNs: BigInt(step),
    kernel: 0,
    how: 'psci',
    by: xenVcpuId(by),
    linuxCpu: linuxCpu(by),
    meant: linuxCpu(target),
    target: xenVcpuId(target),
    returned,
  }));
const running = vcpu.map((cpu): NewEvent => (step) => ({
  kind: 'running',
  step,
  timeNs: BigInt(step),
  kernel: 0,
  vcpu: xenVcpuId(cpu),
  linuxCpu: linuxCpu(cpu),
}));
const record = fc.tuple(vcpu, vcpu).map(([cpu, value]): NewEvent => (step) => ({
  kind: 'record',
  step,
  timeNs: BigInt(step),
  kernel: 0,
  linuxCpu: linuxCpu(cpu),
  value,
  source: "the kernel's memory",
}));
/** A few events, and how often they come. */
const loop = fc
  .tuple(
    fc.array(fc.oneof({ weight: 6, arbitrary: call }, start, running, record), {
      minLength: 1,
      maxLength: 3,
    }),
    fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 12 })),
  )
  .map(([events, rounds]) => Array.from({ length: rounds }, () => events).flat());

function platform(kind: 'arm' | 'pvh'): Platform {
  const hardwareIdOf = kind === 'arm' ? mpidrOfVcpu : apicIdOfVcpu;
  const hardwareIds = Array.from({ length: vcpus }, (_, id) => hardwareIdOf(xenVcpuId(id)));
  return { kind, release: '4.17', hardwareIds, fifo: true, softReset: false };
}

function entered(records: 'readable' | 'none', { hardwareIds }: Platform): NewEvent {
  const possible = hardwareIds.map((hardwareId, cpu) => ({ linuxCpu: linuxCpu(cpu), hardwareId }));
  return (step) => ({
    kind: 'kernel',
    step,
    timeNs: 0n,
    kernel: 0,
    name: 'kernel',
    entryVcpu: xenVcpuId(0),
    possible,
    leftOut: [],
    records,
  });
}

/** What the audit says, without how often it says it: the judged calls and the broken rules. */
function said(run: Run): string[] {
  const judged = judgeCalls(run).map(
    ({
      event: {
        vcpu: by,
        call: { op, returned },
      },
      passed,
      meant,
      verdict,
    }) => `vCPU ${by}: ${op} ${passed} answers ${returned}: ${verdict}, meant ${meant}`,
  );
  const broken = audit(run).map(({ rule }) => rule);
  return [...new Set([...judged, ...broken])].sort();
}

for (const kind of ['arm', 'pvh'] as const) {
  test(`a folded trace of a guest (${kind}) is judged as the whole one`, () => {
    let folded = 0;
    fc.assert(
      fc.property(
        fc.constantFrom('readable' as const, 'none' as const),
        fc.array(loop, { minLength: 1, maxLength: 8 }),
        (records, loops) => {
          const on = platform(kind);
          const whole = [entered(records, on), ...loops.flat()].map((event, step) => event(step));
          // What a first round makes known may change what the calls of the second mean, and those what the third's do; and the last
          // round may mean something else, since no more such call follows it.
          const store = new TraceStore({ ...traceBounds, rounds: 4 });
          for (const event of whole) store.add(event);
          folded += store.folding.repeatedCalls;
          assert.deepEqual(
            said({ platform: on, events: store.events }),
            said({ platform: on, events: whole }),
          );
        },
      ),
      { numRuns: 400 },
    );
    assert.ok(folded > 400, `${folded} calls were left out`);
  });
}
