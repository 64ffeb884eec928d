/** The regression of 2016 on a current kernel, and a kernel entered on a vCPU other than 0, like a crash kernel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TraceEvent } from '../../src/audit/index.js';
import { bootStock, skip } from './kernel.js';
import type { Booted } from './kernel.js';

type Call = Extract<TraceEvent, { kind: 'hypercall' }>;

function callsOf({ events }: Booted, op: string): Call[] {
  return events.filter((event): event is Call => event.kind === 'hypercall' && event.call.op === op);
}

/** `vCPU: id → answer` for each call of an operation. */
function told(booted: Booted, op: string): string[] {
  return callsOf(booted, op).map(({ vcpu, call }) => `${vcpu}: ${call.vcpuId} → ${call.returned}`);
}

describe('the what-if of records filled by the patch of 2016', { skip }, () => {
  // The answers of a real Xen 4.17 when a debugger set this kernel's records accordingly.
  const cases = [
    { whatIf: 'as-posted', passed: 0xffff_ffff, answer: -2 },
    { whatIf: 'as-tested', passed: 0, answer: -22 },
  ] as const;
  for (const { whatIf, passed, answer } of cases) {
    it(`${whatIf}: three refusals, one CPU, user space up, and not one error line`, () => {
      const booted = bootStock({ whatIf });
      assert.deepEqual(told(booted, 'EVTCHNOP_init_control'), [
        '0: 0 → 0',
        ...Array.from({ length: 3 }, () => `0: ${passed} → ${answer}`),
      ]);
      assert.equal(booted.events.filter(({ kind }) => kind === 'start').length, 0);
      assert.match(booted.console, /smp: Brought up 1 node, 1 CPU\n/);
      assert.match(booted.console, /domulator-init: nproc=1\n/);
      assert.doesNotMatch(booted.console, /error|fail(ed|ure)|BUG|WARNING|Oops/i);
      assert.equal(booted.outcome, 'poweroff');
      const rules = new Set(booted.findings.map(({ rule }) => rule));
      assert.ok(rules.has('id-is-meant') && rules.has('all-vcpus-up'), [...rules].join());
    });
  }
});

/**
 * The outcome by release. 4.17 refuses a second vcpu_info for a vCPU, and Linux dies on a CPU that has no console yet.
 * 4.18 accepts it, and the kernel waits for an event that went to another vCPU.
 */
const fates = {
  '4.17': [
    'panic',
    /^Attempted to kill the idle task!; the last call of vCPU (\d), VCPUOP_register_vcpu_info from xen_starting_cpu\+0x\w+, was refused: -XEN_EINVAL$/,
  ],
  '4.18': ['hang', /^no end after 5 s of guest time, which is the limit$/],
} as const;

/** CPU 0 is the entry vCPU; the others follow in device tree order. */
function vcpuOrder(entry: number): number[] {
  return [entry, ...[0, 1, 2, 3].filter((vcpu) => vcpu !== entry)];
}

describe('a kernel entered like a crash kernel', { skip }, () => {
  for (const release of ['4.17', '4.18'] as const) {
    for (const entryVcpu of [1, 2, 3]) {
      it(`on vCPU ${entryVcpu} of 4 under Xen ${release} uses the number of each CPU as its vCPU id`, () => {
        const limits = { instructions: 3_000_000_000, guestNs: 5_000_000_000n };
        const booted = bootStock({ entryVcpu, release, limits });
        const order = vcpuOrder(entryVcpu);
        assert.deepEqual(
          booted.cpus.map(({ vcpu }) => vcpu),
          order,
        );
        // Every written record is the CPU's own number. Each wrong one is found.
        const wrong = order.flatMap((vcpu, cpu) => (vcpu === cpu ? [] : [cpu]));
        const records = booted.findings.filter(({ rule }) => rule === 'record-true');
        const written = booted.cpus.filter(({ recordedVcpuId }) => recordedVcpuId !== null);
        assert.ok(written.every(({ linuxCpu, recordedVcpuId }) => recordedVcpuId === linuxCpu));
        assert.deepEqual(
          records.map(({ linuxCpu }) => linuxCpu),
          wrong,
        );
        // CPU 0 registers itself as vCPU 0, and Xen accepts it.
        assert.equal(told(booted, 'EVTCHNOP_init_control')[0], `${entryVcpu}: 0 → 0`);
        assert.equal(told(booted, 'VCPUOP_register_vcpu_info')[0], `${entryVcpu}: 0 → 0`);
        // Each call whose id is not the vCPU id of its CPU is found. Silent and refused calls are distinguished.
        const wrongCalls = booted.events.filter(
          (event): event is Call =>
            event.kind === 'hypercall' &&
            /init_control|register_vcpu_info/.test(event.call.op) &&
            event.call.vcpuId !== null &&
            order[event.call.vcpuId] !== event.call.vcpuId,
        );
        const found = booted.findings.filter(
          ({ rule, op }) => rule === 'id-is-meant' && /init_control|register_vcpu_info/.test(op ?? ''),
        );
        assert.deepEqual(
          found.map(({ op, passed, returned }) => [op, passed, returned]),
          wrongCalls.map(({ call }) => [call.op, call.vcpuId, call.returned]),
        );
        assert.ok(found.some(({ returned }) => returned === 0));
        const [outcome, ending] = fates[release];
        assert.equal(booted.outcome, outcome);
        assert.match(booted.ending, ending);
        // The call that the kernel does not survive is that of the first CPU whose number another vCPU has registered.
        const [, caller] = ending.exec(booted.ending) ?? [];
        if (caller !== undefined) assert.equal(Number(caller), entryVcpu - 1);
      });
    }
  }
});
